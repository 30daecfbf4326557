"""What a row measures: processor time and memory of processes from /proc, and the table."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TextIO

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all threads, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_rss_bytes(pid: int) -> int:
    """Largest resident size of a process so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass
class Figures:
    """One row. `counted` is what the far end counted; a row whose count differs from `records` says so."""

    row: str
    records: int
    counted: int
    bytes: int
    seconds: float
    cpu: float  # of Naru's own processes
    rss: int  # sum of their peaks
    note: str = ""

    @staticmethod
    def median(runs: Sequence["Figures"]) -> "Figures":
        """The run with the median processor time; `counted` of the worst run."""
        middle = sorted(runs, key=lambda run: run.cpu)[len(runs) // 2]
        worst = max(runs, key=lambda run: abs(run.counted - run.records))
        return Figures(**{**asdict(middle), "counted": worst.counted})

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Stopwatch:
    """Wall time and processor time of processes since its start."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._begin = time.monotonic()
        self._cpu = sum(cpu_seconds(pid) for pid in pids)

    def figures(self, row: str, records: int, counted: int, size: int, note: str = "") -> Figures:
        return Figures(
            row=row,
            records=records,
            counted=counted,
            bytes=size,
            seconds=time.monotonic() - self._begin,
            cpu=sum(cpu_seconds(pid) for pid in self._pids) - self._cpu,
            rss=sum(peak_rss_bytes(pid) for pid in self._pids),
            note=note,
        )

    def extend(self, figures: Figures, until: float) -> None:
        """The work of `figures` was done at `until` (monotonic), if that is later than when they were taken."""
        figures.seconds = max(figures.seconds, until - self._begin)


def cost_of_guarantee(name: str, kept: Sequence[Figures], without: Sequence[Figures]) -> str:
    """One line: throughput with and without acknowledgement, and the median cost over the pairs of runs."""
    fast = median(run.records / run.seconds for run in without)
    sure = median(run.records / run.seconds for run in kept)
    wall = median(1 - b.seconds / a.seconds for a, b in zip(kept, without))
    cpu = median(a.cpu / b.cpu - 1 for a, b in zip(kept, without))
    return (
        f"{name}: {sure:,.0f} records/s acknowledged, {fast:,.0f} unacknowledged: the guarantee costs {wall:.1%} of the"
        f" throughput and {cpu:.1%} more processor time ({len(kept)} pairs)"
    )


def print_table(rows: Sequence[Figures], file: TextIO = sys.stdout) -> None:
    header = ("row", "counted", "records/s", "MB/s", "records/CPU-s", "MB/CPU-s", "CPU-s/M", "RSS MiB", "note")
    lines = [header]
    for row in rows:
        counted = f"{row.counted:,}" if row.counted == row.records else f"{row.counted:,} of {row.records:,}!"
        cpu = max(row.cpu, 1 / TICKS)
        lines.append(
            (
                row.row,
                counted,
                f"{row.records / row.seconds:,.0f}",
                f"{row.bytes / row.seconds / 1e6:,.0f}",
                f"{row.records / cpu:,.0f}",
                f"{row.bytes / cpu / 1e6:,.0f}",
                f"{row.cpu / row.records * 1e6:.2f}",
                f"{row.rss / 2**20:.0f}",
                row.note,
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip(), file=file)
