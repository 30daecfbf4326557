"""Proves the ground itself: the servers are real and behave as Naru's contracts assume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bus import cluster_id, produce, read_topic
from support.index import Index
from support.naru import eventually
from support.oracle import ORIGINAL_BYTES, expected_log, indexed_log
from support.services.kafka import KafkaCluster
from support.services.opensearch import HttpStatus, NodeSpec, OpenSearchCluster
from support.services.process import ServerProcess, ServiceError, wait_ready
from support.sources import Journal, JournalEntry, Nginx, difficult_lines, dpkg_lines, java_stack_trace

STRICT = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0, "index.codec": "best_compression"},
    "mappings": {
        "dynamic": "strict",
        "date_detection": False,
        "properties": {
            "@timestamp": {"type": "date_nanos"},
            "body": {"type": "text"},
            "attributes": {"type": "flat_object"},
        },
    },
}


@pytest.fixture
def index(opensearch: OpenSearchCluster) -> Iterator[str]:
    """A strict index of its own, deleted at the end."""
    name = f"ground-{uuid.uuid4().hex}"
    opensearch.request("PUT", f"/{name}", STRICT)
    yield name
    opensearch.request("DELETE", f"/{name}")


def bulk(opensearch: OpenSearchCluster, index: str, *documents: tuple[str, dict[str, object]]) -> list[dict]:
    """Creates documents and answers their items."""
    lines = [
        json.dumps(line)
        for name, document in documents
        for line in ({"create": {"_index": index, "_id": name}}, document)
    ]
    answer = opensearch.request("POST", "/_bulk?refresh=true", ("\n".join(lines) + "\n").encode())
    return [item["create"] for item in answer["items"]]


def send(kafka: KafkaCluster, topic: str, lines: bytes, *options: str) -> None:
    """One message a line, acknowledged by all replicas."""
    command = ["kcat", "-b", kafka.bootstrap, "-P", "-t", topic, "-X", "acks=all", *options]
    subprocess.run(command, input=lines, check=True, timeout=60)


def received(kafka: KafkaCluster, topic: str, *options: str) -> list[bytes]:
    """Every message of a topic, one a line."""
    command = ["kcat", "-b", kafka.bootstrap, "-C", "-t", topic, "-e", "-q", "-o", "beginning", *options]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.splitlines()


def test_kafka_gives_back_what_kcat_sent(kafka: KafkaCluster) -> None:
    topic = f"ground-{uuid.uuid4().hex}"
    sent = [f"key{i}:값 {i}" for i in range(100)]
    send(kafka, topic, "\n".join(sent).encode(), "-K:")
    assert sorted(received(kafka, topic, "-K:")) == sorted(line.encode() for line in sent)


def test_a_whole_topic_is_read_with_its_keys_and_places(kafka: KafkaCluster) -> None:
    topic = f"ground-{uuid.uuid4().hex}"
    assert read_topic(kafka.bootstrap, topic) == []
    values = [bytes([i]) * i for i in range(200)]
    produce(kafka.bootstrap, topic, values, key=b"\x00key")
    records = read_topic(kafka.bootstrap, topic)
    assert [record.value for record in records] == values
    assert {(record.partition, record.key) for record in records} == {(records[0].partition, b"\x00key")}
    assert [record.offset for record in records] == list(range(200))
    assert len(cluster_id(kafka.bootstrap)) == 22


def test_opensearch_is_two_nodes_hot_and_warm(opensearch: OpenSearchCluster) -> None:
    rows = opensearch.request("GET", "/_cat/nodeattrs?format=json&h=node,attr,value")
    temps = {row["node"]: row["value"] for row in rows if row["attr"] == "temp"}
    assert temps == {"opensearch-1": "hot", "opensearch-2": "warm"}
    assert opensearch.request("GET", "/")["version"]["number"] == "2.19.1"


def test_create_answers_201_then_409(opensearch: OpenSearchCluster, index: str) -> None:
    document = {"@timestamp": "2026-11-21T01:02:03.123456789Z", "body": "a"}
    assert bulk(opensearch, index, ("1", document))[0]["status"] == 201
    again = bulk(opensearch, index, ("1", document), ("2", document))
    assert [item["status"] for item in again] == [409, 201]
    assert again[0]["error"]["type"] == "version_conflict_engine_exception"


def test_strict_mapping_refuses_one_item_and_takes_the_others(opensearch: OpenSearchCluster, index: str) -> None:
    items = bulk(opensearch, index, ("1", {"body": "a"}), ("2", {"other": 1}), ("3", {"body": "b"}))
    assert [item["status"] for item in items] == [201, 400, 201]
    assert items[1]["error"]["type"] == "strict_dynamic_mapping_exception"


def test_flat_object_takes_any_keys_and_is_searched_by_path(opensearch: OpenSearchCluster, index: str) -> None:
    attributes = {"http": 1, "http.status": 200, "": "empty", "a.": [1, {"b": None}]}
    assert bulk(opensearch, index, ("1", {"attributes": attributes}))[0]["status"] == 201
    query = {"query": {"term": {"attributes.http.status": "200"}}}
    found = opensearch.request("POST", f"/{index}/_search", query)["hits"]
    assert [hit["_source"]["attributes"] for hit in found["hits"]] == [attributes]
    long = bulk(opensearch, index, ("2", {"attributes": {"k": "x" * 32_767}}))[0]
    assert long["status"] == 400 and "immense term" in json.dumps(long["error"])


def test_hits_are_read_page_by_page(opensearch: OpenSearchCluster, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.index._PAGE", 7)
    path = {"attributes": {"log.file.path": "/a/b.log"}}
    sent = [(f"{i:03}", {"@timestamp": f"2026-11-21T01:02:0{i % 5}.5Z"} | (path if i % 2 else {})) for i in range(50)]
    bulk(opensearch, index, *sent)
    documents = Index(opensearch.url, index)
    assert documents.count() == 50
    assert sorted(hit["_id"] for hit in documents.hits()) == [name for name, _ in sent]
    assert len(documents.hits({"term": {"attributes.log.file.path": "/a/b.log"}})) == 25
    assert Index(opensearch.url, "ground-nothing").count() == 0


def test_date_nanos_refuses_a_time_before_1970(opensearch: OpenSearchCluster, index: str) -> None:
    item = bulk(opensearch, index, ("1", {"@timestamp": "1969-12-31T23:59:59Z"}))[0]
    assert (item["status"], item["error"]["type"]) == (400, "mapper_parsing_exception")


def test_shards_move_from_hot_to_warm(opensearch: OpenSearchCluster) -> None:
    name = f"ground-{uuid.uuid4().hex}"
    setting = "index.routing.allocation.require.temp"
    opensearch.request("PUT", f"/{name}", {"settings": {"number_of_replicas": 0, setting: "hot"}})

    def nodes() -> set[str]:
        rows = opensearch.request("GET", f"/_cat/shards/{name}?format=json&h=state,node")
        return {row["node"] for row in rows if row["state"] == "STARTED"}

    eventually(lambda: nodes() == {"opensearch-1"}, 20, "shards on the hot node")
    opensearch.request("PUT", f"/{name}/_settings", {setting: "warm"})
    eventually(lambda: nodes() == {"opensearch-2"}, 20, "shards on the warm node")
    opensearch.request("DELETE", f"/{name}")


def test_a_missing_index_answers_404_when_its_pattern_is_never_created(opensearch: OpenSearchCluster) -> None:
    with pytest.raises(HttpStatus) as failure:
        opensearch.request("GET", "/ground-nothing/_search")
    assert failure.value.status == 404


def test_nginx_writes_one_line_for_one_request(tmp_path: Path) -> None:
    with Nginx(tmp_path) as nginx:
        assert [nginx.get("/a?q=1"), nginx.get("/missing"), nginx.get("/broken")] == [200, 404, 500]
        eventually(lambda: len(nginx.lines()) >= nginx.requests, 5, "access log lines")
        lines = nginx.lines()
    assert len(lines) == 3
    assert b'"GET /a?q=1 HTTP/1.1" 200' in lines[0] and b'"naru-tests"' in lines[0]


def test_the_journal_holds_exactly_what_was_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    now = int(time.time() * 1_000_000)
    messages = [b"plain", "한글 🚢".encode(), b"bytes \xff\xfe", b"two\nlines"]
    journal.append([JournalEntry(text, now + i) for i, text in enumerate(messages[:3])])
    journal.append([JournalEntry(messages[3], now + 3, priority=3, fields={"_SYSTEMD_UNIT": "a.service"})])
    shown = subprocess.run(
        ["journalctl", "--directory", str(journal.directory), "--output=json", "--all", "--no-pager"],
        capture_output=True,
        check=True,
    )
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    # journalctl writes a message that is no printable UTF-8 as a list of byte values.
    got = [bytes(e["MESSAGE"]) if isinstance(e["MESSAGE"], list) else e["MESSAGE"].encode() for e in found]
    assert got == messages
    assert (found[3]["PRIORITY"], found[3]["_SYSTEMD_UNIT"]) == ("3", "a.service")


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, sys; from support.services.process import ServerProcess\n"
        "child = ServerProcess('sleep', ['sleep', '600'], pathlib.Path(sys.argv[1])); child.start()\n"
        "print(child.pid, flush=True); signal.pause()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert running(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    eventually(lambda: not running(child), 5, "the end of the child")


def running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_ends_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = ServerProcess("broken", ["sh", "-c", "echo no such setting; exit 3"], tmp_path / "broken.log")
    server.start()
    with pytest.raises(ServiceError, match=r"(?s)broken ended with 3.*no such setting"):
        wait_ready([server], lambda: "no answer yet", 10, "broken")


@pytest.mark.long
def test_killed_and_stopped_servers_come_back_on_the_same_home(tmp_path: Path) -> None:
    kafka = KafkaCluster(tmp_path, brokers=3)
    zones = OpenSearchCluster(tmp_path, [NodeSpec({"temp": "hot", "zone": zone}) for zone in "ab"])
    try:
        kafka.start()
        zones.start()
        kafka.wait_ready()
        zones.wait_ready()
        zones.request("PUT", "/kept/_doc/1?refresh=true", {"a": 1})
        send(kafka, "kept", b"before\n")
        kafka.brokers[0].kill()
        kafka.wait_ready()
        send(kafka, "kept", b"between\n")
        kafka.brokers[0].start()
        kafka.wait_ready()
        zones.nodes[1].pause()
        zones.nodes[1].resume()
        zones.nodes[1].kill()
        zones.nodes[1].start()
        zones.wait_ready()
        assert zones.request("GET", "/kept/_doc/1", node=1)["_source"] == {"a": 1}
        assert sorted(received(kafka, "kept")) == [b"before", b"between"]
    finally:
        kafka.stop()
        zones.stop()


def test_line_sources_are_lines() -> None:
    for lines in (dpkg_lines(), java_stack_trace(), difficult_lines()):
        assert lines and all(b"\n" not in line for line in lines)
    assert len(dpkg_lines(50)) == 50


def test_the_oracle_replaces_each_invalid_byte() -> None:
    assert expected_log("나루".encode()) == expected_log("나루".encode())
    assert expected_log("나루".encode()).original is None
    assert expected_log(b"a\xe2\x82b").body == "a\ufffd\ufffdb"
    assert expected_log(b"\xc0\xaf\xed\xa0\x80").body == "\ufffd" * 5
    assert expected_log(b"\xff").original == "/w=="
    assert indexed_log({"body": "\ufffd", "attributes": {ORIGINAL_BYTES: ["/w==", ""]}}) == expected_log(b"\xff")
