"""What a campaign sends, and its own note of every record: the oracle of the campaign.

A record reads `<run> <source> <number> <filler>`. Files and the journal are written by one thread, which also rotates, so
that a rotation never meets a writer: what is written between copytruncate's copy and its truncation is lost by that
tool, not by Naru. OTLP clients send the same bytes again until they are acknowledged, each in a thread of its own.
Nothing here knows how Naru works.
"""

from __future__ import annotations

import gzip
import http.client
import random
import shutil
import socket
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from support.oracle import expected_log
from support.sources import Journal, JournalEntry

from .verdict import Key

UNJUDGED = ("plain", "syslog")  # sources whose records have no identity when they are sent

_BURST_S = 0.05
_KEPT = 6  # rotated files; the oldest is deleted, its inode used again
_RETRY_S = 0.2
_TIMEOUT_S = 8.0


class Notes:
    """Every record that was sent, by key, as a document must read."""

    def __init__(self, run: str, seed: int) -> None:
        self.run = run
        self.sent: dict[Key, str] = {}
        self.unjudged = 0  # records without identity: only counted
        self.events: list[tuple[float, str]] = []  # what was done meanwhile: rotations, faults
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._times: dict[str, array[float]] = {}
        self._begin = time.monotonic()

    def now(self) -> float:
        """Seconds since the begin."""
        return time.monotonic() - self._begin

    def event(self, text: str) -> None:
        """Something that may explain what happens to the records around it."""
        self.events.append((self.now(), text))

    def about(self, key: Key, around: float = 2.5) -> str:
        """When a record was sent and what was done around that time."""
        at = self._times[key[0]][int(key[1])]
        near = [f"    {when:.3f} s: {text}" for when, text in self.events if at - around <= when <= at + 2 * around]
        return "\n".join([f"sent at {at:.3f} s; meanwhile:", *near])

    def next(self, source: str, judged: bool = True, text_only: bool = False) -> bytes:
        """The bytes of a new record of a source, noted as sent."""
        with self._lock:
            number = self._numbers.get(source, 0)
            self._numbers[source] = number + 1
            self._times.setdefault(source, array("d")).append(self.now())
            line = f"{self.run} {source} {number} ".encode() + self._filler(text_only)
            if judged:
                self.sent[(source, str(number))] = reading(line)
            else:
                self.unjudged += 1
            return line

    def key_of(self, text: str) -> Key | None:
        """The record that a document's text names."""
        parts = text.split(" ", 3)
        return (parts[1], parts[2]) if len(parts) == 4 and parts[0] == self.run else None

    def _filler(self, text_only: bool) -> bytes:
        dice = self._dice
        filler = b"%016x" % dice.getrandbits(64) * dice.randrange(1, 14)
        if not text_only and dice.random() < 0.02:
            filler += dice.choice([b" lone \xff byte", b" \xe2\x82 cut", b" tab\tcr\r", b" \x00 nul"])
        if dice.random() < 0.02:
            filler += " 끝 🚢".encode()
        return filler


def reading(line: bytes) -> str:
    """How a document of these bytes reads, with the original bytes when they are no UTF-8."""
    expected = expected_log(line)
    return expected.body if expected.original is None else f"{expected.body} <{expected.original}>"


