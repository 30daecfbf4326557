"""The four programs on three Kafka brokers and three OpenSearch nodes, with a proxy before each listener."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from support import configs
from support.bus import read_topic
from support.naru import NaruError, Program, eventually, run, write_config
from support.oracle import body_text
from support.services.kafka import KafkaCluster
from support.services.opensearch import HttpStatus, NodeSpec, OpenSearchCluster, request
from support.services.process import ServerProcess, free_port, free_ports, stop_all
from support.sources import Journal

from .load import Load
from .plan import Kind, Step
from .proxy import Proxies, Proxy
from .shim import Shim
from .targets import Target, in_flight_of, stop_for

_START_S = 90.0
_RECOVERED_S = 300.0
_NODES = (NodeSpec(), NodeSpec(), NodeSpec(roles=("cluster_manager",)))  # the third only keeps the quorum
_STAGES = {
    "agent": (("agent", "agent"),),
    "collector": (("collector", "collector"),),
    "prepper": (("prepper", "prepper"), ("prepper", "writer")),
    "broker": (("collector", "collector"), ("prepper", "prepper")),
    "search": (("prepper", "writer"),),
    "to-collector": (("agent", "agent"),),
    "to-kafka": (("collector", "collector"), ("prepper", "prepper")),
    "to-search": (("prepper", "writer"),),
}
_CLIENTS_SEE = ("collector", "broker", "to-collector", "to-kafka")  # whose absence keeps clients waiting


class RealServices(Target):
    """A fault ends before `inflict` returns, but a killed broker or node only begins to come back then."""

    def __init__(self, directory: Path, kinds: tuple[Kind, ...], env: dict[str, str] | None = None) -> None:
        super().__init__(directory)
        self.kinds = kinds
        self._env = env or {}
        self._running = ExitStack()
        self._proxies = Proxies()
        self._kafka_proxy_ports = free_ports(3)
        self._kafka = KafkaCluster(directory, 3, advertised=self._kafka_proxy_ports)
        self._opensearch = OpenSearchCluster(directory, _NODES)
        self.journal = Journal(directory / "journal")
        self._programs: dict[str, Program] = {}
        self._shims: dict[str, Shim] = {}
        self._gates: dict[str, list[Proxy]] = {}
        self._admin: AdminClient | None = None

    def __enter__(self) -> "RealServices":
        with ExitStack() as started:
            self._start(started)
            self._running = started.pop_all()
        return self

    def __exit__(self, *failure: Any) -> None:
        self._heal()
        self._running.__exit__(*(failure or (None, None, None)))

    def _start(self, started: ExitStack) -> None:
        servers = [*self._kafka.brokers, *self._opensearch.nodes]
        started.callback(stop_all, servers)
        self._kafka.start()
        self._opensearch.start()
        started.enter_context(self._proxies)
        http, grpc, seen_http = free_ports(3)
        search_ports = free_ports(2)
        data_urls = self._opensearch.urls[:2]
        self._gates = {
            "to-collector": [self._proxies.proxy(seen_http, http)],
            "to-kafka": [
                self._proxies.proxy(seen, own) for seen, own in zip(self._kafka_proxy_ports, self._kafka.client_ports)
            ],
            "to-search": [
                self._proxies.proxy(seen, int(url.rsplit(":", 1)[1])) for seen, url in zip(search_ports, data_urls)
            ],
        }
        self._kafka.wait_ready(_START_S * 2)
        self._opensearch.wait_ready(_START_S * 2)
        kafka = ",".join(f"127.0.0.1:{port}" for port in self._kafka_proxy_ports)
        self._otlp_http = f"127.0.0.1:{seen_http}"
        prepper = configs.prepper(kafka, "")
        prepper["opensearch"]["urls"] = [f"http://127.0.0.1:{port}" for port in search_ports]
        collector = configs.collector(
            self.directory / "collector", kafka, f"127.0.0.1:{grpc}", f"127.0.0.1:{http}"
        )
        collector["syslog"]["address"] = f"127.0.0.1:{free_port()}"
        assert self.journal is not None
        agent = configs.agent(
            self.directory / "agent", self._otlp_http, f"{self.log_root}/*/*.log", self.journal.directory
        )
        bootstrap = run("naru", "bootstrap", "--config",
                        str(write_config(self.directory / "naru-prepper.yaml", prepper)), "--apply")  # fmt: skip
        if bootstrap.returncode != 0:
            raise NaruError(f"naru bootstrap answered {bootstrap.returncode}\n{bootstrap.stdout}{bootstrap.stderr}")
        for name, config in (("prepper", prepper), ("collector", collector), ("agent", agent)):
            self._shims[name] = Shim(self.directory / f"{name}-faults")
            path = write_config(self.directory / f"naru-{name}.yaml", config)
            program = Program(f"naru-{name}", ["--config", str(path)], self.directory,
                              {**self._shims[name].env, **self._env})  # fmt: skip
            self._programs[name] = program
            program.start(_START_S)
            started.push(program.__exit__)
        self._admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})  # it is cut off on purpose

    @property
    def otlp_http(self) -> str:
        return self._otlp_http

    @property
    def syslog_udp(self) -> str:
        return self._programs["collector"].endpoints["syslog-udp"]

    @property
    def store_url(self) -> str:
        return self._opensearch.url

    def in_flight(self, step: Step, load: Load) -> float:
        waiting = load.unacknowledged() if step.victim in _CLIENTS_SEE else 0
        return waiting or sum(in_flight_of(self._programs[name], stage) for name, stage in _STAGES[step.victim])

    def unfinished(self) -> float:
        return sum(in_flight_of(self._programs[name], stage) for stages in _STAGES.values() for name, stage in stages)

    def recovered(self, step: Step) -> bool:
        if step.victim == "broker":
            return self._replicas_in_sync()
        return step.victim != "search" or self._green()

    def inflict(self, step: Step) -> None:
        if step.fault == "kill":
            self._kill(step)
        elif step.fault == "stop":
            stop_for(self._victim(step), step.seconds)
        elif step.fault == "disk-full":
            self._fill_disk(step)
        elif step.fault == "clock":
            self._shims[step.victim].clock(step.clock_s)
        else:
            self._disturb(step)

    def _victim(self, step: Step) -> Program | ServerProcess:
        if step.victim == "broker":
            return self._kafka.brokers[step.which % 3]
        if step.victim == "search":
            return self._opensearch.nodes[step.which % 3]
        return self._programs[step.victim]

    def _kill(self, step: Step) -> None:
        victim = self._victim(step)
        victim.kill()
        self.kills += 1
        time.sleep(step.seconds)
        if isinstance(victim, Program):
            victim.start(_START_S)
        else:
            victim.start()

    def _fill_disk(self, step: Step) -> None:
        shim = self._shims[step.victim]
        shim.disk("full", self.directory / step.victim)
        time.sleep(step.seconds)
        shim.disk("healthy")

    def _disturb(self, step: Step) -> None:
        gates = self._gates[step.victim]
        chosen = gates if step.which % 2 else [gates[step.which // 2 % len(gates)]]
        for gate in chosen:
            gate.mode(step.fault)
        time.sleep(step.seconds)
        for gate in chosen:
            gate.mode("open")

    def _heal(self) -> None:
        for shim in self._shims.values():
            shim.disk("healthy")
        for gates in self._gates.values():
            for gate in gates:
                gate.mode("open")

    def settle(self) -> None:
        for program in self._programs.values():
            if not program.alive():
                raise NaruError(f"{program.name} ended by itself\n{program.output()}")
        for server in (*self._kafka.brokers, *self._opensearch.nodes):
            server.check_alive()
        eventually(self._replicas_in_sync, _RECOVERED_S, "every replica of Kafka in sync", every=0.3)
        eventually(self._green, _RECOVERED_S, "OpenSearch is green", every=0.3)

    def dead_letters(self) -> Iterator[tuple[str, str]]:
        for record in read_topic(self._kafka.bootstrap, "naru.deadletter"):
            place = f"naru.deadletter/{record.partition}/{record.offset}"
            for text in _texts(record.value or b"", dict(record.headers).get("naru.dl.source", b"").decode()):
                yield text, place

    def _replicas_in_sync(self) -> bool:
        assert self._admin is not None
        try:
            known = self._admin.list_topics(timeout=5)
        except KafkaException:
            return False
        return len(known.brokers) == 3 and all(
            len(partition.isrs) == len(partition.replicas)
            for topic in known.topics.values()
            for partition in topic.partitions.values()
        )

    def _green(self) -> bool:
        for url in self._opensearch.urls[:2]:
            try:
                health = request(f"{url}/_cluster/health?timeout=1s", timeout=5)
                if health["delayed_unassigned_shards"]:  # a copy that was not complete yet waits a minute for its node
                    request(f"{url}/_all/_settings", "PUT", {"index.unassigned.node_left.delayed_timeout": "0"}, timeout=5)
            except (OSError, HttpStatus):
                return False
            if health["number_of_nodes"] != len(_NODES) or health["status"] != "green":
                return False
        return True


def _texts(value: bytes, source: str) -> Iterator[str]:
    """The texts of the records of a dead letter."""
    if source.startswith("otlp_spans"):
        for spans in TracesData.FromString(value).resource_spans:
            for scope in spans.scope_spans:
                yield from (span.name for span in scope.spans)
        return
    for logs in LogsData.FromString(value).resource_logs:
        for group in logs.scope_logs:
            for record in group.log_records:
                text = body_text(record)
                yield text.body if text.original is None else f"{text.body} <{text.original}>"
