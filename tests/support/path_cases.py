"""The cases that hold on every platform: what goes in at one end is what the index answers at the other.

A test module derives `PathCases` and gives the fixture `platform`. The oracle is what the generators
wrote; nothing is compared with what Naru says about itself.
"""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from support import otel
from support.identity import document_id, point_heads, points, span_heads
from support.naru import REPOSITORY, Program, eventually, http_status, http_text, parse_metrics
from support.oracle import (
    expected_log,
    indexed_log,
    log_document,
    point_document,
    promoted_fields,
    root_spans,
    span_document,
    structure,
)
from support.platforms import Platform
from support.sources import Nginx, difficult_lines, dpkg_lines, java_stack_trace

PROTOCOLS = [("grpc", False), ("grpc", True), ("http", False), ("http", True)]
# accepted + created = delivered + merged + deadlettered + dropped + lost + in flight
LEDGER = {f"naru_records_{name}_total": 1 for name in ("accepted", "created")} | {
    name: -1
    for name in (
        *(f"naru_records_{name}_total" for name in ("delivered", "merged", "deadlettered", "dropped", "lost")),
        "naru_records_in_flight",
    )
}
REGISTRY = REPOSITORY / "config" / "mappings" / "promoted.yaml"


def append(path: Path, lines: list[bytes]) -> None:
    """Adds lines to a file, each ended by LF, in one write."""
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def numbered(prefix: str, begin: int, end: int) -> list[bytes]:
    """Lines that are all different."""
    return [f"{prefix} {i:08} 가나다 {'x' * (i % 97)}".encode() for i in range(begin, end)]


def assert_each_once(hits: list[dict[str, Any]], lines: list[bytes]) -> None:
    """Every line is one document and every document is a line, byte for byte; ids are unique."""
    ids = [hit["_id"] for hit in hits]
    assert len(ids) == len(set(ids)), "the same _id twice"
    found = Counter(indexed_log(hit["_source"]) for hit in hits)
    wanted = Counter(expected_log(line) for line in lines)
    missing, extra = wanted - found, found - wanted
    assert not missing and not extra, (
        f"{missing.total()} of {len(lines)} lines are not in the index, e.g. {list(missing)[:3]}; "
        f"{extra.total()} documents are no line, e.g. {list(extra)[:3]}"
    )


def assert_same(found: dict[str, Any], wanted: dict[str, Any], promoted: dict[str, str]) -> None:
    """Equal documents, but for promoted fields, which copy their attribute."""
    copies = {key: content for key, content in found.items() if key in promoted and key not in wanted}
    rest = {key: content for key, content in found.items() if key not in copies}
    assert rest == wanted
    bags = wanted.get("resource", {}).get("attributes", {}) | wanted.get("attributes", {})
    for field, content in copies.items():
        assert content == bags[promoted[field]], f"{field} is no copy of {promoted[field]}"


