"""select: what the filters of the night choose from it goes to their topics, each alert once.

What is due follows from the night's alerts and from table ``sent``. It is cut into pieces; a piece is one Kafka
transaction with a marker, and its rows of ``sent`` and of the ledger follow. If the process dies between the two, the
marker says what was sent, and the next call writes it down before it looks what is left: the next selection, of
whatever night, or ``reconcile`` of a night whose messages it finds unrecorded. A call that finds nothing left sends
nothing.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib import __version__
from fink_lib.errors import TransientError
from fink_lib.filters import FilterSet, load_filters
from fink_lib.filters.night import Chosen, select_night
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.nights import was_archived
from fink_lib.nightly.stage import LOCK_WAIT_S, SELECT, NightContext, Verdict, read_verdict
from fink_lib.runtime.failpoints import failpoint
from fink_lib.runtime.lock import FileLock
from fink_lib.streams.committed import Delivery, Marker, NightCount, offset_ranges, read_deliveries
from fink_lib.streams.packet import HEADER_LATE, Packet
from fink_lib.streams.producer import TransactionalProducer, pending
from fink_lib.streams.stamps import StampReader

if TYPE_CHECKING:
    from fink_lib.lake import Lake

PIECE_ALERTS = 250
REPEAT_DAYS = 90
HEADER_REPEAT = "fink-repeat"
"""On a message of an object that the same filter chose before: the last night in which it did."""


@dataclass(frozen=True)
class Due:
    """One alert, and the filters that it has to be sent for; with each the night of its object's last message."""

    alert_id: int
    filters: Mapping[str, str]


def select(context: NightContext) -> Verdict:
    """Send what the filters of the night choose.

    Raises
    ------
    TransientError
        If Kafka is away; the same call sends what is left.
    LockedError
        If another process sends selections.
    """
    lake, night, settings = context.lake, context.night, context.settings
    filters = load_filters(context.survey, ["night"], home=settings.home)
    late = read_verdict(context, SELECT) is not None or was_archived(lake, night)
    sent = 0
    with _lock(context):
        sender = Sender(context, filters, late)
        try:
            sender.open()
            chosen = select_night(lake, night, filters)
            due = what_is_due(lake, night, filters, chosen, settings.streams.substream_prefix)
            for start in range(0, len(due), PIECE_ALERTS):
                sent += sender.send(due[start : start + PIECE_ALERTS])
                context.progress(f"select: {sent} messages sent")
        finally:
            sender.close()
    counts = {name: len(found) for name, found in chosen.items() if found}
    words = f"{sum(counts.values())} alerts chosen by {len(counts)} filters of night {night}; {sent} messages sent"
    return Verdict(True, words, {"chosen": counts, "sent": sent})


def settle(context: NightContext) -> int:
    """Write down what a selection has sent that died before it could; gives the number of messages.

    Raises
    ------
    TransientError
        If Kafka is away.
    LockedError
        If a selection is being sent.
    """
    with _lock(context):
        sender = Sender(context, FilterSet(()), late=False)
        try:
            return sender.open()
        finally:
            sender.close()


def _lock(context: NightContext) -> FileLock:
    """Give the lock of the one producer of selections, whatever night they are of."""
    return FileLock(context.settings.run_dir(context.survey.name, SELECT) / "lock", wait_s=LOCK_WAIT_S)


def what_is_due(
    lake: Lake, night: str, filters: FilterSet, chosen: Mapping[str, Sequence[Chosen]], prefix: str
) -> list[Due]:
    """Decide what has to be sent, in the order of the alerts' ids.

    Parameters
    ----------
    lake : Lake
        Tables ``sent`` and ``science``.
    night : str
        Which night.
    filters : FilterSet
        Filters of the night.
    chosen : mapping
        What each of them takes.
    prefix : str
        Of the topics; what went out under another one does not count.
    """
    before = _sent(lake, [night], filters, prefix)
    last = _last_nights(lake, night, filters, prefix)
    due: dict[int, dict[str, str]] = defaultdict(dict)
    for name, alerts in chosen.items():
        done = {alert_id for alert_id, _ in before[name]}
        for one in alerts:
            if one.alert_id not in done:
                due[one.alert_id][name] = last[name].get(one.object_id, "")
    return [Due(alert_id, names) for alert_id, names in sorted(due.items())]