class RotatedFile:
    """A log file and one way to rotate it: rename, copytruncate or gzip."""

    def __init__(self, directory: Path, way: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.way = way
        self._path = directory / "app.log"
        self._file = self._path.open("ab", buffering=0)

    def write(self, lines: list[bytes]) -> None:
        self._file.write(b"".join(line + b"\n" for line in lines))

    def size(self) -> int:
        return self._path.stat().st_size

    def rotate(self) -> None:
        if self.size() == 0:
            return
        end = ".gz" if self.way == "gzip" else ""
        numbered = [self._path.with_name(f"app.log.{n}{end}") for n in range(1, _KEPT + 1)]
        numbered[-1].unlink(missing_ok=True)
        for older, newer in zip(reversed(numbered), reversed(numbered[:-1])):
            if newer.exists():
                newer.rename(older)
        if self.way == "copytruncate":
            shutil.copyfile(self._path, numbered[0])
            self._file.truncate(0)
            return
        plain = self._path.with_name("app.log.1")
        self._path.rename(plain)
        self._file.close()
        self._file = self._path.open("ab", buffering=0)
        if self.way == "gzip":
            with plain.open("rb") as whole, gzip.open(numbered[0], "wb", compresslevel=1) as packed:
                shutil.copyfileobj(whole, packed)
            plain.unlink()

    def close(self) -> None:
        self._file.close()


class Load:
    """All sources of a campaign. `rate` is records a second over all of them; without `unjudged` all have identities.
    A context manager."""

    def __init__(
        self,
        notes: Notes,
        log_root: Path,
        otlp_http: str,
        syslog_udp: str,
        *,
        rate: float,
        journal: Journal | None = None,
        unjudged: bool = True,
        seed: int = 0,
    ) -> None:
        self.notes = notes
        self.refusals: list[str] = []  # answers that tell a client never to send that again: none is right here
        self._files = [RotatedFile(log_root / way, way) for way in ("rename", "copytruncate", "gzip")]
        self._journal = journal
        self._otlp_http = otlp_http
        host, port = syslog_udp.rsplit(":", 1)
        self._syslog = (host, int(port))
        self._rate = rate
        self._dice = random.Random(seed)
        self._rotations = 0
        self._gate = threading.Condition()
        self._paused = False
        self._stopping = False
        self._idle = 0
        self._open = 0
        self.rotations_done = 0
        work: list[Callable[[], None]] = [self._write_files, self._send_uid_logs, self._send_spans]
        if unjudged:
            work.append(self._send_unjudged)
        if journal is not None:
            work.append(self._write_journal)
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in work]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._gate:
            self._stopping = True
            self._paused = False
            self._gate.notify_all()
        for thread in self._threads:
            thread.join(_TIMEOUT_S + 5)
        for file in self._files:
            file.close()

    def rotate(self) -> None:
        """One file is rotated before the next lines are written; returns at once."""
        with self._gate:
            self._rotations += 1

    def unacknowledged(self) -> int:
        """Records of clients that still wait for an answer."""
        with self._gate:
            return self._open

    def pause(self, timeout: float) -> None:
        """Until every source is silent: all that was sent is acknowledged where somebody acknowledges."""
        with self._gate:
            self._paused = True
            if not self._gate.wait_for(lambda: self._idle == len(self._threads), timeout):
                raise AssertionError(f"clients are still not acknowledged after {timeout:.0f} s; {self.refusals[-3:]}")

    def resume(self) -> None:
        with self._gate:
            self._paused = False
            self._gate.notify_all()

    def _run(self, work: Callable[[], None]) -> None:
        while True:
            with self._gate:
                if self._paused:
                    self._idle += 1
                    self._gate.notify_all()
                    self._gate.wait_for(lambda: not self._paused)
                    self._idle -= 1
                if self._stopping:
                    return
            work()
            time.sleep(_BURST_S)

    def _share(self, share: float) -> int:
        """Records of a burst whose source has this share of the rate; a fraction by chance."""
        return int(self._rate * _BURST_S * share + self._dice.random())

    def _write_files(self) -> None:
        with self._gate:
            rotations, self._rotations = self._rotations, 0
        for _ in range(rotations):
            file = self._dice.choice(self._files)
            self.notes.event(f"rotation of {file.way} begins, the file has {file.size()} bytes")
            file.rotate()
            self.notes.event(f"rotation of {file.way} done")
            self.rotations_done += 1
        for file in self._files:
            lines = [self.notes.next(file.way) for _ in range(self._share(0.2))]
            if lines:
                file.write(lines)

    def _write_journal(self) -> None:
        assert self._journal is not None
        now = time.time_ns() // 1000
        count = max(self._share(0.1), 1)
        self._journal.append([JournalEntry(self.notes.next("journal"), now + i) for i in range(count)])
        time.sleep(0.5)  # each append is a process of its own

    def _send_uid_logs(self) -> None:
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        group.resource.attributes.append(_attribute("service.name", "uid"))
        records = group.scope_logs.add().log_records
        now = time.time_ns()
        count = max(self._share(0.2), 1)
        for i in range(count):
            text = self.notes.next("uid", text_only=True).decode()
            record = records.add(time_unix_nano=now + i, observed_time_unix_nano=now + i)
            record.body.string_value = text
            record.attributes.append(_attribute("log.record.uid", " ".join(text.split(" ")[:3])))
        self._deliver("/v1/logs", request.SerializeToString(), ExportLogsServiceResponse, count)

    def _send_spans(self) -> None:
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.append(_attribute("service.name", "spans"))
        spans = group.scope_spans.add().spans
        now = time.time_ns()
        count = max(self._share(0.2), 1)
        for i in range(count):
            spans.add(
                trace_id=self._dice.randbytes(16),
                span_id=self._dice.randbytes(8),
                name=self.notes.next("span", text_only=True).decode(),
                start_time_unix_nano=now - 1_000_000,
                end_time_unix_nano=now + i,
            )
        self._deliver("/v1/traces", request.SerializeToString(), ExportTraceServiceResponse, count)

    def _send_unjudged(self) -> None:
        """OTLP logs without an id and UDP syslog: at least once and at most once; only reported."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            text = self.notes.next("syslog", judged=False, text_only=True)
            sender.sendto(b"<14>1 - host app - - - " + text, self._syslog)
        request = ExportLogsServiceRequest()
        record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
        record.body.string_value = self.notes.next("plain", judged=False, text_only=True).decode()
        self._deliver("/v1/logs", request.SerializeToString(), ExportLogsServiceResponse, 0)
        time.sleep(0.2)

    def _deliver(self, path: str, body: bytes, answer_type: type, records: int) -> None:
        with self._gate:
            self._open += records
        try:
            self._send_until_acknowledged(path, body, answer_type)
        finally:
            with self._gate:
                self._open -= records

    def _send_until_acknowledged(self, path: str, body: bytes, answer_type: type) -> None:
        while not self._stopping:
            try:
                status, answer = self._post(path, body)
            except (OSError, http.client.HTTPException):
                time.sleep(_RETRY_S)
                continue
            if status == 200:
                if answer_type.FromString(answer).HasField("partial_success"):
                    self.refusals.append(f"{path}: partial success {answer!r}")
                return
            if status not in (429, 502, 503, 504):
                self.refusals.append(f"{path}: {status} {answer[:200]!r}")
                return
            time.sleep(_RETRY_S)

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._otlp_http, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _attribute(key: str, text: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=text))
