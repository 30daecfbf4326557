#!/usr/bin/env python3
"""Sends what breaks other pipelines through the mapping contract into a real OpenSearch.

    ./dev hostile --minutes 60 --seed 7

Random logs, spans and metrics: wrong types for promoted fields, 10,000 distinct keys, deep and long values, broken UTF-8,
impossible times, JSON texts that contradict themselves. It goes collector -> Kafka -> prepper with the ready pipelines ->
OpenSearch. Exit 0 when OpenSearch refused nothing, no index has a field more than its template, and every record that was
accepted is a document (or was dropped by a pipeline, which the ready ones do with health checks only).
"""

from __future__ import annotations

import argparse
import http.client
import random
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList  # noqa: E402

from support import configs  # noqa: E402
from support.bus import read_topic  # noqa: E402
from support.index import Index  # noqa: E402
from support.naru import Program, eventually, run, write_config  # noqa: E402
from support.services.opensearch import hot  # noqa: E402
from support.services.services import Services  # noqa: E402

KEYS = 10_000
SIGNALS = {"logs": "logs-otel-v1-", "traces": "otel-v1-apm-span-", "metrics": "metrics-otel-v1-"}
# Of the same length as what takes its place in the encoded request.
BROKEN = "\x01broken\x01"
BROKEN_BYTES = b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf8"
PROMOTED = [
    "http.response.status_code", "http.request.method", "url.path", "client.address", "service.name", "host.name",
    "process.pid", "thread.name", "exception.type", "user_agent.name", "log.iostream", "messaging.destination.name",
]
LOG_TYPES = ["nginx", "apache", "syslog", "java", "postgres", "mysql", "kafka", "opensearch_slowlog", "kubernetes", "api_gateway"]
STRANGE_KEYS = [
    "", ".", "..", "a.", ".a", "a..b", "@timestamp", "_id", "_source", "body", "attributes", "resource", "time", "severity",
    "naru.overflow", "naru.cut_leaves", "naru.pipeline_error", "a b", "a\tb", "a\x00b", "키", "🔥", "a*b", 'a"b', "a\\b", "x" * 5_000,
]  # fmt: skip


