"""Running a job: from a plan to a topic, or to files, that hold exactly what was planned.

A run may be killed anywhere and started again, by the same task or by another: the topic itself says what it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import Settings
from fink_lib.errors import ConfigError, FinkError
from fink_lib.lake import Lake, open_lake
from fink_lib.runtime.failpoints import failpoint
from fink_lib.streams.stamps import IMAGES, StampReader
from fink_lib.transfer import files, topics
from fink_lib.transfer.choice import Choice
from fink_lib.transfer.content import Content
from fink_lib.transfer.job import CANCELLED, DONE, FAILED, RUNNING, Job, JobStore
from fink_lib.transfer.life import withdraw
from fink_lib.transfer.order import differences
from fink_lib.transfer.producer import PlainProducer
from fink_lib.transfer.source import Piece, Source

STAGE = "transfer"
SCHEMA_COPIES = 1000
"""A client's group reads one copy at each of its runs, and commits it."""

REPORT_S = 2.0

Tell = Callable[[str], None]


class CancelledError(FinkError):
    """Somebody wants the job cancelled."""


@dataclass
class Work:
    """What a run works with.

    Parameters
    ----------
    settings, store, job
        Which job of which installation.
    lake, source, choice, content
        Where its rows come from, which ones, and what of them.
    tell : callable
        Takes one line of progress.
    first : bool
        Whether no run went before: nothing of a dead one can be on its way.
    """

    settings: Settings
    store: JobStore
    job: Job
    lake: Lake
    source: Source
    choice: Choice
    content: Content
    tell: Tell
    first: bool
    told_s: float = 0.0
    begun_s: float = 0.0
    begun_rows: int = 0

    def pieces(self, ends: tuple[int, ...]) -> Iterator[Piece]:
        """Give the rows that are left, if some are there already; ends early if the job is to be cancelled."""
        plan, rows = self.job.plan, self.settings.transfer.piece_rows
        for piece in self.source.pieces(self.choice, plan.nights, self.content.inputs, ends, rows):
            if self.store.cancel_asked(self.job.id):
                raise CancelledError(f"transfer {self.job.id} is to be cancelled")
            yield piece

    def table(self, piece: Piece, stamps: StampReader) -> pa.Table:
        """Give the rows of a piece as they go out."""
        return table_of(self.lake, self.content, piece, stamps)

    def reached(self, sent: int, night: str) -> None:
        """Note and tell how far it is, every few seconds."""
        now_s = time.monotonic()
        if not self.begun_s:
            self.begun_s, self.begun_rows = now_s, sent
        if now_s - self.told_s < REPORT_S:
            return
        self.told_s = now_s
        self.job = self.store.keep(self.job, datetime.now(UTC), durable=False, sent=sent)
        rows = self.job.plan.rows
        rate = (sent - self.begun_rows) / max(now_s - self.begun_s, 1e-3)
        self.tell(f"night {night}: {sent} of {rows} rows ({100 * sent // max(rows, 1)} %), {rate:.0f}/s")


def table_of(lake: Lake, content: Content, piece: Piece, stamps: StampReader) -> pa.Table:
    """Give the rows of a piece, with their images if the job wants any."""
    if content.has_images:
        ids = piece.rows.column(lake.survey.id_field).combine_chunks()
        batches = pc.struct_field(piece.rows.column("ingest"), "batch").combine_chunks()
        images = stamps.fetch(piece.night, ids, batches)
    else:
        images = pa.table({name: pa.nulls(piece.rows.num_rows, pa.binary()) for name in IMAGES})
    return content.rows(piece.night, piece.rows, images)


def run_job(settings: Settings, job_id: str, tell: Tell) -> Job:
    """Run a job to its end, from wherever it is.

    Parameters
    ----------
    settings : Settings
        The installation.
    job_id : str
        Which job.
    tell : callable
        Takes one line of progress.

    Returns
    -------
    Job
        Done or cancelled.

    Raises
    ------
    LockedError
        If another process runs it.
    ConfigError
        If it cannot be finished any more; the message says what to do.
    TransientError
        If Kafka is away; the same call goes on where it is.
    """
    store = JobStore(settings.home)
    store.find(job_id)
    with store.lock(job_id):
        job = store.find(job_id)
        if store.cancel_asked(job_id):
            return withdraw(settings, store, job, datetime.now(UTC))
        if job.state in (DONE, CANCELLED):
            tell(f"transfer {job.id} is {job.state} already")
            return job
        if job.topics_gone:
            raise ConfigError(f"the topics of transfer {job.id} were deleted on {job.topics_gone}; submit it again")
        first = not job.started
        job = store.keep(job, datetime.now(UTC), state=RUNNING, started=datetime.now(UTC).isoformat(), message="")
        work: Work | None = None
        try:
            work = _prepare(settings, store, job, tell, first)
            sent = files.write(work) if job.parquet else _send(work)
        except CancelledError:
            return withdraw(settings, store, work.job if work else job, datetime.now(UTC))
        except Exception as error:
            store.keep(work.job if work else job, datetime.now(UTC), state=FAILED, message=str(error))
            raise
        words = f"{sent} rows in {job.parquet or job.id}" if sent else "the selection holds no alert"
        tell(f"done: {words}")
        return store.keep(work.job, datetime.now(UTC), state=DONE, sent=sent, message=words)


