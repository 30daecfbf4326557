#!/usr/bin/env python3
"""Starts real Kafka brokers and real OpenSearch nodes on 127.0.0.1, for tests and for people.

    python3 tests/support/services/services.py up --dir /tmp/naru-services --kafka 1 --opensearch hot,warm

prints one JSON object with the endpoints when all are ready and stays in the foreground until
SIGTERM or Ctrl-C. Every child ends with it, also after kill -9. Needs java, mvn and kcat; the first
use fetches the jars.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from support.services.jars import kafka_classpath, opensearch_classpath
from support.services.kafka import KafkaCluster
from support.services.opensearch import NodeSpec, OpenSearchCluster
from support.services.process import ServiceError, stop_all

_ROLES_DEFAULT = NodeSpec().roles


class Services:
    """A Kafka cluster, an OpenSearch cluster, or both; started side by side. A context manager."""

    def __init__(self, directory: Path, *, kafka: int = 0, opensearch: list[NodeSpec] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.kafka = KafkaCluster(directory, kafka) if kafka else None
        self.opensearch = OpenSearchCluster(directory, opensearch) if opensearch else None

    def __enter__(self) -> "Services":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts everything and waits until it is ready."""
        clusters = [cluster for cluster in (self.opensearch, self.kafka) if cluster]
        for cluster in clusters:
            cluster.start()
        for cluster in clusters:
            cluster.wait_ready()

    def stop(self) -> None:
        servers = [*(self.kafka.brokers if self.kafka else ()), *(self.opensearch.nodes if self.opensearch else ())]
        stop_all(servers)

    def endpoints(self) -> dict[str, object]:
        """What a person or another program needs to use and to break them."""
        found: dict[str, object] = {}
        if self.kafka:
            found["kafka"] = {
                "bootstrap": self.kafka.bootstrap,
                "pids": [broker.pid for broker in self.kafka.brokers],
            }
        if self.opensearch:
            found["opensearch"] = {
                "urls": self.opensearch.urls,
                "pids": [node.pid for node in self.opensearch.nodes],
            }
        return found


def parse_node(text: str) -> NodeSpec:
    """`hot`, `warm`, or `key=value` attributes joined with `+`; `roles=a/b` sets the roles."""
    attributes: dict[str, str] = {}
    roles = _ROLES_DEFAULT
    for part in text.split("+"):
        key, equals, value = part.partition("=")
        if not equals and key in ("hot", "warm"):
            attributes["temp"] = key
        elif equals and key == "roles":
            roles = tuple(value.split("/"))
        elif equals and key and value:
            attributes[key] = value
        else:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no node: write hot, warm, or e.g. hot+zone=a, zone=c+roles=cluster_manager"
            )
    return NodeSpec(attributes, roles)


def parse_nodes(text: str) -> list[NodeSpec]:
    """Nodes separated by commas."""
    return [parse_node(part) for part in text.split(",")]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("fetch", help="only fill the cache with the jars")
    up = verbs.add_parser("up", help="start and stay in the foreground")
    up.add_argument("--dir", type=Path, required=True, help="homes and logs; kept at the end")
    up.add_argument("--kafka", type=int, default=0, choices=(0, 1, 3), help="number of brokers")
    up.add_argument("--opensearch", type=parse_nodes, default=[], metavar="NODE,...", help="e.g. hot+zone=a,warm")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "fetch":
            kafka_classpath()
            opensearch_classpath()
            return 0
        if not options.kafka and not options.opensearch:
            parser.error("nothing to start: give --kafka or --opensearch")
        return _stay_up(Services(options.dir.resolve(), kafka=options.kafka, opensearch=options.opensearch))
    except ServiceError as failure:
        print(f"services.py: {failure}", file=sys.stderr)
        return 1


def _stay_up(services: Services) -> int:
    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with services:
        print(json.dumps(services.endpoints()), flush=True)
        while True:
            signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
