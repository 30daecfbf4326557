"""Bulk requests made ahead of time, and sent as fast as they are answered."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timezone
from queue import SimpleQueue

from benchmarks.lines import FILLERS, fillers

BENCH_INDEX = f"logs-otel-v1-bench-{datetime.now(timezone.utc):%Y.%m.%d}"


def create_index(url: str, index: str) -> None:
    request = urllib.request.Request(f"{url}/{index}", method="PUT")
    urllib.request.urlopen(request, timeout=60).read()


def bulk_bodies(records: int, size: int, documents_per_bulk: int) -> Iterator[bytes]:
    """Bodies of creates with ids of 22 characters; documents have `size` bytes."""
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    head = {"@timestamp": now, "severity": {"number": 9, "text": "INFO"}, "host_name": "bench"}
    texts = [filler.decode() for filler in fillers(size - len(json.dumps(head)) - 14, 3)]
    documents = [json.dumps({**head, "body": filler}).encode() for filler in texts]
    for first in range(0, records, documents_per_bulk):
        yield b"".join(
            b'{"create":{"_index":"%s","_id":"%022d"}}\n%s\n' % (BENCH_INDEX.encode(), n, documents[n % FILLERS])
            for n in range(first, min(first + documents_per_bulk, records))
        )


def send_bulks(url: str, bodies: Iterator[bytes], connections: int) -> int:
    """Sends every body and answers the bytes sent; any item that is not created is an error."""
    work: SimpleQueue[bytes | None] = SimpleQueue()
    sent: list[int] = []
    failures: list[str] = []

    def sender() -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=300)
        while (body := work.get()) is not None:
            connection.request("POST", "/_bulk", body, {"Content-Type": "application/x-ndjson"})
            answer = connection.getresponse().read()
            sent.append(len(body))
            if b'"errors":false' not in answer[:200]:
                failures.append(answer[:500].decode())

    threads = [threading.Thread(target=sender) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for body in bodies:
        work.put(body)
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{len(failures)} bulks were not stored as a whole, the first: {failures[0]}")
    return sum(sent)
