"""Telling users what healing has changed: late messages and corrections, each exactly once.

A late message is the first one of an alert in a topic: a filter takes it now and did not before. A correction is the
packet of an alert that was sent already, with its new values, in a topic of its own.

What a healing has to send follows from tables ``healed`` and ``sent`` as they were before it, so every attempt cuts it
into the same pieces. A piece is one Kafka transaction with a marker; its rows of ``sent`` and its row of the ledger
follow. If the process dies between the two, the marker says what was sent, and the next attempt writes them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib import __version__
from fink_lib.errors import TransientError
from fink_lib.filters import FilterSet
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.stage import CORRECTIONS, HEAL, LOCK_WAIT_S, WITHDRAWN
from fink_lib.runtime.failpoints import failpoint
from fink_lib.runtime.lock import FileLock
from fink_lib.streams.committed import Delivery, Marker, NightCount, offset_ranges, read_deliveries
from fink_lib.streams.packet import HEADER_LATE, Packet
from fink_lib.streams.producer import TransactionalProducer, pending
from fink_lib.streams.stamps import StampReader

if TYPE_CHECKING:
    from fink_lib.lake import Lake
    from fink_lib.nightly.stage import NightContext

PIECE_ALERTS = 250


@dataclass(frozen=True)
class Sent:
    """What was sent: messages of alerts that a filter takes only now, and corrections."""

    late: int = 0
    corrections: int = 0

    def __add__(self, other: Sent) -> Sent:
        return Sent(self.late + other.late, self.corrections + other.corrections)


@dataclass(frozen=True)
class Due:
    """What one alert has to be sent to.

    Parameters
    ----------
    alert_id : int
        The alert.
    filters : tuple of str
        Filters that take it only now.
    corrected : bool
        Whether it was sent before.
    """

    alert_id: int
    filters: tuple[str, ...]
    corrected: bool


def corrections_topic(prefix: str, survey_name: str) -> str:
    """Name the topic of corrections."""
    return f"{prefix}_{CORRECTIONS}_{survey_name}"


def send_healed(context: NightContext, filters: FilterSet, number: int) -> Sent:
    """Send what a healing has changed; what was sent before is not sent again.

    Parameters
    ----------
    context : NightContext
        The night.
    filters : FilterSet
        Gives topics and versions.
    number : int
        Which healing of the night; nothing is done for 0.

    Returns
    -------
    Sent
        What was sent now.

    Raises
    ------
    TransientError
        If Kafka is away.
    LockedError
        If another process sends corrections.
    """
    if not number or _done(context.lake, context.night, _key(context.night, number)):
        return Sent()
    due = what_is_due(context.lake, context.night, number, filters, context.settings.streams.substream_prefix)
    pieces = [due[start : start + PIECE_ALERTS] for start in range(0, len(due), PIECE_ALERTS)]
    told = Sent()
    if pieces:
        sender = _Sender(context, filters, number)
        try:
            sender.open(sorted({name for one in due for name in one.filters}))
            for place, piece in enumerate(pieces):
                told += sender.send(place, piece)
                context.progress(f"healing: {told.late} late messages and {told.corrections} corrections sent")
        finally:
            sender.close()
    _enter(context, number, -1, len(due), Sent())
    return told


def settle(context: NightContext) -> int:
    """Write down what a healing has sent that died before it could; gives the number of messages.

    Raises
    ------
    TransientError
        If Kafka is away.
    LockedError
        If a night is being healed.
    """
    with healing_lock(context):
        sender = _Sender(context, FilterSet(()), 0)
        try:
            return sender.open([])
        finally:
            sender.close()


def healing_lock(context: NightContext) -> FileLock:
    """Give the lock of the one producer of corrections, whatever night they are of."""
    return FileLock(context.settings.run_dir(context.survey.name, HEAL) / "lock", wait_s=LOCK_WAIT_S)


def what_is_due(lake: Lake, night: str, number: int, filters: FilterSet, prefix: str) -> list[Due]:
    """Decide what a healing has to send, in the order of the alerts' ids.

    Parameters
    ----------
    lake : Lake
        Tables ``healed`` and ``sent``.
    night, number
        Which healing.
    filters : FilterSet
        Those that there are; a filter that was removed gets nothing.
    prefix : str
        Of the topics; what went out under another one does not count.
    """
    healed = lake.read("healed", [night], where=pc.field("number") == number).sort_by("alert_id")
    sent = lake.read("sent", [night], columns=["alert_id", "filter", "topic", "batch"])
    own = f"{_key(night, number)}-"
    before: dict[int, set[str]] = defaultdict(set)
    for row in sent.to_pylist():
        if row["topic"].startswith(f"{prefix}_") and not row["batch"].startswith(own):
            before[row["alert_id"]].add(row["filter"])
    due = []
    for row in healed.to_pylist():
        if row["modules"] == [WITHDRAWN]:
            continue  # there is nothing left to send of it
        known = before.get(row["alert_id"], set())
        late = tuple(name for name in row["enters"] if name not in known and name in filters.names)
        if late or known:
            due.append(Due(row["alert_id"], late, bool(known)))
    return due


class _Sender:
    """Sends the pieces of one healing."""

    def __init__(self, context: NightContext, filters: FilterSet, number: int) -> None:
        self._context = context
        self._number = number
        self._prefix = context.settings.streams.substream_prefix
        self._filters = {f.name: f for f in filters.filters}
        self._digest = filters.digest
        self._packet = Packet(context.survey)
        self._stamps = StampReader(context.lake)
        self._science = context.lake.dataset("science", [context.night])
        self._source = str(context.lake.table("science").metadata().id)
        self._producer = TransactionalProducer(context.settings, context.survey.name, HEAL)

    def open(self, names: Iterable[str]) -> int:
        """Take over from the last process that sent corrections, and write down what it could not.

        Returns
        -------
        int
            Number of messages that were written down.
        """
        topics = [self._filters[name].topic(self._prefix) for name in names]
        self._producer.open([*topics, corrections_topic(self._prefix, self._context.survey.name)])
        last = self._producer.last
        if last is not None and last.source == self._source:
            (night,) = last.nights
            key = _key(night, last.generation, last.batch_id)
            if not _done(self._context.lake, night, key):
                deliveries = list(read_deliveries(self._context.settings.kafka, last, key))
                if len(deliveries) != last.sent:
                    raise TransientError(
                        f"piece {key} of a healing sent {last.sent} messages and the topics show {len(deliveries)}; "
                        "if this stays so, the topics have dropped them: see docs/operations.md, 'Healing'"
                    )
                there = replace(self._context, night=night)
                _write_down(there, last.generation, last.batch_id, last.nights[night].received, deliveries)
                return len(deliveries)
        return 0

    def close(self) -> None:
        """Let go of the producer."""
        self._producer.close()

    def send(self, place: int, piece: list[Due]) -> Sent:
        """Send a piece, unless it was sent."""
        context, number = self._context, self._number
        key = _key(context.night, number, place)
        if _done(context.lake, context.night, key):
            return Sent()
        counts: Counter[str] = Counter()
        oversize = 0
        self._producer.begin()
        try:
            for alert_id, alert_time, value, due in self._packets(piece):
                names = [*due.filters, *([CORRECTIONS] if due.corrected else [])]
                if not self._producer.fits(value, self._packet.key):
                    oversize += len(names)
                    continue
                for name in names:
                    self._hand_over(name, alert_id, alert_time, value, key)
                    counts[name] += 1
            deliveries = self._producer.flush()
            if deliveries:
                night = NightCount(len(piece), len(piece), dict(sorted(counts.items())), oversize)
                self._producer.commit(
                    Marker(number, place, self._source, self._digest, {context.night: night}, offset_ranges(deliveries))
                )
            else:
                self._producer.abort()
        except Exception:
            self._producer.abort()
            raise
        failpoint(context.settings, context.survey.name, HEAL, "heal_before_sent")
        return _write_down(context, number, place, len(piece), deliveries)

    def _packets(self, piece: list[Due]) -> Iterable[tuple[int, float, bytes, Due]]:
        """Pack the alerts of a piece as they are in the lake now."""
        key = self._context.survey.id_field
        ids = [one.alert_id for one in piece]
        near = (pc.field(key) >= min(ids)) & (pc.field(key) <= max(ids)) & pc.field(key).isin(pa.array(ids))
        columns = list(dict.fromkeys((key, *self._packet.form.columns)))
        rows = self._science.to_table(columns, filter=near).sort_by(key).combine_chunks()
        found = rows.column(key).combine_chunks()
        batches = pc.struct_field(rows.column("ingest").combine_chunks(), "batch")
        values = self._packet.values(rows, self._stamps.fetch(self._context.night, found, batches))
        due = {one.alert_id: one for one in piece}
        times = self._packet.form.times(rows).to_pylist()
        for alert_id, alert_time, value in zip(found.to_pylist(), times, values, strict=True):
            yield alert_id, alert_time, value.as_py(), due[alert_id]

    def _hand_over(self, name: str, alert_id: int, alert_time: float, value: bytes, key: str) -> None:
        night, survey = self._context.night, self._context.survey.name
        if name == CORRECTIONS:
            topic, version = corrections_topic(self._prefix, survey), str(self._number)
        else:
            topic, version = self._filters[name].topic(self._prefix), self._filters[name].version
        headers = self._packet.headers(alert_id, name, version, alert_time, night, key)
        sent = pending(alert_id, name, version, night, late=True)
        self._producer.send(topic, self._packet.key, value, [*headers, (HEADER_LATE, b"1")], sent)


def _write_down(context: NightContext, number: int, place: int, alerts: int, deliveries: list[Delivery]) -> Sent:
    """Append the rows of ``sent`` of a piece, then its row of the ledger; each once, however often it is called."""
    lake, night = context.lake, context.night
    key = _key(night, number, place)
    order = sorted(
        (sent for sent in deliveries if sent.filter != CORRECTIONS),
        key=lambda sent: (sent.topic, sent.partition, sent.offset),
    )
    rows = [{**asdict(sent), "batch": key} for sent in order]
    if rows:
        lake.append("sent", pa.Table.from_pylist(rows, schema=lake.schema("sent")), _writer(context, number), place)
    told = Sent(len(order), len(deliveries) - len(order))
    _enter(context, number, place, alerts, told)
    return told


def _enter(context: NightContext, number: int, place: int, alerts: int, sent: Sent) -> None:
    """Enter a piece into the ledger; place -1 is the whole healing, which is done then."""
    key = _key(context.night, number, place if place >= 0 else None)
    row: dict[str, Any] = {
        "stage": HEAL,
        "batch": key,
        "generation": number,
        "batch_id": place,
        "received": alerts if place >= 0 else 0,
        "produced": alerts if place >= 0 else 0,
        "sent": sent.late,
        "details": json.dumps({CORRECTIONS: sent.corrections}),
        "seconds": 0.0,
        "finished": context.now,
        "code_version": __version__,
        PARTITION: context.night,
    }
    table = pa.Table.from_pylist([row], schema=context.lake.schema("ledger"))
    writer = _writer(context, number)
    context.lake.append("ledger", table, f"{writer}.done" if place < 0 else writer, max(place, 0))


def _done(lake: Lake, night: str, key: str) -> bool:
    found = lake.read("ledger", [night], columns=["batch"], where=pc.field("batch") == key)
    return bool(found.num_rows)


def _writer(context: NightContext, number: int) -> str:
    return f"{context.survey.name}.{HEAL}.{context.night}.{number}"


def _key(night: str, number: int, place: int | None = None) -> str:
    """Name a healing, or one piece of it."""
    return f"{HEAL}-{night}-{number}" + ("" if place is None else f"-{place:06d}")