def _prepare(settings: Settings, store: JobStore, job: Job, tell: Tell, first: bool) -> Work:
    """Compile the selection anew, and make sure that it still is what it was."""
    lake = open_lake(settings, job.selection.survey)
    choice = Choice(job.selection, lake.survey, settings.home)
    content = Content(lake.survey, job.selection.columns)
    if choice.digest != job.plan.digest:
        raise ConfigError(f"the filter or the terms of transfer {job.id} have changed meanwhile; submit it again")
    if content.schema_id != job.plan.schema_id:
        raise ConfigError(f"the broker's packets have changed since transfer {job.id} was submitted; submit it again")
    return Work(settings, store, job, lake, Source(lake, job.plan.science_version), choice, content, tell, first)


def _send(work: Work) -> int:
    """Bring the topics to what they have to hold; gives the rows of the data topic."""
    kafka, plan = work.settings.kafka, work.job.plan
    data, schema = work.job.topics
    partitions = len(plan.expected)
    if work.job.topics_made and not topics.exist(kafka, work.job.topics):
        raise ConfigError(f"a topic of transfer {work.job.id} is gone; cancel it and submit it again")
    topics.ensure(kafka, work.job.topics, partitions)
    if work.first:
        held, copies = (topics.ends(kafka, topic, partitions) for topic in work.job.topics)
    else:
        held, copies = topics.settled_ends(kafka, work.job.topics, partitions)
    _refuse_more(work, held)
    producer = PlainProducer(kafka)
    die = partial(failpoint, work.settings, work.lake.survey.name, STAGE)
    try:
        _send_schema(work, producer, schema, copies, die)
        if not work.job.topics_made:
            work.job = work.store.keep(work.job, datetime.now(UTC), topics_made=True)
        begun = producer.delivered - sum(held)
        work.reached(sum(held), plan.nights[0])
        stamps, night, waiting = StampReader(work.lake), "", 0
        for piece in work.pieces(tuple(held)):
            if piece.night != night:
                stamps, night = StampReader(work.lake), piece.night
            values = work.content.encode(work.table(piece, stamps)).to_pylist()
            if waiting >= work.settings.transfer.piece_rows:  # while these rows were packed, the last ones went out
                producer.flush()
                waiting = 0
                die("transfer_delivered")
            for value, partition, offset in zip(values, piece.partitions, piece.offsets, strict=True):
                producer.send(data, int(partition), int(offset), data.encode(), value)
            waiting += len(values)
            die("transfer_handed_over")
            work.reached(producer.delivered - begun, night)
        producer.flush()
    finally:
        producer.close()
    die("transfer_before_count")
    held = topics.ends(kafka, data, partitions)
    wrong = differences(held, plan.expected)
    if wrong:
        raise ConfigError(f"topic {data} is not what was planned: {wrong}; cancel the transfer and submit it again")
    return sum(held)


def _send_schema(work: Work, producer: PlainProducer, topic: str, held: list[int], die: Callable[[str], None]) -> None:
    """Write the copies of the schema that are missing, spread over all partitions."""
    partitions = len(held)
    for partition, first in enumerate(held):
        wanted = len(range(partition, SCHEMA_COPIES, partitions))
        for offset in range(first, wanted):
            producer.send(topic, partition, offset, work.content.key, b"")
        if partition == partitions // 2:
            producer.flush()
            die("transfer_schema")
    producer.flush()


def _refuse_more(work: Work, held: list[int]) -> None:
    if any(end > wanted for end, wanted in zip(held, work.job.plan.expected, strict=True)):
        wrong = differences(held, work.job.plan.expected)
        raise ConfigError(f"topic {work.job.id} holds too much: {wrong}; cancel the transfer and submit it again")
    if sum(held):
        work.tell(f"going on: {sum(held)} of {work.job.plan.rows} rows are there")
