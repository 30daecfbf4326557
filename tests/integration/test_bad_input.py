"""Bad input, as contracts.md 6 fixes it: which exit code, and one clear sentence that names the thing."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import configs
from support.index import Index
from support.naru import Program, eventually, http_status, http_text, parse_metrics, run
from support.services.process import free_port

SERVICES = ["naru-agent", "naru-collector", "naru-prepper", "naru-alerting"]
LISTENERS = ("http", "store", "otlp-grpc", "otlp-http", "syslog", "admin")


def up(data: Path, *more: str) -> list[str]:
    """Arguments of `naru up`: free ports, but for the flags in `more`."""
    given = {flag for flag in LISTENERS if f"--{flag}" in more}
    ports = [part for flag in LISTENERS if flag not in given for part in (f"--{flag}", "127.0.0.1:0")]
    return ["up", "--data", str(data), *ports, *more]


def sentences(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def refused(code: int, program: str, *arguments: str, names: list[str]) -> str:
    """Runs a program that must end with `code`, print no `ready`, and name each of `names` once in one line."""
    done = run(program, *arguments)
    assert done.returncode == code, f"{done.returncode}, expected {code}\n{done.stdout}{done.stderr}"
    assert "ready" not in done.stdout.splitlines()
    for name in names:
        lines = [line for line in sentences(done.stderr) if name in line]
        assert len(lines) == 1, f"{name!r} is in {len(lines)} lines of\n{done.stderr}"
    return done.stderr


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of 127.0.0.1 that something listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


class TestUsage:
    """Exit 2, before anything starts."""

    def test_unknown_flag(self, tmp_path: Path) -> None:
        refused(2, "naru", *up(tmp_path, "--no-such-flag"), names=["--no-such-flag"])

    def test_unknown_verb(self) -> None:
        refused(2, "naru", "launch", names=["launch"])

    @pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1", ":"])
    def test_unparsable_address(self, tmp_path: Path, address: str) -> None:
        refused(2, "naru", *up(tmp_path, "--http", address), names=["--http"])

    def test_file_in_a_directory_that_does_not_exist(self, tmp_path: Path) -> None:
        missing = str(tmp_path / "no-such-directory" / "*.log")
        refused(2, "naru", *up(tmp_path / "data", "--file", missing), names=["no-such-directory"])
        assert not (tmp_path / "data").exists()

    def test_open_bind(self, tmp_path: Path) -> None:
        text = refused(2, "naru", *up(tmp_path, "--store", "0.0.0.0:9200"), names=["0.0.0.0:9200"])
        assert "insecure" in text

    def test_all_errors_in_one_pass(self, tmp_path: Path) -> None:
        arguments = up(tmp_path, "--http", "nonsense", "--admin", "also:nonsense", "--store", "0.0.0.0:1")
        refused(2, "naru", *arguments, names=["--http", "--admin", "--store"])

    @pytest.mark.parametrize("program", SERVICES)
    def test_service_without_configuration(self, program: str) -> None:
        refused(2, program, names=["--config"])

    @pytest.mark.parametrize("program", SERVICES)
    def test_configuration_that_is_not_there(self, program: str, tmp_path: Path) -> None:
        refused(2, program, "--config", str(tmp_path / "absent.yaml"), names=["absent.yaml"])

    @pytest.mark.parametrize("program", SERVICES)
    def test_broken_yaml(self, program: str, tmp_path: Path) -> None:
        path = tmp_path / "broken.yaml"
        path.write_text("admin: [1, 2\nother: }\n")
        refused(2, program, "--config", str(path), names=["broken.yaml"])

    @pytest.mark.parametrize("program", SERVICES)
    def test_unknown_keys_with_file_line_and_suggestion(self, program: str, tmp_path: Path) -> None:
        path = tmp_path / "typing.yaml"
        path.write_text("# a comment\nadmim:\n  address: 127.0.0.1:0\nutterly_unknown: 1\n")
        text = refused(2, program, "--config", str(path), names=["admim", "utterly_unknown"])
        by_key = {key: line for line in sentences(text) for key in ("admim", "utterly_unknown") if key in line}
        assert re.search(r"typing\.yaml:2\b", by_key["admim"]) and "admin" in by_key["admim"].replace("admim", "")
        assert re.search(r"typing\.yaml:4\b", by_key["utterly_unknown"])


class TestRunTime:
    """Exit 1."""

    @pytest.mark.parametrize("flag", LISTENERS)
    def test_port_in_use(self, tmp_path: Path, taken_port: int, flag: str) -> None:
        refused(1, "naru", *up(tmp_path, f"--{flag}", f"127.0.0.1:{taken_port}"), names=[f"127.0.0.1:{taken_port}"])

    def test_data_directory_that_cannot_be_written(self, tmp_path: Path) -> None:
        # Below a file: refused for root too, unlike a mode.
        (tmp_path / "file").write_text("")
        refused(1, "naru", *up(tmp_path / "file" / "data"), names=[str(tmp_path / "file" / "data")])

    def test_data_directory_that_another_one_uses(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        empty = str(tmp_path / "*.log")
        with Program("naru", up(data, "--file", empty), tmp_path / "first"):
            refused(1, "naru", *up(data, "--file", empty), names=[str(data)])


class TestNeverAnExit:
    """A neighbour that is away is waited for: `ready`, naru_dependency_up 0, /readyz 503, exit 0 at the end."""

    @pytest.fixture
    def nobody(self) -> str:
        """An address where nothing listens."""
        return f"127.0.0.1:{free_port()}"

    def test_agent_without_collector(self, tmp_path: Path, nobody: str) -> None:
        (tmp_path / "waiting.log").write_text("one line\n")
        self.check("naru-agent", configs.agent(tmp_path / "state", nobody, f"{tmp_path}/*.log"), tmp_path, {"collector"})

    def test_collector_without_kafka(self, tmp_path: Path, nobody: str) -> None:
        self.check("naru-collector", configs.collector(tmp_path / "data", nobody), tmp_path, {"bus"})

    def test_prepper_without_kafka_and_opensearch(self, tmp_path: Path, nobody: str) -> None:
        self.check("naru-prepper", configs.prepper(nobody, f"http://{nobody}"), tmp_path, {"bus", "opensearch"})

    def test_alerting_without_kafka(self, tmp_path: Path, nobody: str) -> None:
        self.check("naru-alerting", configs.alerting(nobody), tmp_path, {"bus"})

    def check(self, name: str, config: configs.Config, directory: Path, away: set[str]) -> None:
        with Program.configured(name, config, directory) as program:
            admin = program.url("admin")

            def down() -> set[str]:
                samples = parse_metrics(http_text(admin + "/metrics"))
                return {labels["name"] for metric, labels, value in samples if metric == "naru_dependency_up" and not value}

            eventually(lambda: down() == away, 10, f"{name} says that {away} is away")
            assert http_status(admin + "/readyz") == 503
            assert http_status(admin + "/livez") == 200

    def test_files_of_a_pattern_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "loop.log").symlink_to(tmp_path / "loop.log")
        (tmp_path / "directory.log").mkdir()
        (tmp_path / "good.log").write_text("one line\n")
        arguments = up(tmp_path / "data", "--file", str(tmp_path / "*.log"), "--from-start")
        with Program("naru", arguments, tmp_path / "out") as program:
            index = Index(program.url("store"), "logs")
            eventually(lambda: index.count() == 1, 30, "the readable file's line")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_drains_and_ends_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with Program("naru", up(tmp_path / "data", "--file", str(tmp_path / "*.log")), tmp_path) as program:
        os.kill(program.pid, number)
        assert program.wait() == 0, program.output()
