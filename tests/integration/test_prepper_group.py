"""Preppers of one group on a real Kafka: partitions change hands, by a new member and by a kill, while a data set is
stuck. No record is lost or written twice, and the ledger that travels with the commits stays true."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from support import configs
from support.bus import commits, produce, read_topic
from support.index import Index
from support.naru import Program, eventually, http_text, parse_metrics, run, write_config
from support.path_cases import uid_request
from support.services.kafka import KafkaCluster
from support.services.opensearch import OpenSearchCluster

KEYS = [f"key-{i}".encode() for i in range(32)]


def test_partitions_change_hands_behind_a_stuck_data_set(
    kafka: KafkaCluster, opensearch: OpenSearchCluster, tmp_path: Path
) -> None:
    name = f"group{uuid.uuid4().hex[:8]}"
    topics = {"logs": f"{name}_logs", "metrics": f"{name}_metrics", "traces": f"{name}_spans"}
    config = configs.prepper(kafka.bootstrap, opensearch.url) | {
        "topics": topics,
        "consume": {"group": name, "commit_interval": "200ms", "concurrency": 3, "order": "key"},
    }
    config["kafka"]["properties"] = {"session.timeout.ms": "6000"}
    applied = run("naru", "bootstrap", "--config", str(write_config(tmp_path / "bootstrap.yaml", config)), "--apply")
    assert applied.returncode == 0, applied.stderr
    quick, stuck = Index(opensearch.url, f"logs-otel-v1-{name}_quick-*"), Index(opensearch.url, f"logs-*{name}_stuck-*")
    sent = {"quick": 0, "stuck": 0}

    def send(kind: str, rounds: int, each: int) -> None:
        for _ in range(rounds):
            for key in KEYS:
                bodies = [f"{kind} {sent[kind] + i}".encode() for i in range(each)]
                produce(kafka.bootstrap, topics["logs"], [uid_request(f"{name}_{kind}", bodies)], key)
                sent[kind] += each

    def block(blocked: bool) -> None:
        opensearch.request("PUT", f"/logs-*{name}_stuck-*/_settings", {"index.blocks.write": blocked})

    first = Program.configured("naru-prepper", config, tmp_path / "first")
    second = Program.configured("naru-prepper", config, tmp_path / "second")

    def owned(program: Program) -> int:
        """Partitions, of 3 topics with 4 each: every one has its series."""
        text = http_text(program.url("admin") + "/metrics")
        series = [labels for metric, labels, _ in parse_metrics(text) if metric == "naru_records_in_flight"]
        return len({(labels["topic"], labels["partition"]) for labels in series if "topic" in labels})

    with first:
        send("stuck", 1, 1)
        eventually(lambda: stuck.count() == sent["stuck"], 60, "the index that is to be stuck")
        block(True)
        send("stuck", 1, 1)
        send("quick", 4, 5)
        eventually(lambda: quick.count() == sent["quick"], 60, "what is not stuck goes on")
        eventually(lambda: all(runs_of(kafka, name, topics["logs"])), 30, "every partition names finished runs")
        with second:
            eventually(lambda: owned(first) == owned(second) == 6, 60, "a new member takes its half")
            send("quick", 2, 5)
            eventually(lambda: quick.count() == sent["quick"], 60, "both work")
            first.kill()
            send("quick", 2, 5)
            eventually(lambda: owned(second) == 12 and quick.count() == sent["quick"], 60, "the other takes over")
            first.start()
            eventually(lambda: owned(first) == owned(second) == 6, 60, "and gives back")
            skipped = sum(program.metric("naru_prepper_skipped_messages_total") for program in (first, second))
            assert skipped > 0, "finished runs are not worked on again"
            block(False)
            eventually(lambda: stuck.count() == sent["stuck"], 60, "the stuck data set")

            def at_the_end() -> bool:
                ends: dict[int, int] = {}
                for record in read_topic(kafka.bootstrap, topics["logs"]):
                    ends[record.partition] = record.offset + 1
                return {p: offset for p, (offset, _) in commits(kafka.bootstrap, name, topics["logs"]).items()} == ends

            eventually(at_the_end, 30, "everything committed", every=0.5)
    for kind, index in (("quick", quick), ("stuck", stuck)):
        bodies = sorted(hit["_source"]["body"] for hit in index.hits())
        assert bodies == sorted(f"{kind} {i}" for i in range(sent[kind]))
    total = {"prepper": 0, "writer": 0}
    for _, metadata in commits(kafka.bootstrap, name, topics["logs"]).values():
        for stage, counts in zip(total, metadata.split("|")[5].split(";"), strict=True):
            values = {letter: int(value) for letter, value in re.findall(r"([a-z])(\d+)", counts)}
            assert values["a"] == values["d"] + values.get("x", 0), metadata
            total[stage] += values["a"]
    assert total == {"prepper": sum(sent.values()), "writer": sum(sent.values())}


def runs_of(kafka: KafkaCluster, group: str, topic: str) -> list[str]:
    """The finished runs in the metadata of each partition's commit."""
    found = [metadata.split("|")[4] for _, metadata in commits(kafka.bootstrap, group, topic).values() if metadata]
    return found if len(found) == 4 else [""]
