"""What a campaign breaks: a running Naru in one of its forms, and the levers of each victim."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.index import Index
from support.naru import NaruError, Program, eventually
from support.oracle import indexed_log
from support.services.process import ServerProcess, free_port
from support.sources import Journal

from .load import UNJUDGED, Load
from .plan import Kind, Step
from .shim import Shim

_START_S = 60.0


class Target(ABC):
    """A platform with its levers. A context manager. The driver calls it from the main thread only."""

    kinds: tuple[Kind, ...]
    journal: Journal | None = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log_root = directory / "logs"
        self.log_root.mkdir(parents=True)
        self.kills = 0

    @abstractmethod
    def __enter__(self) -> "Target": ...

    @abstractmethod
    def __exit__(self, *failure: Any) -> None: ...

    @property
    @abstractmethod
    def otlp_http(self) -> str: ...

    @property
    @abstractmethod
    def syslog_udp(self) -> str: ...

    @property
    @abstractmethod
    def store_url(self) -> str: ...

    @abstractmethod
    def in_flight(self, step: Step, load: Load) -> float:
        """Records at the victim of a step now, by its own count or because their clients still wait."""

    def recovered(self, step: Step) -> bool:
        """The victim of a step and those that stand in for it work again, after an earlier step."""
        return True

    @abstractmethod
    def inflict(self, step: Step) -> None:
        """The fault of a step, from its beginning to its end."""

    @abstractmethod
    def settle(self) -> None:
        """Everything runs again."""

    @abstractmethod
    def unfinished(self) -> float:
        """Records in flight over all stages."""

    def dead_letters(self) -> Iterator[tuple[str, str]]:
        """Text and place of the records that are dead letters."""
        return iter(())

    def documents(self) -> Iterator[tuple[str, str]]:
        """Text and place of every document: logs by body and original bytes, spans by name."""
        for hit in Index(self.store_url, "logs").pages():
            log = indexed_log(hit["_source"])
            yield log.body if log.original is None else f"{log.body} <{log.original}>", _place(hit)
        for hit in Index(self.store_url, "traces").pages():
            yield hit["_source"]["name"], _place(hit)

    def count(self) -> int:
        """Documents that are judged."""
        judged = {"bool": {"must_not": [{"match": {"body": source}} for source in UNJUDGED]}}
        return Index(self.store_url, "logs").count(judged) + Index(self.store_url, "traces").count()


def _place(hit: dict[str, Any]) -> str:
    return f"{hit['_index']}/{hit['_id']}"


def in_flight_of(program: Program, *stages: str) -> float:
    """Records in flight at a program; 0 while it does not answer."""
    try:
        return sum(program.metric("naru_records_in_flight", stage=stage) for stage in stages)
    except (OSError, NaruError):
        return 0


def stop_for(program: Program | ServerProcess, seconds: float) -> None:
    """SIGSTOP, and SIGCONT after a while."""
    os.kill(program.pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(program.pid, signal.SIGCONT)


class Embedded(Target):
    """`naru up`: one process, one data directory."""

    STAGES = ("agent", "collector", "prepper", "writer")

    def __init__(self, directory: Path, kinds: tuple[Kind, ...], env: dict[str, str] | None = None) -> None:
        super().__init__(directory)
        self.kinds = kinds
        data = directory / "data"
        self.shim = Shim(directory / "faults")
        self._data = data
        arguments = ["up", "--data", str(data), "--file", f"{self.log_root}/*/*.log"]
        for flag in ("http", "store", "otlp-grpc", "otlp-http", "syslog", "admin"):
            arguments += [f"--{flag}", f"127.0.0.1:{free_port()}"]
        self.up = Program("naru", arguments, directory, {**self.shim.env, **(env or {})})

    def __enter__(self) -> "Embedded":
        self.up.start(_START_S)
        return self

    def __exit__(self, *failure: Any) -> None:
        self.shim.disk("healthy")
        self.up.__exit__(*(failure or (None, None, None)))

    @property
    def otlp_http(self) -> str:
        return self.up.endpoints["otlp-http"]

    @property
    def syslog_udp(self) -> str:
        return self.up.endpoints["syslog-udp"]

    @property
    def store_url(self) -> str:
        return self.up.url("store")

    def in_flight(self, step: Step, load: Load) -> float:
        return self.unfinished()

    def unfinished(self) -> float:
        return in_flight_of(self.up, *self.STAGES)

    def inflict(self, step: Step) -> None:
        if step.fault == "kill":
            self.up.kill()
            self.kills += 1
            time.sleep(step.seconds)
            self.up.start(_START_S)
        elif step.fault == "stop":
            stop_for(self.up, step.seconds)
        elif step.fault == "disk-full":
            self._disk("full", self._data, step.seconds)
        elif step.fault == "disk-broken":  # not the store's: after a failed fsync it takes nothing until a restart
            self._disk("broken", self._data / ("agent", "bus", "spill")[step.which % 3], step.seconds)
        elif step.fault == "clock":
            self.shim.clock(step.clock_s)
        else:
            raise AssertionError(step.fault)

    def _disk(self, state: str, directory: Path, seconds: float) -> None:
        self.shim.disk(state, directory)
        time.sleep(seconds)
        self.shim.disk("healthy")

    def settle(self) -> None:
        if not self.up.alive():
            raise NaruError(f"naru up ended by itself\n{self.up.output()}")
        eventually(lambda: self.up.url("admin"), 1, "an admin listener")
