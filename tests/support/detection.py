"""The chain from a failing record to a switched route on a real Kafka: collector, counting prepper, alerting."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from . import configs
from .bus import read_topic
from .naru import Program, eventually

FAILURES = {
    "alert": "Failures",
    "where": "severity.number >= 17",
    "by": {"service": "resource.attributes.service.name"},
    "critical_above": 100,
    "keep_firing_for": "2s",
    "window": "1m",
    "target": "service.{{ $labels.service }}",
}


def write_rules(directory: Path, rules: Sequence[Mapping[str, Any]]) -> Path:
    """A directory of rule files with one file."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "tests", "rules": list(rules)}]}))
    return directory


def failures(service: str, count: int, source: str | None = None, position: int = 0, ahead: float = 0) -> bytes:
    """An export request of error logs; with a source it is an agent's, so that it can be sent again as the same.

    `ahead`: seconds by which the sender's clock runs ahead.
    """
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    scope = group.scope_logs.add()
    if source is not None:
        scope.scope.attributes.add(key="naru.source").value.bytes_value = source.ljust(16, "-")[:16].encode()
        scope.scope.attributes.add(key="naru.base").value.int_value = position
    now = time.time_ns() + int(ahead * 1e9)
    for _ in range(count):
        scope.log_records.add(time_unix_nano=now, severity_number=17).body.string_value = "failed"
    return request.SerializeToString()


def call(method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any, Mapping[str, str]]:
    """Status, decoded JSON (or text) and headers of a request; error statuses are answers, too."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=70) as answer:
            status, text, seen = answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as failure:
        status, text, seen = failure.code, failure.read().decode(), dict(failure.headers)
    try:
        return status, json.loads(text), seen
    except ValueError:
        return status, text, seen


class Detection:
    """Programs on topics and groups of their own. A context manager.

    `collector`: sections of the collector's configuration.
    `alerting`: sections of naru-alerting's configuration, `rule_settings` what goes into its section `rules`;
    `instances`: how many of it.
    """

    def __init__(
        self,
        directory: Path,
        bootstrap: str,
        rules: Sequence[Mapping[str, Any]] = (FAILURES,),
        instances: int = 1,
        rule_settings: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        collector: Mapping[str, Any] | None = None,
        **alerting: Any,
    ) -> None:
        self.directory = directory
        self.bootstrap = bootstrap
        self.name = f"det-{uuid.uuid4().hex[:8]}"
        self.rules = write_rules(directory / "rules", rules)
        self.instances = instances
        self.env = env
        self._collector = dict(collector or {})
        self._alerting = {"rules": dict(rule_settings or {}), **alerting}
        self._stack = ExitStack()
        self.alerting: list[Program] = []

    def topic(self, what: str) -> str:
        return f"{self.name}.{what}"

    def __enter__(self) -> "Detection":
        topics = {what: self.topic(what) for what in ("logs", "metrics", "traces")}
        try:
            self.prepper = self._start("naru-prepper", self._prepper_config(), "prepper")
            self.collector = self._start(
                "naru-collector",
                configs.collector(self.directory / "collector", self.bootstrap) | {"topics": topics} | self._collector,
                "collector",
            )
            for number in range(self.instances):
                self.alerting.append(self._start("naru-alerting", self._alerting_config(), f"alerting-{number}"))
            self.leader()
            self.until_counted()
        except BaseException:
            self._stack.__exit__(*([RuntimeError, RuntimeError("start"), None]))
            raise
        return self

    def __exit__(self, *problem: Any) -> None:
        for program in (self.prepper, *self.alerting):
            if program.alive():
                os.kill(program.pid, signal.SIGCONT)
        self._stack.__exit__(*problem)

    def _start(self, name: str, config: configs.Config, directory: str) -> Program:
        return self._stack.enter_context(Program.configured(name, config, self.directory / directory, self.env))

    def _prepper_config(self) -> configs.Config:
        return {
            **configs.prepper(self.bootstrap, "http://127.0.0.1:1"),
            "index": False,
            "topics": {what: self.topic(what) for what in ("logs", "metrics", "traces", "dead_letters")},
            "count": {"rules": str(self.rules), "group": f"{self.name}-rules", "topic": self.topic("counts"), "instance": self.name},
        }

    def _alerting_config(self) -> configs.Config:
        control = {
            "group": f"{self.name}-alerting",
            "leader_topic": self.topic("leader"),
            "counts_topic": self.topic("counts"),
            "status_topic": self.topic("status"),
            "routes_topic": self.topic("routes"),
            "state_topic": self.topic("state"),
            **{f"{what}_topic": self.topic(what) for what in ("logs", "metrics", "traces")},
        }
        config = configs.alerting(self.bootstrap, self.rules, control=control)
        for name, section in self._alerting.items():
            config[name] = config[name] | section if name in config else section
        return config

    def post(self, body: bytes) -> None:
        """One OTLP request, acknowledged by the collector."""
        url = self.collector.url("otlp-http") + "/v1/logs"
        request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"}, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    def leader(self, timeout: float = 40) -> Program:
        """The instance that leads, once there is one."""

        def leads() -> Program | None:
            for program in self.alerting:
                if program.alive():
                    try:
                        if call("GET", program.url("admin") + "/v1/status")[0] == 200:
                            return program
                    except OSError:
                        pass
            return None

        return eventually(leads, timeout, "an instance leads")

    def until_counted(self) -> None:
        """Waits until every partition is assigned to the counter and counted up to now."""
        eventually(
            lambda: self.prepper.metric("naru_rules_publications_total") > 3 and self.prepper.metric("naru_rules_lag_seconds") < 2,
            40,
            "the counter has its partitions",
        )

    def status(self, target: str) -> dict[str, Any]:
        code, body, _ = call("GET", f"{self.leader().url('admin')}/v1/status/{target}")
        return body if code == 200 else {"status": None}

    def await_status(self, target: str, status: str, timeout: float = 30) -> dict[str, Any]:
        return eventually(
            lambda: found if (found := self.status(target))["status"] == status else None, timeout, f"{target} is {status}", 0.02
        )

    def route(self, target: str) -> dict[str, Any]:
        return dict(call("GET", f"{self.leader().url('admin')}/v1/routes/{target}")[1])

    def events(self, target: str | None = None) -> list[dict[str, Any]]:
        """Status events on Kafka (read_committed), in their order."""
        found = [json.loads(record.value) for record in read_topic(self.bootstrap, self.topic("status")) if record.value]
        return [event for event in found if target is None or event["type"] == target]

    def route_records(self) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in read_topic(self.bootstrap, self.topic("routes")) if record.value]
