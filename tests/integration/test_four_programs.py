"""The whole path on the four programs, a real Kafka and a real OpenSearch."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from support import otel
from support.bus import KafkaRecord, cluster_id, produce, read_topic
from support.identity import attributes_hash, document_id, foreign_head, log_heads, source_position, span_heads
from support.naru import eventually
from support.oracle import time_text
from support.path_cases import PathCases, append, assert_each_once, numbered, post
from support.platforms import FILE_ATTRIBUTE, FourPrograms
from support.services.kafka import KafkaCluster
from support.services.opensearch import OpenSearchCluster
from support.sources import JournalEntry, difficult_lines

VALUE_BYTES_MAX = 900_000


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, kafka: KafkaCluster, opensearch: OpenSearchCluster
) -> Iterator[FourPrograms]:
    """The four programs, started once for all cases of the module; a case that kills one starts it again."""
    with FourPrograms(tmp_path_factory.mktemp("four"), kafka, opensearch) as running:
        yield running


class TestFourPrograms(PathCases):
    def test_journal_entries(self, platform: FourPrograms) -> None:
        journal = platform.journal
        assert journal is not None
        now = time.time_ns() // 1000
        messages = [*numbered("journal", 0, 200), "저널 🚢".encode(), b"bytes \xff\xfe\x80", b"two\nlines\n", b"\ttab"]
        identifier = f"journal-{now}"
        journal.append(
            [JournalEntry(text, now + i, identifier=identifier) for i, text in enumerate(messages)]
        )
        query = {"term": {"attributes.syslog.identifier": identifier}}
        index = platform.index("logs")
        eventually(lambda: index.count(query) >= len(messages), 60, f"{len(messages)} journal documents")
        hits = index.hits(query)
        assert_each_once(hits, messages)
        assert {hit["_source"]["severity"]["number"] for hit in hits} == {9}
        times = Counter(hit["_source"]["@timestamp"] for hit in hits)
        assert times == Counter(time_text((now + i) * 1000) for i in range(len(messages)))

    def test_kafka_holds_plain_otlp_in_the_order_of_the_file(self, platform: FourPrograms) -> None:
        log, lines = platform.log_file("kafka"), [*difficult_lines(), *numbered("kafka", 0, 3_000)]
        append(log, lines)
        hits = platform.await_file(log, len(lines))
        records = file_records(platform, log)
        assert [position for _, position, _ in records] == list(range(len(lines)))
        assert [body for _, _, body in records] == lines
        ids = [document_id(head, "default") for head, _, _ in records]
        assert sorted(hit["_id"] for hit in hits) == sorted(ids)

    def test_kafka_values_keep_the_limit_and_the_key_of_their_resource(self, platform: FourPrograms) -> None:
        for record in read_topic(platform.kafka.bootstrap, "otlp_logs"):
            assert record.value is not None and len(record.value) <= VALUE_BYTES_MAX
            data = ExportLogsServiceRequest.FromString(record.value)
            keys = {attributes_hash(group.resource.attributes) for group in data.resource_logs}
            if record.key is not None:
                assert keys == {record.key}, f"partition {record.partition} offset {record.offset}"

    def test_a_trace_is_in_one_partition(self, platform: FourPrograms) -> None:
        dataset = "one_partition"
        otel.send_spans(platform.target("grpc"), otel.resource("parts", dataset), 200)
        platform.await_dataset("traces", dataset, 400)
        places: dict[bytes, set[int]] = {}
        for record in read_topic(platform.kafka.bootstrap, "otlp_spans"):
            for _, span in span_heads(TracesData.FromString(record.value or b"")):
                places.setdefault(span.trace_id, set()).add(record.partition)
        assert len(places) >= 200
        assert all(len(partitions) == 1 for partitions in places.values())
        assert len(set().union(*places.values())) > 1, "all traces in one partition"

    def test_kafka_metrics_are_plain_otlp(self, platform: FourPrograms) -> None:
        dataset = "plain_metrics"
        otel.send_metrics(platform.target("http"), otel.resource("plain", dataset))
        platform.await_dataset("metrics", dataset, 1)
        for record in read_topic(platform.kafka.bootstrap, "otlp_metrics"):
            data = MetricsData.FromString(record.value or b"")
            keys = {attributes_hash(group.resource.attributes) for group in data.resource_metrics}
            assert keys == {record.key}

    def test_logs_of_a_foreign_producer_are_indexed_by_their_place(self, platform: FourPrograms) -> None:
        dataset, bootstrap = "foreign", platform.kafka.bootstrap
        produce(bootstrap, "otlp_logs", [foreign_logs(dataset, begin).SerializeToString() for begin in (0, 50)])
        hits = platform.await_dataset("logs", dataset, 100)
        ids: dict[str, str] = {}
        cluster = cluster_id(bootstrap)
        for record, data in dataset_values(bootstrap, dataset):
            for index, (head, log) in enumerate(log_heads(data)):
                assert head is None
                head = foreign_head(cluster, "otlp_logs", record.partition, record.offset, index)
                ids[document_id(head, dataset)] = log.body.string_value
        assert {hit["_id"]: hit["_source"]["body"] for hit in hits} == ids
        assert len(ids) == 100

    def test_more_than_100_failures_in_a_minute_make_a_status_event(self, platform: FourPrograms) -> None:
        service = f"broker-{time.time_ns()}"
        target = f"service.{service}"
        post_failures(platform, service, 100)
        platform.await_dataset("logs", "failures", 100)
        assert status_events(platform, target) == []
        post_failures(platform, service, 1)
        events = eventually(lambda: status_events(platform, target), 30, f"a status event of {target}")
        assert [(event["status"], event["prevStatus"]) for event in events] == [("CRITICAL", "HEALTHY")]
        event = events[0]
        assert event["type"] == target
        assert {"eventId", "epoch", "sequence", "at", "source", "reason", "fingerprint", "evidence"} <= set(event)

    def test_bootstrap_again_changes_nothing(self, platform: FourPrograms) -> None:
        before = platform.opensearch.request("GET", "/_index_template")
        done = platform.bootstrap()
        assert done.returncode == 0, done.stderr
        assert platform.opensearch.request("GET", "/_index_template") == before


def file_records(platform: FourPrograms, log: Path) -> list[tuple[bytes, int, bytes]]:
    """Head, position and body bytes of each record of a file, in the order of its partition."""
    found = []
    for record in read_topic(platform.kafka.bootstrap, "otlp_logs"):
        for group in LogsData.FromString(record.value or b"").resource_logs:
            paths = [entry.value.string_value for entry in group.resource.attributes if entry.key == FILE_ATTRIBUTE]
            if paths != [str(log)]:
                continue
            heads = log_heads(LogsData(resource_logs=[group]))
            for scoped in group.scope_logs:
                for index, log_record in enumerate(scoped.log_records):
                    head, _ = next(heads)
                    place = source_position(scoped.scope, log_record, index)
                    assert head is not None and place is not None
                    body = log_record.body.bytes_value or log_record.body.string_value.encode()
                    found.append((head, place[1], body))
    return found


def dataset_values(bootstrap: str, dataset: str) -> list[tuple[KafkaRecord, LogsData]]:
    """The Kafka values whose first resource names a data set."""
    found = []
    for record in read_topic(bootstrap, "otlp_logs"):
        data = LogsData.FromString(record.value or b"")
        attributes = data.resource_logs[0].resource.attributes if data.resource_logs else ()
        if any(entry.key == "data_stream.dataset" and entry.value.string_value == dataset for entry in attributes):
            found.append((record, data))
    return found


def foreign_logs(dataset: str, begin: int) -> LogsData:
    """50 logs as any OpenTelemetry program encodes them: without anything of Naru."""
    data = LogsData()
    group = data.resource_logs.add()
    group.resource.attributes.add(key="data_stream.dataset").value.string_value = dataset
    records = group.scope_logs.add().log_records
    for i in range(begin, begin + 50):
        records.add(time_unix_nano=time.time_ns()).body.string_value = f"foreign {i}"
    return data


def post_failures(platform: FourPrograms, service: str, count: int) -> None:
    """Error logs of a service, acknowledged."""
    target = platform.target("http")
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    group.resource.attributes.add(key="data_stream.dataset").value.string_value = "failures"
    records = group.scope_logs.add().log_records
    for i in range(count):
        records.add(time_unix_nano=time.time_ns(), severity_number=17).body.string_value = f"failed {i}"
    post(f"http://{target.endpoint}/v1/logs", request.SerializeToString())


def status_events(platform: FourPrograms, target: str) -> list[dict[str, Any]]:
    """What kcat reads of a target in `naru.system-status`."""
    command = ["kcat", "-b", platform.kafka.bootstrap, "-C", "-t", "naru.system-status", "-e", "-q", "-o", "beginning"]
    shown = subprocess.run([*command, "-J"], capture_output=True, check=True, timeout=60).stdout
    messages = [json.loads(line) for line in shown.splitlines()]
    return [json.loads(message["payload"]) for message in messages if message["key"] == target]
