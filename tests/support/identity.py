"""The `_id` of a document, computed from the record as it stands in Kafka.

Written from docs/formats/identity.md alone, so that a change of Naru's code cannot change it along.
Supposes that messages were encoded in the order of their field numbers, as protobuf libraries do.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator

import xxhash
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

SOURCE, BASE, POSITION, UID = "naru.source", "naru.base", "naru.pos", "log.record.uid"


def part(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def document_id(head: bytes, output: str, ordinal: int = 0) -> str:
    """Id of the document that a record (`head`: kind, key and content) becomes in a data set."""
    digest = xxhash.xxh3_128(head + part(output.encode()) + struct.pack("<I", ordinal)).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def attributes_hash(attributes: Iterable[KeyValue]) -> bytes:
    """XXH3-128 of the sorted attributes."""
    entries = sorted((entry.key.encode(), entry.value.SerializeToString()) for entry in attributes)
    return xxhash.xxh3_128(b"".join(part(key) + part(value) for key, value in entries)).digest()


def attribute(attributes: Iterable[KeyValue], key: str) -> KeyValue | None:
    return next((entry for entry in attributes if entry.key == key), None)


def foreign_head(cluster: str, topic: str, partition: int, offset: int, index: int) -> bytes:
    """Kind 6."""
    return b"\x06" + part(cluster.encode()) + part(topic.encode()) + struct.pack("<IQI", partition, offset, index)


def source_position(scope: InstrumentationScope, record: LogRecord, index: int) -> tuple[bytes, int] | None:
    """Source and position of a log that an agent or a collector stamped."""
    source = attribute(scope.attributes, SOURCE)
    if source is None:
        return None
    own = attribute(record.attributes, POSITION)
    if own is not None:
        return source.value.bytes_value, own.value.int_value
    base = attribute(scope.attributes, BASE)
    return source.value.bytes_value, (base.value.int_value if base else 0) + index


def log_heads(data: LogsData) -> Iterator[tuple[bytes | None, LogRecord]]:
    """Kind 1 or 2 for each log of a Kafka value, None for a foreign one; in order."""
    for group in data.resource_logs:
        for scope_group in group.scope_logs:
            for index, record in enumerate(scope_group.log_records):
                uid = attribute(record.attributes, UID)
                at = source_position(scope_group.scope, record, index)
                body = record.body.SerializeToString() if record.HasField("body") else b""
                content = part(body) + struct.pack("<Q", record.time_unix_nano)
                if uid is not None:
                    key = attributes_hash(group.resource.attributes) + part(uid.value.SerializeToString())
                    yield b"\x02" + key + content, record
                elif at is not None:
                    yield b"\x01" + at[0] + struct.pack("<Q", at[1]) + content, record
                else:
                    yield None, record


def span_heads(data: TracesData) -> Iterator[tuple[bytes, Span]]:
    """Kind 3 for each span of a Kafka value."""
    for group in data.resource_spans:
        for scope_group in group.scope_spans:
            for span in scope_group.spans:
                content = part(span.name.encode()) + struct.pack(
                    "<IQQ", span.kind, span.start_time_unix_nano, span.end_time_unix_nano
                )
                yield b"\x03" + span.trace_id + span.span_id + content, span


def points(metric: Metric) -> Iterable[Message]:
    """The data points of a metric, whatever its kind."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()


def point_heads(data: MetricsData) -> Iterator[tuple[bytes, Metric, Message]]:
    """Kind 4 for each data point of a Kafka value."""
    for group in data.resource_metrics:
        resource = attributes_hash(group.resource.attributes)
        for scope_group in group.scope_metrics:
            names = part(scope_group.scope.name.encode())
            for metric in scope_group.metrics:
                for point in points(metric):
                    key = resource + names + part(metric.name.encode()) + attributes_hash(point.attributes)  # type: ignore[attr-defined]
                    time = struct.pack("<Q", point.time_unix_nano)  # type: ignore[attr-defined]
                    yield b"\x04" + key + time + part(point.SerializeToString()), metric, point
