"""What the topics themselves say about the past: the last marker, and the messages of its batch.

Both are read with ``read_committed``: what an aborted transaction left behind does not exist.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from fink_lib.config import KafkaSettings
from fink_lib.errors import DataError, TransientError
from fink_lib.streams.kafka import client_options
from fink_lib.streams.kafka_errors import kafka_error, translate
from fink_lib.streams.packet import (
    HEADER_ALERT_ID,
    HEADER_BATCH,
    HEADER_FILTER,
    HEADER_FILTER_VERSION,
    HEADER_LATE,
    HEADER_NIGHT,
)
from fink_lib.streams.topics import log_end

POLL_S = 0.5
QUIET_S = 90.0
"""Longest wait without a record: an open transaction of another producer ends within its own time-out."""


@dataclass(frozen=True)
class NightCount:
    """What one batch did with one night.

    Parameters
    ----------
    received : int
        Rows of ``science`` read.
    passed : int
        Alerts that at least one filter took.
    filters : dict
        Filter to number of messages.
    oversize : int
        Messages that no topic takes, and that were left out.
    """

    received: int = 0
    passed: int = 0
    filters: dict[str, int] = field(default_factory=dict)
    oversize: int = 0

    @property
    def sent(self) -> int:
        """Messages, over all filters."""
        return sum(self.filters.values())


@dataclass(frozen=True)
class Marker:
    """The record that is committed together with a batch's messages.

    Parameters
    ----------
    generation, batch_id : int
        The batch, and the generation of its checkpoint.
    source : str
        Id of the ``science`` table that was read: batch numbers of another lake mean nothing here.
    filters : str
        Digest of the filter set.
    nights : dict
        Night to :class:`NightCount`.
    offsets : dict
        Topic to partition (as text) to first and last offset.
    """

    generation: int
    batch_id: int
    source: str
    filters: str
    nights: dict[str, NightCount]
    offsets: dict[str, dict[str, tuple[int, int]]]

    @property
    def sent(self) -> int:
        """Messages of the batch."""
        return sum(count.sent for count in self.nights.values())

    def covers(self, generation: int, batch_id: int) -> bool:
        """Tell whether a batch is this one, or an earlier one of the same checkpoint."""
        return generation == self.generation and batch_id <= self.batch_id

    def to_json(self) -> bytes:
        """Write the value of the marker's record."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Marker:
        """Read the value of a marker's record."""
        fields = json.loads(text)
        fields["nights"] = {night: NightCount(**count) for night, count in fields["nights"].items()}
        fields["offsets"] = {
            topic: {partition: (first, last) for partition, (first, last) in ranges.items()}
            for topic, ranges in fields["offsets"].items()
        }
        return cls(**fields)


@dataclass(frozen=True)
class Delivery:
    """One message in a topic; the row of table ``sent``."""

    alert_id: int
    filter: str
    filter_version: str
    topic: str
    partition: int
    offset: int
    sent_time: datetime
    late: bool
    night: str


def offset_ranges(deliveries: Iterable[Delivery]) -> dict[str, dict[str, tuple[int, int]]]:
    """Give the first and the last offset of some messages in each topic and partition, as a marker keeps them."""
    ranges: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for sent in deliveries:
        first, last = ranges[sent.topic].get(str(sent.partition), (sent.offset, sent.offset))
        ranges[sent.topic][str(sent.partition)] = (min(first, sent.offset), max(last, sent.offset))
    return dict(ranges)


def read_marker(kafka: KafkaSettings, topic: str, key: str) -> Marker | None:
    """Read the last committed marker of a producer.

    Call it after ``init_transactions``, which ends what the previous holder of the transactional id left open.

    Raises
    ------
    TransientError
        If the topic's end does not become readable: some producer holds a transaction open on it.
    """
    end = log_end(kafka, topic, 0)
    last: bytes | None = None
    if end:
        for message in _records(kafka, {(topic, 0): (0, end - 1)}):
            if message.key() == key.encode():
                last = message.value()
    return Marker.from_json(last) if last is not None else None


def read_deliveries(kafka: KafkaSettings, marker: Marker, batch: str) -> Iterator[Delivery]:
    """Read what a batch has sent from the topics, by the offsets of its marker and the headers of its messages."""
    ranges = {
        (topic, int(partition)): edges
        for topic, partitions in marker.offsets.items()
        for partition, edges in partitions.items()
    }
    for message in _records(kafka, ranges):
        headers = _headers(message)
        if headers.get(HEADER_BATCH) == batch:
            yield Delivery(
                int(headers[HEADER_ALERT_ID]),
                headers[HEADER_FILTER],
                headers[HEADER_FILTER_VERSION],
                *place_of(message),
                headers.get(HEADER_LATE) == "1",
                headers[HEADER_NIGHT],
            )


def _headers(message: Message) -> dict[str, str]:
    pairs: Any = message.headers() or ()
    return {str(name): bytes(text).decode() for name, text in pairs}


def place_of(message: Message) -> tuple[str, int, int, datetime]:
    """Give topic, partition, offset and time of a message."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise DataError("unknown_schema", "a record without topic, partition or offset")
    _, time_ms = message.timestamp()
    return topic, partition, offset, datetime.fromtimestamp(time_ms / 1000, UTC)


def _records(kafka: KafkaSettings, ranges: dict[tuple[str, int], tuple[int, int]]) -> Iterator[Message]:
    """Yield the committed records between first and last offset of each partition."""
    waiting = {place: last for place, (_, last) in ranges.items()}
    if not waiting:
        return
    with _consumer(kafka) as consumer:
        consumer.assign([TopicPartition(topic, part, first) for (topic, part), (first, _) in ranges.items()])
        heard_s = time.monotonic()
        while waiting:
            message = consumer.poll(POLL_S)
            if message is None:
                if time.monotonic() - heard_s > QUIET_S:
                    topic, partition = next(iter(waiting))
                    raise TransientError(f"offset {waiting[topic, partition]} of {topic}-{partition} is not readable")
                continue
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                    continue
                raise translate(error, "reading back the output topics", kafka.servers)
            heard_s = time.monotonic()
            place = (str(message.topic()), int(message.partition() or 0))
            offset = int(message.offset() or 0)
            # the end of a partition is told with the offset behind it, control records included
            reached = offset - 1 if error is not None else offset
            if error is None and offset <= waiting.get(place, -1):
                yield message
            if reached >= waiting.get(place, offset + 1):
                del waiting[place]


@contextmanager
def _consumer(kafka: KafkaSettings) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            **client_options(kafka),
            "group.id": "fink-read-back",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 32 * 1024,
            "fetch.message.max.bytes": 4 * 1024 * 1024,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise translate(kafka_error(error), "reading back the output topics", kafka.servers) from error
    finally:
        consumer.close()
