"""The shipped rules for those who alert with Prometheus or Grafana. build.py makes their files of it.

Thresholds, windows and texts are those of config/rules; here stands only what each measure is in PromQL. `naru_rule_*`
are counted by the preppers (role `count`); http_server_* come from OpenTelemetry's instrumentation of the services,
node_* from the Prometheus node exporter. Those about Naru itself look at its own /metrics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).resolve().parents[1] / "config" / "rules"

# {window}, {minimum} and {quantile} are the rule's; what is compared with the threshold.
MEASURES = {
    "ApiFailures": 'sum by (service) (increase(naru_rule_records_total{{alert="ApiFailures"}}[{window}]))',
    "ApiErrorRatio": '((sum by (service) (increase(naru_rule_share_total{{alert="ApiErrorRatio"}}[{window}]))'
    ' / sum by (service) (increase(naru_rule_records_total{{alert="ApiErrorRatio"}}[{window}])))'
    ' and sum by (service) (increase(naru_rule_records_total{{alert="ApiErrorRatio"}}[{window}])) >= {minimum})',
    "ApiLatencyP99": "histogram_quantile({quantile}, sum by (service, le)"
    ' (label_replace(rate(http_server_request_duration_seconds_bucket[{window}]), "service", "$1", "service_name", "(.*)")))',
    "HostSilent": 'sum by (host) (increase(naru_rule_records_total{{alert="HostSilent"}}[{window}]))',
    "NaruConsumerLag": "max by (instance) (max_over_time(naru_prepper_oldest_unfinished_seconds[{window}]))",
    "NaruDeadLetters": "sum by (signal) (increase(naru_records_deadlettered_total[{window}]))",
    "NaruParked": "max by (instance) (max_over_time(naru_parked_records[{window}]))",
    "NaruSpillInUse": "max by (instance) (max_over_time(naru_collector_spill_requests[{window}]))",
    "NaruAgentDisk": "max by (instance) (max_over_time(naru_agent_disk_used_ratio[{window}]))",
    "NaruAgentCopies": "sum by (instance) (increase(naru_agent_spool_refused_total[{window}]))",
    "NaruOpenSearchRefuses": "max by (cause) (max_over_time(naru_writer_indices_held[{window}]))",
    "NaruBulkFailures": "max by (instance) (rate(naru_bulk_requests_failed_total[{window}])) * 10",
    "NaruLedger": "count by (instance, stage) (max_over_time(naru_ledger_difference[{window}]) != 0"
    " or min_over_time(naru_ledger_difference[{window}]) != 0)",
    "AgentDisk": 'label_replace(1 - node_filesystem_avail_bytes / node_filesystem_size_bytes, "host", "$1", "instance", "([^:]*).*")',
}


@dataclass(frozen=True)
class Alert:
    name: str
    severity: str  # warning = CAUTION, critical = CRITICAL
    value: str  # PromQL
    compare: str  # ">" or "=="
    threshold: float
    pending: str
    keep: str
    target: str
    summary: str


# By rules of the stream only where a program has to see what no program can send: that nobody counts.
OWN = [
    Alert("NaruBlind", "warning", "max(naru_rules_blind)", ">", 0, "5s", "10s", "naru.detection",
          "the rules do not see everything; nothing goes down while it is so"),
]


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)(s|m|h|d)", text)
    assert found, text
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def rules() -> list[dict[str, Any]]:
    """The rules of config/rules as they stand there."""
    found = []
    for path in sorted(RULES.glob("*.yaml")):
        if not path.name.endswith(".test.yaml"):
            for group in yaml.safe_load(path.read_text())["groups"]:
                found += group["rules"]
    return found


def alerts() -> list[Alert]:
    out = []
    for rule in rules():
        window = rule.get("window", "1m")
        value = MEASURES[rule["alert"]].format(
            window=window, minimum=rule.get("minimum", 0), quantile=rule.get("quantile", 0.99)
        )
        if rule.get("measure") == "absence":
            levels = [("warning" if rule.get("absent") == "CAUTION" else "critical", "==", 0.0)]
        else:
            levels = [
                (severity, ">", float(rule[key]))
                for severity, key in (("warning", "caution_above"), ("critical", "critical_above"))
                if key in rule
            ]
        for severity, compare, threshold in levels:
            out.append(
                Alert(rule["alert"], severity, value, compare, threshold, rule.get("for", "0s"), rule.get("keep_firing_for", "1m"),
                      rule["target"], rule["annotations"]["summary"])
            )
    return out + OWN


def prometheus() -> str:
    """A rule file of Prometheus 2.42 and later (keep_firing_for)."""
    entries = []
    for one in alerts():
        entry: dict[str, Any] = {"alert": one.name, "expr": f"{one.value} {one.compare} {one.threshold:g}"}
        if one.pending != "0s":
            entry["for"] = one.pending
        if one.keep != "0s":
            entry["keep_firing_for"] = one.keep
        entry["labels"] = {"severity": one.severity, "target": one.target}
        entry["annotations"] = {"summary": one.summary}
        entries.append(entry)
    head = "# Written by dashboards/build.py from config/rules and dashboards/alerts.py.\n"
    return head + yaml.safe_dump({"groups": [{"name": "naru", "interval": "10s", "rules": entries}]}, sort_keys=False, width=120)


def grafana() -> str:
    """Provisioning of Grafana's alerting: the same rules on the Prometheus data source, and the webhook to Naru."""
    entries = []
    for number, one in enumerate(alerts()):
        entries.append(
            {
                "uid": f"naru_{one.name.lower()}_{one.severity}"[:40],
                "title": f"{one.name} ({one.severity})",
                "condition": "C",
                "for": one.pending,
                "keepFiringFor": one.keep,
                "noDataState": "OK" if one.compare == ">" else "KeepLast",
                "execErrState": "KeepLast",
                "labels": {"severity": one.severity, "target": one.target},
                "annotations": {"summary": one.summary.replace("$value", "$values.B.Value")},
                "data": [
                    {"refId": "A", "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": "prometheus",
                     "model": {"refId": "A", "expr": one.value, "instant": True}},
                    {"refId": "B", "datasourceUid": "__expr__", "model": {"refId": "B", "type": "reduce", "expression": "A", "reducer": "last"}},
                    {"refId": "C", "datasourceUid": "__expr__",
                     "model": {"refId": "C", "type": "threshold", "expression": "B", "conditions": [{"evaluator": _evaluator(one)}]}},
                ],
            }
        )
        assert len(entries) == number + 1
    document = {
        "apiVersion": 1,
        "groups": [{"orgId": 1, "name": "naru", "folder": "Naru", "interval": "10s", "rules": entries}],
        "contactPoints": [
            {"orgId": 1, "name": "naru-alerting", "receivers": [
                {"uid": "naru-alerting", "type": "webhook",
                 "settings": {"url": "http://alerting:8083/webhooks/grafana", "httpMethod": "POST", "maxAlerts": "0"}}]}
        ],
        "policies": [
            {"orgId": 1, "receiver": "naru-alerting", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "10s",
             "repeat_interval": "5m"}
        ],
    }
    head = "# Written by dashboards/build.py from config/rules and dashboards/alerts.py.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=120)


def _evaluator(alert: Alert) -> dict[str, Any]:
    """Grafana has no "equal": nothing in a window is below one."""
    return {"type": "gt", "params": [alert.threshold]} if alert.compare == ">" else {"type": "lt", "params": [1]}
