"""TLS and credentials between agent and collector: the right ones carry records, wrong ones lose none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from support import configs
from support.bus import read_topic
from support.naru import Program, eventually, http_status
from support.services.kafka import KafkaCluster

TOKEN = "agents-only"


def make_certificates(directory: Path) -> None:
    """An authority, and a certificate for 127.0.0.1 that it signed."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=naru tests",
            "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=collector", "-keyout", "server.key",
            "-out", "server.csr")
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "san", "-out", "server.pem")


@pytest.fixture
def secured(tmp_path: Path, kafka: KafkaCluster) -> Iterator[Program]:
    """A collector that takes OTLP/HTTP over TLS from agents with the token only."""
    make_certificates(tmp_path)
    config = configs.collector(tmp_path / "collector", kafka.bootstrap)
    config["topics"] = {"logs": "secured_logs"}
    config["otlp_http"]["tls"] = {
        "enabled": True,
        "certificate_file": str(tmp_path / "server.pem"),
        "key_file": str(tmp_path / "server.key"),
    }
    config["authentication"] = {"tokens": [{"token": TOKEN, "role": "agent"}]}
    with Program.configured("naru-collector", config, tmp_path) as program:
        yield program


def secured_agent(directory: Path, collector: Program, token: str, ca: str = "ca.pem") -> Program:
    """An agent of the file x.log with its credentials; not started."""
    (directory / "token").write_text(token + "\n")
    config = configs.agent(directory / "state", collector.endpoints["otlp-http"], str(directory / "x.log"))
    config["collector"] = {
        "url": f"https://{collector.endpoints['otlp-http']}",
        "tls": {"ca_file": str(directory / ca)},
        "token_file": str(directory / "token"),
    }
    config["files"][0]["from_start"] = True
    return Program.configured("naru-agent", config, directory)


def bodies(kafka: KafkaCluster) -> list[str]:
    return [
        record.body.string_value
        for message in read_topic(kafka.bootstrap, "secured_logs")
        for resource in ExportLogsServiceRequest.FromString(message.value or b"").resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def test_wrong_credentials_hold_the_file_and_right_ones_carry_it(
    tmp_path: Path, secured: Program, kafka: KafkaCluster
) -> None:
    (tmp_path / "x.log").write_text("first\nsecond\n")
    make_other_authority(tmp_path)
    for token, ca in (("wrong", "ca.pem"), (TOKEN, "other.pem")):
        with secured_agent(tmp_path, secured, token, ca) as agent:
            eventually(lambda: http_status(agent.url("admin") + "/readyz") == 503, 20, "the agent says it cannot send")
            assert agent.metric("naru_records_delivered_total", stage="agent") == 0
    with secured_agent(tmp_path, secured, TOKEN) as agent:
        delivered = lambda: agent.metric("naru_records_delivered_total", stage="agent")  # noqa: E731
        eventually(lambda: delivered() == 2, 30, "both lines acknowledged")
    assert sorted(bodies(kafka)) == ["first", "second"]


def make_other_authority(directory: Path) -> None:
    """An authority that signed nothing of the collector's."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=another",
         "-keyout", "other.key", "-out", "other.pem"],
        cwd=directory, check=True, capture_output=True,
    )
