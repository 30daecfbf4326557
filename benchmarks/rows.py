"""The rows: each starts real programs, gives them work, and waits until the far end has counted it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.lines import exactly_once, write_json_lines, write_lines  # noqa: E402
from benchmarks.measure import Figures, Stopwatch  # noqa: E402
from support import configs  # noqa: E402
from support.naru import Program, eventually, run  # noqa: E402
from support.services.kafka import KafkaCluster  # noqa: E402
from support.services.opensearch import hot, warm  # noqa: E402
from support.services.services import Services  # noqa: E402

TIMEOUT = 900.0
BENCHMARKS = Path(os.environ.get("NARU_BIN") or ROOT / "build" / "bin").resolve().parent / "benchmarks"


class Sink(Program):
    """naru-bench-sink: counts OTLP exports and bulk items."""

    def __init__(self, directory: Path) -> None:
        super().__init__(str(BENCHMARKS / "naru-bench-sink"), ["--listen", "127.0.0.1:0"], directory)

    def counts(self) -> dict[str, int]:
        with urllib.request.urlopen(self.url("sink") + "/counts", timeout=60) as response:
            return json.load(response)

    def wait_for(self, records: int) -> int:
        eventually(lambda: self.counts()["records"] >= records, TIMEOUT, f"{records} records at the sink")
        return self.counts()["records"]


def agent(directory: Path, records: int) -> Figures:
    """Tail a file of 500-byte lines into OTLP requests; the collector's place is taken by a counter."""
    logs = directory / "logs"
    logs.mkdir()
    with Sink(directory) as sink:
        config = configs.agent(directory / "state", sink.endpoints["sink"], str(logs / "*.log"))
        with Program.configured("naru-agent", config, directory) as program:
            watch = Stopwatch(program.pid)
            size = write_lines(directory / "x.tmp", records, 500)
            os.rename(directory / "x.tmp", logs / "x.log")
            counted = sink.wait_for(records)
            return watch.figures("agent: tail 500 B -> OTLP/HTTP", records, counted, size)


ROWS: dict[str, Callable[[Path, int], Figures]] = {"agent": agent}
