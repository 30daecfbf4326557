"""Two Kafka clusters: one is killed in mid-load and comes back. Nothing is lost, nothing is doubled."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from support import configs
from support.bus import read_topic
from support.detection import call
from support.index import Index
from support.naru import Program, eventually, run, write_config
from support.records import log_request
from support.services.kafka import KafkaCluster
from support.services.mirror_maker import MirrorMaker
from support.services.opensearch import OpenSearchCluster

RECORDS = 50


class Pair:
    """Two clusters of one broker, `main` and `sub`."""

    def __init__(self, directory: Path) -> None:
        self.main = KafkaCluster(directory / "main")
        self.sub = KafkaCluster(directory / "sub")

    def __enter__(self) -> "Pair":
        for cluster in (self.main, self.sub):
            cluster.start()
        for cluster in (self.main, self.sub):
            cluster.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for cluster in (self.main, self.sub):
            cluster.stop()

    def create(self, topics: dict[str, str]) -> None:
        for cluster in (self.main, self.sub):
            admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
            made = admin.create_topics([NewTopic(name, 4, 1) for name in topics.values()])
            for future in made.values():
                future.result(30)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path / "kafka") as running:
        yield running


class Sender(threading.Thread):
    """Sends requests as an agent does: each again, with the same bytes, until it is acknowledged."""

    def __init__(self, url: str, dataset: str) -> None:
        super().__init__(daemon=True)
        self._url = url + "/v1/logs"
        self._dataset = dataset
        self._source = uuid.uuid4().hex[:16]
        self.stop = False
        self.acknowledged = 0
        self.again = 0
        self.times: list[float] = []

    def run(self) -> None:
        while not self.stop:
            begin = self.acknowledged
            bodies = [f"{self._source} {begin + i}" for i in range(RECORDS)]
            body = log_request(self._source, self._dataset, bodies, time.time_ns(), begin)
            while not self._post(body):
                self.again += 1
                time.sleep(0.1)
            self.acknowledged += RECORDS
            self.times.append(time.monotonic())

    def _post(self, body: bytes) -> bool:
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/x-protobuf"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError):
            return False

    def gap(self) -> float:
        """The longest time without an acknowledgement."""
        return max(after - before for before, after in zip(self.times, self.times[1:]))


def clusters(pair: Pair, **more: Any) -> dict[str, Any]:
    sub = {"name": "sub", "kafka": {"brokers": pair.sub.bootstrap}}
    return {"clusters": {"more": [sub], "switch_after": "2s", "return_after": "5s", **more}}


def test_a_cluster_that_is_killed_in_mid_load_and_comes_back_loses_and_doubles_nothing(
    pair: Pair, opensearch: OpenSearchCluster, tmp_path: Path
) -> None:
    name = f"pair{uuid.uuid4().hex[:6]}"
    topics = configs.own_topics(name)
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"\n  {time.monotonic() - begin:6.1f} s {text}", end="")

    bootstrap = configs.prepper(pair.main.bootstrap, opensearch.url) | {"topics": topics, "consume": {"group": name}}
    prepper = bootstrap | clusters(pair) | configs.declared(tmp_path / "datasets.yaml", lifecycle={"driver": "off"})
    collector = configs.collector(tmp_path / "collector", pair.main.bootstrap) | {"topics": topics} | clusters(pair)
    done = run("naru", "bootstrap", "--config", str(write_config(tmp_path / "prepper.yaml", prepper)), "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    with ExitStack() as started:
        started.enter_context(Program.configured("naru-prepper", prepper, tmp_path / "prepper"))
        front = started.enter_context(Program.configured("naru-collector", collector, tmp_path / "collector-log"))
        eventually(lambda: front.metric("naru_dependency_up", name="bus") == 1, 30, "the collector knows its topics")
        sender = Sender(front.url("otlp-http"), name)
        sender.start()
        eventually(lambda: sender.acknowledged >= 2_000, 60, "a load")
        pair.main.brokers[0].kill()
        killed, before = time.monotonic(), sender.acknowledged
        say(f"main is killed after {before} records")
        eventually(lambda: sender.acknowledged > before + 5 * RECORDS, 60, "records are acknowledged again")
        assert front.metric("naru_bus_active_cluster") == 1
        say(f"they go to sub, {next(at for at in sender.times if at > killed + 0.5) - killed:.1f} s after the kill")
        time.sleep(5)
        pair.main.brokers[0].start()
        say(f"main is back, {sender.acknowledged} records")
        eventually(lambda: front.metric("naru_bus_active_cluster") == 0, 90, "the return to main", 0.2)
        say(f"they go to main again, {sender.acknowledged} records")
        back = sender.acknowledged
        eventually(lambda: sender.acknowledged > back + 20 * RECORDS, 60, "records are acknowledged again")
        sender.stop = True
        sender.join(60)
        index = Index(opensearch.url, f"logs-otel-v1-{name}-*")
        found = eventually(lambda: n if (n := index.count()) >= sender.acknowledged else None, 120, "every record is found", 1)
        on_sub = sum(1 for record in read_topic(pair.sub.bootstrap, topics["logs"]))
        say(f"{sender.acknowledged} acknowledged, {found} found, {on_sub} requests on sub; longest gap {sender.gap():.1f} s\n")
        assert found == sender.acknowledged
        assert on_sub > 0
        time.sleep(3)  # nothing comes later
        assert index.count() == sender.acknowledged


def started_with_a_followed_route(started: ExitStack, pair: Pair, topics: dict[str, str], directory: Path) -> tuple[Program, Program]:
    """naru-alerting with routes of the target kafka, and a collector on both clusters that follows them."""
    pair.create(topics)
    routes = [{"name": "main", "watch": "kafka.main"}, {"name": "sub"}]
    config = configs.alerting(pair.sub.bootstrap, targets=[{"name": "kafka", "routes": routes, "hold": "0s"}])
    alerting = started.enter_context(Program.configured("naru-alerting", config, directory / "alerting"))
    collector = configs.collector(directory / "collector", pair.main.bootstrap) | {"topics": topics}
    collector |= clusters(pair, follow={"alerting": [alerting.url("admin")]})
    return alerting, started.enter_context(Program.configured("naru-collector", collector, directory / "log"))


def test_a_route_of_alerting_moves_the_collector(pair: Pair, tmp_path: Path) -> None:
    name = f"told{uuid.uuid4().hex[:6]}"
    topics = configs.own_topics(name)
    with ExitStack() as started:
        alerting, front = started_with_a_followed_route(started, pair, topics, tmp_path)
        sender = Sender(front.url("otlp-http"), name)
        sender.start()
        eventually(lambda: sender.acknowledged >= 500, 60, "a load")
        body = {"target": "kafka.main", "level": "CRITICAL", "status": "firing", "fingerprint": "f", "startsAt": "2026-11-27T00:00:00Z"}
        eventually(lambda: call("POST", alerting.url("admin") + "/webhooks/generic", body)[0] == 200, 30, "a leader")
        eventually(lambda: front.metric("naru_bus_active_cluster") == 1, 10, "the collector follows", 0.02)
        moved = sender.acknowledged
        eventually(lambda: sender.acknowledged > moved + 10 * RECORDS, 30, "records are acknowledged there")
        sender.stop = True
        sender.join(60)
        on_main = [record.value for record in read_topic(pair.main.bootstrap, topics["logs"])]
        on_sub = [record.value for record in read_topic(pair.sub.bootstrap, topics["logs"])]
        assert on_sub
        # Drained: everything is on exactly one of them.
        assert len(on_main) + len(on_sub) == sender.acknowledged // RECORDS
        assert not set(on_main) & set(on_sub)


def generic(target: str, status: str = "firing") -> dict[str, str]:
    return {"target": target, "level": "CRITICAL", "status": status, "fingerprint": target, "startsAt": "2026-11-27T00:00:00Z"}


def last_events(bootstrap: str, topic: str) -> dict[str, str]:
    """The last status event of each target."""
    return {record.key.decode(): record.value.decode() for record in read_topic(bootstrap, topic)}


def test_the_loss_of_a_cluster_stops_no_failover(pair: Pair, tmp_path: Path) -> None:
    routes = [{"name": "main", "watch": "broker.main"}, {"name": "sub"}]
    config = configs.alerting(
        pair.main.bootstrap,
        targets=[{"name": "broker", "routes": routes, "hold": "0s"}],
        clusters={"more": [{"name": "sub", "kafka": {"brokers": pair.sub.bootstrap}}]},
        control={"rejoin_after": "3s"},
    )
    with ExitStack() as started:
        instances = [
            started.enter_context(Program.configured("naru-alerting", config, tmp_path / f"alerting-{i}")) for i in range(2)
        ]

        def leader() -> Program | None:
            leading = [one for one in instances if one.metric("naru_alerting_leads") == 1]
            assert len(leading) <= 1
            return leading[0] if leading and leading[0].metric("naru_alerting_clusters") == 2 else None

        first = eventually(leader, 60, "a leader on both clusters", 0.1)
        assert call("POST", first.url("admin") + "/webhooks/generic", generic("other"))[0] == 200
        pair.main.brokers[0].kill()
        begin = time.monotonic()
        assert call("POST", first.url("admin") + "/webhooks/generic", generic("broker.main"))[0] == 200
        took = time.monotonic() - begin
        print(f"\n  main was killed; the switch was answered {took:.2f} s later")
        assert took < 5
        assert call("GET", first.url("admin") + "/v1/routes/broker")[1]["active"] == "sub"
        assert set(last_events(pair.sub.bootstrap, "naru.system-status")) >= {"other", "broker.main"}
        # The leader goes, too: its successor has main's decisions and those that only sub has.
        first.kill()
        (second,) = (one for one in instances if one is not first)
        eventually(lambda: second.metric("naru_alerting_leads") == 1, 60, "a successor on sub", 0.1)
        assert call("GET", second.url("admin") + "/v1/routes/broker")[1]["active"] == "sub"
        assert call("GET", second.url("admin") + "/v1/status/other")[1]["status"] == "CRITICAL"
        pair.main.brokers[0].start()
        eventually(lambda: second.metric("naru_alerting_clusters") == 2, 120, "main is taken in again", 0.1)
        assert call("POST", second.url("admin") + "/webhooks/generic", generic("other", "resolved"))[0] == 200
        eventually(
            lambda: last_events(pair.main.bootstrap, "naru.system-status") == last_events(pair.sub.bootstrap, "naru.system-status"),
            30,
            "both clusters hold the same",
        )
        assert call("GET", second.url("admin") + "/v1/routes/broker")[1]["active"] == "sub"


def naru(*argv: str) -> str:
    done = run("naru", *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_planned_move_by_shares_keeps_the_order_and_puts_each_record_on_one_cluster(pair: Pair, tmp_path: Path) -> None:
    name = f"move{uuid.uuid4().hex[:6]}"
    topics = configs.own_topics(name)
    with ExitStack() as started:
        alerting, front = started_with_a_followed_route(started, pair, topics, tmp_path)
        senders = [Sender(front.url("otlp-http"), f"{name}{i}") for i in range(8)]
        for sender in senders:
            sender.start()

        def acknowledged() -> int:
            return sum(sender.acknowledged for sender in senders)

        def more(records: int) -> None:
            before = acknowledged()
            eventually(lambda: acknowledged() > before + records, 60, "records are acknowledged")

        eventually(lambda: alerting.metric("naru_alerting_leads") == 1, 30, "a leader")
        more(2_000)
        switch = ["kafka", "switch", "--admin", alerting.url("admin"), "--to", "sub", "--reason", "a new cluster", "--by", "kim"]
        assert '"percent":50' in naru(*switch, "--percent", "50")
        eventually(lambda: front.metric("naru_bus_shift_percent") == 50, 20, "the collector follows", 0.02)
        more(2_000)
        before_all_ms = time.time_ns() // 1_000_000
        naru(*switch, "--percent", "100")
        eventually(lambda: front.metric("naru_bus_active_cluster") == 1, 20, "the rest follows", 0.02)
        more(2_000)
        for sender in senders:
            sender.stop = True
        for sender in senders:
            sender.join(60)
        sides = [list(read_topic(cluster.bootstrap, topics["logs"])) for cluster in (pair.main, pair.sub)]
        on_main, on_sub = ({record.value for record in side} for side in sides)
        assert {record.partition for record in sides[1] if record.timestamp_ms < before_all_ms} <= {0, 1}
        assert not on_main & on_sub
        assert len(sides[0]) + len(sides[1]) == acknowledged() // RECORDS
        # Of each partition nothing is on main that is younger than what is on sub.
        for partition in range(4):
            times = [[record.timestamp_ms for record in side if record.partition == partition] for side in sides]
            if times[0] and times[1]:
                assert max(times[0]) <= min(times[1]), partition
        prepper = configs.prepper(pair.main.bootstrap, "http://127.0.0.1:1") | {"topics": topics} | clusters(pair)
        path = str(write_config(tmp_path / "prepper.yaml", prepper))
        said = naru("kafka", "compare", "--config", path)
        print("\n" + said)
        assert "0 records are on both clusters" in said


def test_a_group_moves_to_a_mirror_by_the_checkpoints_of_mirror_maker(pair: Pair, tmp_path: Path) -> None:
    topic, group = "mirrored", "movers"
    admin = AdminClient({"bootstrap.servers": pair.main.bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    def consumed(bootstrap: str, most: int) -> list[bytes]:
        """What a member of the group gets, until nothing comes for a while; commits it."""
        settings = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        consumer = Consumer(settings)
        consumer.subscribe([topic])
        got: list[bytes] = []
        quiet = time.monotonic() + 15
        while len(got) < most and time.monotonic() < quiet:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                got.append(message.value())
                quiet = time.monotonic() + 3
        consumer.commit(asynchronous=False)
        consumer.close()
        return got

    prepper = configs.prepper(pair.main.bootstrap, "http://127.0.0.1:1") | clusters(pair)
    common = ["--config", str(write_config(tmp_path / "prepper.yaml", prepper)), "--topic", topic]
    offsets = ["kafka", "offsets", *common, "--group", group]
    nothing = run("naru", *offsets)
    assert nothing.returncode == 1 and "main.checkpoints.internal" in nothing.stderr
    mirror = MirrorMaker(tmp_path / "mirror", pair.main.bootstrap, pair.sub.bootstrap, topic)
    mirror.start()
    try:
        producer = Producer({"bootstrap.servers": pair.main.bootstrap})
        for number in range(1_000):
            producer.produce(topic, str(number).encode(), partition=number % 2)
        assert producer.flush(30) == 0

        def mirrored() -> bool:
            mirror.check_alive()
            done = run("naru", "kafka", "compare", *common, "--mirrored")
            return done.returncode == 0 and sum(int(line.split()[3]) for line in done.stdout.splitlines() if line.startswith(topic)) == 1_000

        eventually(mirrored, 120, "everything is mirrored", 1)
        first = consumed(pair.main.bootstrap, 600)
        eventually(lambda: run("naru", *offsets).returncode == 0, 60, "a checkpoint of the group", 1)
        time.sleep(3)  # more than one interval of checkpoints: the last position is over, too
        print("\n" + naru(*offsets, "--apply"))
        assert "is at" in naru(*offsets, "--apply")  # said again: nothing goes back
    finally:
        mirror.stop()
    second = consumed(pair.sub.bootstrap, 10_000)
    assert set(first) | set(second) == {str(number).encode() for number in range(1_000)}
    print(f"  {len(first)} on main, {len(second)} on sub, {len(first) + len(second) - 1_000} of them again")
    assert len(second) < 1_000
