"""Real log sources, each of which tells the lines that it wrote.

Nothing here knows how Naru reads them. A source that cannot run fails; it never makes do with less.
"""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .services.jars import need
from .services.process import ServerProcess, free_port, wait_ready

_DPKG_LOG = Path("/var/log/dpkg.log")


class Nginx:
    """A real nginx on a free port whose access log is `access_log`. A context manager.

    One process without workers; serves every path itself and proxies nothing.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.access_log = directory / "access.log"
        self.requests = 0
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        config = directory / "nginx.conf"
        config.write_text(self._config(directory))
        self._server = ServerProcess(
            "nginx",
            [need("nginx", "nginx-light"), "-c", str(config), "-p", str(directory), "-e", str(directory / "error.log")],
            directory / "nginx.log",
        )

    def __enter__(self) -> "Nginx":
        self._server.start()
        wait_ready([self._server], self._missing, 10, "nginx")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def get(self, path: str, agent: str = "naru-tests") -> int:
        """Sends one request and answers its status. Its line is written a moment after the answer."""
        self.requests += 1
        ask = urllib.request.Request(self.url + path, headers={"User-Agent": agent})
        try:
            with urllib.request.urlopen(ask, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as failure:
            return failure.code

    def lines(self) -> list[bytes]:
        """The access log as it stands now."""
        return split_lines(self.access_log.read_bytes())

    def _missing(self) -> str | None:
        try:
            # A connection without a request writes no line.
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            return None
        except OSError as failure:
            return str(failure)

    def _config(self, directory: Path) -> str:
        places = "".join(
            f"  {kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return (
            f"daemon off;\nmaster_process off;\npid {directory}/nginx.pid;\nevents {{ worker_connections 64; }}\n"
            f"http {{\n{places}  access_log {self.access_log} combined;\n"
            f"  server {{\n    listen 127.0.0.1:{self._port};\n"
            "    location /missing { return 404; }\n    location /broken { return 500; }\n"
            '    location / { return 200 "ok\\n"; }\n  }\n}\n'
        )


def split_lines(data: bytes) -> list[bytes]:
    """Lines ended by LF, without it; bytes after the last LF are no line yet."""
    return data.split(b"\n")[:-1]


def dpkg_lines(count: int = 200) -> list[bytes]:
    """Lines of this machine's dpkg.log, or lines in its format when it has none."""
    if _DPKG_LOG.is_file() and os.access(_DPKG_LOG, os.R_OK):
        lines = split_lines(_DPKG_LOG.read_bytes())[-count:]
        if len(lines) == count:
            return lines
    steps = ("install", "status half-installed", "status unpacked", "configure", "status installed")
    return [
        f"2026-11-20 10:{i // 60 % 60:02}:{i % 60:02} {steps[i % 5]} libexample{i}:amd64 <none> 1.{i}-2+deb12u1".encode()
        for i in range(count)
    ]


def java_stack_trace() -> list[bytes]:
    """A multi-line stack trace, as the lines of a file: joining is off unless configured."""
    return (
        b"2026-11-20 10:00:00,123 ERROR [http-nio-8080-exec-7] com.example.pay.Checkout - payment 4711 failed\n"
        b"java.lang.IllegalStateException: gateway answered 502\n"
        b"\tat com.example.pay.Gateway.charge(Gateway.java:88)\n"
        b"\tat com.example.pay.Checkout$$Lambda$14/0x0000000800c03000.run(Unknown Source)\n"
        b"\tat java.base/java.lang.Thread.run(Thread.java:840)\n"
        b"Caused by: java.net.SocketTimeoutException: Read timed out\n"
        b"\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:288)\n"
        b"\t... 31 common frames omitted\n"
        b"\n"
        b"2026-11-20 10:00:00,130 INFO  [main] com.example.pay.Checkout - retry 1 of 3\n"
    ).splitlines()


def difficult_lines() -> list[bytes]:
    """Lines that naive readers change, join, drop or refuse; all shorter than any line limit."""
    return [
        "나루: 파일에서 검색까지 한 줄도 잃지 않는다".encode(),
        "emoji 🚢⛵ and a family 👨‍👩‍👧‍👦, combining e\u0301, right to left שלום".encode(),
        b"lone \xff byte",
        b"truncated three \xe2\x82",
        b"truncated four \xf0\x9f\x9a then text",
        b"overlong slash \xc0\xaf and \xe0\x80\xaf",
        b"surrogate half \xed\xa0\x80 and above the last \xf4\x90\x80\x80",
        b"\x80\x81\xfe\xff",
        b"a NUL \x00 inside",
        b"carriage return at the end\r",
        b"carriage return \r inside",
        b"tab\tvertical\vform\fbell\aescape\x1b[31mred\x1b[0m delete\x7f",
        b"",
        b"   blanks before and after   ",
        b"",
        b"",
        b"\xef\xbb\xbfbyte order mark",
        "line\u2028separator\u2029and next\u0085line stay inside".encode(),
        b'{"json": "in a line", "n": 1, "s": "\\u00e9\\n"}',
        b"quotes \" ' ` backslash \\ slash / percent %s %n ${HOME} {{x}} <b>&amp;</b>",
        b"the same line twice",
        b"the same line twice",
        b"x" * 40_000 + " 끝".encode(),
        b"y" * 40_000 + b"\xfe",
    ]


@dataclass
class JournalEntry:
    """One entry of a systemd journal. `message` may hold any bytes; other fields are text."""

    message: bytes
    realtime_us: int
    priority: int = 6
    identifier: str = "naru-test"
    fields: dict[str, str] = field(default_factory=dict)


class Journal:
    """A journal directory without a running journald: systemd-journal-remote writes it from export text."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.entries: list[JournalEntry] = []
        self._boot = uuid.uuid4().hex
        self._machine = uuid.uuid4().hex
        self._writer = need("systemd-journal-remote", "systemd-journal-remote")

    def append(self, entries: Sequence[JournalEntry]) -> None:
        """Adds entries, which a reader sees when this returns."""
        text = b"".join(self._export(entry, len(self.entries) + i) for i, entry in enumerate(entries))
        done = subprocess.run(
            [self._writer, f"--output={self.directory / 'system.journal'}", "--split-mode=none", "-"],
            input=text,
            capture_output=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"systemd-journal-remote: {done.stderr.decode(errors='replace')}")
        self.entries += entries

    def _export(self, entry: JournalEntry, sequence: int) -> bytes:
        head = {
            "__REALTIME_TIMESTAMP": str(entry.realtime_us),
            "__MONOTONIC_TIMESTAMP": str(1_000_000 + sequence),
            "_BOOT_ID": self._boot,
            "_MACHINE_ID": self._machine,
            "_HOSTNAME": "journal-host",
            "_TRANSPORT": "journal",
            "PRIORITY": str(entry.priority),
            "SYSLOG_IDENTIFIER": entry.identifier,
        } | entry.fields
        text = "".join(f"{key}={value}\n" for key, value in head.items()).encode()
        # The binary form of the export format: name, LF, length as 64 bit little-endian, data, LF.
        message = b"MESSAGE\n" + len(entry.message).to_bytes(8, "little") + entry.message + b"\n"
        return text + message + b"\n"
