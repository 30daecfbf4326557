"""The OpenTelemetry Python SDK as a client, with a note of exactly what it was told to send.

Each function sends through the SDK's own OTLP exporter and answers the exported batches as OTLP
messages, encoded by the SDK: the oracle is what the SDK meant, not what Naru understood. A batch that
the receiver does not take fails at once; the SDK's own retries stay on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

_NEVER_MS = 3_600_000
_TIMEOUT_S = 10


class Export(Protocol):
    """What the three result enums of the SDK have in common."""

    name: str


class _KeepSpans(SpanExporter):
    def __init__(self, inner: SpanExporter, sent: list[Any]) -> None:
        self._inner, self._sent = inner, sent

    def export(self, spans):  # type: ignore[no-untyped-def]
        result = self._inner.export(spans)
        _keep(self._sent, result, encode_spans(spans))
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class _KeepLogs(LogRecordExporter):
    def __init__(self, inner: LogRecordExporter, sent: list[Any]) -> None:
        self._inner, self._sent = inner, sent

    def export(self, batch):  # type: ignore[no-untyped-def]
        result = self._inner.export(batch)
        _keep(self._sent, result, encode_logs(batch))
        return result

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return self._inner.force_flush(timeout_millis)

    def shutdown(self) -> None:
        self._inner.shutdown()


class _KeepMetrics(MetricExporter):
    def __init__(self, inner: MetricExporter, sent: list[Any]) -> None:
        super().__init__()
        self._inner, self._sent = inner, sent

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):  # type: ignore[no-untyped-def]
        result = self._inner.export(metrics_data, timeout_millis, **kwargs)
        _keep(self._sent, result, encode_metrics(metrics_data))
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._inner.shutdown(timeout_millis, **kwargs)


def _keep(sent: list[Any], result: Export, encoded: Any) -> None:
    sent.append((result.name, encoded))


def _accepted(sent: list[tuple[str, Any]]) -> list[Any]:
    """The encoded batches; fails when one was not taken or nothing was sent."""
    assert sent, "the SDK sent nothing"
    refused = [name for name, _ in sent if name != "SUCCESS"]
    assert not refused, f"{len(refused)} of {len(sent)} exports answered {refused[0]}"
    return [encoded for _, encoded in sent]


@dataclass(frozen=True)
class Target:
    """A collector: `protocol` is grpc or http, `endpoint` is host:port; `gzip` compresses requests."""

    protocol: str
    endpoint: str
    gzip: bool = False

    def exporter(self, signal: str) -> Any:
        """The SDK's exporter of a signal (logs, traces, metrics)."""
        if self.protocol == "grpc":
            kind = {"logs": GrpcLogs, "traces": GrpcSpans, "metrics": GrpcMetrics}[signal]
            compression = grpc.Compression.Gzip if self.gzip else grpc.Compression.NoCompression
            return kind(endpoint=self.endpoint, insecure=True, timeout=_TIMEOUT_S, compression=compression)
        kind = {"logs": HttpLogs, "traces": HttpSpans, "metrics": HttpMetrics}[signal]
        url = f"http://{self.endpoint}/v1/{signal}"
        return kind(
            endpoint=url, timeout=_TIMEOUT_S, compression=Compression.Gzip if self.gzip else Compression.NoCompression
        )


def resource(service: str, dataset: str) -> Resource:
    """A resource whose records go to a data set of their own."""
    return Resource(
        {"service.name": service, "service.version": "1.2.3", "data_stream.dataset": dataset, "deployment.공간": "시험"}
    )


def send_logs(target: Target, origin: Resource, count: int) -> list[Any]:
    """`count` log records with severities, attributes of every type and bodies of several kinds."""
    sent: list[Any] = []
    provider = LoggerProvider(resource=origin)
    provider.add_log_record_processor(
        BatchLogRecordProcessor(_KeepLogs(target.exporter("logs"), sent), schedule_delay_millis=_NEVER_MS)
    )
    logger = provider.get_logger("naru.tests.logs", "0.1", attributes={"library": True})
    bodies: list[Any] = ["text 나루 🚢", {"b": 1, "a": [True, None, 2.5, "x"]}, ["x", 1], 42, 2.5, True, ""]
    for i in range(count):
        now = time.time_ns()
        logger.emit(
            timestamp=now,
            observed_timestamp=now + 1,
            severity_number=list(SeverityNumber)[1 + i % 24],
            severity_text=f"LEVEL{i % 24}",
            body=f"record {i}" if i >= len(bodies) else bodies[i],
            attributes={
                "sequence": i,
                "http.request.method": "GET",
                "http.response.status_code": 200 + i % 300,
                "ratio": i / 7,
                "flag": i % 2 == 0,
                "list": ["a", "b"],
                "nested": {"deep.key": {"n": i}},
            },
            event_name="tests.event" if i % 3 == 0 else None,
        )
    provider.shutdown()
    return _accepted(sent)


def send_spans(target: Target, origin: Resource, count: int) -> list[Any]:
    """`count` traces of two spans each, the inner one with an event, a link and an error."""
    sent: list[Any] = []
    provider = TracerProvider(resource=origin)
    provider.add_span_processor(
        BatchSpanProcessor(_KeepSpans(target.exporter("traces"), sent), schedule_delay_millis=_NEVER_MS)
    )
    tracer = provider.get_tracer("naru.tests.spans", "0.2")
    other = SpanContext(trace_id=(1 << 127) | 5, span_id=77, is_remote=True, trace_flags=TraceFlags(1))
    for i in range(count):
        with tracer.start_as_current_span(f"GET /항목/{i}", kind=SpanKind.SERVER, attributes={"http.route": "/{n}"}):
            with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, links=[Link(other, {"k": 1})]) as inner:
                inner.set_attribute("db.rows", i)
                inner.add_event("retry", {"attempt": 2})
                inner.set_status(Status(StatusCode.ERROR, "timed out"))
    provider.shutdown()
    return _accepted(sent)


def send_metrics(target: Target, origin: Resource) -> list[Any]:
    """One collection of a counter, an up-down counter, a gauge and a histogram, with several points each."""
    sent: list[Any] = []
    reader = PeriodicExportingMetricReader(
        _KeepMetrics(target.exporter("metrics"), sent), export_interval_millis=_NEVER_MS
    )
    provider = MeterProvider(metric_readers=[reader], resource=origin)
    meter = provider.get_meter("naru.tests.metrics", "0.3")
    counter = meter.create_counter("requests", "1", "Requests answered")
    open_now = meter.create_up_down_counter("connections")
    temperature = meter.create_gauge("temperature", "Cel")
    duration = meter.create_histogram("duration", "ms", explicit_bucket_boundaries_advisory=[1, 10, 100])
    for i in range(40):
        counter.add(i, {"path": f"/{i % 4}"})
        open_now.add(1 if i % 3 else -1)
        temperature.set(20.5 + i, {"room": f"방{i % 2}"})
        duration.record(i * 3, {"path": f"/{i % 4}"})
    provider.shutdown()
    return _accepted(sent)
