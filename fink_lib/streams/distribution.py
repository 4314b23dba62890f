"""distribution: every alert that a filter takes goes to the topic of that filter, once.

1. Spark names the new files of ``science``; the rows stay where they are.
2. Its workers read only the columns that the filters name, evaluate all filters in one query, then read the alerts
   that pass, fetch their images and pack each of them once.
3. The driver takes the packets as they come and sends each to the topics of its filters, in one Kafka transaction with
   the marker of the batch.
4. Table ``sent`` gets one row for each message. If the process dies before that, they are read back from the topics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fink_lib.errors import ConfigError, TransientError
from fink_lib.filters.watch import LiveFilters
from fink_lib.lake.tables import PARTITION
from fink_lib.streams.books import enter
from fink_lib.streams.checkpoint import batch_key
from fink_lib.streams.committed import Delivery, Marker, NightCount, offset_ranges, read_deliveries
from fink_lib.streams.packet import Packet
from fink_lib.streams.packing import PACKETS_DDL, PIECE_ROWS, make_kernel
from fink_lib.streams.pieces import Piece, files_of, follow_files, pieces_of
from fink_lib.streams.producer import TransactionalProducer, pending
from fink_lib.streams.report import Share, add_up
from fink_lib.streams.sent import SentBefore
from fink_lib.streams.stage import Batch, LedgerRow, StageContext

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fink_lib.config import Settings
    from fink_lib.filters import FilterSet
    from fink_lib.lake import Lake


class Distribution:
    """The stage behind ``jobs/distribution.py``."""

    name = "distribution"

    def __init__(self) -> None:
        self._live: LiveFilters | None = None
        self._packet: Packet | None = None
        self._producer: TransactionalProducer | None = None
        self._before: SentBefore | None = None
        self._source = ""

    def open(self, context: StageContext) -> None:
        """Check the filters, take over the transactional id, and complete table ``sent`` after a kill."""
        settings, survey = context.settings, context.survey
        self._live = LiveFilters(survey, settings.home)
        self._packet = Packet(survey)
        self._source = str(context.lake.table("science").metadata().id)
        prefix = settings.streams.substream_prefix
        producer = TransactionalProducer(settings, survey.name, self.name)
        producer.open([f.topic(prefix) for f in self._filters.filters])
        self._producer = producer
        generation = context.checkpoint.generation
        if producer.last is not None:
            self._check_marker(producer.last, generation, settings)
            self._complete_sent(producer.last, context)
            self._close_books(producer.last, context)
        self._before = SentBefore(context.lake, generation, prefix)

    def close(self) -> None:
        """Let go of the producer."""
        if self._producer is not None:
            self._producer.close()

    def source(self, spark: SparkSession, context: StageContext) -> DataFrame:
        """Follow the files of ``science``; nothing of their content is read here."""
        return follow_files(spark, context, "science")

    def process(self, frame: DataFrame, batch: Batch) -> list[LedgerRow]:
        """Send a batch, or recognise that it was sent."""
        producer = self._opened
        if producer.last is not None and producer.last.covers(batch.generation, batch.batch_id):
            return self._done_before(producer.last, batch)
        files = files_of(frame)
        if not files:
            return []
        self._refresh_filters(batch)
        messages = 0
        tally: dict[str, Tally] = defaultdict(Tally)
        reports: list[str] = []
        producer.begin()
        try:
            for row in self._packets(frame.sparkSession, pieces_of(files, PIECE_ROWS), batch):
                if row.report is not None:
                    reports.append(row.report)
                    continue
                if not messages:
                    batch.failpoint("in_pass")
                messages += self._send(row, batch.key, tally[row[PARTITION]], batch.settings)
            deliveries = producer.flush()
            counts = _counts(tally, add_up(reports))
            batch.failpoint("between_produce_and_commit")
            if deliveries:
                producer.commit(self._marker(batch, counts, deliveries))
            else:
                producer.abort()
        except Exception:
            producer.abort()
            raise
        if deliveries:
            batch.failpoint("between_commit_and_sent")
            _append_sent(batch.lake, deliveries, batch.key, batch.app_id, batch.batch_id)
        return _ledger(counts, self._filters.digest, len(files))

    def _refresh_filters(self, batch: Batch) -> None:
        """Take over filters that were promoted, changed or withdrawn; a batch is of one set from end to end."""
        if self._live is not None and (found := self._live.refresh()) is not None:
            prefix = batch.settings.streams.substream_prefix
            self._opened.add_topics([f.topic(prefix) for f in found.filters])

    @property
    def _filters(self) -> FilterSet:
        if self._live is None:
            raise RuntimeError("the stage was not opened")
        return self._live.current

    @property
    def _opened(self) -> TransactionalProducer:
        if self._producer is None:
            raise RuntimeError("the stage was not opened")
        return self._producer

    def _packets(self, spark: SparkSession, pieces: list[Piece], batch: Batch) -> Iterator[Any]:
        """Run the workers. Packets arrive piece by piece, and at most two pieces are held, whatever the batch has."""
        kernel = make_kernel(batch.settings, batch.survey.name, self._filters, pieces)
        numbers = spark.range(0, len(pieces), 1, len(pieces))
        yield from numbers.mapInArrow(kernel, PACKETS_DDL).toLocalIterator(prefetchPartitions=True)

    def _send(self, row: Any, batch_key: str, tally: Tally, settings: Settings) -> int:
        """Send one alert to the topics of its filters; returns the number of messages."""
        packet, before = self._packet, self._before
        if packet is None or before is None:
            raise RuntimeError("the stage was not opened")
        night, value = row[PARTITION], bytes(row.value)
        tally.passed += 1
        number = 0
        for f in self._filters.filters:
            if f.name not in row.filters or before.holds(night, f.name, row.alert_id):
                continue
            if not self._opened.fits(value, packet.key):
                tally.oversize += 1
                continue
            headers = packet.headers(row.alert_id, f.name, f.version, row.alert_time, night, batch_key)
            sent = pending(row.alert_id, f.name, f.version, night)
            self._opened.send(f.topic(settings.streams.substream_prefix), packet.key, value, headers, sent)
            tally.filters[f.name] += 1
            number += 1
        return number

    def _marker(self, batch: Batch, counts: dict[str, NightCount], deliveries: Iterable[Delivery]) -> Marker:
        return Marker(
            batch.generation, batch.batch_id, self._source, self._filters.digest, counts, offset_ranges(deliveries)
        )

    def _check_marker(self, marker: Marker, generation: int, settings: Settings) -> None:
        """Refuse to go on from a marker that was not made over this lake, by this checkpoint or an older one."""
        prefix = settings.streams.substream_prefix
        if marker.source != self._source:
            raise ConfigError(
                f"another lake has sent alerts under the prefix {prefix!r} to Kafka at {settings.kafka.servers}; set "
                "streams.substream_prefix to a new one, or delete the topics of the old lake with their markers"
            )
        if marker.generation > generation:
            raise ConfigError(
                f"the last batch in the topics is of checkpoint g{marker.generation}, and this is g{generation}; see "
                "docs/operations.md, 'A checkpoint is damaged'"
            )

    def _complete_sent(self, marker: Marker, context: StageContext) -> None:
        """Fill the rows of ``sent`` that are missing if the process died between commit and append."""
        app_id = f"{context.survey.name}.{self.name}.g{marker.generation}"
        if not marker.sent or context.lake.committed("sent", app_id, marker.batch_id):
            return
        key = batch_key(marker.generation, marker.batch_id)
        deliveries = list(read_deliveries(context.settings.kafka, marker, key))
        if len(deliveries) != marker.sent and marker.generation == context.checkpoint.generation:
            raise TransientError(
                f"batch {key} sent {marker.sent} messages and the topics show {len(deliveries)}; if this stays so, "
                "the topics have dropped them: see docs/operations.md, 'Messages are gone before they were recorded'"
            )
        _append_sent(context.lake, deliveries, key, app_id, marker.batch_id)

    def _close_books(self, marker: Marker, context: StageContext) -> None:
        """Enter the last batch of an earlier generation, which nobody meets again, into the ledger."""
        if marker.generation < context.checkpoint.generation:
            enter(context, marker.generation, marker.batch_id, _ledger(marker.nights, marker.filters, 0))

    def _done_before(self, marker: Marker, batch: Batch) -> list[LedgerRow]:
        """Give the ledger rows of a batch that was sent; one older than the marker has them already."""
        if marker.batch_id != batch.batch_id:
            return []
        return _ledger(marker.nights, marker.filters, 0)


class Tally:
    """Counts of one night while a batch is sent."""

    def __init__(self) -> None:
        self.passed = 0
        self.oversize = 0
        self.filters: dict[str, int] = defaultdict(int)


def _counts(tally: dict[str, Tally], share: Share) -> dict[str, NightCount]:
    counts = {}
    for night, what in sorted(share.counts.items()):
        mine = tally.get(night) or Tally()
        counts[night] = NightCount(what["received"], mine.passed, dict(sorted(mine.filters.items())), mine.oversize)
    return counts


def _ledger(counts: dict[str, NightCount], digest: str, files: int) -> list[LedgerRow]:
    rows = []
    for night, count in sorted(counts.items()):
        details: dict[str, Any] = {"filters": count.filters, "filters_digest": digest}
        if count.oversize:
            details["oversize"] = count.oversize
        if files:
            details["files"] = files
        rows.append(LedgerRow(night, count.received, count.passed, sent=count.sent, details=details))
    return rows


def _append_sent(lake: Lake, deliveries: list[Delivery], key: str, app_id: str, batch_id: int) -> None:
    """Append the rows of table ``sent``, once for each batch, in an order that a second attempt repeats."""
    order = sorted(deliveries, key=lambda sent: (sent.topic, sent.partition, sent.offset))
    rows = pa.Table.from_pylist([{**asdict(sent), "batch": key} for sent in order], schema=lake.schema("sent"))
    lake.append("sent", rows, app_id, batch_id)
