"""Follows topics: take what comes, choose, write, and only then tell the servers that it was read."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from fink_lib.client.consumer import STEP_S, AlertConsumer, Received, grouped
from fink_lib.client.files import ENDINGS, write_alert_file
from fink_lib.client.folder import Folder, Range
from fink_lib.client.kafka import ANSWER_S, explain, kafka_options, topic_identity
from fink_lib.client.names import file_stem
from fink_lib.client.selection import Selection
from fink_lib.errors import ConfigError, DataError

BATCH = 200
"""Most alerts that are held before they are written; a decoded one takes some hundred kB."""
JOIN_S = 30.0
"""How long a place in the group may take; another reader of it that was killed is waited for."""
FLUSH_S = 30.0
"""Longest time that an alert waits for others to share its Parquet or JSON file."""


@dataclass(frozen=True)
class Request:
    """What to read, and what to do with it.

    Parameters
    ----------
    survey : str
        ``ztf`` or ``lsst``.
    topics : sequence of str
        Which ones.
    config : mapping
        As :class:`~fink_lib.client.consumer.AlertConsumer` takes it.
    limit : int, optional
        Stop after so many alerts.
    timeout_s : float, optional
        Stop when nothing came for so long.
    start : str, optional
        ``earliest``, ``latest``, or a time; where the group stopped if not given.
    save : Path, optional
        Folder.
    form : str
        ``avro`` (a file for each alert), ``parquet`` or ``json``.
    where : str, optional
        Keep the alerts for which this is true.
    schemas : Path, optional
        Schemas for messages whose key is none.
    """

    survey: str
    topics: Sequence[str]
    config: dict[str, Any]
    limit: int | None = None
    timeout_s: float | None = None
    start: str | None = None
    save: Path | None = None
    form: str = "avro"
    where: str | None = None
    schemas: Path | None = None


@dataclass
class Tally:
    """What became of the messages.

    Attributes
    ----------
    taken, refused, known, bad : int
        Kept; not chosen by ``where``; in the folder already; not readable.
    """

    taken: int = 0
    refused: int = 0
    known: int = 0
    bad: int = 0


@dataclass
class _Buffer:
    """Messages that were looked at since the last write."""

    alerts: list[Received] = field(default_factory=list)
    spans: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    since_s: float = 0.0

    def saw(self, one: Received) -> None:
        place = one.topic, one.partition
        first, last = self.spans.get(place, (one.offset, one.offset))
        self.spans[place] = min(first, one.offset), max(last, one.offset)


def follow(
    request: Request,
    show: Callable[[Received], None],
    complain: Callable[[str], None],
    stopping: Callable[[], bool] = lambda: False,
) -> Tally:
    """Read until the limit, the time-out, or until `stopping` says so.

    Parameters
    ----------
    request : Request
        What to do.
    show : callable
        Called with each alert that is kept, after it was written.
    complain : callable
        Called with a sentence for each message that cannot be read; it is passed over.
    stopping : callable
        Asked again and again.

    Raises
    ------
    ConfigError
        If a topic is not there, or the request cannot be done.
    TransientError
        If the servers or the disk fail; what was not written is not committed.
    """
    return _Follower(request, show, complain).run(stopping)


class _Follower:
    def __init__(self, request: Request, show: Callable[[Received], None], complain: Callable[[str], None]) -> None:
        self.request = request
        self.show = show
        self.complain = complain
        self.tally = Tally()
        self.selection = Selection(request.where) if request.where else None
        self.folder = Folder(request.save) if request.save and request.form != "avro" else None
        self.buffer = _Buffer()
        self._ids: dict[str, str] = {}

    def run(self, stopping: Callable[[], bool]) -> Tally:
        request = self.request
        start = None if request.start is None else starter(request.start)
        if request.form not in ENDINGS:
            raise ConfigError(f"there is no format {request.form!r}; name one of {', '.join(ENDINGS)}")
        with ExitStack() as stack:
            consumer = stack.enter_context(
                AlertConsumer(request.topics, request.config, request.survey, request.schemas, on_assign=start)
            )
            require_topics(consumer.all_topics(), request.topics)
            if self.folder is not None:
                stack.enter_context(self.folder)
            heard_s = time.monotonic()
            join_by_s = heard_s + JOIN_S
            while not stopping() and (room := self._room()) > 0:
                received, bad = consumer.receive(room, STEP_S)
                for error in bad:
                    self.tally.bad += 1
                    self.complain(f"not readable: {error}")
                now_s = time.monotonic()
                # before it has a place in the group, a consumer hears nothing, and that is no silence
                if received or bad or (now_s < join_by_s and not consumer.has_place()):
                    heard_s = now_s
                self._take(received, now_s)
                if self._is_due(now_s):
                    self._flush(consumer)
                if request.timeout_s is not None and now_s - heard_s >= request.timeout_s:
                    break
            self._flush(consumer)
        return self.tally

    def _room(self) -> int:
        held = len(self.buffer.alerts)
        left = BATCH if self.request.limit is None else self.request.limit - self.tally.taken - held
        return min(BATCH - held, left)

    def _take(self, received: list[Received], now_s: float) -> None:
        if not received:
            return
        self.buffer.since_s = self.buffer.since_s or now_s
        new = []
        for one in received:
            if self.folder is not None and self.folder.has(one.topic, self._id(one.topic), one.partition, one.offset):
                self.tally.known += 1
                continue
            self.buffer.saw(one)
            new.append(one)
        kept = new if self.selection is None else self.selection.keep(new)
        self.tally.refused += len(new) - len(kept)
        self.buffer.alerts += kept

    def _is_due(self, now_s: float) -> bool:
        if not self.buffer.since_s:
            return False
        return self.folder is None or len(self.buffer.alerts) >= BATCH or now_s - self.buffer.since_s >= FLUSH_S

    def _flush(self, consumer: AlertConsumer) -> None:
        """Write what is held, then commit, then show it."""
        held, self.buffer = self.buffer, _Buffer()
        if self.folder is not None:
            for (topic, partition), (first, last) in sorted(held.spans.items()):
                mine = [one for one in held.alerts if (one.topic, one.partition) == (topic, partition)]
                tables = [group[0].schema.table([one.alert for one in group]) for group in grouped(mine)]
                self.folder.add(Range(topic, self._id(topic), partition, first, last), tables, self.request.form)
        elif self.request.save is not None:
            for one in held.alerts:
                self._write_one(one, self.request.save)
        consumer.commit()
        self.tally.taken += len(held.alerts)
        for one in held.alerts:
            self.show(one)

    def _write_one(self, one: Received, folder: Path) -> None:
        try:
            stem = file_stem(one.alert, one.topic, self.request.survey)
        except DataError as error:
            self.tally.bad += 1
            self.complain(f"not written: {one.topic}[{one.partition}] offset {one.offset}: {error}")
        else:
            write_alert_file(folder / f"{stem}.avro", one.schema.container(one.value))

    def _id(self, topic: str) -> str:
        if topic not in self._ids:
            self._ids[topic] = topic_identity(kafka_options(self.request.config), topic)
        return self._ids[topic]


def require_topics(there: Sequence[str], wanted: Sequence[str]) -> None:
    """See that topics exist; regular expressions are let through.

    Raises
    ------
    ConfigError
        If one does not, with the name that is most like it.
    """
    for name in wanted:
        if name not in there and not name.startswith("^"):
            near = difflib.get_close_matches(name, there, 1)
            meant = f"; did you mean {near[0]}?" if near else "; `fink client topics` lists those that there are"
            raise ConfigError(f"there is no topic {name}{meant}")


def starter(start: str) -> Callable[[Any, list[TopicPartition]], None]:
    """Make the function that places a consumer when it is given partitions, the first time that it is given each.

    Raises
    ------
    ConfigError
        If `start` is neither a word that is known nor a time.
    """
    time_ms = None if start in ("earliest", "latest") else parse_time_ms(start)
    placed: set[tuple[str, int]] = set()

    def assign(consumer: Any, partitions: list[TopicPartition]) -> None:
        fresh = [one for one in partitions if (one.topic, one.partition) not in placed]
        if time_ms is None:
            for one in fresh:
                one.offset = OFFSET_BEGINNING if start == "earliest" else OFFSET_END
        elif fresh:
            asked = [TopicPartition(one.topic, one.partition, time_ms) for one in fresh]
            found = {(a.topic, a.partition): a.offset for a in consumer.offsets_for_times(asked, timeout=ANSWER_S)}
            for one in fresh:
                one.offset = found[one.topic, one.partition]
        placed.update((one.topic, one.partition) for one in fresh)
        consumer.assign(partitions)

    return assign


def parse_time_ms(text: str) -> int:
    """Read a time; without a zone it is UTC.

    Returns
    -------
    int
        Milliseconds since 1970.

    Raises
    ------
    ConfigError
        If it is no ISO time.

    Examples
    --------
    >>> parse_time_ms("1970-01-02")
    86400000
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time; give earliest, latest, or a time such as 2026-01-15T08:00 (UTC)"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@dataclass(frozen=True)
class Standing:
    """How far a group is in a topic: messages up to its place, and those that it has not read."""

    topic: str
    committed: int
    lag: int


def standings(config: dict[str, Any], topics: Sequence[str]) -> list[Standing]:
    """Tell how far a group is. Commit markers count, so a lag may be a few too large.

    Raises
    ------
    ConfigError, TransientError
        If a topic is not there, or the servers do not answer.
    """
    options = kafka_options(config)
    consumer = Consumer(options)
    found = []
    try:
        known = consumer.list_topics(timeout=ANSWER_S).topics
        require_topics(list(known), topics)
        patterns = [name for name in topics if name.startswith("^")]
        named = {*topics, *(name for name in known if any(re.match(pattern, name) for pattern in patterns))}
        for topic in sorted(named - set(patterns)):
            places = [TopicPartition(topic, number) for number in known[topic].partitions]
            committed = lag = 0
            for place in consumer.committed(places, timeout=ANSWER_S):
                low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_S, cached=False)
                at = place.offset if place.offset >= 0 else low
                committed += max(place.offset, 0)
                lag += max(high - at, 0)
            found.append(Standing(topic, committed, lag))
    except KafkaException as error:
        raise explain(error.args[0], str(options["bootstrap.servers"])) from error
    finally:
        consumer.close()
    return found
