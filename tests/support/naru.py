"""Naru's programs as child processes: start, wait for `ready`, ask for metrics, stop.

Does not build them: they are taken from `$NARU_BIN`, by default build/bin of this checkout.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from .services.process import spawn, tail

REPOSITORY = Path(__file__).resolve().parents[2]
T = TypeVar("T")


class NaruError(AssertionError):
    """A program of Naru did not do what the test needs; the text holds the end of its output."""


def binary(name: str) -> Path:
    """Path of a program; fails when it was not built."""
    path = Path(os.environ.get("NARU_BIN") or REPOSITORY / "build" / "bin").resolve() / name
    if not path.exists():
        raise NaruError(f"{path} is missing: build it with ./dev build, or set NARU_BIN")
    return path


def eventually(predicate: Callable[[], T], timeout: float, what: str, every: float = 0.05) -> T:
    """The first true answer of `predicate`; fails with `what` and the last answer after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise NaruError(f"not within {timeout:.0f} s: {what}; last seen: {answer!r}")
        time.sleep(every)


def run(name: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end and answers code and output; does not judge the code."""
    return subprocess.run(
        [str(binary(name)), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
    )


def write_config(path: Path, config: Mapping[str, Any]) -> Path:
    """Writes a configuration as YAML and answers its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    return path


class Program:
    """One running program. Start it again after `stop` or `kill`: same arguments, same directories.

    A context manager that stops the program at the end and fails when its exit code is not 0.
    """

    def __init__(self, name: str, arguments: Sequence[str], logs: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._argv = [str(binary(name)), *arguments]
        self._env = {**os.environ, **env} if env is not None else None
        logs.mkdir(parents=True, exist_ok=True)
        self._stdout = logs / f"{name}.stdout"
        self._stderr = logs / f"{name}.stderr"
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoints: dict[str, str] = {}

    @classmethod
    def configured(
        cls, name: str, config: Mapping[str, Any], directory: Path, env: Mapping[str, str] | None = None
    ) -> "Program":
        """A service program with `--config`; the file and the logs go to `directory`."""
        path = write_config(directory / f"{name}.yaml", config)
        return cls(name, ["--config", str(path)], directory, env)

    def __enter__(self) -> "Program":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self.alive():
            return
        if kind is not None:
            self.kill()
            return
        code = self.stop()
        if code != 0:
            raise NaruError(f"{self.name} ended with {code}, expected 0\n{self.output()}")

    def start(self, timeout: float = 30) -> "Program":
        """Starts the program and waits for the line `ready`; then `endpoints` is filled."""
        self.launch()
        eventually(self._is_ready, timeout, f"{self.name} ready; {self._stderr}")
        return self

    def launch(self) -> None:
        """Starts the program without waiting."""
        if self.alive():
            raise NaruError(f"{self.name} already runs")
        self.endpoints = {}
        with self._stdout.open("wb") as stdout, self._stderr.open("ab") as stderr:
            self._process = spawn(self._argv, stdout=stdout.fileno(), stderr=stderr.fileno(), env=self._env)

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, listener: str) -> str:
        """`http://host:port` of a listener, e.g. `admin`."""
        if listener not in self.endpoints:
            raise NaruError(f"{self.name} names no listener {listener!r}, only {sorted(self.endpoints)}")
        return f"http://{self.endpoints[listener]}"

    def metric(self, name: str, /, **labels: str) -> float:
        """Sum of the samples of a metric whose labels include `labels`; 0 when there is none."""
        return sum(
            value
            for sample, found, value in parse_metrics(http_text(self.url("admin") + "/metrics"))
            if sample == name and labels.items() <= found.items()
        )

    def terminate(self) -> None:
        """SIGTERM without waiting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def stop(self, timeout: float = 40) -> int:
        """SIGTERM, then the exit code; fails when the program is still there after `timeout` seconds."""
        if self.alive():
            self.terminate()
        return self.wait(timeout)

    def wait(self, timeout: float = 40) -> int:
        """The exit code, once the program has ended."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            output = self.output()
            self.kill()
            raise NaruError(f"{self.name} did not end within {timeout:.0f} s\n{output}") from None

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def output(self, lines: int = 40) -> str:
        """The ends of what it printed, for a failure message."""
        return f"--- {self._stdout}:\n{tail(self._stdout, lines)}\n--- {self._stderr}:\n{tail(self._stderr, lines)}"

    def _is_ready(self) -> bool:
        if not self.alive():
            assert self._process is not None
            raise NaruError(f"{self.name} ended with {self._process.returncode} before `ready`\n{self.output()}")
        lines = self._stdout.read_text(errors="replace").splitlines()
        if "ready" not in lines:
            return False
        for line in lines:
            if match := re.fullmatch(r"listening (\S+) (\S+:\d+)", line):
                self.endpoints[match[1]] = match[2]
        return True


def http_text(url: str, timeout: float = 10) -> str:
    """Body of a GET, also of an error status."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as failure:
        return failure.read().decode(errors="replace")


def http_status(url: str, timeout: float = 10) -> int:
    """Status of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status
    except urllib.error.HTTPError as failure:
        return failure.code


def parse_metrics(text: str) -> list[tuple[str, dict[str, str], float]]:
    """Samples of the Prometheus text format: name, labels, value."""
    samples = []
    for line in text.splitlines():
        match = re.fullmatch(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?", line)
        if match:
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            samples.append((match[1], labels, float(match[3])))
    return samples
