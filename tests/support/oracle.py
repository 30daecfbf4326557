"""What the index must answer for what was sent: documents by contracts.md 7, made without Naru's code.

A document is compared on the fields whose form the contracts fix; see `structure`. Promoted copies of
attributes are checked against config/mappings/promoted.yaml by `promoted_fields`.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

ORIGINAL_BYTES = "log.record.original_bytes"
_IDENTITY = ("naru.source", "naru.base", "naru.pos")
_HANDLER = "naru-replace-each-byte"
codecs.register_error(
    _HANDLER,
    lambda failure: ("\ufffd" * (failure.end - failure.start), failure.end),  # type: ignore[attr-defined]
)


@dataclass(frozen=True)
class ExpectedLog:
    """Body of a document and, when the line was not valid UTF-8, its bytes in base64."""

    body: str
    original: str | None


def expected_log(line: bytes) -> ExpectedLog:
    """Each byte that is part of no valid UTF-8 sequence becomes U+FFFD; the original is kept."""
    try:
        return ExpectedLog(line.decode(), None)
    except UnicodeDecodeError:
        return ExpectedLog(line.decode(errors=_HANDLER), base64.b64encode(line).decode())


def indexed_log(source: dict[str, Any]) -> ExpectedLog:
    """The same two things of a document that the index answered.

    Base64 that one leaf of a bag cannot hold is an array of texts, to be joined after decoding.
    """
    original = source.get("attributes", {}).get(ORIGINAL_BYTES)
    if isinstance(original, list):
        original = base64.b64encode(b"".join(base64.b64decode(chunk) for chunk in original)).decode()
    return ExpectedLog(source["body"], original)


def value(any_value: AnyValue) -> Any:
    """An OTLP value as JSON; bytes as base64."""
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: value(entry.value) for entry in any_value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(any_value.bytes_value).decode()
    return getattr(any_value, kind)


def bag(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes as they stand in a document: all but the identity."""
    return {entry.key: value(entry.value) for entry in attributes if entry.key not in _IDENTITY}


def time_text(nanos: int) -> str:
    """RFC 3339 in UTC with nine digits."""
    seconds, rest = divmod(nanos, 1_000_000_000)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09}Z"


def structure(document: dict[str, Any]) -> dict[str, Any]:
    """A document without members that say nothing: absent, null, zero counts, empty texts and objects.

    Bags are left as they are: an empty text in there is what a client sent.
    """
    pruned: dict[str, Any] = {}
    for key, content in document.items():
        if key == "attributes":
            kept = content
        elif isinstance(content, dict):
            kept = structure(content)
        elif isinstance(content, list):
            kept = [structure(item) if isinstance(item, dict) else item for item in content]
        else:
            kept = content
        if kept is not None and kept not in ("", {}, []) and not (kept == 0 and kept is not False):
            pruned[key] = kept
    return pruned


def body_text(record: LogRecord) -> ExpectedLog:
    """A text or bytes body as it is; any other as compact JSON."""
    kind = record.body.WhichOneof("value")
    if kind == "bytes_value":
        return expected_log(record.body.bytes_value)
    if kind in (None, "string_value"):
        return ExpectedLog(record.body.string_value, None)
    return ExpectedLog(json.dumps(value(record.body), ensure_ascii=False, separators=(",", ":")), None)


def log_document(resource: Resource, scope: InstrumentationScope, record: LogRecord) -> dict[str, Any]:
    """A log as `structure` of its document."""
    text = body_text(record)
    attributes = bag(record.attributes)
    if text.original is not None:
        attributes[ORIGINAL_BYTES] = text.original
    times = {
        "@timestamp": time_text(record.time_unix_nano or record.observed_time_unix_nano),
        "time": time_text(record.time_unix_nano) if record.time_unix_nano else None,
        "observedTime": time_text(record.observed_time_unix_nano) if record.observed_time_unix_nano else None,
    }
    return structure(
        times
        | _origin(resource, scope)
        | {
            "severity": {"number": int(record.severity_number), "text": record.severity_text},
            "body": text.body,
            "eventName": record.event_name,
            "traceId": record.trace_id.hex(),
            "spanId": record.span_id.hex(),
            "flags": record.flags,
            "droppedAttributesCount": record.dropped_attributes_count,
            "attributes": attributes,
        }
    )


