"""multimessenger: notices in, coincident alerts out, each alert once per topic.

1. Notices of the GCN topics are appended to table ``gcn``.
2. New files of ``science`` are joined with all triggers of the last days, and new triggers with all files.
3. What a selection takes and was not sent before goes to the topics in one Kafka transaction with the batch's marker.
4. Table ``sent`` gets one row for each message, and the ledger one row for each night. If the process dies before that,
   the messages are read back from the topics.

An alert that belongs to several triggers is sent with the one that is least likely to be chance.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib import __version__
from fink_lib.errors import EXIT_FAILED, EXIT_OK, ConfigError, TransientError
from fink_lib.lake import open_lake
from fink_lib.lake.tables import PARTITION
from fink_lib.runtime.driver import DriverSession
from fink_lib.runtime.failpoints import failpoint
from fink_lib.streams.committed import Delivery, Marker, NightCount, offset_ranges, read_deliveries
from fink_lib.streams.messengers.intake import take_in
from fink_lib.streams.messengers.message import KEY, headers_of, values_of
from fink_lib.streams.messengers.search import SELECTION, PairSearch
from fink_lib.streams.messengers.selection import load_selections, topic_of
from fink_lib.streams.producer import TransactionalProducer, pending

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

log = logging.getLogger(__name__)

STAGE = "multimessenger"
GENERATION = 1
"""There is no checkpoint, so there is one generation: what was done is in the tables."""

MESSAGES_AT_ONCE = 10_000
"""Messages in one transaction."""


class MultiMessenger:
    """The stage behind ``jobs/multimessenger.py``.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    lake : Lake
        The survey's lake.
    epoch : int
        Launch number of this process.
    """

    def __init__(self, settings: Settings, lake: Lake, epoch: int = 0) -> None:
        self._settings = settings
        self._lake = lake
        self._epoch = epoch
        self._prefix = settings.streams.substream_prefix
        self._selections = load_selections(lake.survey.name)
        self._versions = {one.name: one.version for one in self._selections.filters}
        self._search = PairSearch(lake, self._selections)
        self._source = str(lake.table("science").metadata().id)
        self._producer = TransactionalProducer(settings, lake.survey.name, STAGE)

    def open(self) -> None:
        """Take over the transactional id, and complete table ``sent`` after a kill.

        Raises
        ------
        ConfigError
            If another lake has sent to these topics.
        TransientError
            If Kafka is away.
        """
        self._producer.open([topic_of(name, self._prefix) for name in self._selections.names])
        marker = self._producer.last
        if marker is None:
            return
        if marker.source != self._source:
            raise ConfigError(
                f"another lake has sent pairs under the prefix {self._prefix!r} to Kafka at "
                f"{self._settings.kafka.servers}; set streams.substream_prefix to a new one"
            )
        if not self._lake.committed("sent", self._app_id, marker.batch_id):
            key = batch_key(marker.batch_id)
            deliveries = list(read_deliveries(self._settings.kafka, marker, key))
            if len(deliveries) != marker.sent:
                raise TransientError(f"batch {key} sent {marker.sent} messages and the topics show {len(deliveries)}")
            self._record(marker, deliveries, 0.0)

    def close(self) -> None:
        """Let go of the producer."""
        self._producer.close()

    def cycle(self) -> tuple[int, int, int]:
        """Look once.

        Returns
        -------
        notices, alerts, messages : int
            Taken in, read, sent.
        """
        notices = take_in(self._lake, self._settings)
        pairs, alerts = self._search.find()
        messages = 0
        for part in parts_of(self._unsent(pairs), MESSAGES_AT_ONCE):
            self._send(part)
            messages += part.num_rows
        return notices, alerts, messages

    @property
    def _app_id(self) -> str:
        return f"{self._lake.survey.name}.{STAGE}.g{GENERATION}"

    def _unsent(self, pairs: pa.Table) -> pa.Table:
        """Keep, of each alert and selection, the pair least likely to be chance, if it was not sent before."""
        if not pairs.num_rows:
            return pairs
        keys = [
            (name, "ascending")
            for name in (SELECTION, "candid", "grb_proba", "triggerTimeUTC", "observatory", "triggerId")
        ]
        ordered = pairs.sort_by(keys)
        names, ids = ordered.column(SELECTION).to_pylist(), ordered.column("candid").to_pylist()
        seen = self._sent_before(sorted(set(ordered.column(PARTITION).to_pylist())))
        kept = []
        for row, key in enumerate(zip(names, ids, strict=True)):
            if key not in seen:
                seen.add(key)
                kept.append(row)
        return ordered.take(pa.array(kept, pa.int64()))

    def _sent_before(self, nights: Sequence[str]) -> set[tuple[str, int]]:
        topics = {topic_of(name, self._prefix): name for name in self._selections.names}
        rows = self._lake.read("sent", nights, ["alert_id", "topic"], pc.field("topic").isin(list(topics)))
        return {(topics[row["topic"]], row["alert_id"]) for row in rows.to_pylist()}

    def _send(self, pairs: pa.Table) -> None:
        began_s = time.monotonic()
        batch_id = self._producer.last.batch_id + 1 if self._producer.last else 0
        self._producer.begin()
        try:
            for pair, value in zip(pairs.to_pylist(), values_of(pairs), strict=True):
                name = pair[SELECTION]
                sent = pending(pair["candid"], name, self._versions[name], pair[PARTITION])
                headers = headers_of(pair, name, self._versions[name], batch_key(batch_id))
                self._producer.send(topic_of(name, self._prefix), KEY, value, headers, sent)
            deliveries = list(self._producer.flush())
            self._failpoint("between_produce_and_commit")
            marker = self._marker(batch_id, deliveries)
            self._producer.commit(marker)
        except Exception:
            self._producer.abort()
            raise
        self._failpoint("between_commit_and_sent")
        self._record(marker, deliveries, time.monotonic() - began_s)

    def _failpoint(self, name: str) -> None:
        failpoint(self._settings, self._lake.survey.name, STAGE, name)

    def _marker(self, batch_id: int, deliveries: Sequence[Delivery]) -> Marker:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        alerts: dict[str, set[int]] = defaultdict(set)
        for sent in deliveries:
            counts[sent.night][sent.filter] += 1
            alerts[sent.night].add(sent.alert_id)
        nights = {
            night: NightCount(len(alerts[night]), len(alerts[night]), dict(sorted(mine.items())))
            for night, mine in sorted(counts.items())
        }
        ranges = offset_ranges(deliveries)
        return Marker(GENERATION, batch_id, self._source, self._selections.digest, nights, ranges)

    def _record(self, marker: Marker, deliveries: Sequence[Delivery], seconds: float) -> None:
        """Write the ledger, then ``sent``, each once for the batch: ``sent`` tells that the batch is complete."""
        key = batch_key(marker.batch_id)
        books = [
            {
                "stage": STAGE,
                "batch": key,
                "generation": GENERATION,
                "batch_id": marker.batch_id,
                "epoch": self._epoch,
                "received": count.received,
                "produced": count.passed,
                "sent": count.sent,
                "details": json.dumps({"filters": count.filters, "filters_digest": marker.filters}, sort_keys=True),
                "seconds": seconds,
                "finished": datetime.now(UTC),
                "code_version": __version__,
                PARTITION: night,
            }
            for night, count in marker.nights.items()
        ]
        ledger = pa.Table.from_pylist(books, schema=self._lake.schema("ledger"))
        self._lake.append("ledger", ledger, self._app_id, marker.batch_id)
        order = sorted(deliveries, key=lambda sent: (sent.topic, sent.partition, sent.offset))
        rows = [{**asdict(sent), "batch": key} for sent in order]
        sent = pa.Table.from_pylist(rows, schema=self._lake.schema("sent"))
        self._lake.append("sent", sent, self._app_id, marker.batch_id)


def batch_key(batch_id: int) -> str:
    """Name of a batch in headers, ``sent`` and the ledger; no stream's batches are called so.

    >>> batch_key(7)
    'mm-000000007'
    """
    return f"mm-{batch_id:09d}"


def parts_of(pairs: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Cut a table into parts of at most some rows."""
    for start in range(0, pairs.num_rows, rows):
        yield pairs.slice(start, rows)


