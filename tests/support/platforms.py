"""The two forms of Naru that the same cases run on: four programs with Kafka and OpenSearch, or `naru up`.

A platform owns its directories and its data sets live in servers that others use too, so it reads
only what its own sources wrote. The keys of the configurations are those of config/*.yaml.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import configs
from .index import Index
from .naru import NaruError, Program, eventually, run, write_config
from .otel import Target
from .services.kafka import KafkaCluster
from .services.opensearch import OpenSearchCluster
from .services.process import free_port
from .sources import Journal

FILE_ATTRIBUTE = "log.file.path"


class Platform(ABC):
    """Naru in one of its forms, started. A context manager; stops what it started in path order."""

    kafka: KafkaCluster | None = None
    journal: Journal | None = None

    def __init__(self, directory: Path, env: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.env = env  # of every program
        self.log_root = directory / "logs"
        self.log_root.mkdir(parents=True)
        self.programs: dict[str, Program] = {}
        self._running = ExitStack()

    def __enter__(self) -> "Platform":
        with ExitStack() as started:
            self._start(started)
            self._running = started.pop_all()
        return self

    def __exit__(self, *failure: Any) -> bool | None:
        return self._running.__exit__(*failure)

    @property
    @abstractmethod
    def store_url(self) -> str:
        """Server of the OpenSearch API that holds the documents."""

    @abstractmethod
    def _start(self, started: ExitStack) -> None:
        """Starts all programs and registers their end."""

    @abstractmethod
    def target(self, protocol: str, gzip: bool = False) -> Target:
        """Where an OpenTelemetry SDK sends to."""

    @property
    @abstractmethod
    def syslog(self) -> dict[str, str]:
        """host:port of the syslog listeners, by transport (udp, tcp)."""

    def log_file(self, source: str, name: str = "app.log") -> Path:
        """A path that the agent watches; not created here."""
        path = self.log_root / source / name
        path.parent.mkdir(exist_ok=True)
        return path

    def index(self, alias: str) -> Index:
        """A read alias: logs, traces or metrics."""
        return Index(self.store_url, alias)

    def await_file(self, path: Path, lines: int, timeout: float = 60) -> list[dict[str, Any]]:
        """The hits of a file once there are at least `lines`."""
        query = {"term": {f"resource.attributes.{FILE_ATTRIBUTE}": str(path)}}
        return self.await_hits(self.index("logs"), query, lines, timeout, f"of {path}")

    def await_dataset(self, alias: str, dataset: str, count: int, timeout: float = 60) -> list[dict[str, Any]]:
        """The hits of a data set once there are at least `count`."""
        prefix = {"logs": "logs-otel-v1", "traces": "otel-v1-apm-span", "metrics": "metrics-otel-v1"}[alias]
        index = Index(self.store_url, f"{prefix}-{dataset}-*")
        return self.await_hits(index, None, count, timeout, f"of data set {dataset} in {alias}")

    def await_hits(
        self, index: Index, query: dict[str, Any] | None, wanted: int, timeout: float, what: str
    ) -> list[dict[str, Any]]:
        """The hits of a query (None: all) once there are at least `wanted`; `what` says of what, for a person."""
        seen = 0

        def there() -> bool:
            nonlocal seen
            seen = index.count(query)
            return seen >= wanted

        try:
            # Each look refreshes the index: often enough for a person, seldom enough for two cores.
            eventually(there, timeout, f"{wanted} documents {what}", every=0.25)
        except NaruError as failure:
            outputs = "\n".join(program.output(12) for program in self.programs.values())
            raise NaruError(f"{failure}; there are {seen}\n{outputs}") from None
        return index.hits(query)


def _syslog(program: Program) -> dict[str, str]:
    return {transport: program.endpoints[f"syslog-{transport}"] for transport in ("udp", "tcp")}


class FourPrograms(Platform):
    """naru-agent -> naru-collector -> Kafka -> naru-prepper -> OpenSearch, and naru-alerting beside them.

    Installs templates and topics with `naru bootstrap` first. All listeners keep their ports over a
    restart. The agent reads `log_root` and a journal directory of its own.
    """

    def __init__(
        self,
        directory: Path,
        kafka: KafkaCluster,
        opensearch: OpenSearchCluster,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory, env)
        self.kafka = kafka
        self.opensearch = opensearch
        self.journal = Journal(directory / "journal")
        self._grpc = free_port()
        self._http = free_port()

    @property
    def store_url(self) -> str:
        return self.opensearch.url

    def target(self, protocol: str, gzip: bool = False) -> Target:
        return Target(protocol, f"127.0.0.1:{self._grpc if protocol == 'grpc' else self._http}", gzip)

    @property
    def syslog(self) -> dict[str, str]:
        return _syslog(self.programs["naru-collector"])

    def _start(self, started: ExitStack) -> None:
        done = self.bootstrap()
        assert done.returncode == 0, f"naru bootstrap answered {done.returncode}\n{done.stdout}{done.stderr}"
        # Registered first = stopped last: the agent ends before the collector that it sends to.
        for name, config in (
            ("naru-prepper", self._prepper()),
            ("naru-alerting", self._alerting()),
            ("naru-collector", self._collector()),
            ("naru-agent", self._agent()),
        ):
            program = Program.configured(name, config, self.directory, self.env)
            self.programs[name] = started.enter_context(program)

    def bootstrap(self) -> Any:
        """Runs `naru bootstrap`; its answer is not judged."""
        path = write_config(self.directory / "naru-prepper.yaml", self._prepper())
        return run("naru", "bootstrap", "--config", str(path), "--apply")

    def _agent(self) -> configs.Config:
        assert self.journal is not None
        return configs.agent(
            self.directory / "agent", f"127.0.0.1:{self._http}", f"{self.log_root}/*/*.log", self.journal.directory
        )

    def _collector(self) -> configs.Config:
        return configs.collector(
            self.directory / "collector", self._bootstrap, f"127.0.0.1:{self._grpc}", f"127.0.0.1:{self._http}"
        )

    def _prepper(self) -> configs.Config:
        return configs.prepper(self._bootstrap, self.opensearch.url) | configs.counting()

    def _alerting(self) -> configs.Config:
        return configs.alerting(self._bootstrap)

    @property
    def _bootstrap(self) -> str:
        assert self.kafka is not None
        return self.kafka.bootstrap


class NaruUp(Platform):
    """`naru up` on free ports: one process, one data directory, no other server."""

    @property
    def up(self) -> Program:
        return self.programs["naru"]

    @property
    def store_url(self) -> str:
        return self.up.url("store")

    def target(self, protocol: str, gzip: bool = False) -> Target:
        return Target(protocol, self.up.endpoints[f"otlp-{protocol}"], gzip)

    @property
    def syslog(self) -> dict[str, str]:
        return _syslog(self.up)

    def _start(self, started: ExitStack) -> None:
        arguments = ["up", "--data", str(self.directory / "data"), "--file", f"{self.log_root}/*/*.log"]
        # Fixed ports, so that what the sources were told stays true over a restart.
        for flag in ("http", "store", "otlp-grpc", "otlp-http", "syslog", "admin"):
            arguments += [f"--{flag}", f"127.0.0.1:{free_port()}"]
        self.programs["naru"] = started.enter_context(Program("naru", arguments, self.directory, self.env))
