"""One streaming stage: one query, one process, batches that can be replayed.

The order inside a batch is the whole of exactly-once: the sinks first, each of them idempotent under (writer, batch);
the ledger row next, idempotent in the same way; Spark's own commit last. A process that dies between any two of them
meets the same batch again and changes nothing that is already there.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from fink_lib import __version__
from fink_lib.errors import EXIT_FAILED, EXIT_OK
from fink_lib.lake import Lake, open_lake
from fink_lib.runtime.driver import DriverSession
from fink_lib.runtime.failpoints import failpoint
from fink_lib.streams.checkpoint import Checkpoint, batch_key, open_checkpoint
from fink_lib.streams.failure import cause_of
from fink_lib.streams.spark import build_session, jvm_pid
from fink_lib.surveys import get_survey

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from fink_lib.config import Settings
    from fink_lib.surveys.base import Survey

log = logging.getLogger(__name__)

LOOP_S = 0.5
"""Between two looks at the query; each of them is work for the JVM."""

DRAIN_LOOP_S = 0.1


@dataclass(frozen=True)
class LedgerRow:
    """What one stage did with one night in one batch.

    Parameters
    ----------
    night : str
        ``YYYYMMDD``.
    received, produced, quarantined, rejected, duplicates, sent : int
        Rows read; rows written to the stage's main table; and where the others went.
    details : dict
        JSON-able: offset ranges, reasons, counts per filter, seconds per module.
    """

    night: str
    received: int = 0
    produced: int = 0
    quarantined: int = 0
    rejected: int = 0
    duplicates: int = 0
    sent: int = 0
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageContext:
    """What a stage knows of its surroundings, for the life of the process."""

    settings: Settings
    survey: Survey
    lake: Lake
    checkpoint: Checkpoint
    epoch: int
    stage: str

    @property
    def app_id(self) -> str:
        """Name under which this generation's batches are remembered."""
        return f"{self.survey.name}.{self.stage}.g{self.checkpoint.generation}"

    def failpoint(self, name: str) -> None:
        """Die here if a fault test asked for it."""
        failpoint(self.settings, self.survey.name, self.stage, name)


@dataclass(frozen=True)
class Batch:
    """One micro-batch."""

    context: StageContext
    batch_id: int
    started: datetime

    @property
    def key(self) -> str:
        """Name of the batch over all generations."""
        return self.context.checkpoint.key(self.batch_id)

    @property
    def generation(self) -> int:
        """Generation of the checkpoint."""
        return self.context.checkpoint.generation

    @property
    def app_id(self) -> str:
        """Writer's name for idempotent commits."""
        return self.context.app_id

    @property
    def settings(self) -> Settings:
        """Settings of the installation."""
        return self.context.settings

    @property
    def survey(self) -> Survey:
        """The survey whose alerts these are."""
        return self.context.survey

    @property
    def lake(self) -> Lake:
        """The survey's lake."""
        return self.context.lake

    @property
    def epoch(self) -> int:
        """Launch number of this process."""
        return self.context.epoch

    def failpoint(self, name: str) -> None:
        """Die here if a fault test asked for it."""
        self.context.failpoint(name)


class Stage(Protocol):
    """What a streaming stage has to offer; :func:`run_stage` does the rest."""

    name: str

    def open(self, context: StageContext) -> None:
        """Prepare once, after the lock is held and before the query starts."""

    def source(self, spark: SparkSession, context: StageContext) -> DataFrame:
        """Give the streaming frame to read."""

    def process(self, frame: DataFrame, batch: Batch) -> list[LedgerRow]:
        """Read the batch once and write the sinks; one row for each night met."""

    def close(self) -> None:
        """Let go of what :meth:`open` took."""


