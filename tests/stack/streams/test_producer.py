"""The transactional producer against a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from fink_lib.config import Settings
from fink_lib.errors import LockedError, TransientError
from fink_lib.streams.committed import Marker, NightCount, read_deliveries
from fink_lib.streams.packet import HEADER_ALERT_ID, HEADER_BATCH, HEADER_FILTER, HEADER_FILTER_VERSION, HEADER_NIGHT
from fink_lib.streams.producer import TransactionalProducer, pending

pytestmark = pytest.mark.usefixtures("kafka")

NIGHT = "20240312"


@pytest.fixture
def settings(stack_home: Settings) -> Settings:
    """Settings with a prefix of its own, so that tests do not meet each other's markers."""
    streams = stack_home.streams.model_copy(update={"substream_prefix": f"t{uuid.uuid4().hex[:8]}"})
    return stack_home.model_copy(update={"streams": streams})


@pytest.fixture
def topic(settings: Settings) -> str:
    """Give a topic that nobody else uses."""
    return f"{settings.streams.substream_prefix}_unknowns_ztf"


@pytest.fixture
def producer(settings: Settings, topic: str) -> Iterator[TransactionalProducer]:
    """Give an opened producer."""
    with_topics = TransactionalProducer(settings, "ztf", "distribution")
    with_topics.open([topic])
    yield with_topics
    with_topics.close()


def headers(alert_id: int, batch: str) -> list[tuple[str, bytes]]:
    """Give the headers that reading back needs."""
    texts = {
        HEADER_ALERT_ID: str(alert_id),
        HEADER_FILTER: "unknowns",
        HEADER_FILTER_VERSION: "1",
        HEADER_NIGHT: NIGHT,
        HEADER_BATCH: batch,
    }
    return [(name, text.encode()) for name, text in texts.items()]


def send(producer: TransactionalProducer, topic: str, ids: range, batch: str) -> None:
    """Hand messages over in an open transaction."""
    for alert_id in ids:
        row = pending(alert_id, "unknowns", "1", NIGHT)
        producer.send(topic, b"{}", bytes(1000), headers(alert_id, batch), row)


def marker(producer: TransactionalProducer, batch_id: int) -> Marker:
    """Flush, and give the marker of what was delivered."""
    offsets: dict[str, dict[str, tuple[int, int]]] = {}
    deliveries = producer.flush()
    for sent in deliveries:
        first, last = offsets.setdefault(sent.topic, {}).get(str(sent.partition), (sent.offset, sent.offset))
        offsets[sent.topic][str(sent.partition)] = (min(first, sent.offset), max(last, sent.offset))
    count = NightCount(len(deliveries), len(deliveries), {"unknowns": len(deliveries)})
    return Marker(1, batch_id, "a-lake", "a-digest", {NIGHT: count}, offsets)


