"""The whole path in one process: `naru up`, with the store that answers the OpenSearch API."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from support.naru import Program, eventually, http_status, run
from support.path_cases import PathCases, append, assert_each_once, numbered, post
from support.platforms import NaruUp


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NaruUp]:
    """`naru up`, started once for all cases of the module; a case that kills it starts it again."""
    with NaruUp(tmp_path_factory.mktemp("up")) as running:
        yield running


class TestNaruUp(PathCases):
    def test_endpoints_are_written_to_the_data_directory(self, platform: NaruUp) -> None:
        written = json.loads((platform.directory / "data" / "endpoints.json").read_text())
        assert written == platform.up.endpoints
        assert set(written) == {
            "console", "store", "otlp-grpc", "otlp-http", "syslog-udp", "syslog-tcp", "admin",
        }  # fmt: skip

    def test_the_console_is_served(self, platform: NaruUp) -> None:
        assert http_status(platform.up.url("console") + "/") == 200


def up_arguments(directory: Path, pattern: str, *more: str) -> list[str]:
    """`naru up` on ports that the system picks."""
    arguments = ["up", "--data", str(directory / "data"), "--file", pattern, *more]
    for flag in ("http", "store", "otlp-grpc", "otlp-http", "syslog", "admin"):
        arguments += [f"--{flag}", "127.0.0.1:0"]
    return arguments


@pytest.mark.parametrize("from_start", [False, True])
def test_a_file_that_is_there_at_the_first_start(tmp_path: Path, from_start: bool) -> None:
    """Begins at most 1 MiB before its end, at a line; with --from-start at 0."""
    log = tmp_path / "old.log"
    lines = numbered("old", 0, 40_000)
    append(log, lines)
    assert log.stat().st_size > 2 << 20
    flags = ["--from-start"] if from_start else []
    platform = _OneFile(tmp_path, up_arguments(tmp_path, str(log), *flags))
    with platform:
        last = numbered("last", 0, 1)
        append(log, last)
        wanted = lines if from_start else _whole_lines(lines, 1 << 20)
        assert_each_once(platform.await_file(log, len(wanted) + 1), wanted + last)


def _whole_lines(lines: list[bytes], bytes_max: int) -> list[bytes]:
    """The last lines that fit into `bytes_max`, line feeds included."""
    size, count = 0, 0
    for line in reversed(lines):
        size += len(line) + 1
        if size > bytes_max:
            break
        count += 1
    return lines[-count:]


def test_dead_letters_are_listed_and_replayed_while_it_runs_and_when_it_does_not(tmp_path: Path) -> None:
    """A record older than retention is one, and becomes one again, with its id, for as long as its cause is there."""
    platform = NaruUp(tmp_path)
    data = str(tmp_path / "data")

    def letters() -> list[dict[str, str]]:
        done = run("naru", "deadletter", "list", "--data", data, "--output", "json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def replay(*more: str) -> None:
        done = run("naru", "deadletter", "replay", "--data", data, "--to", "source", "--limit", "1", *more)
        assert (done.returncode, done.stdout) == (0, "1 dead letters replayed, 0 left out\n"), done.stderr

    with platform:
        old = time.time_ns() - 60 * 86_400_000_000_000
        request = ExportLogsServiceRequest()
        request.resource_logs.add().scope_logs.add().log_records.add(
            time_unix_nano=old, observed_time_unix_nano=old, body=AnyValue(string_value="of another time")
        )
        post(f"http://{platform.up.endpoints['otlp-http']}/v1/logs", request.SerializeToString())
        eventually(lambda: len(letters()) == 1, 30, "a dead letter")
        assert letters()[0]["type"] == "late"
        replay()
        eventually(lambda: len(letters()) == 2, 30, "the same once more")
        done = run("naru", "deadletter", "replay", "--data", data, "--to", "elsewhere")
        assert done.returncode == 2
        assert "is running on" in done.stderr
    replay("--filter", 'record.body == "of another time"')
    with platform:
        eventually(lambda: len(letters()) == 3, 30, "and once more")
        assert len({letter["id"] for letter in letters()}) == 1


class _OneFile(NaruUp):
    """`naru up` with arguments of the test's own."""

    def __init__(self, directory: Path, arguments: list[str]) -> None:
        super().__init__(directory)
        self._arguments = arguments

    def _start(self, started) -> None:  # type: ignore[no-untyped-def]
        self.programs["naru"] = started.enter_context(Program("naru", self._arguments, self.directory))