class Hostile:
    """Records without end; the same seed makes the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.keys = [f"key_{n:05d}" + (".sub" if n % 3 == 0 else "") for n in range(KEYS)]

    def text(self) -> str:
        pick = self.random.randrange(12)
        if pick == 0:
            return ""
        if pick == 1:
            return BROKEN * self.random.randrange(1, 4)
        if pick == 2:
            return "".join(chr(self.random.choice([0, 7, 0x7F, 0x85, 0x2028, 0xFFFF, 0x1F600, 0xE000])) for _ in range(8))
        if pick == 3 and self.random.randrange(20) == 0:
            return "x" * self.random.choice([256, 257, 32_766, 32_767, 100_000])
        if pick == 4:
            return self.random.choice(["NaN", "1e999", "-0", "true", "null", "2026-13-45", "::ffff:1.2.3.4.5", "{}", "[]"])
        return " ".join(self.random.choices(["error", "timeout", "주문", "ünï", "a@b.example", "4111 1111 1111 1111"], k=6))

    def value(self, depth: int = 0) -> AnyValue:
        pick = self.random.randrange(14 if depth < 40 else 9)
        if pick < 5:
            return AnyValue(string_value=self.text())
        if pick == 5:
            return AnyValue(int_value=self.random.choice([0, -1, 2**63 - 1, -(2**63), 4111111111111111]))
        if pick == 6:
            return AnyValue(double_value=self.random.choice([0.0, -0.0, 1e308, 5e-324, float("nan"), float("inf"), 0.1]))
        if pick == 7:
            return AnyValue(bool_value=self.random.random() < 0.5)
        if pick == 8:
            return AnyValue(bytes_value=self.random.randbytes(self.random.randrange(40)))
        if pick == 9:
            return AnyValue()
        deep = self.random.randrange(40) == 0
        if pick < 12:
            items = [self.value(depth + 1) for _ in range(1 if deep else self.random.randrange(4))]
            return AnyValue(array_value=ArrayValue(values=items))
        return AnyValue(kvlist_value=KeyValueList(values=[self.entry(depth + 1) for _ in range(1 if deep else self.random.randrange(4))]))

    def key(self) -> str:
        pick = self.random.randrange(8)
        if pick == 0:
            return self.random.choice(STRANGE_KEYS)
        if pick < 3:
            return self.random.choice(PROMOTED)
        return self.random.choice(self.keys)

    def entry(self, depth: int = 0) -> KeyValue:
        return KeyValue(key=self.key(), value=self.value(depth))

    def entries(self) -> list[KeyValue]:
        count = self.random.choice([0, 1, 3, 8, 20] + ([1_200] if self.random.randrange(200) == 0 else []))
        return [self.entry() for _ in range(count)]

    def resource(self) -> list[KeyValue]:
        out = [self.entry() for _ in range(self.random.randrange(4))]
        if self.random.random() < 0.6:
            out.append(KeyValue(key="log.type", value=AnyValue(string_value=self.random.choice(LOG_TYPES))))
        # Names that senders choose make indices, which is not what this is about.
        return [one for one in out if one.key != "data_stream.dataset"]

    def time(self) -> int:
        now = time.time_ns()
        return self.random.choice([now, now, now, now - 3_600_000_000_000, 0, 1, 2**63 - 1, 2**64 - 1, 631_152_000_000_000_000])

    def observed(self) -> int:
        # The index goes by it where the own time is impossible: mostly sane, or most records would only be late.
        return self.time() if self.random.randrange(20) == 0 else time.time_ns()

    def json(self, depth: int = 0) -> str:
        pick = self.random.randrange(10)
        if pick < 3 or depth > 20:
            text = self.text().replace("\\", "\\\\").replace('"', '\\"')
            return '"' + "".join(c if c >= " " else f"\\u{ord(c):04x}" for c in text) + '"'
        if pick < 6:
            return self.random.choice(["0", "-1", "1e400", "18446744073709551615", "99999999999999999999999", "0.1", "true", "null"])
        if pick == 6:
            return "[" + ",".join(self.json(depth + 1) for _ in range(self.random.randrange(4))) + "]"
        members = [f'"{self.random.choice(["a", "a.b", "level", "status", "timestamp", *self.keys[:50]])}":{self.json(depth + 1)}'
                   for _ in range(self.random.randrange(1, 6))]
        return "{" + ",".join(members) + "}"

    def body(self) -> AnyValue:
        pick = self.random.randrange(6)
        if pick == 0:
            return self.value()
        if pick < 4:
            text = self.json()
            cut = self.random.randrange(8) == 0
            return AnyValue(string_value=text[: len(text) // 2] if cut else text)
        if pick == 4:
            return AnyValue(string_value=f'203.0.113.9 - {self.text()[:50]} [02/Jan/2026:12:00:01 +0900] "GET /{self.text()[:80]} HTTP/1.1" 200 {self.random.randrange(99)} "-" "-"')
        return AnyValue(string_value=self.text())

    def id(self, size: int) -> bytes:
        return self.random.choice([b"", b"\0" * size, self.random.randbytes(size), self.random.randbytes(size)])

    def logs(self, count: int) -> bytes:
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        group.resource.attributes.extend(self.resource())
        scope = group.scope_logs.add()
        scope.scope.name = self.text()[:100]
        for _ in range(count):
            record = scope.log_records.add(time_unix_nano=self.time(), observed_time_unix_nano=self.observed())
            record.body.CopyFrom(self.body())
            record.severity_number = self.random.choice([0, 1, 9, 17, 24])
            record.severity_text = self.text()[:100]
            record.event_name = self.text()[:50]
            record.trace_id, record.span_id = self.id(16), self.id(8)
            record.attributes.extend(self.entries())
        return request.SerializeToString()

    def traces(self, count: int) -> bytes:
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.extend(self.resource())
        scope = group.scope_spans.add()
        for _ in range(count):
            span = scope.spans.add(name=self.text()[:200], start_time_unix_nano=self.time(), end_time_unix_nano=self.time())
            span.trace_id, span.span_id, span.parent_span_id = self.random.randbytes(16), self.random.randbytes(8), self.id(8)
            span.attributes.extend(self.entries())
            event = span.events.add(name=self.text()[:50], time_unix_nano=self.time())
            event.attributes.extend(self.entry() for _ in range(2))
        return request.SerializeToString()

    def metrics(self, count: int) -> bytes:
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.attributes.extend(self.resource())
        scope = group.scope_metrics.add()
        for _ in range(count):
            metric = scope.metrics.add(name=self.text()[:100] + str(self.random.random()), unit=self.text()[:20])
            kind = self.random.randrange(3)
            if kind == 0:
                point = metric.gauge.data_points.add(time_unix_nano=self.time())
                point.as_double = self.random.choice([float("nan"), float("-inf"), 1e308, 0.5])
            elif kind == 1:
                point = metric.sum.data_points.add(time_unix_nano=self.time())
                point.as_int = self.random.choice([-(2**63), 2**63 - 1, 7])
            else:
                point = metric.histogram.data_points.add(time_unix_nano=self.time(), count=2**64 - 1)
                point.sum = self.random.choice([float("nan"), 1.5])
                point.bucket_counts.extend([2**63, 1, 0])
                point.explicit_bounds.extend([float("-inf"), float("nan")])
            point.attributes.extend(self.entries())
        return request.SerializeToString()

    def request(self) -> tuple[str, bytes, int]:
        """Signal, encoded request, number of records."""
        signal = self.random.choice(["logs", "logs", "logs", "traces", "metrics"])
        count = self.random.choice([1, 5, 20])
        return signal, getattr(self, signal)(count).replace(BROKEN.encode(), BROKEN_BYTES), count


@dataclass
class Verdict:
    """What was sent and what became of it."""

    accepted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIGNALS, 0))
    refused_by_collector: int = 0
    documents: dict[str, int] = field(default_factory=dict)
    created: float = 0  # documents beyond one for each record
    dropped: float = 0
    dead_letters: float = 0
    refused_by_opensearch: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of dead letters
    new_fields: list[str] = field(default_factory=list)
    indices: int = 0
    contract_check: str = ""  # what `naru contract check` says against templates and live indices

    @property
    def good(self) -> bool:
        settled = sum(self.documents.values()) + self.dropped + self.dead_letters
        whole = sum(self.accepted.values()) + self.created == settled
        declared = self.contract_check.endswith("good")
        return whole and declared and self.refused_by_opensearch == 0 and not self.new_fields and sum(self.accepted.values()) > 0


def fields_of(properties: dict[str, Any]) -> int:
    """Fields of a mapping, as the cluster state counts them."""
    return sum(1 + fields_of(one.get("properties", {})) + len(one.get("fields", {})) for one in properties.values())


def attack(directory: Path, seconds: float, seed: int, records_per_second: float) -> Verdict:
    """Sends for `seconds`, waits until everything is written, and looks at what OpenSearch has."""
    verdict = Verdict()
    hostile = Hostile(seed)
    with Services(directory / "services", kafka=1, opensearch=[hot()]) as services:
        assert services.kafka is not None and services.opensearch is not None
        config = configs.prepper(services.kafka.bootstrap, services.opensearch.url) | {
            "pipelines": {"directory": str(ROOT / "config" / "pipelines")},
            "time": {"older_max": "2h"},
        }
        path = write_config(directory / "bootstrap.yaml", config)
        done = run("naru", "bootstrap", "--config", str(path), "--apply")
        assert done.returncode == 0, done.stdout + done.stderr
        gate_config = configs.collector(directory / "collector", services.kafka.bootstrap)
        with Program.configured("naru-collector", gate_config, directory) as gate:
            with Program.configured("naru-prepper", config, directory) as prepper:
                send(hostile, gate, verdict, seconds, records_per_second)
                settle(prepper, services.opensearch.url, verdict)
        inspect(services.opensearch, verdict)
        verdict.contract_check = run("naru", "contract", "check", "--config", str(path)).stdout.strip()
        letters = (dict(record.headers) for record in read_topic(services.kafka.bootstrap, "naru.deadletter"))
        reasons = Counter(f"{letter['naru.dl.type'].decode()}: {letter['naru.dl.reason'].decode(errors='replace')[:200]}" for letter in letters)
        verdict.reasons = dict(reasons.most_common(20))
    return verdict


def send(hostile: Hostile, gate: Program, verdict: Verdict, seconds: float, records_per_second: float) -> None:
    host = gate.endpoints["otlp-http"]
    connection = http.client.HTTPConnection(host, timeout=60)
    begun, told, sent = time.monotonic(), time.monotonic(), 0
    while (now := time.monotonic()) - begun < seconds:
        if sent > (now - begun) * records_per_second:
            time.sleep(0.01)
            continue
        signal, request, count = hostile.request()
        connection.request("POST", f"/v1/{signal}", request, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        sent += count
        if answer.status == 200:
            verdict.accepted[signal] += count
        else:
            verdict.refused_by_collector += count
        if now - told > 60:
            told = now
            print(f"{(now - begun) / 60:.0f} min: {sum(verdict.accepted.values())} records accepted", file=sys.stderr, flush=True)
    connection.close()


def settle(prepper: Program, url: str, verdict: Verdict) -> None:
    wanted = sum(verdict.accepted.values())

    def settled() -> bool:
        for signal, prefix in SIGNALS.items():
            verdict.documents[signal] = Index(url, prefix + "*").count()
        verdict.dropped = prepper.metric("naru_records_dropped_total", stage="prepper")
        verdict.dead_letters = prepper.metric("naru_records_deadlettered_total", stage="prepper") + prepper.metric(
            "naru_records_deadlettered_total", stage="writer"
        )
        verdict.created = prepper.metric("naru_records_created_total", stage="prepper")
        taken = prepper.metric("naru_records_accepted_total", stage="prepper")
        return taken == wanted and prepper.metric("naru_records_in_flight", stage="prepper") == 0

    try:
        eventually(settled, 120, f"{wanted} records settled", every=1)
        time.sleep(2)  # the last commit and its counts
        settled()
    except AssertionError as late:
        print(f"{late}; {prepper.output()}", file=sys.stderr)


def inspect(cluster: Any, verdict: Verdict) -> None:
    stats = cluster.request("GET", "/_stats/indexing")["indices"]
    for name, index in stats.items():
        prefix = next((p for p in SIGNALS.values() if name.startswith(p)), None)
        if prefix is None:
            continue
        verdict.indices += 1
        verdict.refused_by_opensearch += index["primaries"]["indexing"]["index_failed"]
        mapping = cluster.request("GET", f"/{urllib.parse.quote(name)}/_mapping")[name]["mappings"]
        template = cluster.request("GET", f"/_index_template/{prefix.rstrip('-')}")["index_templates"][0]
        declared = fields_of(template["index_template"]["template"]["mappings"]["properties"])
        if fields_of(mapping["properties"]) != declared:
            verdict.new_fields.append(f"{name}: {fields_of(mapping['properties'])} fields, its template has {declared}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev hostile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--rate", type=float, default=200, help="records a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="naru-hostile-") as directory:
        print(f"seed {options.seed}", file=sys.stderr)
        verdict = attack(Path(directory), options.minutes * 60, options.seed, options.rate)
    print(verdict)
    print("good: nothing was refused, no field was added" if verdict.good else "NOT GOOD")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
