"""The two topics of a transfer: data that lives until it is deleted whole, and copies of its schema beside it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from fink_lib.config import KafkaSettings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.streams.kafka import client_options
from fink_lib.streams.kafka_errors import kafka_error, translate
from fink_lib.streams.topics import POLL_S, TIMEOUT_S, make_topics

READY_S = 30.0
SETTLED_S = 1.0
"""An answer that stays the same for so long is the end: nothing of a dead process is on its way any more."""

_ANNOUNCED_SOON = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)


def ensure(kafka: KafkaSettings, topics: Iterable[str], partitions: int) -> None:
    """Make topics that keep every record until they are deleted.

    A client takes the number of records that it was given as the offset at which it goes on, so nothing may ever be
    removed from the front, nor merged.
    """
    options = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(kafka.message_max_bytes),
    }
    make_topics(kafka, dict.fromkeys(topics, (partitions, options)))


def exist(kafka: KafkaSettings, topics: Sequence[str]) -> bool:
    """Tell whether all of some topics are there."""
    return set(topics) <= _listed(kafka)


def delete(kafka: KafkaSettings, topics: Sequence[str]) -> None:
    """Delete topics, and wait until nobody sees them any more; one that is gone already is no fault.

    Raises
    ------
    TransientError
        If Kafka does not answer, or still shows them after a while.
    """
    if not topics:
        return
    admin = _admin(kafka)  # its futures end with it
    try:
        for future in admin.delete_topics(list(topics), request_timeout=TIMEOUT_S).values():
            _deleted(future)
    except KafkaException as error:
        raise translate(kafka_error(error), "deleting a transfer's topics", kafka.servers) from error
    deadline = time.monotonic() + READY_S
    while not _listed(kafka).isdisjoint(topics):
        if time.monotonic() > deadline:
            raise TransientError(f"Kafka at {kafka.servers} still shows {topics[0]}, which was deleted; try again")
        time.sleep(POLL_S)


def _admin(kafka: KafkaSettings) -> AdminClient:
    # at its end a client tells of answers that nobody waited for, which are of no use to people
    return AdminClient({**client_options(kafka), "log_level": 3})


def _deleted(future: Any) -> None:
    try:
        future.result()
    except KafkaException as error:
        if kafka_error(error).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise


def _listed(kafka: KafkaSettings) -> set[str]:
    try:
        known = _admin(kafka).list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise translate(kafka_error(error), "looking for a transfer's topics", kafka.servers) from error
    return {name for name, topic in known.items() if topic.error is None}


def ends(kafka: KafkaSettings, topic: str, partitions: int) -> list[int]:
    """Give the offset behind the last record of each partition.

    Raises
    ------
    ConfigError
        If records were removed from the front of a partition.
    TransientError
        If Kafka does not answer.
    """
    firsts = _offsets(kafka, topic, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    if any(firsts):
        raise ConfigError(f"topic {topic} does not begin at offset 0; cancel the transfer and submit it again")
    return _offsets(kafka, topic, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def settled_ends(kafka: KafkaSettings, topics: Sequence[str], partitions: int) -> list[list[int]]:
    """Give the same of several topics, once it does not change any more."""
    before = [ends(kafka, topic, partitions) for topic in topics]
    while True:
        time.sleep(SETTLED_S)
        now = [ends(kafka, topic, partitions) for topic in topics]
        if now == before:
            return now
        before = now


def _offsets(kafka: KafkaSettings, topic: str, partitions: int, which: OffsetSpec) -> list[int]:
    admin = _admin(kafka)
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    deadline = time.monotonic() + READY_S
    while True:
        answers = admin.list_offsets(
            dict.fromkeys(places, which),
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=TIMEOUT_S,
        )
        try:
            return [int(answers[place].result().offset) for place in places]
        except KafkaException as error:
            cause = kafka_error(error)
            # a new topic is announced a moment before its partitions answer
            if cause.code() not in _ANNOUNCED_SOON or time.monotonic() > deadline:
                raise translate(cause, f"asking for the offsets of {topic}", kafka.servers) from error
        time.sleep(POLL_S)
