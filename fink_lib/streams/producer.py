"""The one transactional producer of a job: a batch's messages and its marker become visible together or not at all.

1. :meth:`TransactionalProducer.open` takes over the transactional id, which aborts what a dead predecessor left half
   sent and shuts a living one out, and reads the marker of the last batch that was committed.
2. :meth:`~TransactionalProducer.send` hands messages over; a full queue makes the caller wait, so memory stays bounded.
3. :meth:`~TransactionalProducer.flush` waits until each one is delivered, which tells their offsets.
4. :meth:`~TransactionalProducer.commit` adds the marker and commits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fink_lib.errors import TransientError
from fink_lib.streams.committed import Delivery, Marker, place_of, read_marker
from fink_lib.streams.kafka import client_options
from fink_lib.streams.kafka_errors import kafka_error, translate
from fink_lib.streams.packet import partition_of
from fink_lib.streams.topics import ensure_topics, marker_topic

if TYPE_CHECKING:
    from fink_lib.config import Settings

log = logging.getLogger(__name__)

QUEUE_KIB = 64 * 1024
QUEUE_MESSAGES = 20_000
OVERHEAD_BYTES = 4096
"""Room for headers and framing below the broker's limit of a message."""

ATTEMPTS = 3
WAIT_S = 20.0
POLL_S = 0.2


