"""What a real OpenSearch answers when it takes no documents, and what becomes of the records.

The cluster is this module's own: its cases change settings of the whole cluster. Each case has a topic and
data sets of its own, so that one that is held does not meet another.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from support import configs
from support.bus import KafkaRecord, committed, produce, read_topic
from support.index import Index
from support.naru import Program, eventually, run, write_config
from support.records import log_request
from support.services.kafka import KafkaCluster
from support.services.opensearch import HttpStatus, NodeSpec, OpenSearchCluster
from support.services.process import free_port
from support.services.services import Services

DAY_NS = 86_400_000_000_000


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    node = NodeSpec({"temp": "hot"}, settings={"http.max_content_length": "1mb"})
    with Services(tmp_path_factory.mktemp("bulk"), kafka=1, opensearch=[node]) as running:
        assert running.kafka is not None and running.opensearch is not None
        yield running


class Case:
    """A running prepper with a topic, a group and data sets of its own."""

    def __init__(self, services: Services, directory: Path, **datasets: dict[str, Any]) -> None:
        assert services.kafka is not None and services.opensearch is not None
        self.kafka: KafkaCluster = services.kafka
        self.opensearch: OpenSearchCluster = services.opensearch
        self.name = f"case_{uuid.uuid4().hex[:8]}"
        self.sent = 0
        self.config = configs.prepper(self.kafka.bootstrap, self.opensearch.url) | {
            "topics": {
                "logs": self.name,
                "metrics": f"{self.name}.metrics",
                "traces": f"{self.name}.traces",
                "dead_letters": f"{self.name}.dead",
            },
            "consume": {"group": self.name, "commit_interval": "100ms"},
            "bulk": {"linger": "20ms", "probe_max": "500ms", "retry_max": "500ms", "batch_bytes": "4MiB"},
        } | configs.declared(
            directory / "datasets.yaml",
            datasets={f"{self.name}_{suffix}": declared for suffix, declared in datasets.items()},
            topics={"partitions": 1},
        )
        self.config_path = write_config(directory / "bootstrap.yaml", self.config)
        done = run("naru", "bootstrap", "--config", str(self.config_path), "--apply")
        assert done.returncode == 0, done.stdout + done.stderr
        self.prepper = Program.configured("naru-prepper", self.config, directory)

    def dataset(self, suffix: str) -> str:
        return f"{self.name}_{suffix}"

    def index(self, suffix: str, days_ago: int = 0) -> str:
        day = datetime.fromtimestamp(time_of(days_ago) / 1e9, timezone.utc)
        return f"logs-otel-v1-{self.dataset(suffix)}-{day:%Y.%m.%d}"

    def message(self, suffix: str, bodies: Sequence[str], days_ago: int = 0, position: int = 0) -> bytes:
        """An export request of stamped logs; the same arguments give the same bytes."""
        return log_request(self.name, self.dataset(suffix), bodies, time_of(days_ago), position)

    def send(self, *messages: bytes) -> None:
        produce(self.kafka.bootstrap, self.name, list(messages))
        self.sent += len(messages)

    def finished(self) -> int:
        return sum(committed(self.kafka.bootstrap, self.name, self.name).values())

    def await_all(self, timeout: float = 60) -> None:
        eventually(lambda: self.finished() == self.sent, timeout, f"{self.sent} messages finished", every=0.2)

    def await_held(self, cause: str) -> None:
        eventually(lambda: self.held(cause) == 1, 30, f"an index held for {cause}\n{self.prepper.output()}", every=0.2)

    def held(self, cause: str) -> float:
        return self.prepper.metric("naru_writer_indices_held", cause=cause)

    def bodies(self, suffix: str) -> list[str]:
        hits = Index(self.opensearch.url, f"logs-otel-v1-{self.dataset(suffix)}-*").hits()
        return sorted(hit["_source"]["body"] for hit in hits)

    def dead_letters(self) -> list[KafkaRecord]:
        return read_topic(self.kafka.bootstrap, f"{self.name}.dead")

    def deadletter(self, verb: str, *arguments: str) -> str:
        """What `naru deadletter` prints."""
        done = run("naru", "deadletter", verb, "--config", str(self.config_path), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def settings(self, suffix: str, value: dict[str, Any], days_ago: int = 0) -> None:
        self.opensearch.request("PUT", f"/{self.index(suffix, days_ago)}/_settings", value)


def time_of(days_ago: int) -> int:
    """Noon of a day, so that no case crosses midnight; today: now."""
    now = time.time_ns()
    return now // DAY_NS * DAY_NS - days_ago * DAY_NS + DAY_NS // 2 if days_ago else START_NS


START_NS = time.time_ns()


def headers(record: KafkaRecord) -> dict[str, str]:
    return {key: value.decode() for key, value in record.headers}


@pytest.fixture
def case(own: Services, tmp_path: Path) -> Iterator[Callable[..., Case]]:
    """Makes the case and starts its prepper, which must end with exit code 0."""
    started: list[Program] = []

    def make(**datasets: dict[str, Any]) -> Case:
        made = Case(own, tmp_path, **datasets)
        started.append(made.prepper.start())
        return made

    yield make
    for program in started:
        program.__exit__(None)


def block(case: Case, suffix: str, name: str, on: bool, days_ago: int = 0) -> None:
    case.settings(suffix, {f"index.blocks.{name}": True if on else None}, days_ago)


def test_documents_that_the_mapping_refuses_become_dead_letters(case: Callable[..., Case]) -> None:
    at = case()
    at.opensearch.request(
        "PUT", "/" + at.index("web"), {"mappings": {"properties": {"body": {"type": "integer"}}}}
    )
    at.send(at.message("web", ["1", "no number", "2", "neither is this", "3"]))
    at.await_all()
    assert at.bodies("web") == ["1", "2", "3"]
    letters = at.dead_letters()
    assert len(letters) == 2
    for letter in letters:
        told = headers(letter)
        assert told["naru.dl.type"] in ("mapper_parsing_exception", "document_parsing_exception")
        assert told["naru.dl.status"] == "400"
        assert told["naru.dl.index"] == at.index("web")
        assert told["naru.origin"].startswith(told["naru.origin"].split("/")[0] + f"/{at.name}/0/0/")
    assert sum(at.held(cause) for cause in ("disk", "refused", "mapping", "unavailable")) == 0


def test_dead_letters_are_looked_at_exported_and_replayed_into_one_document(
    case: Callable[..., Case], tmp_path: Path
) -> None:
    at = case()
    at.opensearch.request(
        "PUT", "/" + at.index("web"), {"mappings": {"properties": {"body": {"type": "integer"}}}}
    )
    at.send(at.message("web", ["1", "no number", "2"]))
    at.await_all()
    (line,) = at.deadletter("list", "--output", "json", "--filter", "dl.status == 400").splitlines()
    letter = json.loads(line)
    assert "no number" not in line
    assert letter["index"] == at.index("web")
    assert at.deadletter("list", "--output", "json", "--filter", 'record.body == "1"') == ""
    shown = json.loads(at.deadletter("show", letter["position"], "--raw"))
    assert shown["record"]["body"] == "no number"
    (path,) = at.deadletter("export", "--raw", "--to", str(tmp_path / "letters")).splitlines()
    (exported,) = json.loads(Path(path).read_text())["dlqObjects"]
    assert exported["failedData"]["indexId"] == letter["id"]
    assert exported["failedData"]["document"]["body"] == "no number"

    assert "1 dead letters would be replayed" in at.deadletter("replay", "--to", "source", "--dry-run")
    at.opensearch.request("DELETE", "/" + at.index("web"))
    for replayed in (1, 2):
        assert "1 dead letters replayed, 0 left out" in at.deadletter("replay", "--to", "source")
        at.sent += 1
        at.await_all()
        (hit,) = Index(at.opensearch.url, f"logs-otel-v1-{at.dataset('web')}-*").hits()
        assert hit["_source"]["body"] == "no number", replayed
        assert hit["_id"] == letter["id"]
    assert len(at.dead_letters()) == 1


def test_a_wrong_place_of_dead_letters_is_named(own: Services, tmp_path: Path) -> None:
    assert own.kafka is not None
    kafka = own.kafka.bootstrap
    for arguments, code, words in (
        (["list", "--brokers", kafka, "--topic", "nothing.here"], 1, "there is no topic nothing.here"),
        (["list", "--brokers", f"127.0.0.1:{free_port()}"], 1, "127.0.0.1"),
        (["list", "--config", str(tmp_path / "no.yaml")], 2, "no.yaml"),
        (["list", "--data", str(tmp_path)], 2, "is not the data directory of a `naru up`"),
        (["list", "--brokers", kafka, "--filter", "dl.status = 4"], 2, "column 11"),
        (["replay", "--brokers", kafka], 2, "--to is required"),
        (["replay", "--brokers", kafka, "--to", "source", "--rate", "0"], 2, "--rate"),
        (["replay", "--brokers", kafka, "--to", "source", "--rate", "-3"], 2, "--rate"),
        (["show", "--brokers", kafka, "everything"], 2, "is not topic/partition/offset"),
        ([], 2, "subcommand"),
    ):
        done = run("naru", "deadletter", *arguments)
        assert (done.returncode, words in done.stderr + done.stdout) == (code, True), (arguments, done)


@pytest.mark.parametrize(
    ("name", "cause"),
    [("write", "refused"), ("read_only", "refused"), ("read_only_allow_delete", "disk")],
)
def test_a_blocked_index_is_held_and_nothing_else(case: Callable[..., Case], name: str, cause: str) -> None:
    at = case()
    at.send(at.message("held", ["first"]))
    at.await_all()
    block(at, "held", name, True)
    at.send(at.message("held", [f"waits {i}" for i in range(20)], position=1), at.message("free", ["goes on"]))
    at.await_held(cause)
    eventually(lambda: at.bodies("free") == ["goes on"], 30, "the other data set is written", every=0.2)
    assert at.bodies("held") == ["first"]
    assert at.finished() == 1
    block(at, "held", name, False)
    at.await_all()
    assert len(at.bodies("held")) == 21
    assert at.dead_letters() == []


def test_a_closed_index_is_held_until_it_is_opened(case: Callable[..., Case]) -> None:
    at = case()
    at.send(at.message("web", ["first"]))
    at.await_all()
    at.opensearch.request("POST", f"/{at.index('web')}/_close")
    at.send(at.message("web", ["second"], position=1))
    at.await_held("refused")
    at.opensearch.request("POST", f"/{at.index('web')}/_open")
    at.await_all()
    assert at.bodies("web") == ["first", "second"]
    assert at.dead_letters() == []


def test_a_deleted_index_is_created_again(case: Callable[..., Case]) -> None:
    at = case()
    at.send(at.message("web", ["first"]))
    at.await_all()
    at.opensearch.request("DELETE", "/" + at.index("web"))
    at.send(at.message("web", ["second"], position=1))
    at.await_all()
    assert at.bodies("web") == ["second"]
    mapping = at.opensearch.request("GET", f"/{at.index('web')}/_mapping")
    assert mapping[at.index("web")]["mappings"]["dynamic"] == "strict"


def test_the_limit_of_shards_holds_what_needs_a_new_index(case: Callable[..., Case]) -> None:
    at = case()
    at.send(at.message("free", ["first"]))
    at.await_all()
    limit = "cluster.max_shards_per_node"
    at.opensearch.request("PUT", "/_cluster/settings", {"persistent": {limit: 1}})
    try:
        at.send(at.message("new", ["waits"]), at.message("free", ["second"], position=1))
        eventually(lambda: at.bodies("free") == ["first", "second"], 30, "the other data set is written", every=0.2)
        assert at.finished() == 1
    finally:
        at.opensearch.request("PUT", "/_cluster/settings", {"persistent": {limit: None}})
    at.await_all()
    assert at.bodies("new") == ["waits"]
    assert at.dead_letters() == []


def test_a_cluster_that_is_read_only_makes_everything_wait(case: Callable[..., Case]) -> None:
    at = case()
    at.send(at.message("web", ["first"]))
    at.await_all()

    def up() -> float:
        return at.prepper.metric("naru_dependency_up", name="opensearch")

    assert up() == 1
    at.opensearch.request("PUT", "/_cluster/settings", {"persistent": {"cluster.blocks.read_only": True}})
    try:
        at.send(at.message("web", ["second"], position=1))
        eventually(lambda: up() == 0, 30, "a red dependency")
        assert at.finished() == 1
    finally:
        at.opensearch.request("PUT", "/_cluster/settings", {"persistent": {"cluster.blocks.read_only": None}})
    at.await_all()
    assert at.bodies("web") == ["first", "second"]
    assert at.dead_letters() == []


def test_requests_that_are_too_large_are_halved(case: Callable[..., Case]) -> None:
    at = case()
    text = "x" * 100_000
    at.send(*(at.message("web", [f"{i} {j} {text}" for j in range(8)], position=8 * i) for i in range(5)))
    at.await_all()
    counts = Counter(body[:3] for body in at.bodies("web"))
    assert counts == Counter(f"{i} {j}" for i in range(5) for j in range(8))
    assert at.dead_letters() == []


def test_late_records_are_found_or_diverted_and_a_replay_doubles_nothing(case: Callable[..., Case]) -> None:
    at = case(web={"read_only_after": "1h"}, web_late={"period": "month"})
    written = at.message("web", ["a", "b"], days_ago=3)
    at.send(written)
    at.await_all()
    block(at, "web", "write", True, days_ago=3)
    late = at.message("web", ["a", "b", "late"], days_ago=3)
    for _ in range(2):
        at.send(written, late)
        at.await_all()
    assert at.bodies("web") == ["a", "b"]
    assert at.bodies("web_late") == ["late"]
    assert at.dead_letters() == []
    assert at.prepper.metric("naru_late_records_total", outcome="found") == 8
    assert at.prepper.metric("naru_records_lost_total") == 0


def test_a_record_older_than_retention_is_a_dead_letter_unless_its_late_data_set_keeps_longer(
    case: Callable[..., Case],
) -> None:
    at = case(short={"delete_after": "24h", "hot_for": "12h"}, short_late={"delete_after": "24h", "hot_for": "12h"}, kept={"delete_after": "24h", "hot_for": "12h"})
    at.send(at.message("short", ["gone"], days_ago=4), at.message("kept", ["kept"], days_ago=4))
    at.await_all()
    assert [headers(letter)["naru.dl.type"] for letter in at.dead_letters()] == ["late"]
    assert at.bodies("kept_late") == ["kept"]
    for suffix in ("short", "kept"):
        with pytest.raises(HttpStatus, match="404"):
            at.opensearch.request("GET", "/" + at.index(suffix, days_ago=4))
