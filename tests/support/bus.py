"""Kafka as a test sees it: everything in a topic, and records that do not come from Naru.

Uses its own client library, not Naru's. Reads without a group, so it moves no committed offset.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient


@dataclass(frozen=True)
class KafkaRecord:
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def read_topic(bootstrap: str, topic: str, timeout: float = 30) -> list[KafkaRecord]:
    """Every record up to the ends that the partitions have now, by partition and offset; [] without the topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"tests-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        known = consumer.list_topics(topic, timeout=timeout).topics[topic]
        if known.error is not None:
            return []
        return _read_partitions(consumer, topic, list(known.partitions), timeout)
    finally:
        consumer.close()


class Replicated:
    """How much of a topic every in-sync replica has: the sum of its partitions' high watermarks."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"tests-{uuid.uuid4().hex}"})
        self._topic = topic

    def __enter__(self) -> "Replicated":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def records(self, timeout: float = 30) -> int:
        partitions = self._consumer.list_topics(self._topic, timeout=timeout).topics[self._topic].partitions
        ends = (self._consumer.get_watermark_offsets(TopicPartition(self._topic, p), timeout) for p in partitions)
        return sum(high for _, high in ends)


def _read_partitions(consumer: Consumer, topic: str, partitions: list[int], timeout: float) -> list[KafkaRecord]:
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    open_partitions = set(partitions)
    records: list[KafkaRecord] = []
    while open_partitions:
        message = consumer.poll(timeout)
        if message is None:
            raise TimeoutError(f"{topic}: partitions {sorted(open_partitions)} did not end within {timeout:.0f} s")
        if message.error() is None:
            records.append(_record(message))
        elif message.error().code() == KafkaError._PARTITION_EOF:
            open_partitions.discard(message.partition())
        else:
            raise KafkaException(message.error())
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _record(message: object) -> KafkaRecord:
    return KafkaRecord(
        topic=message.topic(),  # type: ignore[attr-defined]
        partition=message.partition(),  # type: ignore[attr-defined]
        offset=message.offset(),  # type: ignore[attr-defined]
        timestamp_ms=message.timestamp()[1],  # type: ignore[attr-defined]
        key=message.key(),  # type: ignore[attr-defined]
        value=message.value(),  # type: ignore[attr-defined]
        headers=tuple(message.headers() or ()),  # type: ignore[attr-defined]
    )


def produce(bootstrap: str, topic: str, values: Sequence[bytes], key: bytes | None = None) -> None:
    """Writes `values` as a producer that knows nothing of Naru; returns when all replicas have them."""
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    for value in values:
        producer.produce(topic, value, key, on_delivery=lambda error, _: failures.append(error) if error else None)
    left = producer.flush(30)
    if left or failures:
        raise RuntimeError(f"{topic}: {left} records not sent, errors {failures}")


def cluster_id(bootstrap: str) -> str:
    """The id that the cluster itself tells."""
    found = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=30)
    return str(found.cluster_id)


def committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """Next offset that a group reads, by partition; partitions without a commit are left out."""
    return {partition: offset for partition, (offset, _) in commits(bootstrap, group, topic).items()}


def commits(bootstrap: str, group: str, topic: str) -> dict[int, tuple[int, str]]:
    """What a group has committed, offset and metadata, by partition.

    From Kafka's own topic: the client library takes what lies behind the metadata for a part of it.
    """
    found: dict[int, tuple[int, str]] = {}
    for record in read_topic(bootstrap, "__consumer_offsets"):
        assert record.key is not None
        key = io.BytesIO(record.key)
        if _number(key, 2) > 1 or (_string(key), _string(key)) != (group, topic):
            continue  # the members of a group, or another one's offset
        partition = _number(key, 4)
        if record.value is None:
            found.pop(partition, None)
            continue
        value = io.BytesIO(record.value)
        if (version := _number(value, 2)) != 4:
            raise ValueError(f"__consumer_offsets: version {version} of an offset is unknown here")
        offset = _number(value, 8)
        _number(value, 4)  # leader epoch
        found[partition] = (offset, value.read(_varint(value) - 1).decode())
    return found


def _number(data: io.BytesIO, size: int) -> int:
    return int.from_bytes(data.read(size), signed=True)


def _string(data: io.BytesIO) -> str:
    return data.read(_number(data, 2)).decode()


def _varint(data: io.BytesIO) -> int:
    byte = data.read(1)[0]
    return byte if byte < 128 else byte - 128 + 128 * _varint(data)
