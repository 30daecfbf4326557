"""One cluster over two zones and a tiebreaker, three real processes; one zone is killed in mid-load and comes back."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from support import configs
from support.bus import committed, produce, read_topic
from support.index import Index
from support.naru import Program, eventually, run, write_config
from support.records import log_request
from support.services.opensearch import HttpStatus, NodeSpec
from support.services.services import Services

_PER_REQUEST = 200
_ZONES = {0: "dc1", 1: "dc2"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    nodes = [
        NodeSpec({"zone": "dc1"}),
        NodeSpec({"zone": "dc2"}),
        NodeSpec({"zone": "tiebreaker"}, roles=("cluster_manager",)),
    ]
    with Services(tmp_path_factory.mktemp("zones"), kafka=1, opensearch=nodes) as running:
        yield running


class Load:
    """Produces requests until it is stopped."""

    def __init__(self, kafka: str, topic: str, dataset: str) -> None:
        self.requests = 0
        self._ended = Event()
        self._thread = Thread(target=self._run, args=(kafka, topic, dataset), daemon=True)

    def _run(self, kafka: str, topic: str, dataset: str) -> None:
        while not self._ended.wait(0.05):
            first = self.requests * _PER_REQUEST
            bodies = [f"record {first + i} {'x' * 300}" for i in range(_PER_REQUEST)]
            produce(kafka, topic, [log_request("zones", dataset, bodies, time.time_ns(), position=first)])
            self.requests += 1

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


def test_the_loss_of_a_zone_costs_nothing_but_time(own: Services, tmp_path: Path) -> None:
    assert own.kafka is not None and own.opensearch is not None
    kafka, opensearch = own.kafka.bootstrap, own.opensearch
    name = f"zones_{uuid.uuid4().hex[:8]}"
    topic = f"{name}.logs"
    config: dict[str, Any] = configs.prepper(kafka, opensearch.url) | {
        "topics": configs.own_topics(name),
        "consume": {"group": name, "commit_interval": "100ms"},
        "bulk": {"linger": "20ms", "writers": 4, "zone": "dc1", "request_timeout": "10s"},
    }
    config["opensearch"]["urls"] = opensearch.urls  # with the tiebreaker: documents never go there
    config |= configs.declared(
        tmp_path / "datasets.yaml",
        defaults={"refresh_interval": "1s"},
        cluster={"zones": ["dc1", "dc2"]},
    )
    config_path = str(write_config(tmp_path / "bootstrap.yaml", config))
    applied = run("naru", "bootstrap", "--config", config_path, "--apply")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "awareness.force.zone.values" in applied.stdout

    index = f"logs-otel-v1-{name}-*"
    pattern = f"/{index}"
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s {text}", flush=True)

    def written() -> int:
        return int(prepper.metric("naru_records_delivered_total", stage="writer"))

    def health(node: int) -> str:
        try:
            return str(opensearch.request("GET", f"/_cluster/health{pattern}?timeout=1s", node=node, timeout=5)["status"])
        except (HttpStatus, OSError) as failure:
            return str(failure)

    load = Load(kafka, topic, name)
    with Program.configured("naru-prepper", config, tmp_path) as prepper:
        load.start()
        eventually(lambda: written() > 20 * _PER_REQUEST, 60, f"documents in both zones\n{prepper.output()}")
        eventually(lambda: health(1) == "green", 60, "both zones have every shard")
        eventually(
            lambda: prepper.metric("naru_writer_node_up", node=opensearch.urls[0]) == 1
            and prepper.metric("naru_writer_node_up", node=opensearch.urls[1]) == 1,
            40,
            "both data nodes are known",
        )
        assert prepper.metric("naru_writer_node_up", node=opensearch.urls[2]) == 0, "never to a cluster manager"

        before = written()
        say(f"kill -9 of zone dc1 after {before} records")
        killed = time.monotonic()
        opensearch.nodes[0].kill()
        eventually(lambda: written() > before + 20 * _PER_REQUEST, 60, f"indexing goes on\n{prepper.output()}", every=0.02)
        say(f"indexing goes on, {time.monotonic() - killed:.1f} s after the kill")
        assert health(1) == "yellow"
        eventually(lambda: written() > before + 100 * _PER_REQUEST, 60, "and on")
        assert prepper.metric("naru_writer_node_up", node=opensearch.urls[0]) == 0
        shards = opensearch.request("GET", f"/_cat/shards/{index}?format=json&h=state,node", node=1)
        assert Counter(shard["state"] for shard in shards)["UNASSIGNED"] >= 1, "copies wait for their zone, forced awareness"

        back = time.monotonic()
        opensearch.nodes[0].start()
        opensearch.wait_ready()
        say("zone dc1 is back")
        eventually(lambda: health(1) == "green", 120, "full redundancy")
        say(f"green, {time.monotonic() - back:.1f} s after the start of the zone")
        eventually(lambda: prepper.metric("naru_writer_node_up", node=opensearch.urls[0]) == 1, 60, "used again")
        load.stop()
        eventually(lambda: sum(committed(kafka, name, topic).values()) == load.requests, 120, f"all finished\n{prepper.output()}")
        sent = load.requests * _PER_REQUEST
        numbers = Counter(
            int(hit["_source"]["body"].split(" ", 2)[1]) for hit in Index(opensearch.urls[1], index).pages()
        )
        lost, doubled = sent - len(numbers), sum(numbers.values()) - len(numbers)
        say(f"{sent} sent, {lost} lost, {doubled} doubled, {sent - before} of them after the kill")
        assert (lost, doubled) == (0, 0)
        assert read_topic(kafka, f"{name}.dead_letters") == []
        for zone in _ZONES.values():
            copies = opensearch.request("GET", f"/_cat/shards/{index}?format=json&h=shard,state,node", node=1)
            nodes = {shard["node"] for shard in copies if shard["state"] == "STARTED"}
            assert f"opensearch-{list(_ZONES.values()).index(zone) + 1}" in nodes, copies
