"""A real Alertmanager (Debian's package) that sends everything to one webhook."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .jars import need
from .opensearch import request
from .process import ServerProcess, free_port, wait_ready


class Alertmanager:
    """Groups by alertname, waits for nothing, repeats often. A context manager."""

    def __init__(self, directory: Path, webhook: str, http_config: Mapping[str, Any] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        hook = {"url": webhook, "send_resolved": True, "http_config": dict(http_config or {})}
        config = {
            "route": {
                "receiver": "failover",
                "group_by": ["alertname"],
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "1s",
            },
            "receivers": [{"name": "failover", "webhook_configs": [hook]}],
        }
        (directory / "alertmanager.yml").write_text(yaml.safe_dump(config))
        self._server = ServerProcess(
            "alertmanager",
            [
                need("prometheus-alertmanager", "prometheus-alertmanager"),
                f"--config.file={directory / 'alertmanager.yml'}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            directory / "alertmanager.log",
            cwd=directory,
        )

    def __enter__(self) -> "Alertmanager":
        self._server.start()
        wait_ready([self._server], self._missing, 30, "Alertmanager")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def push(self, alert: Mapping[str, Any]) -> None:
        """Fires an alert, or resolves it with `endsAt` in the past."""
        body = json.dumps([dict(alert)]).encode()
        ask = urllib.request.Request(f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(ask, timeout=10) as answer:
            answer.read()

    def _missing(self) -> str | None:
        try:
            request(f"{self.url}/-/ready", timeout=2)
        except Exception as failure:  # noqa: BLE001 -- whatever keeps it from being ready is told
            return None if "200" in str(failure) else str(failure)
        return None
