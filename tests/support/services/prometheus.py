"""A real Prometheus that scrapes what a test names."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .jars import need
from .opensearch import request
from .process import ServerProcess, free_port, wait_ready


class Prometheus:
    """Scrapes `targets` (address by job) every second. A context manager."""

    def __init__(self, directory: Path, targets: Mapping[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._server = ServerProcess(
            "prometheus",
            [
                need("prometheus", "prometheus"), f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
            ],
            directory / "prometheus.log",
            cwd=directory,
        )

    def __enter__(self) -> "Prometheus":
        self._server.start()
        wait_ready([self._server], self._missing, 30, "Prometheus")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression answers now. Raises HttpStatus when it is no PromQL."""
        answer = request(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        return list(answer["data"]["result"])

    def _missing(self) -> str | None:
        try:
            request(f"{self.url}/-/ready", timeout=2)
        except Exception as failure:  # noqa: BLE001 -- whatever keeps it from being ready is told
            return str(failure)
        return None
