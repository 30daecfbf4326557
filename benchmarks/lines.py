"""Numbered lines to carry, and the count of them at the far end."""

from __future__ import annotations

import json
import random
import urllib.request
from collections.abc import Iterator
from pathlib import Path

WORDS = (
    "order accepted rejected upstream timeout connection session user account payment route broker latency retry "
    "cache miss hit request response status method path agent index shard replica primary commit offset partition"
).split()
FILLERS = 997  # different line bodies; a prime, so that they do not line up with batches


def fillers(size: int, seed: int) -> list[bytes]:
    """Bodies of `size` bytes that compress like log text."""
    words = random.Random(seed)
    made = []
    for _ in range(FILLERS):
        text = " ".join(words.choices(WORDS, k=size // 5)) + f" id={words.getrandbits(64):016x}"
        made.append(text.encode()[:size].ljust(size, b"."))
    return made


def write_lines(path: Path, count: int, size: int, *, first: int = 0, seed: int = 1) -> int:
    """Writes `count` lines of `size` bytes with their line feed, each beginning with its number; answers the bytes."""
    bodies = fillers(size - 14, seed)
    with path.open("ab") as out:
        for begin in range(first, first + count, 10_000):
            end = min(begin + 10_000, first + count)
            out.write(b"".join(b"%012d %s\n" % (n, bodies[n % FILLERS]) for n in range(begin, end)))
    return count * size


def write_json_lines(path: Path, count: int, size: int, *, seed: int = 2) -> int:
    """JSON objects of `size` bytes a line, as an application logs them; answers the bytes."""
    words = random.Random(seed)
    tails = []
    for _ in range(FILLERS):
        fields = {
            "level": words.choice(["INFO", "INFO", "INFO", "WARN", "ERROR"]),
            "service": f"svc-{words.randrange(20)}",
            "route": f"/api/v1/{words.choice(WORDS)}/{words.randrange(1000)}",
            "method": words.choice(["GET", "POST"]),
            "status": words.choice([200, 200, 201, 404, 500]),
            "duration_ms": round(words.random() * 900, 3),
            "user": {"id": words.randrange(10**9), "mail": f"u{words.randrange(10**6)}@example.com"},
            "trace_id": f"{words.getrandbits(128):032x}",
        }
        head = json.dumps(fields)[1:-1] + ', "message": "'
        room = size - len('{"seq": "000000000000", ') - len(head) - len('"}') - 1
        tails.append((head + " ".join(words.choices(WORDS, k=room // 4))[:room].ljust(room, ".") + '"}').encode())
    with path.open("ab") as out:
        for begin in range(0, count, 10_000):
            out.write(b"".join(b'{"seq": "%012d", %s\n' % (n, tails[n % FILLERS])
                               for n in range(begin, min(begin + 10_000, count))))
    return count * size


def stored_numbers(search_url: str, alias: str = "logs", page: int = 5_000) -> Iterator[int]:
    """The number at the head of every stored body, document by document, by search_after over all of them."""
    after = None
    while True:
        body = {
            "size": page,
            "sort": [{"@timestamp": "asc"}, {"_id": "asc"}],
            "_source": ["body"],
            "query": {"match_all": {}},
            **({"search_after": after} if after else {}),
        }
        request = urllib.request.Request(
            f"{search_url}/{alias}/_search", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as response:
            hits = json.load(response)["hits"]["hits"]
        if not hits:
            return
        for hit in hits:
            yield int(hit["_source"]["body"][:12])
        after = hits[-1]["sort"]


def exactly_once(search_url: str, count: int) -> tuple[int, int, int]:
    """(documents, lost, doubled) against the numbers 0 .. count-1."""
    seen = bytearray(count)
    documents = doubled = 0
    for number in stored_numbers(search_url):
        documents += 1
        doubled += seen[number]
        seen[number] = 1
    return documents, count - sum(seen), doubled
