"""Fetches a data transfer: every message of a topic, once, into Parquet files.

The offsets are those of the topic, never counts; the schema is read from the schema topic by assignment. Nothing is
committed: what is in the folder says where to go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from fink_lib.avro.schemas import parse_schema
from fink_lib.client.decode import WriterSchema
from fink_lib.client.folder import Folder, Range
from fink_lib.client.kafka import ANSWER_S, explain, kafka_options, place_of, topic_identity
from fink_lib.client.stream import require_topics
from fink_lib.errors import ConfigError, DataError, TransientError

ROWS_PER_FILE = 1000
PREFIXES = ("ftransfer_", "fxmatch_")
SCHEMA_SUFFIX = "_schema"
MOST_JOBS = 4
DATE = ("year", "month", "day")
PARTITIONS = {"time": DATE, "finkclass": ("finkclass",), "tnsclass": ("tnsclass",)}
"""Choice of ``--partition-by`` to the columns that become folders."""
_TIMES = (("candidate", "jd"), ("", "jd"), ("diaSource", "midpointMjdTai"), ("", "midpointMjdTai"))
_UNIX_EPOCH = {"jd": 2_440_587.5, "midpointMjdTai": 40_587.0}


@dataclass(frozen=True)
class Outcome:
    """What a transfer brought.

    Parameters
    ----------
    expected : int
        Messages between the first and the last offset of all partitions.
    received : int
        Alerts in the folder, those of earlier runs included.
    new : int
        Alerts that this run brought.
    lost : int
        Messages that the topic has dropped before they were read.
    complete : bool
        True if every offset was looked at.
    """

    expected: int
    received: int
    new: int
    lost: int
    complete: bool


@dataclass(frozen=True)
class _Job:
    """What the threads share."""

    options: dict[str, Any]
    topic: str
    topic_id: str
    schema: WriterSchema
    folder: Folder
    by: tuple[str, ...]
    timeout_s: float
    stopping: Callable[[], bool]


def fetch_transfer(
    config: dict[str, Any],
    topic: str,
    out: Path,
    *,
    partition_by: str | None = None,
    jobs: int | None = None,
    timeout_s: float = 30.0,
    tell: Callable[[str], None] = lambda line: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Bring what is missing in a folder, up to the end that the topic has now.

    Parameters
    ----------
    config : dict
        As :class:`~fink_lib.client.consumer.AlertConsumer` takes it.
    topic : str
        A topic of a transfer or of a cross-match.
    out : Path
        The folder.
    partition_by : str, optional
        ``time``, ``finkclass`` or ``tnsclass``: folders by date or class. A folder is written with one choice.
    jobs : int, optional
        Partitions that are read at a time.
    timeout_s : float
        Longest silence of the servers, seconds.
    tell : callable
        Takes a line of progress.
    stopping : callable
        Asked again and again; if true, the transfer ends early and can be taken up again.

    Raises
    ------
    ConfigError, TransientError, DataError
        If the topic is none, the servers fail, or a message was not written with the topic's schema.
    """
    if not topic.startswith(PREFIXES) or topic.endswith(SCHEMA_SUFFIX):
        raise ConfigError(f"{topic} is no transfer; the name that you were given begins with {' or '.join(PREFIXES)}")
    if partition_by is not None and partition_by not in PARTITIONS:
        raise ConfigError(f"alerts cannot be parted by {partition_by!r}; choose among {', '.join(PARTITIONS)}")
    by = PARTITIONS[partition_by] if partition_by else ()
    # offsets that are gone are an error, never a jump
    options = {**kafka_options(config), "auto.offset.reset": "error", "enable.partition.eof": True}
    options["enable.auto.commit"] = False
    servers = str(options["bootstrap.servers"])
    consumer = Consumer(options)
    try:
        known = consumer.list_topics(timeout=ANSWER_S).topics
        require_topics(list(known), [topic, f"{topic}{SCHEMA_SUFFIX}"])
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=ANSWER_S, cached=False)
            for number in sorted(known[topic].partitions)
        }
        expected = sum(high - low for low, high in ends.values())
        lost = sum(low for low, _ in ends.values())
        if not expected:
            return Outcome(0, 0, 0, lost, complete=True)
        schema = _read_schema(consumer, f"{topic}{SCHEMA_SUFFIX}", len(known[f"{topic}{SCHEMA_SUFFIX}"].partitions),
                              timeout_s)  # fmt: skip
        _check_columns(schema.columns, by)
    except KafkaException as error:
        raise explain(error.args[0], servers) from error
    finally:
        consumer.close()
    identity = topic_identity(options, topic)
    with Folder(out) as folder:
        before = folder.rows(topic, identity)
        job = _Job(options, topic, identity, schema, folder, by, timeout_s, stopping)
        work = {number: folder.missing(topic, identity, number, *ends[number]) for number in ends}
        tell(f"{topic}: {expected} messages, {before} alerts are in {out} already")
        with ThreadPoolExecutor(jobs or min(MOST_JOBS, os.cpu_count() or 1)) as pool:
            waiting = {number: pool.submit(_fetch_partition, job, number, open_) for number, open_ in work.items()
                       if open_}  # fmt: skip
            try:
                for number, future in waiting.items():
                    tell(f"partition {number}: {future.result()} alerts")
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        complete = not any(folder.missing(topic, identity, number, *ends[number]) for number in ends)
        received = folder.rows(topic, identity)
        return Outcome(expected, received, received - before, lost, complete)


