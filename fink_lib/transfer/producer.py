"""An idempotent producer, not a transactional one, that knows beforehand at which offset each record arrives.

A transaction would leave control records in the topic, and clients count records to know their offset. What a
transaction would guard is guarded by arithmetic instead: the offset of a row is known (:mod:`fink_lib.transfer.order`),
so a record that arrives anywhere else, twice or not at all is noticed at once.
"""

from __future__ import annotations

import time
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fink_lib.config import KafkaSettings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.streams.kafka import client_options
from fink_lib.streams.kafka_errors import kafka_error, translate
from fink_lib.streams.producer import OVERHEAD_BYTES, POLL_S, QUEUE_KIB, QUEUE_MESSAGES

STALLED_S = 120.0


class PlainProducer:
    """Sends records to partitions and offsets that the caller names.

    Parameters
    ----------
    kafka : KafkaSettings
        Where the brokers are, and the largest message.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self.delivered = 0
        self._failure: Exception | None = None
        self._producer = Producer(
            {
                **client_options(kafka),
                "enable.idempotence": True,
                # experimental by name, of which the client would warn at each start
                "enable.gapless.guarantee": True,
                "log_level": 3,
                "acks": "all",
                # a second one would be taken first where a new topic refuses the first: docs/adr/0007
                "max.in.flight.requests.per.connection": 1,
                # a record is never given up alone, which would leave a gap; a broker that is away stops the whole run
                "message.timeout.ms": 0,
                "message.max.bytes": kafka.message_max_bytes,
                "queue.buffering.max.kbytes": QUEUE_KIB,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "compression.type": "lz4",
                "linger.ms": 20,
            }
        )

    def send(self, topic: str, partition: int, offset: int, key: bytes, value: bytes) -> None:
        """Hand a record over; waits while the queue is full.

        Raises
        ------
        ConfigError
            If the record is larger than the brokers take, or an earlier one arrived at a wrong offset.
        TransientError
            If the brokers are away.
        """
        if len(key) + len(value) + OVERHEAD_BYTES > self._kafka.message_max_bytes:
            raise ConfigError(
                f"a row of {len(value)} bytes is more than kafka.message_max_bytes; submit the transfer with fewer "
                "columns (medium has no images), or to files with --parquet"
            )
        seen, since_s = self.delivered, time.monotonic()
        while True:
            self._check()
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=partial(self._arrived, offset))
            except BufferError:
                self._producer.poll(POLL_S)
                seen, since_s = self._watch(seen, since_s)
            except KafkaException as error:
                raise translate(kafka_error(error), f"sending to {topic}", self._kafka.servers) from error
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        """Wait until every record is where it belongs; raises as :meth:`send` does."""
        seen, since_s = self.delivered, time.monotonic()
        while self._producer.flush(POLL_S):
            self._check()
            seen, since_s = self._watch(seen, since_s)
        self._check()

    def close(self) -> None:
        """Let go of the client; what was not delivered is dropped."""
        self._producer.purge()
        self._producer.flush(POLL_S)

    def _watch(self, seen: int, since_s: float) -> tuple[int, float]:
        if self.delivered != seen:
            return self.delivered, time.monotonic()
        if time.monotonic() - since_s > STALLED_S:
            raise TransientError(
                f"Kafka at {self._kafka.servers} took nothing for {STALLED_S:.0f} s; run the transfer again when it "
                "answers, it goes on where it is"
            )
        return seen, since_s

    def _arrived(self, offset: int, error: KafkaError | None, message: Message) -> None:
        if self._failure is not None:
            return
        if error is not None:
            self._failure = translate(error, f"sending to {message.topic()}", self._kafka.servers)
        elif message.offset() is None:
            self._failure = TransientError("a row was acknowledged without an offset; run the transfer again")
        elif message.offset() != offset:
            self._failure = ConfigError(
                f"a row arrived at offset {message.offset()} of {message.topic()}-{message.partition()} instead of "
                f"{offset}: somebody else writes there; cancel the transfer and submit it again"
            )
        else:
            self.delivered += 1

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