def run(settings: Settings, survey_name: str, once: bool = False) -> int:
    """Drive the stage until it is asked to drain, fails, or (with `once`) has looked once.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey_name : str
        Whose alerts.
    once : bool
        Look once and end.

    Returns
    -------
    int
        Exit code: 0 drained or done, 1 failed.

    Raises
    ------
    LockedError
        If another driver of this stage is alive.
    """
    with DriverSession(settings, survey_name, STAGE) as session:
        try:
            lake = open_lake(settings, survey_name)
            lake.ensure()
            stage = MultiMessenger(settings, lake, session.epoch)
            stage.open()
            try:
                session.running()
                for number in _ticks(session, settings.messengers.trigger_s, once):
                    began_s = time.monotonic()
                    session.working()
                    notices, alerts, messages = stage.cycle()
                    took_s = time.monotonic() - began_s
                    log.info("look %d: %d notices, %d alerts read, %d messages", number, notices, alerts, messages)
                    rate_s = alerts / max(took_s, 1e-9)
                    session.progress(
                        batch=f"look-{number}", rows_in=alerts, rows_s=rate_s, lag=0, trigger_ms=int(1000 * took_s)
                    )
            finally:
                stage.close()
        except Exception as error:
            log.exception("%s failed", STAGE)
            session.fail(error)
            return EXIT_FAILED
    return EXIT_OK


def _ticks(session: DriverSession, every_s: float, once: bool) -> Iterator[int]:
    """Count the looks; the wait between two ends at once when the stage is to drain."""
    number = 0
    while not session.draining.is_set():
        yield number
        number += 1
        if once or session.draining.wait(every_s):
            return