class TransactionalProducer:
    """Sends the messages of one (survey, job).

    Parameters
    ----------
    settings : Settings
        Broker, prefix of the topics, time-out of a transaction.
    survey_name : str
        Which survey.
    job : str
        Which sender; the stage for a stream. Two jobs never share a transactional id.
    """

    def __init__(self, settings: Settings, survey_name: str, job: str) -> None:
        self._kafka = settings.kafka
        self._timeout_s = float(settings.streams.transaction_timeout_s)
        self.id = f"{settings.streams.substream_prefix}.{survey_name}.{job}"
        """Transactional id, and key of the marker."""
        self.last: Marker | None = None
        """Marker of the last committed batch."""
        self._markers = marker_topic(survey_name)
        self._partitions: dict[str, int] = {}
        self._producer: Producer | None = None
        self._deliveries: list[Delivery] = []
        self._failure: KafkaError | None = None
        self._unplaced = 0
        self._began_s = 0.0

    def open(self, topics: Sequence[str]) -> None:
        """Make the topics, take over the transactional id, read the last marker.

        Raises
        ------
        TransientError, ConfigError
            If Kafka is away, or refuses.
        """
        self._partitions = ensure_topics(self._kafka, topics, self._markers)
        self._producer = Producer(
            {
                **client_options(self._kafka),
                "transactional.id": self.id,
                "transaction.timeout.ms": int(self._timeout_s * 1000),
                # a second one would be taken first where a new topic refuses the first: docs/adr/0007
                "max.in.flight.requests.per.connection": 1,
                "message.max.bytes": self._kafka.message_max_bytes,
                "queue.buffering.max.kbytes": QUEUE_KIB,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "compression.type": "lz4",  # the images are packed already; the key, a third of a message, repeats
                "linger.ms": 20,
            }
        )
        self._retried("taking over the transactional id", lambda: self._client.init_transactions(WAIT_S))
        self.last = read_marker(self._kafka, self._markers, self.id)

    def add_topics(self, topics: Sequence[str]) -> None:
        """Make topics that are new since :meth:`open`.

        Raises
        ------
        TransientError, ConfigError
            If Kafka is away, or refuses.
        """
        new = [topic for topic in topics if topic not in self._partitions]
        if new:
            self._partitions |= ensure_topics(self._kafka, new, self._markers)

    def close(self) -> None:
        """Let go of the client; an open transaction is aborted."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    @property
    def _client(self) -> Producer:
        if self._producer is None:
            raise RuntimeError("the producer was not opened")
        return self._producer

    def begin(self) -> None:
        """Begin the transaction of a batch."""
        self._deliveries, self._failure, self._unplaced, self._began_s = [], None, 0, 0.0
        self._translated("beginning a transaction", self._client.begin_transaction)

    def fits(self, value: bytes, key: bytes) -> bool:
        """Tell whether a topic takes a message of this size."""
        return len(value) + len(key) + OVERHEAD_BYTES <= self._kafka.message_max_bytes

    def send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]], sent: Delivery) -> None:
        """Hand one message over; waits while the queue is full.

        Parameters
        ----------
        topic : str
            One of the topics of :meth:`open`.
        key, value, headers
            The message.
        sent : Delivery
            Its row of table ``sent``; partition, offset and time are filled in when it is delivered.
        """
        partition = partition_of(sent.alert_id, self._partitions[topic])
        self._began_s = self._began_s or time.monotonic()  # the broker counts from the first message
        while True:
            self._check()
            try:
                self._client.produce(
                    topic, value, key, partition, on_delivery=partial(self._delivered, sent), headers=list(headers)
                )
            except BufferError:
                self._client.poll(POLL_S)
            except KafkaException as error:
                raise self._fault(kafka_error(error), f"sending to {topic}") from error
            else:
                self._client.poll(0)
                return

    def flush(self) -> list[Delivery]:
        """Wait until every message of the transaction is delivered, and tell where each one is."""
        while self._client.flush(POLL_S):
            self._check()
        self._check()
        return self._deliveries

    def commit(self, marker: Marker) -> None:
        """Add the marker and make the batch visible.

        Raises
        ------
        LockedError
            If another producer has taken over: nothing of this batch is visible, or will be.
        TransientError
            If the outcome is not known or the transaction failed; the next :meth:`open` finds out which.
        """
        self._translated(
            "sending the marker",
            lambda: self._client.produce(self._markers, marker.to_json(), self.id.encode(), 0),
        )
        self._retried("committing a batch", lambda: self._client.commit_transaction(WAIT_S))
        self.last = marker

    def abort(self) -> None:
        """Drop the transaction; a failure to do so is noted only, for the next :meth:`open` does it again."""
        self._client.purge()
        try:
            self._client.abort_transaction(WAIT_S)
        except KafkaException as error:
            log.warning("the transaction of %s was not aborted: %s", self.id, error)

    def _delivered(self, sent: Delivery, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = self._failure or error
            return
        if message.offset() is None:  # the broker calls it a duplicate, which proves nothing about where it is
            self._unplaced += 1
            return
        topic, partition, offset, time_sent = place_of(message)
        self._deliveries.append(
            Delivery(
                sent.alert_id,
                sent.filter,
                sent.filter_version,
                topic,
                partition,
                offset,
                time_sent,
                sent.late,
                sent.night,
            )
        )

    def _check(self) -> None:
        if self._failure is not None:
            raise self._fault(self._failure, "delivering messages")
        if self._unplaced:
            raise TransientError(
                f"{self._unplaced} messages were acknowledged without an offset; the batch is sent anew"
            )
        if self._overdue():
            raise TransientError(
                f"the batch took longer than one transaction may ({self._timeout_s:.0f} s); if it does so again, "
                "lower streams.max_files_per_trigger or raise streams.transaction_timeout_s"
            )

    def _overdue(self) -> bool:
        return bool(self._began_s) and time.monotonic() - self._began_s > self._timeout_s

    def _fault(self, error: KafkaError, doing: str) -> Exception:
        """Name the kind of an error; the broker shuts out a producer that was too slow as it does a stranger."""
        if self._overdue() and error.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
            return TransientError(f"the transaction timed out at the broker while {doing}")
        return translate(error, doing, self._kafka.servers)

    def _translated(self, doing: str, call: Callable[[], object]) -> None:
        try:
            call()
        except KafkaException as error:
            raise self._fault(kafka_error(error), doing) from error

    def _retried(self, doing: str, call: Callable[[], object]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                call()
            except KafkaException as error:
                cause = kafka_error(error)
                if attempt == ATTEMPTS or not cause.retriable():
                    raise self._fault(cause, doing) from error
                log.warning("attempt %d of %d, %s: %s", attempt, ATTEMPTS, doing, cause.str())
            else:
                return


def pending(alert_id: int, filter_name: str, filter_version: str, night: str, late: bool = False) -> Delivery:
    """Give the row of table ``sent`` of a message that is not delivered yet."""
    return Delivery(alert_id, filter_name, filter_version, "", -1, -1, datetime.now(UTC), late, night)