def _sent(lake: Lake, nights: Iterable[str], filters: FilterSet, prefix: str) -> dict[str, list[tuple[int, str]]]:
    """Give alert and night of what each filter has sent."""
    rows = lake.read("sent", nights, ["alert_id", "filter", "topic", PARTITION])
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in filters.names}
    for row in rows.filter(pc.is_in(rows.column("filter"), pa.array(filters.names, pa.string()))).to_pylist():
        if row["topic"].startswith(f"{prefix}_"):
            found[row["filter"]].append((row["alert_id"], row[PARTITION]))
    return found


def _last_nights(lake: Lake, night: str, filters: FilterSet, prefix: str) -> dict[str, dict[str, str]]:
    """Give, by filter and object, the last of the earlier nights in which the filter chose it."""
    oldest = (datetime.strptime(night, "%Y%m%d") - timedelta(days=REPEAT_DAYS)).strftime("%Y%m%d")
    nights = [one for one in lake.nights("sent") if oldest <= one < night]
    before = _sent(lake, nights, filters, prefix) if nights else {name: [] for name in filters.names}
    key, name_of = lake.survey.id_field, lake.survey.object_field
    wanted: dict[str, set[int]] = defaultdict(set)
    for alerts in before.values():
        for alert_id, there in alerts:
            wanted[there].add(alert_id)
    objects: dict[int, str] = {}
    for there, ids in wanted.items():
        rows = lake.read("science", [there], [key, name_of], pc.field(key).isin(pa.array(sorted(ids))))
        objects |= dict(zip(rows.column(key).to_pylist(), rows.column(name_of).to_pylist(), strict=True))
    found: dict[str, dict[str, str]] = {name: {} for name in filters.names}
    for name, alerts in before.items():
        for alert_id, there in sorted(alerts, key=lambda pair: pair[1]):
            if alert_id in objects:
                found[name][objects[alert_id]] = there
    return found


