"""Dashboards show something: every query is asked of a real Prometheus, every field of a real OpenSearch.

The files are those of dashboards/build.py, and of the form that Grafana and OpenSearch Dashboards document.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from support import configs
from support.naru import eventually, http_text
from support.platforms import FourPrograms
from support.services.jars import need
from support.services.kafka import KafkaCluster
from support.services.opensearch import OpenSearchCluster
from support.services.prometheus import Prometheus

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "dashboards"
sys.path.insert(0, str(DASHBOARDS))

import alerts  # noqa: E402
import build  # noqa: E402
from panels import COLUMNS, LOGS, METRICS, PATTERNS  # noqa: E402

_TEXT = {"type": "string", "minLength": 1}
# formats.md 2.9, 2.12: what the importers need.
_GRAFANA = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"],
    "properties": {
        "uid": {"type": "string", "pattern": "^[a-z-]{1,40}$"},
        "title": _TEXT,
        "schemaVersion": {"type": "integer", "minimum": 30},
        "time": {"type": "object", "required": ["from", "to"]},
        "panels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "type", "title", "datasource", "gridPos", "targets"],
                "properties": {
                    "id": {"type": "integer", "minimum": 1},
                    "type": {"enum": ["timeseries", "stat", "table", "logs"]},
                    "datasource": {"type": "object", "required": ["type", "uid"]},
                    "gridPos": {
                        "type": "object",
                        "required": ["h", "w", "x", "y"],
                        "properties": {"w": {"maximum": 24}, "x": {"maximum": 23}},
                    },
                    "targets": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["refId"]}},
                },
            },
        },
    },
}
_REFERENCES = {
    "type": "array",
    "items": {"type": "object", "required": ["name", "type", "id"], "additionalProperties": {"type": "string"}},
}
_SAVED_OBJECT = {
    "type": "object",
    "required": ["id", "type", "attributes", "references", "migrationVersion"],
    "properties": {
        "type": {"enum": ["index-pattern", "search", "visualization", "dashboard"]},
        "attributes": {"type": "object", "required": ["title"]},
        "references": _REFERENCES,
    },
}
_ATTRIBUTES = {
    "index-pattern": ["title", "timeFieldName"],
    "search": ["title", "columns", "sort", "kibanaSavedObjectMeta"],
    "visualization": ["title", "visState", "uiStateJSON", "kibanaSavedObjectMeta"],
    "dashboard": ["title", "panelsJSON", "optionsJSON", "timeRestore"],
}


class TestFiles:
    def test_are_those_of_the_table_of_panels(self) -> None:
        for name, text in build.files().items():
            assert (DASHBOARDS / name).read_text() == text, f"{name} differs: run python3 dashboards/build.py"
        there = {str(path.relative_to(DASHBOARDS)) for path in (DASHBOARDS / "grafana" / "dashboards").iterdir()}
        assert there <= set(build.files())

    def test_rules_of_prometheus_and_grafana_are_those_of_the_stream(self) -> None:
        stream = {rule["alert"]: rule for rule in alerts.rules()}
        prometheus = yaml.safe_load((DASHBOARDS / "prometheus/rules.yml").read_text())["groups"][0]["rules"]
        grafana = yaml.safe_load((DASHBOARDS / "grafana/provisioning/alerting/naru.yaml").read_text())["groups"][0]["rules"]
        assert [f"{rule['alert']} ({rule['labels']['severity']})" for rule in prometheus] == [rule["title"] for rule in grafana]
        for name, rule in stream.items():
            levels = {"warning": rule.get("caution_above"), "critical": rule.get("critical_above")}
            if rule.get("measure") == "absence":
                levels = {"warning" if rule["absent"] == "CAUTION" else "critical": 0}
            wanted = {severity: threshold for severity, threshold in levels.items() if threshold is not None}
            found = {one["labels"]["severity"]: one for one in prometheus if one["alert"] == name}
            assert set(found) == set(wanted), name
            for severity, one in found.items():
                assert one["expr"].endswith(f" {wanted[severity]:g}"), one["expr"]
                assert one.get("for", "0s") == rule.get("for", "0s")
                assert one["labels"]["target"] == rule["target"]
                assert one["annotations"]["summary"] == rule["annotations"]["summary"]
                assert all(metric in one["expr"] for metric in re.findall(r'"(naru_\w+)"', rule.get("where", "")))
                assert f"[{rule.get('window', '1m')}]" in one["expr"] or name == "AgentDisk"
            shown = {one["labels"]["severity"]: one for one in grafana if one["title"].startswith(f"{name} (")}
            for severity, one in shown.items():
                evaluator = one["data"][2]["model"]["conditions"][0]["evaluator"]
                assert evaluator["params"] == ([1] if rule.get("measure") == "absence" else [wanted[severity]])
                assert one["data"][0]["model"]["expr"] in found[severity]["expr"]
        assert all(len(one["uid"]) <= 40 for one in grafana) and len({one["uid"] for one in grafana}) == len(grafana)
        assert all(one["execErrState"] == "KeepLast" for one in grafana)  # absent would mean Alerting

    def test_promtool_takes_the_rules_and_they_fire(self) -> None:
        promtool = need("promtool", "prometheus")
        for arguments in (["check", "rules", "rules.yml"], ["test", "rules", "rules.test.yml"]):
            done = subprocess.run([promtool, *arguments], cwd=DASHBOARDS / "prometheus", capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr

    def test_grafana_dashboards_have_their_form_and_different_places(self) -> None:
        for path in (DASHBOARDS / "grafana" / "dashboards").glob("*.json"):
            dashboard = json.loads(path.read_text())
            jsonschema.validate(dashboard, _GRAFANA)
            taken: set[tuple[int, int]] = set()
            for panel in dashboard["panels"]:
                place = panel["gridPos"]
                cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
                assert not cells & taken and place["x"] + place["w"] <= 24, f"{path.name}: {panel['title']}"
                taken |= cells

    def test_every_data_source_of_a_panel_is_provisioned(self) -> None:
        provisioned = yaml.safe_load((DASHBOARDS / "grafana/provisioning/datasources/naru.yaml").read_text())
        known = {(source["type"], source["uid"]) for source in provisioned["datasources"]}
        for path in (DASHBOARDS / "grafana" / "dashboards").glob("*.json"):
            for panel in json.loads(path.read_text())["panels"]:
                assert (panel["datasource"]["type"], panel["datasource"]["uid"]) in known

    def test_saved_objects_can_be_imported(self) -> None:
        lines = [json.loads(line) for line in (DASHBOARDS / "opensearch/naru.ndjson").read_text().splitlines()]
        summary = lines.pop()
        assert summary == {"exportedCount": len(lines), "missingRefCount": 0, "missingReferences": []}
        seen: set[tuple[str, str]] = set()
        for line in lines:
            jsonschema.validate(line, _SAVED_OBJECT)
            attributes = line["attributes"]
            assert set(_ATTRIBUTES[line["type"]]) <= set(attributes), line["id"]
            for reference in line["references"]:
                assert (reference["type"], reference["id"]) in seen, f"{line['id']} refers to {reference['id']}"
            names = {reference["name"] for reference in line["references"]}
            for key in ("visState", "uiStateJSON", "optionsJSON", "panelsJSON"):
                json.loads(attributes.get(key, "{}"))
            for panel in json.loads(attributes.get("panelsJSON", "[]")):
                assert panel["panelRefName"] in names
            source = json.loads(attributes.get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}"))
            assert source.get("indexRefName", next(iter(names), None)) in names | {None}
            seen.add((line["type"], line["id"]))


class WithPipelines(FourPrograms):
    def _prepper(self) -> configs.Config:
        return super()._prepper() | {"pipelines": {"directory": str(ROOT / "config" / "pipelines")}}


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, kafka: KafkaCluster, opensearch: OpenSearchCluster
) -> Iterator[FourPrograms]:
    with WithPipelines(tmp_path_factory.mktemp("shown"), kafka, opensearch) as running:
        yield running


def _jobs(platform: FourPrograms) -> dict[str, str]:
    scraped = yaml.safe_load((DASHBOARDS / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    return {job["job_name"]: platform.programs[f"naru-{job['job_name']}"].endpoints["admin"] for job in scraped}


def test_every_panel_of_metrics_shows_something(platform: FourPrograms, tmp_path: Path) -> None:
    log = platform.log_file("dashboards")
    with Prometheus(tmp_path, _jobs(platform)) as prometheus:
        log.write_text("".join(f'{{"level":"error","msg":"record {i}"}}\n' for i in range(500)))
        wanted = [
            (dashboard.title, panel.title, legend, expression.replace("$rate", "15s"))
            for dashboard in METRICS
            for panel in dashboard.panels
            for legend, expression in panel.queries.items()
        ]
        empty: list[str] = []

        def all_there() -> bool:
            empty.clear()
            for dashboard, panel, legend, expression in wanted:
                series = prometheus.query(expression)
                labels = set(re.findall(r"\{\{(\w+)\}\}", legend))
                if not series or not all(labels <= set(one["metric"]) for one in series):
                    empty.append(f"{dashboard} / {panel}: {expression}")
            return not empty

        try:
            eventually(all_there, 60, "series for every panel", every=2)
        except AssertionError:
            raise AssertionError("nothing to show, or a label is missing:\n" + "\n".join(empty)) from None
        balance = [query for _, panel, _, query in wanted if panel == "Ledger balance"]
        eventually(
            lambda: all(float(one["value"][1]) == 0 for one in prometheus.query(balance[0])), 60, "the ledger balances"
        )


def _is_in_sources(metric: str) -> bool:
    stem = re.sub(r"naru_records_\w+_total", "naru_records_", metric)
    found = subprocess.run(["grep", "-rqF", stem, *(str(ROOT / part) for part in ("collector", "prepper", "agent", "alerting", "core"))])
    return found.returncode == 0


def test_every_expression_of_the_alerts_is_promql(platform: FourPrograms, tmp_path: Path) -> None:
    """Those about Naru itself find the metrics that the programs show; the rest is taken by promtool."""
    with Prometheus(tmp_path, _jobs(platform)) as prometheus:
        for one in alerts.alerts():
            names = set(re.findall(r"naru_[a-z_]+", one.value))
            pages = "".join(http_text(program.url("admin") + "/metrics") for program in platform.programs.values())
            # What only fills when something happens has no series before: then a program must know it at least.
            missing = {name for name in names if name not in pages and not _is_in_sources(name)}
            assert not missing, f"{one.name}: no program shows {missing}"
            prometheus.query(one.value)


def test_every_field_of_the_log_dashboards_exists(platform: FourPrograms, opensearch: OpenSearchCluster) -> None:
    log = platform.log_file("fields")
    log.write_text("one line\n")
    platform.await_file(log, 1)
    fields = {"@timestamp", "body", *COLUMNS}
    for panel in LOGS:
        fields |= {panel.by} - {""}
        fields |= set(re.findall(r"_exists_:([\w.@]+)", panel.query))
        fields |= set(re.findall(r"(?<!_exists_:)\b([\w.@]+):", panel.query)) - {"_exists_"}
    capabilities = opensearch.request("GET", f"/logs/_field_caps?fields={','.join(sorted(fields))}")["fields"]
    assert fields <= set(capabilities), fields - set(capabilities)
    for panel in LOGS:
        if panel.by:
            assert all(kind["aggregatable"] for kind in capabilities[panel.by].values()), panel.by
        query: dict[str, Any] = {"query": {"query_string": {"query": panel.query}}, "size": 1}
        if panel.by:
            query["aggs"] = {"by": {"terms": {"field": panel.by}}}
        answer = opensearch.request("POST", "/logs/_search", query)
        assert answer["_shards"]["failed"] == 0, panel.title
    for pattern, time_field in PATTERNS.items():
        template = {"logs": "logs-otel-v1", "otel": "otel-v1-apm-span", "metr": "metrics-otel-v1"}[pattern[:4]]
        found = opensearch.request("GET", f"/_index_template/{template}")["index_templates"][0]["index_template"]
        assert found["index_patterns"] == [pattern]
        assert time_field in found["template"]["mappings"]["properties"]
