"""What Kafka itself says of a night: offsets of the input topics, and messages of the output topics."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from fink_lib.errors import TransientError
from fink_lib.streams.kafka import client_options

if TYPE_CHECKING:
    from fink_lib.config import KafkaSettings

Place = tuple[str, int]
"""Topic and partition."""

TIMEOUT_S = 20.0
SILENCE_S = 30.0
GATHER_S = 0.2
FETCH_MESSAGES = 500
QUEUE_KB = 32 * 1024


@dataclass(frozen=True)
class OutputMessages:
    """The messages that readers of committed data find in the output topics for one night.

    Parameters
    ----------
    places : dict
        (topic, partition, offset) to alert id.
    begin : dict
        First offset that each partition still has.
    batches : dict
        (topic, partition, offset) to the batch that sent the message, if it says so.
    """

    places: dict[tuple[str, int, int], int] = field(default_factory=dict)
    begin: dict[Place, int] = field(default_factory=dict)
    batches: dict[tuple[str, int, int], str] = field(default_factory=dict)


class Received(NamedTuple):
    """Where a message was, and its headers; nothing here needs its value."""

    topic: str
    partition: int
    offset: int
    headers: dict[str, bytes]


class KafkaView:
    """Reads offsets and messages; writes nothing and joins no group.

    Parameters
    ----------
    settings : KafkaSettings
        Where the brokers are.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = AdminClient({**client_options(settings)})

    def topics(self, pattern: str) -> dict[str, list[int]]:
        """Give the topics whose names match, with their partitions."""
        matcher = re.compile(pattern)
        try:
            listed = self._admin.list_topics(timeout=TIMEOUT_S).topics
        except KafkaException as error:
            raise self._away(error) from error
        return {name: sorted(topic.partitions) for name, topic in listed.items() if matcher.search(name)}

    def begins(self, topics: Mapping[str, Iterable[int]]) -> dict[Place, int]:
        """Give the first offset that each partition still has."""
        return self._offsets(topics, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def ends(self, topics: Mapping[str, Iterable[int]]) -> dict[Place, int]:
        """Give the offset after the last record of each partition."""
        return self._offsets(topics, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def newest(self, topics: Mapping[str, Iterable[int]]) -> datetime | None:
        """Give the latest record timestamp of some topics (UTC); None if they hold no record."""
        stamps = self._list(topics, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
        latest_ms = max((stamp for _, stamp in stamps.values()), default=-1)
        return datetime.fromtimestamp(latest_ms / 1000, UTC) if latest_ms >= 0 else None

    def holding(self, suspects: Mapping[Place, Collection[int]]) -> dict[Place, list[int]]:
        """Tell which of some offsets hold a record.

        Offsets of transaction markers and of records that compaction removed hold none; a reader that starts at such
        an offset gets a later one.
        """
        held: dict[Place, list[int]] = {}
        for (topic, partition), offsets in suspects.items():
            wanted = sorted(offsets)
            if not wanted:
                continue
            asked = set(wanted)
            found = [
                message.offset
                for message in self._read({(topic, partition): (wanted[0], wanted[-1] + 1)}, "read_uncommitted")
                if message.offset in asked
            ]
            if found:
                held[topic, partition] = found
        return held

    def sent(
        self, pattern: str, named: Collection[str], since: datetime, night: str, progress: Callable[[str], None]
    ) -> OutputMessages:
        """Find the committed messages of a night.

        Parameters
        ----------
        pattern : str
            Of the output topics.
        named : collection of str
            Other topics to look into, if they exist.
        since : datetime
            No message of the night was sent before (UTC).
        night : str
            ``YYYYMMDD``.
        progress : callable
            Takes a line for people.
        """
        # not for a look whether the night is closed
        from fink_lib.streams.packet import HEADER_ALERT_ID, HEADER_BATCH, HEADER_NIGHT

        topics = self.topics(pattern)
        missed = set(named) - set(topics)
        if missed:
            topics |= {topic: parts for topic, parts in self.topics(".").items() if topic in missed}
        begin, end = self.begins(topics), self.ends(topics)
        start = self._since(begin, end, since)
        ranges = {place: (start[place], end[place]) for place in begin if start[place] < end[place]}
        waiting = sum(last - first for first, last in ranges.values())
        if waiting:
            progress(f"reading up to {waiting} messages of {len(topics)} output topics")
        places, batches = {}, {}
        for message in self._read(ranges, "read_committed"):
            headers = message.headers
            if headers.get(HEADER_NIGHT) == night.encode() and HEADER_ALERT_ID in headers:
                place = (message.topic, message.partition, message.offset)
                places[place] = int(headers[HEADER_ALERT_ID])
                if HEADER_BATCH in headers:
                    batches[place] = headers[HEADER_BATCH].decode()
        return OutputMessages(places, begin, batches)

    def committed(self, pattern: str) -> dict[str, int]:
        """Count the messages that a reader of committed data finds in each topic."""
        topics = self.topics(pattern)
        begin, end = self.begins(topics), self.ends(topics)
        counts = dict.fromkeys(sorted(topics), 0)
        for message in self._read({place: (begin[place], end[place]) for place in begin}, "read_committed"):
            counts[message.topic] += 1
        return counts

    def _since(self, begin: dict[Place, int], end: dict[Place, int], since: datetime) -> dict[Place, int]:
        if not begin:
            return {}
        consumer = self._consumer("read_uncommitted")
        try:
            stamp_ms = int(since.timestamp() * 1000)
            asked = [TopicPartition(topic, partition, stamp_ms) for topic, partition in begin]
            found = consumer.offsets_for_times(asked, timeout=TIMEOUT_S)
        except KafkaException as error:
            raise self._away(error) from error
        finally:
            consumer.close()
        return {(at.topic, at.partition): at.offset if at.offset >= 0 else end[at.topic, at.partition] for at in found}

    def _read(self, ranges: Mapping[Place, tuple[int, int]], isolation: str) -> Iterator[Received]:
        """Give the messages of some offset ranges; ends when each range is passed, in whatever way."""
        open_places = {place: end for place, (start, end) in ranges.items() if start < end}
        if not open_places:
            return
        consumer = self._consumer(isolation)
        try:
            consumer.assign([TopicPartition(*place, ranges[place][0]) for place in open_places])
            heard_s = time.monotonic()
            while open_places:
                # The client gathers until it has that many or the time is over, even when no more can come.
                messages = consumer.consume(FETCH_MESSAGES, timeout=GATHER_S)
                if messages:
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > SILENCE_S:
                    raise TransientError(
                        f"Kafka at {self._settings.servers} was silent for {SILENCE_S:.0f} s with "
                        f"{len(open_places)} partitions to read; check `fink status`"
                    )
                for message in messages:
                    place = (str(message.topic()), int(message.partition() or 0))
                    error = message.error()
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:
                        open_places.pop(place, None)
                    elif error is not None:
                        raise self._away(KafkaException(error))
                    elif place in open_places:
                        offset = int(message.offset() or 0)
                        if offset < open_places[place]:
                            yield Received(*place, offset, _headers(message))
                        if offset >= open_places[place] - 1:
                            del open_places[place]
        finally:
            consumer.close()

    def _consumer(self, isolation: str) -> Consumer:
        return Consumer(
            {
                **client_options(self._settings),
                "group.id": "fink-nightly",  # required by the client; nothing is ever committed under it
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": isolation,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": QUEUE_KB,
            }
        )

    def _offsets(self, topics: Mapping[str, Iterable[int]], spec: OffsetSpec) -> dict[Place, int]:
        return {place: offset for place, (offset, _) in self._list(topics, spec).items()}

    def _list(self, topics: Mapping[str, Iterable[int]], spec: OffsetSpec) -> dict[Place, tuple[int, int]]:
        asked = {TopicPartition(topic, partition): spec for topic, parts in topics.items() for partition in parts}
        if not asked:
            return {}
        try:
            futures = self._admin.list_offsets(asked, request_timeout=TIMEOUT_S)
            answers = {(at.topic, at.partition): future.result() for at, future in futures.items()}
        except KafkaException as error:
            raise self._away(error) from error
        return {
            place: (answer.offset if answer.offset != OFFSET_INVALID else -1, answer.timestamp)
            for place, answer in answers.items()
        }

    def _away(self, error: KafkaException) -> TransientError:
        return TransientError(f"Kafka at {self._settings.servers} does not answer ({error}); check `fink status`")


def _headers(message: Message) -> dict[str, bytes]:
    pairs: list[tuple[str, bytes | None]] = list(message.headers() or ())  # type: ignore[arg-type]
    return {name: value for name, value in pairs if value is not None}
