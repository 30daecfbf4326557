"""The rows: each starts real programs, gives them work, and waits until the far end has counted it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.lines import exactly_once, write_json_lines, write_lines  # noqa: E402
from benchmarks.measure import Figures, Stopwatch  # noqa: E402
from benchmarks.bulks import BENCH_INDEX, bulk_bodies, create_index, send_bulks  # noqa: E402
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # noqa: E402
from support import configs  # noqa: E402
from support.bus import Replicated, read_topic  # noqa: E402
from support.naru import Program, eventually, run, write_config  # noqa: E402
from support.services.kafka import KafkaCluster  # noqa: E402
from support.services.opensearch import hot, warm  # noqa: E402
from support.services.services import Services  # noqa: E402

TIMEOUT = 900.0
Env = Mapping[str, str] | None
TEMPLATE = ROOT / "config" / "mappings" / "logs-otel-v1.json"
LISTENERS = [f"--{name}=127.0.0.1:0" for name in ("http", "store", "otlp-grpc", "otlp-http", "syslog", "admin")]
BENCHMARKS = Path(os.environ.get("NARU_BIN") or ROOT / "build" / "bin").resolve().parent / "benchmarks"


class Sink(Program):
    """naru-bench-sink: counts OTLP exports and bulk items."""

    def __init__(self, directory: Path, *flags: str) -> None:
        arguments = ["--listen", "127.0.0.1:0", "--template", str(TEMPLATE), *flags]
        super().__init__(str(BENCHMARKS / "naru-bench-sink"), arguments, directory)

    def counts(self) -> dict[str, int]:
        with urllib.request.urlopen(self.url("sink") + "/counts", timeout=60) as response:
            return json.load(response)

    def wait_for(self, records: int) -> int:
        eventually(lambda: self.counts()["records"] >= records, TIMEOUT, f"{records} records at the sink")
        return self.counts()["records"]


def agent(directory: Path, records: int) -> Figures:
    """Tail a file of 500-byte lines into OTLP requests; the collector's place is taken by a counter."""
    logs = directory / "logs"
    logs.mkdir()
    with Sink(directory) as sink:
        config = configs.agent(directory / "state", sink.endpoints["sink"], str(logs / "*.log"))
        with Program.configured("naru-agent", config, directory) as program:
            size = write_lines(directory / "x.tmp", records, 500)
            watch = Stopwatch(program.pid)
            os.rename(directory / "x.tmp", logs / "x.log")
            counted = sink.wait_for(records)
            return watch.figures("agent: tail 500 B -> OTLP/HTTP", records, counted, size)


def up(directory: Path, records: int, env: Env = None) -> Figures:
    """512-byte lines through `naru up`; every stored body is read back and its number checked off."""
    logs = directory / "logs"
    logs.mkdir()
    arguments = ["up", "--data", str(directory / "data"), "--file", str(logs / "*.log"), *LISTENERS]
    with Program("naru", arguments, directory, env) as program:
        size = write_lines(directory / "x.tmp", records, 512)
        watch = Stopwatch(program.pid)
        os.rename(directory / "x.tmp", logs / "x.log")
        store = program.url("store")
        eventually(lambda: stored_count(store) >= records, TIMEOUT, f"{records} documents in the store")
        figures = watch.figures("up: 512 B lines -> embedded store", records, 0, size)
        return checked_off(figures, store, records)


