#!/usr/bin/env python3
"""How long it takes from the 101st failing record to a status event and to a switched route, on a real Kafka.

    ./dev bench-failover [--trials N] [--load RECORDS_A_SECOND]

Each trial has a service and a target with two routes of its own. 100 failures are acknowledged by the collector, then
one more; the clock starts when the collector has acknowledged that one. Read are the topics themselves, read_committed:
the status event of the service, and the route record whose active route is `sub`. Besides, a long poll hears of some of
the switches. All the while other records come over the same collector and are counted by the same rules.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from confluent_kafka import Consumer, TopicPartition  # noqa: E402

from support.detection import FAILURES, Detection, failures  # noqa: E402
from support.services.kafka import KafkaCluster  # noqa: E402


class Reader(threading.Thread):
    """Notes when each key of a topic of one partition was first seen with a value that `wanted` takes."""

    def __init__(self, bootstrap: str, topic: str, wanted: Any) -> None:
        super().__init__(daemon=True)
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": f"bench-{time.time_ns()}", "enable.auto.commit": False,
             "auto.offset.reset": "earliest", "isolation.level": "read_committed", "fetch.wait.max.ms": 10}
        )
        self._consumer.assign([TopicPartition(topic, 0, 0)])
        self._wanted = wanted
        self.seen: dict[str, float] = {}
        self.stop = False

    def run(self) -> None:
        while not self.stop:
            message = self._consumer.poll(0.05)
            if message is None or message.error() is not None or message.value() is None:
                continue
            now = time.monotonic()
            value = json.loads(message.value())
            if self._wanted(value):
                self.seen.setdefault(message.key().decode(), now)
        self._consumer.close()


def load(chain: Detection, per_second: float, counted: list[int], stop: threading.Event) -> None:
    """Records that fail nowhere near the threshold, 100 a request."""
    number = 0
    begin = time.monotonic()
    while not stop.is_set():
        chain.post(failures(f"other-{number % 500}", 1) + failures(f"quiet-{number % 50}", 0))
        number += 1
        counted[0] = number
        ahead = number / per_second - (time.monotonic() - begin)
        if ahead > 0:
            time.sleep(ahead)


def percentile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--load", type=float, default=200, help="requests a second beside the trials")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="naru-bench-") as name:
        directory = pathlib.Path(name)
        kafka = KafkaCluster(directory / "kafka")
        kafka.start()
        kafka.wait_ready()
        try:
            return measure(directory, kafka, options)
        finally:
            kafka.stop()


def measure(directory: pathlib.Path, kafka: KafkaCluster, options: argparse.Namespace) -> int:
    targets = [
        {"name": f"broker-{i}", "routes": [{"name": "main", "watch": f"service.trial-{i}"}, {"name": "sub"}]}
        for i in range(options.trials)
    ]
    with Detection(directory / "chain", kafka.bootstrap, [FAILURES | {"keep_firing_for": "1h"}], targets=targets) as chain:
        events = Reader(kafka.bootstrap, chain.topic("status"), lambda event: event["status"] == "CRITICAL")
        routes = Reader(kafka.bootstrap, chain.topic("routes"), lambda route: route["active"] == "sub")
        events.start()
        routes.start()
        stop = threading.Event()
        counted = [0]
        began = time.monotonic()
        loader = threading.Thread(target=load, args=(chain, options.load, counted, stop), daemon=True)
        loader.start()
        time.sleep(2)
        accepted: dict[int, float] = {}
        for i in range(options.trials):
            chain.post(failures(f"trial-{i}", 100))
            time.sleep(0.05 + (i * 37 % 100) / 1000)  # at another moment of the counters' turn each time
            chain.post(failures(f"trial-{i}", 1))
            accepted[i] = time.monotonic()
            if i % 20 == 19:
                print(f"  {i + 1} of {options.trials}", file=sys.stderr)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and len(routes.seen) < options.trials:
            time.sleep(0.05)
        stop.set()
        loader.join()
        rate = counted[0] / (time.monotonic() - began)
        events.stop = routes.stop = True
        events.join()
        routes.join()
        # The work at the far end: one event and one switch for each, and no other event.
        written = chain.events()
        critical = [event["type"] for event in written if event["status"] == "CRITICAL"]
        assert sorted(critical) == sorted(f"service.trial-{i}" for i in range(options.trials)), "events are missing or doubled"
        print(f"{options.trials} trials, {rate:.0f} other requests a second beside them; seconds from the collector's answer")
        for what, reader, key in (("status event readable", events, "service.trial-{}"), ("route switched", routes, "broker-{}")):
            times = [reader.seen[key.format(i)] - accepted[i] for i in range(options.trials)]
            print(
                f"{what:24} p50 {statistics.median(times):.3f}  p99 {percentile(times, 0.99):.3f}  max {max(times):.3f}  "
                f"min {min(times):.3f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
