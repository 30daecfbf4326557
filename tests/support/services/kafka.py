"""A real Kafka cluster (KRaft): one combined broker and controller per process."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from .jars import LOG4J_CONFIG, kafka_classpath, need
from .process import ServerProcess, ServiceError, free_ports, stop_all, tail, wait_ready


class KafkaCluster:
    """`brokers` brokers under `directory`; start, then use `bootstrap`.

    With three brokers topics get replication 3 and min.insync.replicas 2, with one 1 and 1.
    Topics are created by whoever first uses them, with `partitions` partitions, unless
    `overrides` says otherwise. No TLS and no authentication. `advertised`: a port for each broker
    that clients are told instead of its own, for a proxy; brokers then talk to each other beside it.
    """

    def __init__(
        self,
        directory: Path,
        brokers: int = 1,
        *,
        partitions: int = 4,
        overrides: Mapping[str, str] | None = None,
        advertised: Sequence[int] = (),
    ) -> None:
        if brokers not in (1, 3):
            raise ServiceError(f"a Kafka cluster here has 1 or 3 brokers, not {brokers}")
        self.directory = directory
        ports = free_ports(3 * brokers)
        self._client_ports = ports[:brokers]
        self._controller_ports = ports[brokers : 2 * brokers]
        self._internal_ports = ports[2 * brokers :]
        self._advertised = list(advertised)
        self._partitions = partitions
        self._overrides = dict(overrides or {})
        self._classpath = kafka_classpath()
        self._java = need("java", "openjdk-17-jre-headless")
        self._kcat = need("kcat", "kcat")
        self.brokers = [self._broker(index) for index in range(brokers)]

    @property
    def bootstrap(self) -> str:
        """`host:port,...` of all brokers."""
        return ",".join(f"127.0.0.1:{port}" for port in self._client_ports)

    @property
    def client_ports(self) -> list[int]:
        """The port of each broker itself."""
        return list(self._client_ports)

    def start(self) -> None:
        """Formats the storage of new brokers and starts all of them; does not wait."""
        self._format()
        for broker in self.brokers:
            broker.start()

    def wait_ready(self, timeout: float = 90) -> None:
        """Until every running broker sees every running broker."""
        running = [broker for broker in self.brokers if broker.alive()]
        if not running:
            raise ServiceError("no Kafka broker was started")
        wait_ready(running, lambda: self._missing(len(running)), timeout, "Kafka")

    def stop(self) -> None:
        stop_all(self.brokers)

    def _missing(self, expected: int) -> str | None:
        for index, broker in enumerate(self.brokers):
            if not broker.alive():
                continue
            address = f"127.0.0.1:{self._client_ports[index]}"
            answer = subprocess.run(
                [self._kcat, "-b", address, "-L", "-J", "-m", "2", "-X", "log_level=0"],
                capture_output=True,
            )
            if answer.returncode != 0:
                return f"{broker.name} does not answer on {address}"
            known = len(json.loads(answer.stdout)["brokers"])
            if known != expected:
                return f"{broker.name} knows {known} of {expected} brokers"
        return None

    def _broker(self, index: int) -> ServerProcess:
        home = self.directory / f"kafka-{index + 1}"
        home.mkdir(parents=True, exist_ok=True)
        (home / "server.properties").write_text(
            "".join(f"{key}={value}\n" for key, value in self._properties(index, home).items())
        )
        return ServerProcess(
            f"kafka-{index + 1}",
            [
                self._java, "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                f"-Dlog4j2.configurationFile={LOG4J_CONFIG}",
                "-cp", self._classpath, "kafka.Kafka", str(home / "server.properties"),
            ],
            self.directory / f"kafka-{index + 1}.log",
            cwd=home,
        )

    def _properties(self, index: int, home: Path) -> dict[str, str]:
        count = len(self._client_ports)
        copies, in_sync = (3, 2) if count == 3 else (1, 1)
        voters = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(self._controller_ports))
        return {
            "process.roles": "broker,controller",
            "node.id": str(index + 1),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{self._client_ports[index]},"
            f"CONTROLLER://127.0.0.1:{self._controller_ports[index]}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(home / "data"),
            "num.partitions": str(self._partitions),
            "default.replication.factor": str(copies),
            "min.insync.replicas": str(in_sync),
            "offsets.topic.replication.factor": str(copies),
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(in_sync),
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
        } | self._behind_proxies(index) | self._overrides

    def _behind_proxies(self, index: int) -> dict[str, str]:
        if not self._advertised:
            return {}
        listeners = {
            "PLAINTEXT": self._client_ports[index],
            "INTERNAL": self._internal_ports[index],
            "CONTROLLER": self._controller_ports[index],
        }
        told = {"PLAINTEXT": self._advertised[index], "INTERNAL": self._internal_ports[index]}
        return {
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in told.items()),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
            "inter.broker.listener.name": "INTERNAL",
        }

    def _format(self) -> None:
        homes = [self.directory / broker.name for broker in self.brokers]
        fresh = [home for home in homes if not (home / "data" / "meta.properties").exists()]
        if not fresh:
            return
        cluster_id = self._cluster_id()
        tools = [self._format_tool(home, cluster_id) for home in fresh]
        for tool in tools:
            tool.start()
        for tool in tools:
            if tool.wait() != 0:
                raise ServiceError(f"Kafka could not format its storage:\n{tail(tool.log)}")

    def _format_tool(self, home: Path, cluster_id: str) -> ServerProcess:
        return ServerProcess(
            f"{home.name} format",
            [
                self._java, "-Xmx128m", "-XX:TieredStopAtLevel=1",
                f"-Dlog4j2.configurationFile={LOG4J_CONFIG}", "-cp", self._classpath,
                "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(home / "server.properties"),
            ],
            home / "format.log",
        )

    def _cluster_id(self) -> str:
        path = self.directory / "kafka-cluster-id"
        if not path.exists():
            path.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
        return path.read_text()