def stored_count(url: str) -> int:
    """Searchable log documents; 0 while there is no index."""
    try:
        with urllib.request.urlopen(url + "/logs/_count", timeout=60) as response:
            return json.load(response)["count"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return 0
        raise


def checked_off(figures: Figures, url: str, records: int) -> Figures:
    """Counts every number of the lines in the index and says what is lost or doubled."""
    documents, lost, doubled = exactly_once(url, records)
    figures.counted = documents
    figures.note = f"{lost} lost, {doubled} doubled"
    return figures


def kafka_records(kafka: KafkaCluster, topic: str = "otlp_logs") -> int:
    """Log records in a topic, counted by OpenTelemetry's own protobuf classes."""
    return sum(
        len(scope.log_records)
        for record in read_topic(kafka.bootstrap, topic)
        for resource in ExportLogsServiceRequest.FromString(record.value or b"").resource_logs
        for scope in resource.scope_logs
    )


def replicated_at(kafka: KafkaCluster, topic: str = "otlp_logs") -> float:
    """When (monotonic) the replicas had all of a topic that nobody writes to any more: its last growth."""
    with Replicated(kafka.bootstrap, topic) as topic_end:
        last, since = topic_end.records(), time.monotonic()

        def still() -> bool:
            nonlocal last, since
            now = topic_end.records()
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > 2

        eventually(still, TIMEOUT, f"{topic} no longer grows")
    return since


def collector(directory: Path, records: int) -> Figures:
    """OTLP/gRPC requests of 1,000 records of 300 B, each answered after Kafka acks=all."""
    with Services(directory / "services", kafka=1) as services:
        config = configs.collector(directory / "state", services.kafka.bootstrap)
        with Program.configured("naru-collector", config, directory) as program:
            load = [str(BENCHMARKS / "naru-bench-otlp-load"), "--to", program.endpoints["otlp-grpc"], "--size", "300"]
            subprocess.run([*load, "--records", "1000"], check=True, stdout=subprocess.DEVNULL)  # warms Kafka up
            watch = Stopwatch(program.pid)
            done = subprocess.run([*load, "--records", str(records)], check=True, capture_output=True, text=True)
            figures = watch.figures("collector: OTLP/gRPC 300 B -> Kafka", records, 0, records * 300)
            figures.counted = kafka_records(services.kafka) - 1000
            figures.note = f"{json.loads(done.stdout)['acknowledged']:,} acknowledged"
            return figures


def agent_kafka(directory: Path, records: int, brokers: int = 1, files: int = 1, env: Env = None) -> Figures:
    """Tail 1.2 kB lines -> collector -> Kafka; with three brokers two must have a record (min.insync)."""
    logs = directory / "logs"
    logs.mkdir()
    with ExitStack() as stack:
        services = stack.enter_context(Services(directory / "services", kafka=brokers))
        config = configs.collector(directory / "collector", services.kafka.bootstrap)
        gate = stack.enter_context(Program.configured("naru-collector", config, directory, env))
        config = configs.agent(directory / "agent", gate.endpoints["otlp-http"], str(logs / "*.log"))
        tail = stack.enter_context(Program.configured("naru-agent", config, directory, env))
        records = records // files * files
        size = sum(write_json_lines(directory / f"{n}.tmp", records // files, 1200, seed=n) for n in range(files))
        watch = Stopwatch(tail.pid, gate.pid)
        for n in range(files):
            os.rename(directory / f"{n}.tmp", logs / f"{n}.log")
        delivered = lambda: tail.metric("naru_records_delivered_total", stage="agent")  # noqa: E731
        eventually(lambda: delivered() >= records, TIMEOUT, f"{records} records acknowledged to the agent")
        of = f"{files} files" if files > 1 else "1 file"
        figures = watch.figures(f"agent -> collector -> Kafka ({brokers}), 1.2 kB, {of}", records, 0, size)
        # Without acknowledgement the brokers still have work when the agent is done: that time belongs to the row.
        watch.extend(figures, until=replicated_at(services.kafka))
        figures.counted = kafka_records(services.kafka)
        return figures


# The work of design.md's prepper row; of pipeline `number`, which takes the records of file `number`.
PIPELINE = """name: row-{number}
source: {{filter: 'resource.attributes["log.type"] == "t{number}"'}}
processors:
  - json: {{keep: false}}
  - drop: {{name: debug, when: 'attributes.level == "DEBUG"'}}
  - drop: {{name: health, when: 'starts_with(attributes.route, "/health")'}}
  - drop: {{name: moved, when: 'attributes.status in (301, 302, 304) and attributes.duration_ms < 1'}}
  - enrich: {{table: services.csv, column: name, field: attributes.service, set: {{team: attributes.team}}}}
  - redact: {{}}
  - move: {{from: attributes.message, to: body}}
routes: [{{dataset: row}}]
"""


def write_pipelines(directory: Path, count: int) -> Path:
    """`count` pipelines and the table that they look services up in."""
    directory.mkdir()
    (directory / "services.csv").write_text("name,team\n" + "".join(f"svc-{n},team-{n % 17}\n" for n in range(1_000)))
    for number in range(count):
        (directory / f"row-{number}.yaml").write_text(PIPELINE.format(number=number))
    return directory


def prepper(directory: Path, records: int, pipelines: int = 0, programs: int = 1, threads: int = 1) -> Figures:
    """Kafka -> documents of 1.2 kB JSON lines -> bulk requests; the index is a counter. Without pipelines the lines stay texts."""
    logs = directory / "logs"
    logs.mkdir()
    files = max(pipelines, 1)
    size = sum(write_json_lines(logs / f"{n}.log", records // files, 1200, seed=n) for n in range(files))
    records = records // files * files
    with ExitStack() as stack:
        services = stack.enter_context(Services(directory / "services", kafka=1))
        sink = stack.enter_context(Sink(directory))
        config = configs.collector(directory / "collector", services.kafka.bootstrap)
        with Program.configured("naru-collector", config, directory) as gate:
            config = configs.agent(directory / "agent", gate.endpoints["otlp-http"], str(logs / "*.log"))
            config["files"] = [
                {"include": [str(logs / f"{n}.log")], "from_start": True, "attributes": {"log.type": f"t{n}"}} for n in range(files)
            ]
            with Program.configured("naru-agent", config, directory) as tail:
                delivered = lambda: tail.metric("naru_records_delivered_total", stage="agent")  # noqa: E731
                eventually(lambda: delivered() >= records, TIMEOUT, f"{records} records in Kafka")
        config = configs.prepper(services.kafka.bootstrap, sink.url("sink"))
        config["consume"] = {"concurrency": threads}
        if pipelines > 0:
            config["pipelines"] = {"directory": str(write_pipelines(directory / "pipelines", pipelines))}
        running = []
        for number in range(programs):
            (directory / f"prepper-{number}").mkdir()
            running.append(Program.configured("naru-prepper", config, directory / f"prepper-{number}"))
        with ExitStack() as started:
            watch = Stopwatch(*(started.enter_context(program).pid for program in running))
            counted = sink.wait_for(records)
            what = "bulk body" if pipelines == 0 else f"{pipelines} pipelines -> bulk body"
            return watch.figures(f"prepper: Kafka -> {what}, 1.2 kB, {programs} x {threads}", records, counted, size)


def _write_alone(row: str, url: str, records: int, dataset: str = "bench") -> Figures:
    """naru-bench-writer: the writers by themselves. Its processor time begins when its documents are made."""
    command = [BENCHMARKS / "naru-bench-writer", "--url", url, "--records", str(records), "--dataset", dataset]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    found = json.loads(done.stdout)
    return Figures(
        row=row, records=records, counted=found["created"], bytes=found["bytes"], seconds=found["seconds"],
        cpu=found["cpu"], rss=found["rss"], note=f"{found['duplicates']} duplicates",
    )


def writer(directory: Path, records: int) -> Figures:
    """The writers by themselves: documents of 1.2 kB made before, 1 % of them refused with 429 once; each taken once."""
    with Sink(directory, "--fail", "1") as sink:
        figures = _write_alone("writer alone, 1 % refused first", sink.url("sink"), records)
        counts = sink.counts()
        figures.counted = counts["distinct"]
        doubled = counts["records"] - counts["distinct"]
        figures.note += f", {counts['refused']:,} refused first, {doubled} doubled"
        return figures


class RealNode:
    """One real OpenSearch node, and an index without replicas for each way of loading it."""

    def __init__(self, directory: Path) -> None:
        self._services = Services(directory / "services", opensearch=[hot()])

    def __enter__(self) -> "RealNode":
        self._services.__enter__()
        assert self._services.opensearch is not None
        self.url = self._services.opensearch.url
        mappings = json.loads(TEMPLATE.read_text())["template"]["mappings"]
        self._services.opensearch.request("PUT", "/_index_template/bench", {
            "index_patterns": ["logs-otel-v1-*"],
            "template": {
                "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "60s",
                             "codec": "best_compression", "translog.flush_threshold_size": "1024mb"},
                "mappings": mappings,
            },
        })
        return self

    def __exit__(self, *ended: object) -> None:
        self._services.__exit__(*ended)

    def warm_up(self) -> None:
        """The node's own code is compiled while it works: what comes first would pay for all."""
        _write_alone("warm-up", self.url, 60_000, "warm")

    def indexed(self, index: str) -> int:
        """Without making them searchable, which would cost the node."""
        assert self._services.opensearch is not None
        found = self._services.opensearch.request("GET", f"/{index}*/_stats/indexing")
        return int(found["_all"]["primaries"].get("indexing", {}).get("index_total", 0))

    def count(self, index: str) -> int:
        assert self._services.opensearch is not None
        self._services.opensearch.request("POST", f"/{index}/_refresh")
        return int(self._services.opensearch.request("GET", f"/{index}/_count")["count"])


def writer_opensearch(directory: Path, records: int) -> Figures:
    """The writers into a real OpenSearch node on the same two cores."""
    with RealNode(directory) as node:
        node.warm_up()
        figures = _write_alone("writer -> OpenSearch", node.url, records)
        figures.counted = node.count("logs-otel-v1-bench-*")
        return figures


def curl_opensearch(directory: Path, records: int) -> Figures:
    """A plain loop of curl, one bulk of 1,000 documents after the other, into the same node."""
    bodies = [directory / f"{i}.ndjson" for i in range((records + 999) // 1_000)]
    for path, body in zip(bodies, bulk_bodies(records, 1_200, 1_000)):
        path.write_bytes(body)
    with RealNode(directory) as node:
        node.warm_up()
        script = (
            'for f in "$@"; do curl -s -o /dev/null -H "Content-Type: application/x-ndjson" '
            f'--data-binary "@$f" {node.url}/_bulk; done'
        )
        begin, cpu = time.monotonic(), os.times()
        subprocess.run(["bash", "-c", script, "curl-loop", *map(str, bodies)], check=True)
        used = os.times()
        return Figures(
            row="curl loop -> OpenSearch", records=records, counted=node.count(BENCH_INDEX),
            bytes=sum(path.stat().st_size for path in bodies), seconds=time.monotonic() - begin,
            cpu=used.children_user + used.children_system - cpu.children_user - cpu.children_system, rss=0,
        )


def rsyslog_opensearch(directory: Path, records: int) -> Figures:
    """rsyslog's omelasticsearch: the same documents as lines of a file, in bulks of 1,024, into the same node."""
    lines = directory / "documents.jsonl"
    with lines.open("wb") as out:
        for body in bulk_bodies(records, 1_200, 1_000):
            out.write(b"".join(line + b"\n" for line in body.splitlines()[1::2]))
    with RealNode(directory) as node:
        node.warm_up()
        host, port = node.url.removeprefix("http://").split(":")
        config = directory / "rsyslog.conf"
        config.write_text(
            f"""global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imfile")
module(load="omelasticsearch")
template(name="line" type="string" string="%msg%")
input(type="imfile" file="{lines}" tag="bench" readTimeout="1")
action(type="omelasticsearch" server="{host}" serverport="{port}" searchIndex="{BENCH_INDEX}" searchType="" bulkmode="on"
  template="line" maxbytes="15m" queue.type="linkedlist" queue.size="20000"
  queue.dequeuebatchsize="1024" queue.workerthreads="2" action.resumeretrycount="-1")
"""
        )
        with subprocess.Popen(
            ["rsyslogd", "-n", "-f", str(config), "-i", str(directory / "rsyslog.pid")],
            stdout=subprocess.DEVNULL, stderr=(directory / "rsyslog.err").open("wb"),
        ) as process:
            watch = Stopwatch(process.pid)
            try:
                eventually(lambda: node.indexed(BENCH_INDEX) >= records or process.poll() is not None, TIMEOUT, f"{records} documents of rsyslog", every=0.2)
                figures = watch.figures("rsyslog omelasticsearch -> OpenSearch", records, 0, lines.stat().st_size)
                figures.counted = node.count(BENCH_INDEX)
                return figures
            finally:
                process.terminate()


def store(directory: Path, records: int) -> Figures:
    """`_bulk` of 1.2 kB documents into the embedded store, two connections, each bulk on disk before its answer."""
    arguments = ["up", "--data", str(directory / "data"), "--file", str(directory / "none.log"), *LISTENERS]
    bodies = bulk_bodies(records, 1200, documents_per_bulk=4_000)
    with Program("naru", arguments, directory) as program:
        url = program.url("store")
        create_index(url, BENCH_INDEX)
        watch = Stopwatch(program.pid)
        size = send_bulks(url, bodies, connections=2)
        figures = watch.figures("store: _bulk 1.2 kB, fsync", records, 0, size)
        figures.counted = stored_count(url)
        stored = sum(path.stat().st_size for path in (directory / "data" / "store").rglob("*") if path.is_file())
        figures.note = f"disk {stored / size:.1%} of the JSON"
        return figures


def programs(directory: Path, records: int) -> Figures:
    """512-byte lines through the four programs, a real Kafka and a real two-node OpenSearch; all read back."""
    logs = directory / "logs"
    logs.mkdir()
    with ExitStack() as stack:
        services = stack.enter_context(Services(directory / "services", kafka=1, opensearch=[hot(), warm()]))
        url = services.opensearch.url
        config = configs.prepper(services.kafka.bootstrap, url)
        done = run("naru", "bootstrap", "--config", str(write_config(directory / "bootstrap.yaml", config)), "--apply")
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        gate_config = configs.collector(directory / "collector", services.kafka.bootstrap)
        gate = stack.enter_context(Program.configured("naru-collector", gate_config, directory))
        prep = stack.enter_context(Program.configured("naru-prepper", config, directory))
        alert = stack.enter_context(
            Program.configured("naru-alerting", configs.alerting(services.kafka.bootstrap), directory)
        )
        tail_config = configs.agent(directory / "agent", gate.endpoints["otlp-http"], str(logs / "*.log"))
        tail = stack.enter_context(Program.configured("naru-agent", tail_config, directory))
        size = write_lines(directory / "x.tmp", records, 512)
        watch = Stopwatch(tail.pid, gate.pid, prep.pid, alert.pid)
        os.rename(directory / "x.tmp", logs / "x.log")

        def searchable() -> bool:
            services.opensearch.request("POST", "/logs/_refresh") if stored_count(url) < records else None
            return stored_count(url) >= records

        eventually(lambda: prep.metric("naru_records_delivered_total", stage="writer") >= records, TIMEOUT,
                   f"{records} documents delivered")
        figures = watch.figures("four programs: 512 B lines -> OpenSearch", records, 0, size)
        eventually(searchable, TIMEOUT, f"{records} documents searchable")
        return checked_off(figures, url, records)


def unacknowledged(row: Callable[..., Figures], **arguments: int) -> Callable[[Path, int], Figures]:
    """The same row with programs that wait neither for the disk nor for a broker: what the guarantee costs."""

    def without(directory: Path, records: int) -> Figures:
        figures = row(directory, records, env={"LD_PRELOAD": str(BENCHMARKS / "naru-bench-unacknowledged.so")}, **arguments)
        figures.row += ", unacknowledged"
        return figures

    return without


ROWS: dict[str, Callable[[Path, int], Figures]] = {
    "agent": agent,
    "agent_kafka": agent_kafka,
    "agent_kafka_unacknowledged": unacknowledged(agent_kafka),
    "agent_kafka_files": partial(agent_kafka, files=8),
    "agent_kafka_files_unacknowledged": unacknowledged(agent_kafka, files=8),
    "collector": collector,
    "prepper": prepper,
    "prepper_pipeline": partial(prepper, pipelines=1),
    "prepper_pipeline_2_threads": partial(prepper, pipelines=1, threads=2),
    "prepper_pipeline_2_programs": partial(prepper, pipelines=1, programs=2),
    "prepper_100_pipelines": partial(prepper, pipelines=100, threads=2),
    "writer": writer,
    "writer_opensearch": writer_opensearch,
    "curl_opensearch": curl_opensearch,
    "rsyslog_opensearch": rsyslog_opensearch,
    "store": store,
    "up": up,
    "up_unacknowledged": unacknowledged(up),
    "replicated": partial(agent_kafka, brokers=3),
    "replicated_unacknowledged": unacknowledged(agent_kafka, brokers=3),
    "replicated_files": partial(agent_kafka, brokers=3, files=8),
    "replicated_files_unacknowledged": unacknowledged(agent_kafka, brokers=3, files=8),
    "programs": programs,
}
