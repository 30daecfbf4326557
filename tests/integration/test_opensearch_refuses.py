"""What a person sees, and what becomes of the records, when OpenSearch's security plugin says no.

Each case is a row of docs/operations/opensearch.md. The engine and its plugin are real.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import configs
from support.bus import committed, produce
from support.naru import Program, eventually, http_text, run, write_config
from support.records import log_request
from support.services.kafka import KafkaCluster
from support.services.opensearch import HttpStatus
from support.services.secured_opensearch import ADMIN, PASSWORD, Rights, SecuredOpenSearch

# The least that a prepper needs (docs/operations/opensearch.md).
WRITER = Rights(
    cluster=["cluster_monitor", "indices:data/write/bulk", "indices:data/read/mget"],
    indices={
        "logs-otel-v1-*": ["write", "read", "create_index", "indices:admin/mappings/get"],
    },
)
NARROW = Rights(
    cluster=WRITER.cluster,
    indices={
        "logs-otel-v1-open_*": WRITER.indices["logs-otel-v1-*"],
        "logs-otel-v1-closed_*": ["create_index", "indices:admin/mappings/get"],
    },
)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredOpenSearch]:
    with SecuredOpenSearch(tmp_path_factory.mktemp("secured"), {"writer": WRITER, "narrow": NARROW}) as running:
        yield running


class Case:
    """A topic, a group, and a configuration for one user."""

    def __init__(self, kafka: KafkaCluster, opensearch: SecuredOpenSearch, directory: Path) -> None:
        self.kafka = kafka.bootstrap
        self.opensearch = opensearch
        self.directory = directory
        self.name = uuid.uuid4().hex[:8]
        self.sent = 0
        done = self.naru("bootstrap", ADMIN, "--apply")
        assert done.returncode == 0, done.stdout + done.stderr

    def config(self, user: str, password: str = PASSWORD) -> dict[str, Any]:
        config = configs.prepper(self.kafka, self.opensearch.url) | {
            "topics": configs.own_topics(self.name),
            "consume": {"group": self.name, "commit_interval": "100ms"},
            "bulk": {"linger": "20ms", "probe_max": "500ms", "retry_max": "500ms"},
        }
        config["opensearch"] |= {"user": user, "password": password, "tls": {"ca_file": str(self.opensearch.ca)}}
        return config | configs.declared(self.directory / "datasets.yaml", topics={"partitions": 1})

    def prepper(self, user: str, password: str = PASSWORD) -> Program:
        return Program.configured("naru-prepper", self.config(user, password), self.directory)

    def naru(self, verb: str, user: str, *arguments: str, password: str = PASSWORD) -> Any:
        path = write_config(self.directory / "verb.yaml", self.config(user, password))
        return run("naru", verb, "--config", str(path), *arguments)

    def send(self, dataset: str) -> None:
        produce(self.kafka, f"{self.name}.logs", [log_request(self.name, dataset, ["text"], time.time_ns(), self.sent)])
        self.sent += 1

    def finished(self) -> int:
        return sum(committed(self.kafka, self.name, f"{self.name}.logs").values())

    def documents(self, dataset: str) -> int:
        self.opensearch.request("POST", f"/logs-otel-v1-{dataset}-*/_refresh")
        try:
            return int(self.opensearch.request("GET", f"/logs-otel-v1-{dataset}-*/_count")["count"])
        except HttpStatus:
            return 0


@pytest.fixture
def case(kafka: KafkaCluster, secured: SecuredOpenSearch, tmp_path: Path) -> Case:
    return Case(kafka, secured, tmp_path)


def ready_text(prepper: Program) -> str:
    return http_text(prepper.url("admin") + "/readyz")


def test_wrong_credentials_hold_everything_and_right_ones_carry_it(case: Case) -> None:
    dataset = f"open_{case.name}"
    with case.prepper("writer", "wrong") as prepper:
        case.send(dataset)
        eventually(lambda: "401" in ready_text(prepper), 30, f"/readyz names the refusal\n{prepper.output()}")
        assert prepper.metric("naru_dependency_up", name="opensearch") == 0
        assert case.finished() == 0
    done = case.naru("bootstrap", "writer", "--plan", password="wrong")
    assert done.returncode == 1 and "401" in done.stderr, done.stderr
    done = case.naru("doctor", "writer", password="wrong")
    assert done.returncode == 1 and "401" in done.stderr, done.stderr
    with case.prepper("writer") as prepper:
        eventually(lambda: case.finished() == 1, 30, f"written with the right password\n{prepper.output()}")
    assert case.documents(dataset) == 1


def test_a_missing_right_on_one_index_holds_that_index_alone(case: Case) -> None:
    with case.prepper("narrow") as prepper:
        case.send(f"closed_{case.name}")
        eventually(
            lambda: prepper.metric("naru_writer_indices_held", cause="refused") == 1, 30, f"held\n{prepper.output()}"
        )
        assert "security_exception" in prepper.output(), prepper.output()
        case.send(f"open_{case.name}")
        eventually(lambda: case.documents(f"open_{case.name}") == 1, 30, f"the other goes on\n{prepper.output()}")
        assert case.finished() == 0, "nothing is stepped over"
    with case.prepper("writer") as prepper:  # the right was given
        eventually(lambda: case.finished() == 2, 30, f"all written\n{prepper.output()}")
    assert case.documents(f"closed_{case.name}") == case.documents(f"open_{case.name}") == 1


def test_a_user_without_rights_for_administration_is_told(case: Case) -> None:
    done = case.naru("bootstrap", "writer", "--apply")
    assert done.returncode == 1, done.stdout
    assert "403" in done.stderr and "no permissions for [" in done.stderr, done.stderr


@pytest.mark.long
def test_an_expired_certificate_holds_everything_until_it_is_renewed(
    kafka: KafkaCluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lasts = 45.0
    ends = time.time() + lasts
    users = {"writer": WRITER}
    with SecuredOpenSearch(tmp_path_factory.mktemp("expiring"), users, expires_in=lasts) as opensearch:
        case = Case(kafka, opensearch, tmp_path)
        dataset = f"open_{case.name}"
        with case.prepper("writer") as prepper:
            case.send(dataset)
            eventually(lambda: case.finished() == 1, 30, f"written before it ends\n{prepper.output()}")
        time.sleep(max(0.0, ends + 1 - time.time()))
        done = case.naru("bootstrap", ADMIN, "--plan")
        assert done.returncode == 1 and "certificate has expired" in done.stderr, done.stderr
        with case.prepper("writer") as prepper:
            case.send(dataset)
            eventually(lambda: "certificate has expired" in ready_text(prepper), 30, f"said\n{prepper.output()}")
            assert case.finished() == 1
    with SecuredOpenSearch(tmp_path_factory.mktemp("renewed"), users) as opensearch:
        case.opensearch = opensearch
        done = case.naru("bootstrap", ADMIN, "--apply")
        assert done.returncode == 0, done.stderr
        with case.prepper("writer") as prepper:
            eventually(lambda: case.finished() == 2, 30, f"written after the renewal\n{prepper.output()}")
        assert case.documents(dataset) == 1