def run_stage(stage: Stage, settings: Settings, survey_name: str, once: bool = False) -> int:
    """Drive a stage until it is asked to drain, fails, or (with `once`) has read all there is.

    Parameters
    ----------
    stage : Stage
        What to run.
    settings : Settings
        Of the installation.
    survey_name : str
        Which survey.
    once : bool
        Read what is there now and end, with the same code and the same limits per batch.

    Returns
    -------
    int
        Exit code: 0 drained or done, 1 failed.

    Raises
    ------
    LockedError
        If another driver of this stage is alive; nothing was touched.
    """
    survey = get_survey(survey_name, settings)
    with DriverSession(settings, survey.name, stage.name) as session:
        try:
            checkpoint = open_checkpoint(settings, survey.name, stage.name)
            session.set_checkpoint(str(checkpoint.folder), checkpoint.generation)
            lake = open_lake(settings, survey.name)
            lake.ensure()
            context = StageContext(settings, survey, lake, checkpoint, session.epoch, stage.name)
            spark = build_session(settings, f"{stage.name}-{survey.name}")
            session.set_jvm(jvm_pid(spark))
            stage.open(context)
            try:
                _follow(_start(stage, context, spark, session, once), session, settings)
            finally:
                stage.close()
        except Exception as error:
            log.exception("%s failed", stage.name)
            session.fail(cause_of(error))
            return EXIT_FAILED
    return EXIT_OK


def _start(
    stage: Stage, context: StageContext, spark: SparkSession, session: DriverSession, once: bool
) -> StreamingQuery:
    def run_batch(frame: DataFrame, batch_id: int) -> None:
        batch = Batch(context, batch_id, datetime.now(UTC))
        began_s = time.monotonic()
        session.working()
        batch.failpoint("before_read")
        rows = stage.process(frame, batch)
        batch.failpoint("between_sink_and_ledger")
        seconds = time.monotonic() - began_s
        table = ledger_table(rows, context, batch.generation, batch_id, seconds)
        context.lake.append("ledger", table, context.app_id, batch_id)
        batch.failpoint("between_ledger_and_checkpoint")
        received = sum(row.received for row in rows)
        session.progress(
            batch=batch.key, rows_in=received, rows_s=received / max(seconds, 1e-9), trigger_ms=int(seconds * 1000)
        )

    writer = (
        stage.source(spark, context)
        .writeStream.foreachBatch(run_batch)
        .queryName(f"{stage.name}_{context.survey.name}")
        .option("checkpointLocation", str(context.checkpoint.folder))
    )
    if once:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{int(context.settings.streams.trigger_s * 1000)} milliseconds").start()


def _follow(query: StreamingQuery, session: DriverSession, settings: Settings) -> None:
    asked_s: float | None = None
    session.running()
    while query.isActive:
        if session.draining.is_set():
            asked_s = asked_s or time.monotonic()
            overdue = time.monotonic() - asked_s > settings.supervision.drain_timeout_s
            if overdue or not query.status["isTriggerActive"]:
                query.stop()
        progress = query.lastProgress
        if progress is not None:
            session.lagging(_lag(progress))
        if not session.draining.wait(LOOP_S):
            continue
        time.sleep(DRAIN_LOOP_S)
    failure = query.exception()
    if failure is not None and not session.draining.is_set():
        raise failure


def _lag(progress: Any) -> int:
    """Count what the source has and the query has not read: Kafka records, or files of a Delta table."""
    behind = 0
    for source in progress["sources"]:
        metrics = source.get("metrics") or {}
        latest, reached = source.get("latestOffset"), source.get("endOffset")
        if isinstance(latest, dict) and isinstance(reached, dict) and "reservoirVersion" not in reached:
            behind += sum(
                max(0, end - reached.get(topic, {}).get(partition, 0))
                for topic, partitions in latest.items()
                for partition, end in partitions.items()
            )
        else:
            behind += int(float(metrics.get("numFilesOutstanding") or 0))
    return behind


def ledger_table(
    rows: Iterable[LedgerRow], context: StageContext, generation: int, batch_id: int, seconds: float
) -> pa.Table:
    """Give the rows of table ``ledger`` for one batch, of this generation or of an earlier one.

    Parameters
    ----------
    rows : iterable of LedgerRow
        One for each night.
    context : StageContext
        Of the process that writes them.
    generation, batch_id : int
        The batch.
    seconds : float
        How long it took.
    """
    finished = datetime.now(UTC)
    records = [
        {
            **asdict(row),
            "details": json.dumps(row.details, sort_keys=True),
            "stage": context.stage,
            "batch": batch_key(generation, batch_id),
            "generation": generation,
            "batch_id": batch_id,
            "epoch": context.epoch,
            "seconds": seconds,
            "finished": finished,
            "code_version": __version__,
        }
        for row in rows
    ]
    return pa.Table.from_pylist(records, schema=context.lake.schema("ledger"))
