"""Send messages to Kafka and know for each one where it arrived."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TextIO

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fink_lib.config import KafkaSettings
from fink_lib.errors import TransientError
from fink_lib.simulator.faults import Outgoing

CONNECT_TIMEOUT_S = 10.0
FLUSH_TIMEOUT_S = 180.0


class Delivery:
    """An idempotent producer that keeps account of every message.

    Parameters
    ----------
    kafka : KafkaSettings
        Sizes of messages.
    servers : str
        Bootstrap list.
    partitions : int
        Of topics that do not exist yet.
    manifest : file, optional
        Gets one JSON line per delivered message.
    keyed : bool
        Whether messages have the name of their object as key.

    Raises
    ------
    TransientError
        If no broker answers.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        servers: str,
        partitions: int,
        manifest: TextIO | None = None,
        keyed: bool = True,
    ) -> None:
        self._kafka = kafka
        self._keyed = keyed
        self._partitions = partitions
        self._manifest = manifest
        # librdkafka's own log repeats each failed attempt; what counts is said once, below
        client: dict[str, str | int | float | bool] = {
            "bootstrap.servers": servers,
            "client.id": "fink-simulate",
            "log_level": 2,
        }
        self._admin = AdminClient(client)
        try:
            self._topics = set(self._admin.list_topics(timeout=CONNECT_TIMEOUT_S).topics)
        except KafkaException as error:
            raise TransientError(
                f"no Kafka broker answers at {servers}; start one with `fink up kafka` or give --servers"
            ) from error
        self._producer = Producer(
            {
                **client,
                "enable.idempotence": True,
                "acks": "all",
                # a second one would be taken first where a new topic refuses the first: docs/adr/0007
                "max.in.flight.requests.per.connection": 1,
                "linger.ms": 20,
                "message.max.bytes": kafka.input_max_bytes,
                "queue.buffering.max.kbytes": 4 * kafka.input_max_bytes // 1024,
            }
        )
        self.sent = 0
        self.delivered = 0
        self.failures: Counter[str] = Counter()
        self.topics: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def send(self, topic: str, message: Outgoing) -> None:
        """Hand one message over; :meth:`finish` tells whether it arrived."""
        if topic not in self._topics:
            self._create(topic)
        packet = message.packet
        key = (packet.object_id.encode() or None) if self._keyed else None
        record = {"id": packet.alert_id, "fault": message.fault, "sha256": hashlib.sha256(packet.value).hexdigest()}
        while True:
            try:
                self._producer.produce(topic, packet.value, key, on_delivery=self._arrived(record))
                break
            except BufferError:  # the queue is full: wait for the broker
                self._producer.poll(0.1)
        self.sent += 1
        self._producer.poll(0)

    def wait(self, seconds: float) -> None:
        """Pass the time while messages go out."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._producer.poll(min(left, 0.1))

    def flush(self) -> None:
        """Wait until everything handed over was acknowledged or given up."""
        self._producer.flush(FLUSH_TIMEOUT_S)

    def finish(self) -> bool:
        """Wait for all acknowledgements, write the totals and tell whether every message arrived."""
        self.flush()
        if self._manifest is not None:
            self._manifest.write(json.dumps({"totals": self.totals()}) + "\n")
            self._manifest.flush()
        return self.delivered == self.sent

    def totals(self) -> dict[str, Any]:
        """Give what was sent and what arrived."""
        return {
            "sent": self.sent,
            "delivered": self.delivered,
            "topics": dict(sorted(self.topics.items())),
            "faults": dict(sorted(self.faults.items())),
            "failures": dict(self.failures),
        }

    def _create(self, topic: str) -> None:
        config = {"max.message.bytes": str(self._kafka.input_max_bytes)}
        made = self._admin.create_topics([NewTopic(topic, self._partitions, -1, config=config)])
        try:
            made[topic].result(timeout=30.0)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TransientError(f"topic {topic} cannot be created: {error}") from error
        self._topics.add(topic)

    def _arrived(self, record: dict[str, Any]) -> Callable[[KafkaError | None, Message], None]:
        def note(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failures[error.name()] += 1
                return
            topic = str(message.topic())
            self.delivered += 1
            self.topics[topic] += 1
            if record["fault"]:
                self.faults[record["fault"]] += 1
            if self._manifest is not None:
                place = {"topic": topic, "partition": message.partition(), "offset": message.offset()}
                self._manifest.write(json.dumps({**record, **place}) + "\n")

        return note
