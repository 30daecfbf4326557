"""What the dashboards show. build.py makes the files of Grafana and OpenSearch Dashboards of it.

A panel: title, unit, expressions by legend. Every counter is shown as a rate; $rate stands for the interval that
Grafana chooses. Labels in braces of a legend are filled by Grafana.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Panel:
    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"  # or stat
    about: str = ""
    width: int = 12


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    panels: list[Panel] = field(default_factory=list)


def rate(metric: str, by: str = "", where: str = "") -> str:
    grouped = f"sum by ({by}) " if by else "sum "
    return f"{grouped}(rate({metric}{{{where}}}[$rate]))" if where else f"{grouped}(rate({metric}[$rate]))"


_LEDGER = ("accepted", "created", "delivered", "duplicate", "merged", "deadlettered", "parked", "lost")

OVERVIEW = Dashboard("naru-overview", "Naru: overview", [
    Panel("Records through each stage", {
        "{{stage}} {{signal}}": rate("naru_records_delivered_total", "stage, signal"),
    }, "ops", about="Delivered: durable at the next stage."),
    Panel("Ledger balance", {
        "{{stage}}": "sum by (stage) (naru_records_accepted_total) + sum by (stage) (naru_records_created_total)"
        " - sum by (stage) (naru_records_delivered_total) - sum by (stage) (naru_records_merged_total)"
        " - sum by (stage) (naru_records_deadlettered_total) - sum by (stage) (naru_records_lost_total)"
        " - (sum by (stage) (naru_records_dropped_total) or sum by (stage) (naru_records_accepted_total) * 0)"
        " - sum by (stage) (naru_records_in_flight)",
    }, about="accepted + created - delivered - merged - dead letters - lost - dropped - in flight. Not 0 for longer than a"
             " scrape: `naru ledger` names the stage."),
    Panel("In flight", {"{{stage}}": "sum by (stage) (naru_records_in_flight)"}),
    Panel("Oldest unfinished record", {"{{pipeline}}": "max by (pipeline) (naru_prepper_oldest_unfinished_seconds)"}, "s"),
    *(
        Panel(f"Records {what}", {"{{stage}} {{signal}}": rate(f"naru_records_{what}_total", "stage, signal")}, "ops", width=8)
        for what in ("duplicate", "deadlettered", "lost")
    ),
    Panel("Dependencies", {"{{job}} {{name}}": "min by (job, name) (naru_dependency_up)"}, kind="stat", width=24,
          about="0: away. Nothing is lost meanwhile; see docs/operations."),
])

AGENT = Dashboard("naru-agent", "Naru: agents", [
    Panel("Bytes read", {"{{instance}}": rate("naru_agent_read_bytes_total", "instance")}, "Bps"),
    Panel("Bytes behind", {"{{instance}}": "sum by (instance) (naru_agent_lag_bytes)"}, "bytes",
          about="In files, not yet acknowledged by a collector."),
    Panel("Batches sent", {"{{instance}}": rate("naru_agent_batches_total", "instance")}, "ops"),
    Panel("Retries and refusals", {
        "retries {{instance}}": rate("naru_agent_retries_total", "instance"),
        "refused {{instance}}": rate("naru_agent_refused_total", "instance"),
    }, "ops"),
    Panel("Files", {
        "open {{instance}}": "sum by (instance) (naru_agent_files_open)",
        "known {{instance}}": "sum by (instance) (naru_agent_files_known)",
        "unreadable {{instance}}": "sum by (instance) (naru_agent_unreadable_files_total)",
    }),
    Panel("Spool", {"{{instance}}": "sum by (instance) (naru_agent_spool_bytes)"}, "bytes",
          about="Unsent bytes of files that were rotated away, and of sources that cannot wait."),
    Panel("Lost by truncation", {"{{instance}}": "sum by (instance) (naru_agent_lost_by_truncation_records_total)"}),
    Panel("Lines cut", {"{{instance}}": rate("naru_agent_truncated_lines_total", "instance")}, "ops"),
])

COLLECTOR = Dashboard("naru-collector", "Naru: collectors", [
    Panel("Requests", {"{{signal}}": rate("naru_collector_requests_total", "signal")}, "reqps"),
    Panel("Bytes", {"{{signal}}": rate("naru_collector_request_bytes_total", "signal")}, "Bps"),
    Panel("Refused", {"{{reason}} {{signal}}": rate("naru_collector_refused_requests_total", "reason, signal")}, "reqps",
          about="overloaded: senders were asked to wait (503, RetryInfo)."),
    Panel("In flight", {"{{instance}}": "sum by (instance) (naru_collector_bytes_in_flight)"}, "bytes"),
    Panel("Oldest request without an answer", {"{{instance}}": "max by (instance) (naru_collector_oldest_request_seconds)"}, "s"),
    Panel("Spill", {"{{instance}}": "sum by (instance) (naru_collector_spill_bytes)"}, "bytes",
          about="Records of clients that wait on disk while Kafka is away."),
    Panel("Syslog", {
        "messages": rate("naru_syslog_messages_total"),
        "dropped by UDP": rate("naru_syslog_udp_dropped_total"),
    }, "ops"),
    Panel("Not authenticated", {"{{instance}}": rate("naru_collector_unauthenticated_requests_total", "instance")}, "reqps"),
])

KAFKA = Dashboard("naru-kafka", "Naru: Kafka", [
    Panel("Lag in messages", {"{{topic}}": "sum by (topic) (naru_prepper_lag_messages)"}),
    Panel("Lag by partition", {"{{topic}} {{partition}}": "max by (topic, partition) (naru_prepper_lag_messages)"}),
    Panel("Retention used", {"{{pipeline}}": "max by (pipeline) (naru_prepper_retention_used_ratio)"}, "percentunit",
          about="Of the time after which Kafka deletes the oldest unfinished record. Alarm at a half."),
    Panel("Rules behind", {"{{instance}}": "max by (instance) (naru_rules_lag_seconds)"}, "s"),
    Panel("Bytes not acknowledged", {"{{instance}}": "sum by (instance) (naru_kafka_producer_bytes)"}, "bytes"),
    Panel("Commit failures", {"{{pipeline}}": rate("naru_prepper_commit_failures_total", "pipeline")}, "ops"),
])

PREPPER = Dashboard("naru-prepper", "Naru: preppers", [
    Panel("Documents", {"{{pipeline}}": rate("naru_prepper_documents_total", "pipeline")}, "ops"),
    Panel("Document bytes", {"{{pipeline}}": rate("naru_prepper_document_bytes_total", "pipeline")}, "Bps"),
    Panel("Held in memory", {"{{pipeline}} {{instance}}": "sum by (pipeline, instance) (naru_prepper_held_bytes)"}, "bytes"),
    Panel("What the mapping contract changed", {
        "wrong type": rate("naru_prepper_refused_type_total"),
        "too long": rate("naru_prepper_refused_length_total"),
        "leaves cut": rate("naru_prepper_cut_leaves_total"),
        "bags over their bound": rate("naru_prepper_overflowed_bags_total"),
        "invalid UTF-8": rate("naru_prepper_invalid_utf8_total"),
        "time out of range": rate("naru_prepper_time_out_of_range_total"),
    }, "ops"),
    Panel("Not decodable", {"{{pipeline}}": rate("naru_prepper_undecodable_total", "pipeline")}, "ops"),
    Panel("Pipelines: records in and out", {
        "in {{pipeline}}": rate("naru_pipeline_records_total", "pipeline"),
        "out {{pipeline}}": rate("naru_pipeline_documents_total", "pipeline"),
    }, "ops"),
])

WRITERS = Dashboard("naru-writers", "Naru: bulk writers", [
    Panel("Bulk bytes", {"{{pipeline}}": rate("naru_bulk_request_bytes_total", "pipeline")}, "Bps"),
    Panel("Time of a bulk request", {
        "p50": "histogram_quantile(0.5, sum by (le) (rate(naru_bulk_request_seconds_bucket[$rate])))",
        "p99": "histogram_quantile(0.99, sum by (le) (rate(naru_bulk_request_seconds_bucket[$rate])))",
    }, "s"),
    Panel("Requests in flight at most, by node", {"{{node}}": "sum by (node) (naru_writer_node_in_flight_limit)"},
          about="Follows the node's answers: falls when it slows down or answers 429."),
    Panel("Nodes", {"{{node}}": "min by (node) (naru_writer_node_up)"}, kind="stat",
          about="0: it failed and is tried again from time to time; the others go on."),
    Panel("Size of a bulk request", {"{{pipeline}}": "max by (pipeline) (naru_writer_batch_bytes)"}, "bytes"),
    Panel("Waiting batches", {"{{pipeline}}": "sum by (pipeline) (naru_writer_waiting_batches)"}),
    Panel("Indices that take nothing", {"{{cause}}": "sum by (cause) (naru_writer_indices_held)"},
          about="disk: flood stage. refused: rights, a block, a closed index, the shard limit. The log names index and reason."),
    Panel("Parked records", {"{{pipeline}}": "sum by (pipeline) (naru_parked_records)"}),
    Panel("Late records", {"{{outcome}}": rate("naru_late_records_total", "outcome")}, "ops"),
    Panel("Backfill waits", {"{{pipeline}}": rate("naru_writer_backfill_waits_total", "pipeline")}, "ops"),
])

LIFECYCLE = Dashboard("naru-lifecycle", "Naru: index lifecycle", [
    Panel("Indices by phase", {"{{phase}}": "max by (phase) (naru_lifecycle_indices)"}),
    Panel("Steps", {"{{action}} {{outcome}}": "sum by (action, outcome) (increase(naru_lifecycle_steps_total[$rate]))"}),
    Panel("Leader", {"{{instance}}": "naru_lifecycle_leader"}, kind="stat", about="Exactly one prepper leads."),
    Panel("Blocked", {"{{instance}}": "max by (instance) (naru_lifecycle_blocked)"}, kind="stat",
          about="1: nothing is moved or deleted, because the cluster is red or clocks disagree."),
    Panel("Looks at the cluster", {"{{outcome}}": rate("naru_lifecycle_looks_total", "outcome")}, "ops", width=24),
])

METRICS = [OVERVIEW, AGENT, COLLECTOR, KAFKA, PREPPER, WRITERS, LIFECYCLE]


@dataclass(frozen=True)
class LogPanel:
    title: str
    query: str = "*"      # Lucene
    by: str = ""          # a keyword field; empty: over time only
    kind: str = "timeseries"  # timeseries, table (of `by`), logs


LOGS = [
    LogPanel("Records", by="severity.text"),
    LogPanel("Errors", "severity.number:>=17", by="service_name"),
    LogPanel("Services", by="service_name", kind="table"),
    LogPanel("Hosts", by="host_name", kind="table"),
    LogPanel("HTTP status", "_exists_:http_response_status_code", by="http_response_status_code"),
    LogPanel("Slowest routes", "_exists_:duration_ms", by="http_route", kind="table"),
    LogPanel("Errors, newest first", "severity.number:>=17", kind="logs"),
]
# Columns of the log search.
COLUMNS = ["severity.text", "service_name", "host_name", "body"]
# Index patterns: by title, with the field that their time picker uses.
PATTERNS = {"logs-otel-v1-*": "@timestamp", "otel-v1-apm-span-*": "@timestamp", "metrics-otel-v1-*": "@timestamp"}
