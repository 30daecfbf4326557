#!/usr/bin/env python3
"""Writes the dashboards of Grafana and the saved objects of OpenSearch Dashboards from panels.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import alerts
from panels import COLUMNS, LOGS, METRICS, PATTERNS, Dashboard, LogPanel, Panel

HERE = Path(__file__).resolve().parent
_HEIGHT = 8
_COLUMNS = 24
_PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
_OPENSEARCH = {"type": "grafana-opensearch-datasource", "uid": "opensearch-logs"}


def _placed(widths: list[int]) -> list[dict[str, int]]:
    """Places for panels of these widths, row by row."""
    places, x, y = [], 0, 0
    for width in widths:
        if x + width > _COLUMNS:
            x, y = 0, y + _HEIGHT
        places.append({"h": _HEIGHT, "w": width, "x": x, "y": y})
        x += width
    return places


def _grafana(uid: str, title: str, panels: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["naru"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "templating": {"list": []},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "title": "Naru", "tags": ["naru"], "asDropdown": True, "targetBlank": False}],
        "panels": panels,
    }


def _metric_panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _PROMETHEUS,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": None}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": _PROMETHEUS,
                "expr": expression.replace("$rate", "$__rate_interval"),
                "legendFormat": legend,
            }
            for i, (legend, expression) in enumerate(panel.queries.items())
        ],
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
    }
    if panel.kind == "stat":
        out["options"] = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "textMode": "auto"}
        out["fieldConfig"]["defaults"]["thresholds"] = {
            "mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}],
        }
    return out


def metric_dashboard(dashboard: Dashboard) -> dict[str, Any]:
    places = _placed([panel.width for panel in dashboard.panels])
    panels = [_metric_panel(i + 1, panel, place) for i, (panel, place) in enumerate(zip(dashboard.panels, places))]
    return _grafana(dashboard.uid, dashboard.title, panels)


def _log_target(panel: LogPanel) -> dict[str, Any]:
    over_time = {"id": "2", "type": "date_histogram", "field": "@timestamp", "settings": {"interval": "auto"}}
    terms = {"id": "3", "type": "terms", "field": panel.by, "settings": {"size": "10", "order": "desc", "orderBy": "_count"}}
    target: dict[str, Any] = {
        "refId": "A",
        "datasource": _OPENSEARCH,
        "query": panel.query,
        "queryType": "lucene",
        "luceneQueryType": "Logs" if panel.kind == "logs" else "Metric",
        "timeField": "@timestamp",
        "metrics": [{"id": "1", "type": "logs" if panel.kind == "logs" else "count"}],
        "bucketAggs": [],
    }
    if panel.kind == "table":
        target["bucketAggs"] = [terms]
    elif panel.kind == "timeseries":
        target["bucketAggs"] = ([terms] if panel.by else []) + [over_time]
    return target


def log_dashboard() -> dict[str, Any]:
    places = _placed([_COLUMNS if panel.kind == "logs" else 12 for panel in LOGS])
    return _grafana("naru-logs", "Naru: logs", [
        {
            "id": i + 1,
            "type": panel.kind,
            "title": panel.title,
            "description": "",
            "datasource": _OPENSEARCH,
            "gridPos": place,
            "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
            "targets": [_log_target(panel)],
            "options": {},
        }
        for i, (panel, place) in enumerate(zip(LOGS, places))
    ])


def _source(query: str, index: str | None) -> dict[str, str]:
    source: dict[str, Any] = {"query": {"query": "" if query == "*" else query, "language": "lucene"}, "filter": []}
    if index is not None:
        source["indexRefName"] = "kibanaSavedObjectMeta.searchSourceJSON.index"
    return {"searchSourceJSON": json.dumps(source)}


def _index_reference(identifier: str) -> list[dict[str, str]]:
    return [{"name": "kibanaSavedObjectMeta.searchSourceJSON.index", "type": "index-pattern", "id": identifier}]


def _pattern_id(title: str) -> str:
    return "naru-" + title.rstrip("-*")


def _visualization(number: int, panel: LogPanel) -> dict[str, Any]:
    aggregations: list[dict[str, Any]] = [{"id": "1", "enabled": True, "type": "count", "params": {}, "schema": "metric"}]
    kind = "table" if panel.kind == "table" else "histogram"
    if kind == "histogram":
        aggregations.append({"id": "2", "enabled": True, "type": "date_histogram", "schema": "segment",
                             "params": {"field": "@timestamp", "interval": "auto", "min_doc_count": 1}})
    if panel.by:
        aggregations.append({"id": "3", "enabled": True, "type": "terms", "schema": "bucket" if kind == "table" else "group",
                             "params": {"field": panel.by, "size": 10, "order": "desc", "orderBy": "1"}})
    state = {"title": panel.title, "type": kind, "aggs": aggregations, "params": {"addLegend": True, "addTooltip": True}}
    logs = _pattern_id("logs-otel-v1-*")
    return {
        "id": f"naru-visualization-{number}",
        "type": "visualization",
        "attributes": {
            "title": f"Naru: {panel.title}",
            "description": "",
            "version": 1,
            "visState": json.dumps(state),
            "uiStateJSON": "{}",
            "kibanaSavedObjectMeta": _source(panel.query, logs),
        },
        "references": _index_reference(logs),
        "migrationVersion": {"visualization": "7.10.0"},
    }


def saved_objects() -> list[dict[str, Any]]:
    """Index patterns, a search, visualizations and a dashboard, in the order of their references."""
    objects: list[dict[str, Any]] = [
        {
            "id": _pattern_id(title),
            "type": "index-pattern",
            "attributes": {"title": title, "timeFieldName": time_field},
            "references": [],
            "migrationVersion": {"index-pattern": "7.6.0"},
        }
        for title, time_field in PATTERNS.items()
    ]
    logs = _pattern_id("logs-otel-v1-*")
    objects.append({
        "id": "naru-log-search",
        "type": "search",
        "attributes": {
            "title": "Naru: logs",
            "description": "Every log record, newest first",
            "hits": 0,
            "columns": COLUMNS,
            "sort": [["@timestamp", "desc"]],
            "version": 1,
            "kibanaSavedObjectMeta": _source("*", logs),
        },
        "references": _index_reference(logs),
        "migrationVersion": {"search": "7.9.3"},
    })
    shown = [panel for panel in LOGS if panel.kind != "logs"]
    objects += [_visualization(i, panel) for i, panel in enumerate(shown)]
    parts = [f"naru-visualization-{i}" for i in range(len(shown))] + ["naru-log-search"]
    places = _placed([12] * len(shown) + [_COLUMNS])
    for place in places:  # OpenSearch Dashboards has 48 columns
        place["w"] *= 2
        place["x"] *= 2
        place["h"], place["y"] = place["h"] * 2, place["y"] * 2
    objects.append({
        "id": "naru-log-dashboard",
        "type": "dashboard",
        "attributes": {
            "title": "Naru: logs",
            "description": "",
            "hits": 0,
            "version": 1,
            "timeRestore": True,
            "timeFrom": "now-1h",
            "timeTo": "now",
            "optionsJSON": json.dumps({"hidePanelTitles": False, "useMargins": True}),
            "panelsJSON": json.dumps([
                {
                    "panelIndex": str(i + 1),
                    "gridData": {**{key: places[i][key] for key in ("x", "y", "w", "h")}, "i": str(i + 1)},
                    "version": "2.9.0",
                    "embeddableConfig": {},
                    "panelRefName": f"panel_{i}",
                }
                for i in range(len(parts))
            ]),
            "kibanaSavedObjectMeta": _source("*", None),
        },
        "references": [
            {"name": f"panel_{i}", "type": "search" if part == "naru-log-search" else "visualization", "id": part}
            for i, part in enumerate(parts)
        ],
        "migrationVersion": {"dashboard": "7.9.3"},
    })
    return objects


def files() -> dict[str, str]:
    """Every generated file by its path below dashboards/."""
    made = {
        f"grafana/dashboards/{dashboard.uid}.json": json.dumps(metric_dashboard(dashboard), indent=1) + "\n"
        for dashboard in METRICS
    }
    made["grafana/dashboards/naru-logs.json"] = json.dumps(log_dashboard(), indent=1) + "\n"
    made["prometheus/rules.yml"] = alerts.prometheus()
    made["grafana/provisioning/alerting/naru.yaml"] = alerts.grafana()
    objects = saved_objects()
    summary = {"exportedCount": len(objects), "missingRefCount": 0, "missingReferences": []}
    made["opensearch/naru.ndjson"] = "".join(json.dumps(one) + "\n" for one in [*objects, summary])
    return made


def main() -> int:
    for name, text in files().items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
