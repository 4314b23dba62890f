"""Output topics: made when they are missing, never changed when they are there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from fink_lib.config import KafkaSettings
from fink_lib.errors import TransientError
from fink_lib.streams.kafka import client_options
from fink_lib.streams.kafka_errors import kafka_error, translate

TIMEOUT_S = 30.0
ANNOUNCED_S = 30.0
POLL_S = 0.2
_HOUR_MS = 3_600_000


def marker_topic(survey_name: str) -> str:
    """Topic of the commit markers.

    Its name begins as the counters do, so that the topic list of the users' client leaves it out.
    """
    return f"fink_{survey_name}_markers"


def stream_options(kafka: KafkaSettings) -> dict[str, str]:
    """Give the settings of a topic that users read."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(kafka.retention_h * _HOUR_MS),
        "max.message.bytes": str(kafka.message_max_bytes),
    }


def ensure_topics(kafka: KafkaSettings, names: Iterable[str], markers: str) -> dict[str, int]:
    """Make the topics that are missing and count the partitions of all.

    Parameters
    ----------
    kafka : KafkaSettings
        Partitions, retention and size of new topics.
    names : iterable of str
        Topics that users read.
    markers : str
        The compacted topic of the commit markers; it has one partition.

    Returns
    -------
    dict
        Topic to number of partitions.

    Raises
    ------
    TransientError, ConfigError
        If Kafka does not answer, or refuses.
    """
    wanted = {name: (kafka.partitions, stream_options(kafka)) for name in names}
    return make_topics(kafka, {**wanted, markers: (1, {"cleanup.policy": "compact"})})


def make_topics(kafka: KafkaSettings, wanted: Mapping[str, tuple[int, dict[str, str]]]) -> dict[str, int]:
    """Make the topics that are missing and count the partitions of all.

    Parameters
    ----------
    kafka : KafkaSettings
        Where the brokers are.
    wanted : mapping
        Topic to the partitions and the settings that it gets if it is missing.

    Returns
    -------
    dict
        Topic to number of partitions.

    Raises
    ------
    TransientError, ConfigError
        If Kafka does not answer, or refuses.
    """
    admin = AdminClient({**client_options(kafka)})
    try:
        known = {name for name, topic in admin.list_topics(timeout=TIMEOUT_S).topics.items() if topic.error is None}
        new = [
            NewTopic(name, num_partitions=partitions, replication_factor=-1, config=options)
            for name, (partitions, options) in wanted.items()
            if name not in known
        ]
        for future in admin.create_topics(new, request_timeout=TIMEOUT_S).values() if new else ():
            _created(future)
        counts = _count_partitions(admin, wanted)
        deadline = time.monotonic() + ANNOUNCED_S
        while len(counts) < len(wanted) and time.monotonic() < deadline:
            time.sleep(POLL_S)
            counts = _count_partitions(admin, wanted)
    except KafkaException as error:
        raise translate(kafka_error(error), "looking at the output topics", kafka.servers) from error
    missing = sorted(set(wanted) - set(counts))
    if missing:
        raise TransientError(f"Kafka at {kafka.servers} has not announced the new topics {', '.join(missing)} yet")
    return counts


def _count_partitions(admin: AdminClient, names: Iterable[str]) -> dict[str, int]:
    """Count the partitions of the topics that are ready; a broker tells of a new topic a moment after making it."""
    topics = admin.list_topics(timeout=TIMEOUT_S).topics
    return {
        name: len(topics[name].partitions)
        for name in names
        if name in topics and topics[name].partitions and all(p.leader >= 0 for p in topics[name].partitions.values())
    }


def _created(future: object) -> None:
    try:
        future.result()  # type: ignore[attr-defined]
    except KafkaException as error:
        if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def log_end(kafka: KafkaSettings, topic: str, partition: int) -> int:
    """Give the offset behind the last record of a partition, open transactions included."""
    place = TopicPartition(topic, partition)
    admin = AdminClient({**client_options(kafka)})
    answers = admin.list_offsets(
        {place: OffsetSpec.latest()},  # type: ignore[no-untyped-call]
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=TIMEOUT_S,
    )
    try:
        return int(answers[place].result().offset)
    except KafkaException as error:
        raise translate(kafka_error(error), f"asking for the end of {topic}", kafka.servers) from error
