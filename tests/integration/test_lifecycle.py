"""The life of an index on a real hot and a real warm node, with ages of seconds: while records come in, and late ones too."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from support import configs
from support.bus import committed, produce, read_topic
from support.index import Index
from support.naru import Program, eventually, run, write_config
from support.records import log_request
from support.services.opensearch import HttpStatus, OpenSearchCluster, hot, warm
from support.services.services import Services

_HOUR_S = 3600
_TEMP = "index.routing.allocation.require.temp"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with Services(tmp_path_factory.mktemp("lifecycle"), kafka=1, opensearch=[hot(), warm()]) as running:
        yield running


@dataclass
class Sender(threading.Thread):
    """Sends a record of this hour and a late one of the watched hour, again and again, and remembers them."""

    kafka: str
    topic: str
    dataset: str
    late_ns: int
    now_ns: int
    bodies: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        number = 0
        while not self.ended.wait(0.1):
            bodies = [f"late {number}", f"now {number}"]
            produce(
                self.kafka,
                self.topic,
                [
                    log_request("lifecycle", self.dataset, [body], at, position=2 * number + i)
                    for i, (body, at) in enumerate(zip(bodies, (self.late_ns, self.now_ns)))
                ],
            )
            self.bodies += bodies
            number += 1

    def stop(self) -> None:
        self.ended.set()
        self.join()


class Watch:
    """Where one index stands, and when it changed."""

    def __init__(self, opensearch: OpenSearchCluster, index: str) -> None:
        self.opensearch = opensearch
        self.index = index
        self.began = time.monotonic()
        self.seen: list[str] = []
        self.documents = 0

    def look(self) -> str:
        try:
            settings = self.opensearch.request("GET", f"/{self.index}/_settings?flat_settings=true")
            shards = self.opensearch.request("GET", f"/_cat/shards/{self.index}?format=json&h=prirep,state,node")
            mapping = self.opensearch.request("GET", f"/{self.index}/_mapping")[self.index]["mappings"]
        except HttpStatus as failure:
            assert failure.status == 404, failure
            return self._note("deleted" if self.seen else "absent")
        try:
            self.documents = max(self.documents, self.opensearch.request("GET", f"/{self.index}/_count")["count"])
        except HttpStatus as failure:
            assert failure.status in (404, 503), failure  # no shard is there yet, or none any more
        temp = settings[self.index]["settings"].get(_TEMP)
        nodes = sorted({shard["node"].split(" ")[0] for shard in shards if shard["node"]})
        at_home = {"hot": ["opensearch-1"], "warm": ["opensearch-2"]}[temp]
        where = f"{temp}" if nodes == at_home else f"{temp} wanted, shards on {'+'.join(nodes)}"
        return self._note(where + (", merged" if "_meta" in mapping else ""))

    def _note(self, state: str) -> str:
        if state == "absent":
            return state
        if not self.seen or not self.seen[-1].endswith(f" {state}"):
            self.seen.append(f"{time.monotonic() - self.began:6.1f} s {state}")
            print(f"{self.seen[-1]} ({self.documents} documents)", flush=True)
        return state

    def states(self) -> list[str]:
        return [line.split(" s ", 1)[1] for line in self.seen]


def _index(dataset: str, at: float) -> str:
    return f"logs-otel-v1-{dataset}-{datetime.fromtimestamp(at, timezone.utc):%Y.%m.%d.%H}"


@pytest.mark.long
def test_an_index_moves_from_hot_to_warm_to_deleted_while_records_go_on(own: Services, tmp_path: Path) -> None:
    """Two preppers, the leading one killed on the way. Ages count from the end of the hour in the index's name."""
    assert own.kafka is not None and own.opensearch is not None
    kafka, opensearch = own.kafka.bootstrap, own.opensearch
    name = f"life_{uuid.uuid4().hex[:8]}"
    started = time.time()
    hour_end = started // _HOUR_S * _HOUR_S
    passed = started - hour_end
    config: dict[str, Any] = configs.prepper(kafka, opensearch.url) | {
        "topics": configs.own_topics(name),
        "consume": {"group": name, "commit_interval": "100ms"},
        "bulk": {"linger": "20ms", "retry_max": "500ms"},
    }
    config["kafka"]["properties"] = {"session.timeout.ms": "6000"}
    config |= configs.declared(
        tmp_path / "datasets.yaml",
        datasets={
            name: {
                "period": "hour",
                "hot_for": f"{int(passed) + 25}s",
                "delete_after": f"{int(passed) + 75}s",
                "refresh_interval": "1s",
            },
            f"{name}_late": {"period": "month", "delete_after": "400d"},
        },
        lifecycle={"every": "1s"},
        topics={"partitions": 2},
    )
    applied = run("naru", "bootstrap", "--config", str(write_config(tmp_path / "bootstrap.yaml", config)), "--apply")
    assert applied.returncode == 0, applied.stdout + applied.stderr

    # The last minute of the hour before: its index is there before anything is old.
    watch = Watch(opensearch, _index(name, hour_end - 60))
    sender = Sender(kafka, f"{name}.logs", name, int((hour_end - 60) * 1e9), int(started * 1e9))
    preppers = [Program.configured("naru-prepper", config, tmp_path / side) for side in ("a", "b")]
    try:
        for prepper in preppers:
            prepper.start()
        sender.start()
        eventually(lambda: watch.look() == "hot", 40, "the index on the hot node")
        eventually(lambda: watch.look().startswith("warm"), 60, "the move to the warm node")
        leaders = [one for one in preppers if one.metric("naru_lifecycle_leader") == 1]
        assert len(leaders) == 1, "exactly one prepper leads"
        leaders[0].kill()
        print(f"{time.monotonic() - watch.began:6.1f} s the leading prepper killed", flush=True)
        successor = next(one for one in preppers if one is not leaders[0])
        eventually(lambda: watch.look() == "warm, merged", 100, f"merged by the successor\n{successor.output()}")
        eventually(lambda: watch.look() == "deleted", 90, f"deleted\n{successor.output()}")
        assert successor.metric("naru_lifecycle_steps_total", action="delete", outcome="done") >= 1
        sent = len(sender.bodies)
        eventually(lambda: len(sender.bodies) > sent + 20, 30, "records after the deletion")
        sender.stop()
        eventually(
            lambda: sum(committed(kafka, name, f"{name}.logs").values()) == len(sender.bodies), 60, "all finished"
        )
    finally:
        sender.stop()
        for prepper in preppers:
            prepper.kill()

    # Never back, never on a hot node once it was warm.
    order = ["hot", "warm wanted", "warm", "warm, merged", "deleted"]
    ranks = [max(i for i, part in enumerate(order) if state.startswith(part)) for state in watch.states()]
    assert ranks == sorted(ranks), watch.states()
    assert ranks[-1] == order.index("deleted") and order.index("hot") in ranks

    # Each record is a document once: those of the deleted index went with it, what was late for it is in <name>_late.
    now = [hit["_source"]["body"] for hit in Index(opensearch.url, _index(name, started)).hits()]
    late = [hit["_source"]["body"] for hit in Index(opensearch.url, f"logs-otel-v1-{name}_late-*").hits()]
    assert sorted(now) == sorted(body for body in sender.bodies if body.startswith("now"))
    assert len(late) == len(set(late)) and late, "late records after the deletion have their place"
    sent_late = [body for body in sender.bodies if body.startswith("late")]
    last = max(int(body.split()[1]) for body in sent_late)
    assert {f"late {last}"} <= set(late)
    # What is not in <name>_late was in the index when it was deleted. Those of the last look were.
    assert len(sent_late) - len(late) >= watch.documents
    assert read_topic(kafka, f"{name}.dead_letters") == []
    print(f"{len(now)} of this hour, {len(sent_late) - len(late)} deleted with their index, {len(late)} in {name}_late")
