"""`naru doctor`, `naru lifecycle` and `naru bootstrap` beside a real cluster that a person changed by hand."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from support import configs
from support.bus import committed, produce
from support.naru import Program, eventually, run, write_config
from support.records import log_request
from support.services.kafka import KafkaCluster
from support.services.opensearch import OpenSearchCluster


class Platform:
    """One data set with one index on the real servers, and the verbs of an operator."""

    def __init__(self, kafka: KafkaCluster, opensearch: OpenSearchCluster, directory: Path) -> None:
        self.opensearch = opensearch
        self.name = f"doc_{uuid.uuid4().hex[:8]}"
        config = configs.prepper(kafka.bootstrap, opensearch.url) | {
            "topics": configs.own_topics(self.name),
            "consume": {"group": self.name},
        }
        self.directory = directory
        self.config = config
        self.declare()
        self.apply()
        with Program.configured("naru-prepper", self.config | {"bulk": {"linger": "20ms"}}, directory) as prepper:
            produce(kafka.bootstrap, f"{self.name}.logs", [log_request(self.name, self.name, ["x"], time.time_ns())])
            eventually(
                lambda: sum(committed(kafka.bootstrap, self.name, f"{self.name}.logs").values()) == 1,
                60, f"one document\n{prepper.output()}", every=0.3,
            )
        found = opensearch.request("GET", f"/_cat/indices/logs-otel-v1-{self.name}-*?format=json")
        self.index = found[0]["index"]

    def declare(self, **dataset: Any) -> None:
        self.config |= configs.declared(
            self.directory / "datasets.yaml", datasets={self.name: {"hot_for": "1d", **dataset}}, topics={"partitions": 1}
        )
        self.path = str(write_config(self.directory / "verb.yaml", self.config))

    def verb(self, verb: str, *arguments: str) -> Any:
        return run("naru", verb, "--config", self.path, *arguments)

    def apply(self) -> None:
        done = self.verb("bootstrap", "--apply")
        assert done.returncode == 0, done.stdout + done.stderr

    def findings(self) -> list[dict[str, str]]:
        """What the doctor says of this test's own index and topics."""
        done = self.verb("doctor", "--output", "json")
        found = json.loads(done.stdout)
        assert done.returncode == (1 if found else 0), done.stderr
        assert all(set(one) == {"check", "subject", "what", "mend"} and all(one.values()) for one in found)
        return [one for one in found if self.name in one["subject"]]


@pytest.fixture
def platform(kafka: KafkaCluster, opensearch: OpenSearchCluster, tmp_path: Path) -> Platform:
    return Platform(kafka, opensearch, tmp_path)


def test_what_a_person_changed_is_found_and_mended_by_bootstrap(platform: Platform) -> None:
    checks = {one["check"] for one in platform.findings()}
    assert checks == {"replication"}, "one broker: one copy of each topic, and nothing else"
    platform.opensearch.request("PUT", f"/{platform.index}/_settings", {"index.refresh_interval": "1s"})
    settings = [one for one in platform.findings() if one["check"] == "settings"]
    assert [one["what"] for one in settings] == ["index.refresh_interval is 1s, 60s is declared"]
    planned = platform.verb("bootstrap", "--plan")
    assert f"change index {platform.index}\n    index.refresh_interval: 1s -> 60s" in planned.stdout, planned.stdout
    platform.apply()
    assert {one["check"] for one in platform.findings()} == {"replication"}


def test_a_changed_template_is_shown_and_mended(platform: Platform) -> None:
    template = platform.opensearch.request("GET", "/_index_template/logs-otel-v1")["index_templates"][0]["index_template"]
    template["template"]["settings"]["index"]["refresh_interval"] = "1s"
    del template["template"]["mappings"]["properties"]["duration_ms"]
    platform.opensearch.request("PUT", "/_index_template/logs-otel-v1", template)
    planned = platform.verb("bootstrap", "--plan").stdout
    assert "template.settings.index.refresh_interval: 1s -> 60s" in planned, planned
    assert "template.mappings.properties.duration_ms.type: missing -> double" in planned, planned
    platform.apply()
    assert "change index template" not in platform.verb("bootstrap", "--plan").stdout


def test_a_new_field_reaches_live_indices_before_a_document_has_it(platform: Platform, tmp_path: Path) -> None:
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    source = Path(__file__).resolve().parents[2] / "config" / "mappings"
    for path in source.iterdir():
        (mappings / path.name).write_text(path.read_text())
    field = f"order_{platform.name}"
    logs = json.loads((mappings / "logs-otel-v1.json").read_text())
    logs["template"]["mappings"]["properties"][field] = {"type": "keyword", "ignore_above": 256}
    (mappings / "logs-otel-v1.json").write_text(json.dumps(logs))
    platform.config["mappings_dir"] = str(mappings)
    platform.declare()
    old = [one for one in platform.findings() if one["check"] == "old mapping"]
    assert len(old) == 1 and field in old[0]["what"]
    platform.apply()
    live = platform.opensearch.request("GET", f"/{platform.index}/_mapping")[platform.index]["mappings"]
    assert live["properties"][field]["type"] == "keyword"
    assert live["dynamic"] == "strict"


def test_a_shorter_retention_names_what_it_ends_and_waits_for_consent(platform: Platform) -> None:
    old = f"logs-otel-v1-{platform.name}-2026.01.02"
    platform.opensearch.request("PUT", f"/{old}")
    platform.declare(delete_after="400d")
    platform.apply()
    platform.declare(delete_after="2d")
    shown = platform.verb("lifecycle")
    assert f"delete {old}" not in shown.stdout and "bootstrap --apply" in shown.stdout, shown.stdout
    refused = platform.verb("bootstrap", "--apply")
    assert refused.returncode == 1 and old in refused.stderr and "--accept-loss" in refused.stderr, refused.stderr
    agreed = platform.verb("bootstrap", "--apply", "--accept-loss")
    assert agreed.returncode == 0, agreed.stderr
    assert f"next delete {old}" in platform.verb("lifecycle").stdout
    acted = platform.verb("lifecycle", "--run")
    assert acted.returncode == 0 and f"now delete {old}" in acted.stdout, acted.stdout + acted.stderr
    left = platform.opensearch.request("GET", f"/_cat/indices/logs-otel-v1-{platform.name}-*?format=json")
    names = {one["index"] for one in left}  # before midnight tomorrow's is there, too
    assert platform.index in names and old not in names


def test_wrong_arguments_are_usage_errors(tmp_path: Path) -> None:
    for verb in ("doctor", "lifecycle"):
        assert run("naru", verb).returncode == 2
        assert run("naru", verb, "--config", str(tmp_path / "absent.yaml")).returncode == 2
    assert run("naru", "doctor", "--config", "x", "--output", "xml").returncode == 2
    (tmp_path / "datasets.yaml").write_text("defaults: {hotfor: 1d}\n")
    done = run("naru", "check", str(tmp_path / "datasets.yaml"))
    assert done.returncode == 2 and "hot_for" in done.stderr, done.stderr
