"""The levers of shim/faults.cc: a disk that fails under one directory, and a wall clock that is set."""

from __future__ import annotations

import struct
from pathlib import Path

from support.naru import NaruError, binary

_DISK = {"healthy": 0, "full": 1, "broken": 2}
_SIZE = 4 + 4 + 8 + 1024


class Shim:
    """One control file; every program started with `env` obeys it, also one that is started later."""

    def __init__(self, control: Path) -> None:
        library = binary("naru").parent.parent / "tests" / "naru-test-faults.so"
        if not library.exists():
            raise NaruError(f"{library} is missing: build it with ./dev build naru-test-faults")
        self._control = control
        control.write_bytes(bytes(_SIZE))
        self.env = {"LD_PRELOAD": str(library), "NARU_TEST_FAULTS": str(control.resolve())}

    def disk(self, state: str, directory: Path | None = None) -> None:
        """`healthy`, or `full` or `broken` under a directory, from now on."""
        self._write(0, struct.pack("<i", 0))
        if directory is not None:
            self._write(16, str(directory.resolve()).encode().ljust(_SIZE - 16, b"\0"))
            self._write(0, struct.pack("<i", _DISK[state]))

    def clock(self, offset_s: float) -> None:
        """The wall clock of the programs is ahead of ours by this much (behind, when negative)."""
        self._write(8, struct.pack("<q", int(offset_s * 1e9)))

    def _write(self, offset: int, value: bytes) -> None:
        with self._control.open("r+b") as file:
            file.seek(offset)
            file.write(value)