def committed_ids(settings: Settings, topic: str) -> list[int]:
    """Read every alert id that a ``read_committed`` consumer is given."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.servers,
            "group.id": f"test-{uuid.uuid4().hex}",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    partitions = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    ids, ended = [], 0
    while ended < partitions:
        message = consumer.poll(10)
        assert message is not None, "the broker fell silent"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended += 1
            continue
        ids.append(int(dict(message.headers() or [])[HEADER_ALERT_ID]))
    consumer.close()
    return sorted(ids)


def test_a_batch_and_its_marker_become_visible_together(
    settings: Settings, topic: str, producer: TransactionalProducer
) -> None:
    assert producer.last is None
    producer.begin()
    send(producer, topic, range(40), "g1-000000000")
    written = marker(producer, 0)
    assert committed_ids(settings, topic) == []
    producer.commit(written)
    assert committed_ids(settings, topic) == list(range(40))
    successor = TransactionalProducer(settings, "ztf", "distribution")
    successor.open([topic])
    assert successor.last == written
    successor.close()


def test_the_topics_tell_what_a_batch_sent(settings: Settings, topic: str, producer: TransactionalProducer) -> None:
    for batch_id in range(3):
        producer.begin()
        send(producer, topic, range(batch_id * 20, batch_id * 20 + 20), f"g1-{batch_id:09d}")
        told = producer.flush()
        written = marker(producer, batch_id)
        producer.commit(written)
        order = sorted(told, key=lambda sent: (sent.partition, sent.offset))
        read = sorted(
            read_deliveries(settings.kafka, written, f"g1-{batch_id:09d}"),
            key=lambda sent: (sent.partition, sent.offset),
        )
        assert read == order
        assert len(read) == 20


def test_an_aborted_batch_leaves_nothing_and_the_next_one_goes_on(
    settings: Settings, topic: str, producer: TransactionalProducer
) -> None:
    producer.begin()
    send(producer, topic, range(10), "g1-000000000")
    producer.flush()
    producer.abort()
    producer.begin()
    send(producer, topic, range(100, 110), "g1-000000000")
    producer.commit(marker(producer, 0))
    assert committed_ids(settings, topic) == list(range(100, 110))


def test_a_predecessor_that_still_lives_is_shut_out(
    settings: Settings, topic: str, producer: TransactionalProducer
) -> None:
    producer.begin()
    send(producer, topic, range(10), "g1-000000000")
    written = marker(producer, 0)
    successor = TransactionalProducer(settings, "ztf", "distribution")
    successor.open([topic])
    with pytest.raises(LockedError, match="has taken over"):
        producer.commit(written)
    assert committed_ids(settings, topic) == []
    successor.begin()
    send(successor, topic, range(10), "g1-000000000")
    successor.commit(marker(successor, 0))
    assert committed_ids(settings, topic) == list(range(10))
    successor.close()


def test_messages_of_a_process_killed_before_the_commit_are_never_seen(
    settings: Settings, topic: str, producer: TransactionalProducer
) -> None:
    producer.begin()
    send(producer, topic, range(5), "g1-000000000")
    first = marker(producer, 0)
    producer.commit(first)
    code = f"""
        import os, signal
        from fink_lib.config import load_settings
        from fink_lib.streams.producer import TransactionalProducer
        from tests.stack.streams.test_producer import marker, send
        settings = load_settings({str(settings.home)!r})
        streams = settings.streams.model_copy(update={{"substream_prefix": {settings.streams.substream_prefix!r}}})
        settings = settings.model_copy(update={{"streams": streams}})
        producer = TransactionalProducer(settings, "ztf", "distribution")
        producer.open([{topic!r}])
        producer.begin()
        send(producer, {topic!r}, range(50, 100), "g1-000000001")
        marker(producer, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=os.environ | {"PYTHONPATH": "."})
    assert ended.returncode == -signal.SIGKILL
    successor = TransactionalProducer(settings, "ztf", "distribution")
    successor.open([topic])
    assert successor.last == first
    assert committed_ids(settings, topic) == list(range(5))
    successor.close()


def test_two_jobs_do_not_shut_each_other_out(settings: Settings, topic: str, producer: TransactionalProducer) -> None:
    other = TransactionalProducer(settings, "ztf", "heal")
    other.open([topic])
    assert other.last is None
    producer.begin()
    send(producer, topic, range(3), "g1-000000000")
    other.begin()
    send(other, topic, range(3, 6), "g1-000000000")
    other.commit(marker(other, 0))
    producer.commit(marker(producer, 0))
    assert committed_ids(settings, topic) == list(range(6))
    other.close()


def test_a_full_queue_makes_the_caller_wait(settings: Settings, topic: str, producer: TransactionalProducer) -> None:
    producer.begin()
    for alert_id in range(1500):  # 150 MB through a queue of 64 MiB
        row = pending(alert_id, "unknowns", "1", NIGHT)
        producer.send(topic, b"{}", os.urandom(100_000), headers(alert_id, "g1-000000000"), row)
    assert len(producer.flush()) == 1500
    producer.abort()


def test_an_absent_broker_is_a_transient_failure(settings: Settings) -> None:
    away = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:9"})})
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        TransactionalProducer(away, "ztf", "distribution").open(["some_topic"])
