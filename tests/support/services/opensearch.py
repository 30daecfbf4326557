"""A real OpenSearch cluster: one JVM per node, so that one node can be killed alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .jars import LOG4J_CONFIG, need, opensearch_classpath
from .process import ServerProcess, ServiceError, free_ports, stop_all, wait_ready

_MANAGER = "cluster_manager"


@dataclass(frozen=True)
class NodeSpec:
    """One node: its `node.attr.*`, its roles, and any further setting of opensearch.yml."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    roles: Sequence[str] = ("data", "ingest", _MANAGER)
    settings: Mapping[str, str] = field(default_factory=dict)


def hot() -> NodeSpec:
    return NodeSpec({"temp": "hot"})


def warm() -> NodeSpec:
    return NodeSpec({"temp": "warm"})


class OpenSearchCluster:
    """One node per spec under `directory`; start, then use `url`. No TLS and no users."""

    def __init__(self, directory: Path, specs: Sequence[NodeSpec]) -> None:
        if not specs:
            raise ServiceError("an OpenSearch cluster needs at least one node")
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.specs = list(specs)
        ports = free_ports(2 * len(specs))
        self._http_ports = ports[: len(specs)]
        self._transport_ports = ports[len(specs) :]
        self._classpath = opensearch_classpath()
        self._java = need("java", "openjdk-17-jre-headless")
        self.nodes = [self._node(index) for index in range(len(specs))]

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self._http_ports]

    @property
    def url(self) -> str:
        """URL of the first node."""
        return self.urls[0]

    def start(self) -> None:
        """Starts all nodes; does not wait."""
        for node in self.nodes:
            node.start()

    def wait_ready(self, timeout: float = 120) -> None:
        """Until every running node is in the cluster and no primary shard is missing."""
        running = [node for node in self.nodes if node.alive()]
        if not running:
            raise ServiceError("no OpenSearch node was started")
        wait_ready(running, lambda: self._missing(len(running)), timeout, "OpenSearch")

    def stop(self) -> None:
        stop_all(self.nodes)

    def request(self, method: str, path: str, body: Any = None, *, node: int = 0, timeout: float = 60) -> Any:
        """One request to a node; see `request`."""
        return request(self.urls[node] + path, method, body, timeout=timeout)

    def _missing(self, expected: int) -> str | None:
        for index, node in enumerate(self.nodes):
            if not node.alive():
                continue
            try:
                health = self.request("GET", "/_cluster/health?timeout=1s", node=index, timeout=5)
            except (OSError, HttpStatus) as failure:
                return f"{node.name} on {self.urls[index]}: {failure}"
            if health["number_of_nodes"] != expected or health["status"] == "red":
                return f"{node.name} sees {health['number_of_nodes']} of {expected} nodes, {health['status']}"
        return None

    def _node(self, index: int) -> ServerProcess:
        spec = self.specs[index]
        home = self.directory / f"opensearch-{index + 1}"
        home.mkdir(parents=True, exist_ok=True)
        managers = [i for i, other in enumerate(self.specs) if _MANAGER in other.roles]
        settings = {
            "path.home": str(home),
            "cluster.name": "naru-tests",
            "node.name": home.name,
            "node.roles": ",".join(spec.roles),
            "network.host": "127.0.0.1",
            "http.port": str(self._http_ports[index]),
            "transport.port": str(self._transport_ports[index]),
            "discovery.seed_hosts": ",".join(f"127.0.0.1:{port}" for port in self._transport_ports),
            "cluster.initial_cluster_manager_nodes": ",".join(f"opensearch-{i + 1}" for i in managers),
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }
        settings |= {f"node.attr.{key}": value for key, value in spec.attributes.items()}
        settings |= spec.settings
        return ServerProcess(
            home.name,
            [
                self._java, "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Xshare:auto",
                "-Dio.netty.allocator.type=unpooled", "-Djava.awt.headless=true",
                f"-Dlog4j2.configurationFile={LOG4J_CONFIG}",
                "-cp", self._classpath, "OpenSearchNode",
                *(f"{key}={value}" for key, value in settings.items()),
            ],
            self.directory / f"{home.name}.log",
            cwd=home,
        )


class HttpStatus(Exception):
    """An answer with a status of 400 or more."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:500]}")
        self.status = status
        self.body = body


def request(url: str, method: str = "GET", body: Any = None, *, timeout: float = 60) -> Any:
    """One HTTP request; answers the parsed JSON, or the text when it is none.

    `body`: bytes go out as application/x-ndjson, everything else as JSON. Raises HttpStatus from
    400 on and OSError when nothing answers.
    """
    headers = {}
    data: bytes | None = None
    if isinstance(body, bytes):
        data, headers["Content-Type"] = body, "application/x-ndjson"
    elif body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers, method=method), timeout=timeout
        ) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as failure:
        raise HttpStatus(failure.code, failure.read().decode(errors="replace")) from None
    try:
        return json.loads(text)
    except ValueError:
        return text