def root_spans(request: Any) -> dict[bytes, Span]:
    """The root spans of one export request, by trace id."""
    spans = (span for group in request.resource_spans for scoped in group.scope_spans for span in scoped.spans)
    return {span.trace_id: span for span in spans if not span.parent_span_id}


def span_document(
    resource: Resource, scope: InstrumentationScope, span: Span, roots: Mapping[bytes, Span]
) -> dict[str, Any]:
    """A span as `structure` of its document. `roots`: the root spans of its request, by trace id."""
    service = bag(resource.attributes).get("service.name")
    duration = span.end_time_unix_nano - span.start_time_unix_nano
    root = roots.get(span.trace_id)
    group = root is not None and {
        "traceGroup": root.name,
        "traceGroupFields": {
            "endTime": time_text(root.end_time_unix_nano),
            "durationInNanos": root.end_time_unix_nano - root.start_time_unix_nano,
            "statusCode": int(root.status.code),
        },
    }
    return structure(
        _origin(resource, scope)
        | {
            "traceId": span.trace_id.hex(),
            "spanId": span.span_id.hex(),
            "parentSpanId": span.parent_span_id.hex(),
            "name": span.name,
            "kind": Span.SpanKind.Name(span.kind),
            "traceState": span.trace_state,
            "@timestamp": time_text(span.start_time_unix_nano),
            "time": time_text(span.start_time_unix_nano),
            "startTime": time_text(span.start_time_unix_nano),
            "endTime": time_text(span.end_time_unix_nano),
            "durationInNanos": duration,
            "status": {"code": int(span.status.code), "message": span.status.message},
            "flags": span.flags & 0xFF,
            "events": [
                {"name": event.name, "time": time_text(event.time_unix_nano), "attributes": bag(event.attributes)}
                for event in span.events
            ],
            "links": [
                {
                    "traceId": link.trace_id.hex(),
                    "spanId": link.span_id.hex(),
                    "traceState": link.trace_state,
                    "attributes": bag(link.attributes),
                }
                for link in span.links
            ],
            "serviceName": service,
            "attributes": bag(span.attributes),
            "droppedAttributesCount": span.dropped_attributes_count,
            "droppedEventsCount": span.dropped_events_count,
            "droppedLinksCount": span.dropped_links_count,
        }
        | (group or {})
    )


def point_document(resource: Resource, scope: InstrumentationScope, metric: Metric, point: Any) -> dict[str, Any]:
    """A data point of a sum, gauge or histogram as `structure` of its document."""
    kind = metric.WhichOneof("data")
    assert kind in ("sum", "gauge", "histogram"), kind
    data = getattr(metric, kind)
    document = {
        "name": metric.name,
        "description": metric.description,
        "unit": metric.unit,
        "kind": kind.upper(),
        "@timestamp": time_text(point.time_unix_nano),
        "time": time_text(point.time_unix_nano),
        "startTime": time_text(point.start_time_unix_nano) if point.start_time_unix_nano else None,
        "serviceName": bag(resource.attributes).get("service.name"),
        "attributes": bag(point.attributes),
        "flags": point.flags,
    }
    if kind != "gauge":
        temporality = AggregationTemporality.Name(data.aggregation_temporality)
        document["aggregationTemporality"] = temporality
    if kind == "sum":
        document["isMonotonic"] = data.is_monotonic
    if kind == "histogram":
        bounds = list(point.explicit_bounds)
        document |= {"count": point.count, "sum": point.sum, "min": point.min, "max": point.max}
        document["bucketsCount"] = len(point.bucket_counts)
        document["buckets"] = [
            {"count": count}
            | ({"min": bounds[i - 1]} if i > 0 else {})
            | ({"max": bounds[i]} if i < len(bounds) else {})
            for i, count in enumerate(point.bucket_counts)
        ]
    else:
        document["value"] = getattr(point, point.WhichOneof("value"))
    return structure(_origin(resource, scope) | document)


def _origin(resource: Resource, scope: InstrumentationScope) -> dict[str, Any]:
    return {
        "resource": {"attributes": bag(resource.attributes)},
        "instrumentationScope": {
            "name": scope.name,
            "version": scope.version,
            "attributes": bag(scope.attributes),
            "droppedAttributesCount": scope.dropped_attributes_count,
        },
    }


def promoted_fields(registry: Path) -> dict[str, str]:
    """Field of a document -> attribute that it copies."""
    entries = yaml.safe_load(registry.read_text())["promoted"]
    return {entry["field"]: entry["from"] for entry in entries}
