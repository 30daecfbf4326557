"""The check of docker-compose.yml finds what would not run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lint"))

from compose import Check  # noqa: E402


def repository(directory: Path, changed: dict[str, Callable[[str], str]]) -> Path:
    """This repository with some files changed; the rest is linked."""
    for entry in ROOT.iterdir():
        (directory / entry.name).symlink_to(entry)
    for name, change in changed.items():
        path = directory
        for part in Path(name).parts[:-1]:  # a directory of its own down to the file
            path /= part
            if path.is_symlink():
                target = path.resolve()
                path.unlink()
                path.mkdir()
                for entry in target.iterdir():
                    (path / entry.name).symlink_to(entry)
        path /= Path(name).name
        text = path.read_text()
        path.unlink()
        path.write_text(change(text))
        assert path.read_text() != text, f"{name} was not changed"
    return directory


def test_the_repository_is_in_order() -> None:
    assert Check(ROOT).run() == []


@pytest.mark.parametrize(
    "name, old, new, finding",
    [
        ("docker-compose.yml", "prom/prometheus:v2.53.2", "prom/prometheus:latest", "not pinned"),
        ("docker-compose.yml", "restart: unless-stopped\n    environment:\n      GF", "restrat: x\n    environment:\n      GF", "restrat"),
        ("docker-compose.yml", "./config/compose/datasets.yaml:", "./config/compose/datasests.yaml:", "not in the repository"),
        ("docker-compose.yml", '"127.0.0.1:3000:3000"', '"3000:3000"', "beyond 127.0.0.1"),
        ("docker-compose.yml", "127.0.0.1:4318:4318", "127.0.0.1:4318:4319", "nothing listens on 4319"),
        ("docker-compose.yml", "http://localhost:8083/readyz", "http://localhost:8080/readyz", "nothing listens on 8080"),
        ("docker-compose.yml", "depends_on: {collector: {", "depends_on: {colector: {", "no service colector"),
        ("docker-compose.yml", "GF_SECURITY_ADMIN_PASSWORD__FILE: /run", "GF_SECURITY_ADMIN_PASSWORD: admin/run", "a secret in the file"),
        ("docker-compose.yml", "context: ., target: naru", "context: ., target: nought", "no stage"),
        ("config/compose/prepper.yaml", "kafka-3:9092", "kafka-4:9092", "no service kafka-4"),
        ("config/compose/prepper.yaml", "datasets_file", "dataset_file", "dataset_file"),
        ("config/compose/collector.yaml", "0.0.0.0:8081, insecure: true", "0.0.0.0:8081", "insecure"),
        ("config/compose/agent.yaml", "http://collector:4318", "http://collector:4319", "does not listen on 4319"),
        ("config/compose/datasets.yaml", "replication: 3", "replication: 5", "on 3 brokers"),
        ("dashboards/prometheus/prometheus.yml", "alerting:8083", "alerting:8084", "does not listen on 8084"),
        ("dashboards/grafana/provisioning/datasources/naru.yaml", "opensearch-hot-1", "opensearch", "no service opensearch"),
        ("Dockerfile", "librdkafka1", "", "librdkafka1, which the image lacks"),
        ("Dockerfile", "COPY config ", "COPY configs ", "COPY configs"),
        ("Dockerfile", "/src/build/bin/naru-agent", "/src/build/bin/naru-agnet", "no program naru-agnet"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, name: str, old: str, new: str, finding: str) -> None:
    root = repository(tmp_path, {name: lambda text: text.replace(old, new)})
    findings = Check(root).run()
    assert any(finding in one for one in findings), findings