def _read_schema(consumer: Consumer, topic: str, partitions: int, timeout_s: float) -> WriterSchema:
    """Read the first copy of the schema that any partition gives."""
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)])
    ended = 0
    while ended < partitions:
        message = consumer.poll(timeout_s)
        if message is None:
            raise TransientError(f"{topic} gave nothing for {timeout_s:.0f} s; try again")
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            ended += 1
            continue
        text = message.key() or b""
        consumer.unassign()
        return WriterSchema(text, parse_schema(text))
    raise ConfigError(f"{topic} is empty, so nothing says how to read the transfer; submit it again")


def _check_columns(columns: pa.Schema, by: Sequence[str]) -> None:
    """Refuse folders for which the alerts have no column."""
    if by == DATE and time_of(columns) is not None:
        return
    missing = [name for name in by if name not in columns.names]
    if missing:
        raise ConfigError(f"the alerts have no column {', '.join(missing)}; choose another partition, or none")


def _fetch_partition(job: _Job, number: int, open_: Sequence[tuple[int, int]]) -> int:
    consumer = Consumer(job.options)
    try:
        return sum(_fetch_range(job, consumer, number, first, end) for first, end in open_)
    except KafkaException as error:
        raise explain(error.args[0], str(job.options["bootstrap.servers"])) from error
    finally:
        consumer.close()


def _fetch_range(job: _Job, consumer: Consumer, number: int, first: int, end: int) -> int:
    """Bring the messages of a partition from one offset to the one before `end`, a file at a time."""
    consumer.assign([TopicPartition(job.topic, number, first)])
    rows, silent_s, step_s = 0, 0.0, 1.0
    begin = at = first
    held: list[dict[str, Any]] = []
    while at < end and not job.stopping():
        messages = consumer.consume(min(ROWS_PER_FILE - len(held), end - at), step_s)
        silent_s = 0.0 if messages else silent_s + step_s
        if silent_s >= job.timeout_s:
            raise TransientError(
                f"{job.topic}[{number}] gave nothing for {job.timeout_s:.0f} s at offset {at}; run it again to go on"
            )
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            _, _, offset = place_of(message)
            if error is not None:
                at = max(at, min(offset, end))  # what lies before it are no alerts
            elif offset < end:
                at = offset + 1
                held.append(_decode(job, number, offset, message.value()))
            else:
                at = end
        if held and (len(held) >= ROWS_PER_FILE or at >= end):
            rows += _write(job, Range(job.topic, job.topic_id, number, begin, at - 1), held)
            begin, held = at, []
    if begin < at == end:
        _write(job, Range(job.topic, job.topic_id, number, begin, end - 1), [])
    return rows


def _decode(job: _Job, number: int, offset: int, value: bytes | None) -> dict[str, Any]:
    try:
        return job.schema.decode(value or b"")
    except DataError as error:
        place = f"{job.topic}[{number}] offset {offset}"
        raise DataError(error.reason, f"{place}: {error.detail}; submit the transfer again") from error


def _write(job: _Job, done: Range, held: list[dict[str, Any]]) -> int:
    table = job.schema.table(held)
    tables = [with_dates(table) if job.by == DATE else table] if held else []
    job.folder.add(done, tables, "parquet", job.by)
    return len(held)


def time_of(columns: pa.Schema) -> tuple[str, str] | None:
    """Find the time of an alert: the record that holds it (empty for the root) and its field."""
    for record, field in _TIMES:
        if not record and field in columns.names:
            return record, field
        if record in columns.names and columns.field(record).type.get_field_index(field) >= 0:
            return record, field
    return None


def with_dates(table: pa.Table) -> pa.Table:
    """Give alerts with columns ``year``, ``month``, ``day`` (text) from their own time, on the scale that it is in.

    Where they are already and the alerts have no time, they stay.
    """
    place = time_of(table.schema)
    if place is None:
        return table
    record, field = place
    days = table.column(field) if not record else pc.struct_field(table.column(record), field)
    since = np.floor(days.to_numpy().astype(np.float64) - _UNIX_EPOCH[field])
    known = np.isfinite(since)
    texts = np.where(known, since, 0).astype("int64").astype("datetime64[D]").astype(str)
    table = table.drop_columns([name for name in DATE if name in table.column_names])
    for name, part in zip(DATE, (slice(0, 4), slice(5, 7), slice(8, 10)), strict=True):
        values = [text[part] if there else None for text, there in zip(texts, known, strict=True)]
        table = table.append_column(name, pa.array(values, pa.string()))
    return table