class Sender:
    """Sends pieces of a night's selections.

    Parameters
    ----------
    context : NightContext
        The night.
    filters : FilterSet
        Gives topics and versions.
    late : bool
        Whether the night was selected from before: what is due now entered later.
    """

    def __init__(self, context: NightContext, filters: FilterSet, late: bool) -> None:
        self._context = context
        self._late = late
        self._prefix = context.settings.streams.substream_prefix
        self._filters = {f.name: f for f in filters.filters}
        self._digest = filters.digest
        self._packet = Packet(context.survey)
        self._stamps = StampReader(context.lake)
        self._source = str(context.lake.table("science").metadata().id)
        self._producer = TransactionalProducer(context.settings, context.survey.name, SELECT)

    def open(self) -> int:
        """Take over from the last process that sent selections, and write down what it could not.

        Returns
        -------
        int
            Number of messages that were written down.
        """
        self._producer.open([])
        last = self._producer.last
        if last is None or last.source != self._source:
            return 0
        (night,) = last.nights
        if last.batch_id < _next_place(self._context.lake, night):
            return 0
        key = _key(night, last.batch_id)
        deliveries = list(read_deliveries(self._context.settings.kafka, last, key))
        if len(deliveries) != last.sent:
            raise TransientError(
                f"piece {key} sent {last.sent} messages and the topics show {len(deliveries)}; if this stays so, the "
                "topics have dropped them: see docs/operations.md, 'Selections of the night'"
            )
        _write_down(replace(self._context, night=night), last.batch_id, last.nights[night], deliveries)
        return len(deliveries)

    def close(self) -> None:
        """Let go of the producer."""
        self._producer.close()

    def send(self, piece: Sequence[Due]) -> int:
        """Send a piece; gives the number of messages."""
        context = self._context
        place = _next_place(context.lake, context.night)
        # All topics, so that users may subscribe to one that has nothing tonight.
        self._producer.add_topics([f.topic(self._prefix) for f in self._filters.values()])
        counts: Counter[str] = Counter()
        oversize = 0
        self._producer.begin()
        try:
            for due, alert_time, value in self._packets(piece):
                if not self._producer.fits(value, self._packet.key):
                    oversize += len(due.filters)
                    continue
                for name, last_night in due.filters.items():
                    self._hand_over(name, due.alert_id, alert_time, value, last_night, place)
                    counts[name] += 1
            deliveries = self._producer.flush()
            count = NightCount(len(piece), len(piece), dict(sorted(counts.items())), oversize)
            if deliveries:
                self._failpoint("select_before_commit")
                marker = Marker(1, place, self._source, self._digest, {context.night: count}, offset_ranges(deliveries))
                self._producer.commit(marker)
            else:
                self._producer.abort()
        except Exception:
            self._producer.abort()
            raise
        self._failpoint("select_before_sent")
        _write_down(context, place, count, deliveries)
        return len(deliveries)

    def _failpoint(self, name: str) -> None:
        failpoint(self._context.settings, self._context.survey.name, SELECT, name)

    def _packets(self, piece: Sequence[Due]) -> Iterator[tuple[Due, float, bytes]]:
        """Pack the alerts of a piece as they are in the lake now."""
        lake, night = self._context.lake, self._context.night
        key = lake.survey.id_field
        ids = pa.array([one.alert_id for one in piece])
        columns = list(dict.fromkeys((key, *self._packet.form.columns)))
        rows = lake.read("science", [night], columns, pc.field(key).isin(ids)).sort_by(key).combine_chunks()
        found = rows.column(key).combine_chunks()
        batches = pc.struct_field(rows.column("ingest").combine_chunks(), "batch")
        values = self._packet.values(rows, self._stamps.fetch(night, found, batches))
        due = {one.alert_id: one for one in piece}
        times = self._packet.form.times(rows).to_pylist()
        for alert_id, alert_time, value in zip(found.to_pylist(), times, values, strict=True):
            yield due[alert_id], alert_time, value.as_py()

    def _hand_over(
        self, name: str, alert_id: int, alert_time: float, value: bytes, last_night: str, place: int
    ) -> None:
        f, night = self._filters[name], self._context.night
        headers = self._packet.headers(alert_id, name, f.version, alert_time, night, _key(night, place))
        if self._late:
            headers = [*headers, (HEADER_LATE, b"1")]
        if last_night:
            headers = [*headers, (HEADER_REPEAT, last_night.encode())]
        sent = pending(alert_id, name, f.version, night, late=self._late)
        self._producer.send(f.topic(self._prefix), self._packet.key, value, headers, sent)


def _write_down(context: NightContext, place: int, count: NightCount, deliveries: Sequence[Delivery]) -> None:
    """Append the rows of ``sent`` of a piece, then its row of the ledger; each once, however often it is called."""
    lake, night, key = context.lake, context.night, _key(context.night, place)
    writer = f"{context.survey.name}.{SELECT}.{night}"
    order = sorted(deliveries, key=lambda sent: (sent.topic, sent.partition, sent.offset))
    if order:
        rows = [{**asdict(sent), "batch": key} for sent in order]
        lake.append("sent", pa.Table.from_pylist(rows, schema=lake.schema("sent")), writer, place)
    failpoint(context.settings, context.survey.name, SELECT, "select_before_ledger")
    entry: dict[str, Any] = {
        "stage": SELECT,
        "batch": key,
        "generation": 1,
        "batch_id": place,
        "received": count.received,
        "produced": count.passed,
        "sent": len(order),
        "details": json.dumps({"filters": count.filters, **({"oversize": count.oversize} if count.oversize else {})}),
        "seconds": 0.0,
        "finished": context.now,
        "code_version": __version__,
        PARTITION: night,
    }
    lake.append("ledger", pa.Table.from_pylist([entry], schema=lake.schema("ledger")), writer, place)


def _next_place(lake: Lake, night: str) -> int:
    """Give the number of the next piece of a night."""
    done = lake.read("ledger", [night], ["batch_id"], pc.field("stage") == SELECT).column("batch_id")
    return 1 + int(pc.max(done).as_py()) if len(done) else 0


def _key(night: str, place: int) -> str:
    """Name a piece."""
    return f"{SELECT}-{night}-{place:06d}"