class PathCases:
    """See the module. Each case uses files, journal entries or data sets of its own."""

    def test_nginx_access_log_written_while_it_is_read(self, platform: Platform) -> None:
        log = platform.log_file("nginx", "access.log")
        with Nginx(log.parent) as nginx:
            for i in range(150):
                path = ("/", "/missing", "/broken", "/%EB%82%98%EB%A3%A8?q=%F0%9F%9A%A2")[i % 4]
                nginx.get(f"{path}#{i}" if i % 4 else f"/?n={i}", agent=f'client "{i}" \\ \t')
            eventually(lambda: len(nginx.lines()) >= nginx.requests, 10, "nginx to write its lines")
            lines = nginx.lines()
        assert_each_once(platform.await_file(log, len(lines)), lines)

    def test_dpkg_log(self, platform: Platform) -> None:
        log, lines = platform.log_file("dpkg", "dpkg.log"), dpkg_lines()
        append(log, lines)
        assert_each_once(platform.await_file(log, len(lines)), lines)

    def test_java_stack_trace_keeps_its_lines(self, platform: Platform) -> None:
        log, lines = platform.log_file("java"), java_stack_trace()
        append(log, lines)
        assert_each_once(platform.await_file(log, len(lines)), lines)

    def test_difficult_bytes(self, platform: Platform) -> None:
        log, lines = platform.log_file("difficult"), difficult_lines()
        append(log, lines)
        assert_each_once(platform.await_file(log, len(lines)), lines)

    def test_a_line_over_the_limit_is_cut_and_marked_and_the_next_one_is_whole(self, platform: Platform) -> None:
        log = platform.log_file("long")
        append(log, [b"before", b"y" * 300_000, b"after"])
        hits = platform.await_file(log, 3)
        bodies = {hit["_source"]["body"][:6]: hit["_source"] for hit in hits}
        assert len(hits) == 3 and set(bodies) == {"before", "yyyyyy", "after"}
        cut = bodies["yyyyyy"]
        assert set(cut["body"]) == {"y"}
        assert len(cut["body"]) + int(cut["attributes"]["naru.truncated_bytes"]) == 300_000

    def test_lines_of_a_renamed_and_a_new_file_of_the_same_name(self, platform: Platform) -> None:
        log = platform.log_file("rotated")
        old, new = numbered("old", 0, 500), numbered("new", 0, 500)
        append(log, old[:250])
        platform.await_file(log, 250)  # A file is known by the name that it had when it was first seen.
        append(log, old[250:])
        log.rename(log.with_name("app.log.1"))
        append(log, new)
        assert_each_once(platform.await_file(log, len(old) + len(new)), old + new)

    def test_ten_thousand_lines_in_pieces_that_end_inside_lines(self, platform: Platform) -> None:
        log, lines = platform.log_file("pieces"), numbered("piece", 0, 10_000)
        data = b"".join(line + b"\n" for line in lines)
        with log.open("ab", buffering=0) as file:
            for begin in range(0, len(data), 4_099):
                file.write(data[begin : begin + 4_099])
        assert_each_once(platform.await_file(log, len(lines)), lines)

    @pytest.mark.parametrize(("protocol", "gzip"), PROTOCOLS)
    def test_logs_of_an_sdk(self, platform: Platform, protocol: str, gzip: bool) -> None:
        dataset = f"sdk_logs_{protocol}_{gzip}".lower()
        sent = otel.send_logs(platform.target(protocol, gzip), otel.resource("shop", dataset), 100)
        wanted = [
            log_document(group.resource, scoped.scope, record)
            for batch in sent
            for group in batch.resource_logs
            for scoped in group.scope_logs
            for record in scoped.log_records
        ]
        hits = platform.await_dataset("logs", dataset, len(wanted))
        self._compare(hits, wanted, lambda document: document["attributes"]["sequence"])

    @pytest.mark.parametrize(("protocol", "gzip"), PROTOCOLS)
    def test_spans_of_an_sdk(self, platform: Platform, protocol: str, gzip: bool) -> None:
        dataset = f"sdk_spans_{protocol}_{gzip}".lower()
        sent = otel.send_spans(platform.target(protocol, gzip), otel.resource("shop", dataset), 50)
        wanted = [
            span_document(group.resource, scoped.scope, span, roots)
            for batch in sent
            for roots in [root_spans(batch)]
            for group in batch.resource_spans
            for scoped in group.scope_spans
            for span in scoped.spans
        ]
        hits = platform.await_dataset("traces", dataset, len(wanted))
        self._compare(hits, wanted, lambda document: document["spanId"])
        ids = {document_id(head, dataset) for batch in sent for head, _ in span_heads(same(batch, TracesData))}
        assert {hit["_id"] for hit in hits} == ids

    @pytest.mark.parametrize(("protocol", "gzip"), PROTOCOLS)
    def test_metrics_of_an_sdk(self, platform: Platform, protocol: str, gzip: bool) -> None:
        dataset = f"sdk_metrics_{protocol}_{gzip}".lower()
        sent = otel.send_metrics(platform.target(protocol, gzip), otel.resource("shop", dataset))
        documents = [
            point_document(group.resource, scoped.scope, metric, point)
            for batch in sent
            for group in batch.resource_metrics
            for scoped in group.scope_metrics
            for metric in scoped.metrics
            for point in points(metric)
        ]
        heads = [head for batch in sent for head, _, _ in point_heads(same(batch, MetricsData))]
        hits = platform.await_dataset("metrics", dataset, len(heads))
        found = {hit["_id"]: structure(hit["_source"]) for hit in hits}
        assert len(hits) == len(found) == len(heads)
        promoted = promoted_fields(REGISTRY)
        for head, document in zip(heads, documents, strict=True):
            assert_same(found[document_id(head, dataset)], document, promoted)

    @pytest.mark.parametrize("transport", ["udp", "tcp"])
    def test_syslog_of_a_real_sender(self, platform: Platform, transport: str) -> None:
        service, lines = f"logger-{transport}", [f"message {i} 나루 <{i}>".encode() for i in range(12)]
        host, port = platform.syslog[transport].rsplit(":", 1)
        command = ["logger", "--server", host, "--port", port, f"--{transport}", "--rfc5424", "--tag", service]
        for line in lines:
            subprocess.run([*command, "--priority", "local3.err", "--", line], check=True, timeout=30)
        query = {"term": {"service_name": service}}
        hits = platform.await_hits(platform.index("logs"), query, len(lines), 60, f"of {service}")
        assert_each_once(hits, lines)
        assert {hit["_source"]["severity"]["number"] for hit in hits} == {17}
        assert {hit["_source"]["attributes"]["syslog.facility"] for hit in hits} == {19}

    def test_logs_with_the_same_uid_are_one_document(self, platform: Platform) -> None:
        target = platform.target("http")
        request = uid_request("sdk_uid", [b"a", b"b", b"a"])
        post(f"http://{target.endpoint}/v1/logs", request)
        post(f"http://{target.endpoint}/v1/logs", request)
        marker = uid_request("sdk_uid_after", [b"z"])
        post(f"http://{target.endpoint}/v1/logs", marker)
        platform.await_dataset("logs", "sdk_uid_after", 1)
        hits = platform.await_dataset("logs", "sdk_uid", 2)
        assert sorted(hit["_source"]["body"] for hit in hits) == ["a", "b"]

    def test_every_program_is_stopped_and_killed_in_the_middle(self, platform: Platform) -> None:
        log = platform.log_file("restarts")
        lines: list[bytes] = []

        def more() -> None:
            fresh = numbered("restart", len(lines), len(lines) + 1_000)
            append(log, fresh)
            lines.extend(fresh)

        for program in platform.programs.values():
            more()
            assert program.stop() == 0, program.output()
            more()
            program.start()
            more()
            program.kill()
            more()
            program.start()
        more()
        assert_each_once(platform.await_file(log, len(lines), timeout=120), lines)

    def test_every_program_is_healthy_and_its_ledger_balances(self, platform: Platform) -> None:
        stages = {
            labels["stage"]
            for program in platform.programs.values()
            for name, labels, value in parse_metrics(http_text(program.url("admin") + "/metrics"))
            if name == "naru_records_delivered_total" and value > 0
        }
        assert stages == {"agent", "collector", "prepper", "writer"}
        for name, program in platform.programs.items():
            assert http_status(program.url("admin") + "/livez") == 200, name
            eventually(lambda: http_status(program.url("admin") + "/readyz") == 200, 30, f"{name} ready")
            eventually(lambda: not unbalanced(program), 30, f"a balanced ledger of {name}: {unbalanced(program)}")

    @staticmethod
    def _compare(hits: list[dict[str, Any]], wanted: list[dict[str, Any]], key: Any) -> None:
        assert len({hit["_id"] for hit in hits}) == len(hits) == len(wanted)
        promoted = promoted_fields(REGISTRY)
        found = {key(hit["_source"]): structure(hit["_source"]) for hit in hits}
        for document in wanted:
            assert_same(found[key(document)], document, promoted)


def unbalanced(program: Program) -> list[str]:
    """Stages of a program whose ledger does not add up (contracts.md 5)."""
    sums: dict[tuple[str, ...], float] = {}
    for name, labels, value in parse_metrics(http_text(program.url("admin") + "/metrics")):
        if name in LEDGER:
            stage = tuple(labels.get(key, "") for key in ("stage", "signal", "pipeline"))
            sums[stage] = sums.get(stage, 0) + LEDGER[name] * value
    return [f"{' '.join(stage)}: {rest:+.0f}" for stage, rest in sums.items() if rest]


def same(message: Any, kind: Any) -> Any:
    """A message as another type with the same fields, e.g. an export request as TracesData."""
    return kind.FromString(message.SerializeToString())


def uid_request(dataset: str, bodies: list[bytes]) -> bytes:
    """A request whose records have `log.record.uid` equal to their body, and one time."""
    data = LogsData()
    group = data.resource_logs.add()
    group.resource.attributes.add(key="data_stream.dataset").value.string_value = dataset
    records = group.scope_logs.add().log_records
    now = time.time_ns()
    for body in bodies:
        record = records.add(time_unix_nano=now)
        record.body.string_value = body.decode()
        record.attributes.add(key="log.record.uid").value.string_value = body.decode()
    return data.SerializeToString()


def post(url: str, body: bytes) -> bytes:
    """One OTLP/HTTP request of protobuf; fails from status 400 on."""
    ask = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"}, method="POST")
    with urllib.request.urlopen(ask, timeout=30) as answer:
        return answer.read()
