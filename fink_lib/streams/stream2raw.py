"""stream2raw: every message of the survey becomes a row of ``raw`` or a row of ``quarantine``.

1. Spark reads a range of offsets from the survey's topics.
2. Its workers decode the messages, in whatever wire format and schema version each has, and write the Parquet files
   of ``raw``, ``cutouts`` and ``quarantine``.
3. The driver commits the files, each table once for each batch.

The images, two thirds of an alert's bytes, go to ``cutouts`` here and never travel through the next stages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.lake import Lake, open_lake
from fink_lib.lake.tables import INGEST, PARTITION, UTC_US, table_schema
from fink_lib.runtime.failpoints import failpoint
from fink_lib.streams.books import close_books
from fink_lib.streams.earlier import NOTHING, Earlier, find_earlier
from fink_lib.streams.kafka import spark_options
from fink_lib.streams.report import REPORT_DDL, Share, add_up
from fink_lib.streams.stage import Batch, LedgerRow, StageContext
from fink_lib.surveys.base import DecodedBatch, Survey

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLES = ("cutouts", "quarantine", "raw")  # an alert that the next stage sees must have its images
FLUSH_ROWS = 2000


class Stream2Raw:
    """The stage behind ``jobs/stream2raw.py``."""

    name = "stream2raw"

    def __init__(self) -> None:
        self._earlier = NOTHING

    def open(self, context: StageContext) -> None:
        """Find out what earlier generations of the checkpoint have taken in, and account for it."""
        close_books(context, "raw", "quarantine")
        self._earlier = find_earlier(context.lake, context.checkpoint.generation, ("raw", "quarantine"))

    def close(self) -> None:
        """Nothing to let go of."""

    def source(self, spark: SparkSession, context: StageContext) -> DataFrame:
        """Subscribe to the survey's topics by pattern."""
        streams = context.settings.streams
        return (
            spark.readStream.format("kafka")
            .options(**spark_options(context.settings.kafka))
            .option("subscribePattern", context.survey.topic_pattern)
            .option("startingOffsets", context.checkpoint.start or "earliest")
            .option("failOnDataLoss", "true")
            .option("includeHeaders", "true")
            .option("maxOffsetsPerTrigger", streams.max_offsets_per_trigger)
            .load()
        )

    def process(self, frame: DataFrame, batch: Batch) -> list[LedgerRow]:
        """Decode and write one range of offsets."""
        kernel = make_kernel(batch, self._earlier)
        workers = frame.coalesce(batch.settings.streams.write_tasks).mapInArrow(kernel, REPORT_DDL)
        total = add_up(row.report for row in workers.collect())
        for table in TABLES:
            batch.lake.commit(table, total.files[table], batch.app_id, batch.batch_id)
            batch.failpoint(f"after_{table}")
        return [
            LedgerRow(
                night,
                received=counts.get("received", 0),
                produced=counts.get("raw", 0),
                quarantined=counts.get("quarantine", 0),
                details={
                    "offsets": dict(sorted(total.ranges[night].items())),
                    **{what: rows for what, rows in sorted(counts.items()) if ":" in what},
                },
            )
            for night, counts in sorted(total.counts.items())
        ]


def make_kernel(batch: Batch, earlier: Earlier) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Build the function that runs in Spark's workers."""
    settings, survey_name, key = batch.settings, batch.survey.name, batch.key
    ingested = batch.started

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        lake = open_lake(settings, survey_name)
        share = Share()
        pending: dict[str, list[pa.Table]] = {table: [] for table in TABLES}
        for messages in batches:
            new = earlier.missing(pa.Table.from_batches([messages]))
            if new.num_rows == 0:
                continue
            for table, rows in decode_messages(new, lake.survey, key, ingested).items():
                pending[table].append(rows)
                _count(share, table, rows)
            _flush(lake, pending, share, FLUSH_ROWS)
            failpoint(settings, survey_name, "stream2raw", "in_pass")
        _flush(lake, pending, share, 1)
        yield share.to_batch()

    return kernel


def decode_messages(messages: pa.Table, survey: Survey, batch_key: str, ingested: datetime) -> dict[str, pa.Table]:
    """Turn Kafka records into rows of ``raw``, ``cutouts`` and ``quarantine``.

    Parameters
    ----------
    messages : pyarrow.Table
        Columns of Spark's Kafka source: key, value, topic, partition, offset, timestamp, headers.
    survey : Survey
        Whose messages these are.
    batch_key : str
        Name of the batch.
    ingested : datetime
        When the batch was begun (UTC).

    Returns
    -------
    dict of str to pyarrow.Table
        Rows for each table, ``night`` included; every message is in ``raw`` or in ``quarantine``.
    """
    values = messages.column("value").to_pylist()
    decoded = survey.decode(values)
    nights = survey.nights(decoded.alerts)
    digests = [hashlib.sha256(value or b"").hexdigest() for value in values]
    return {
        "raw": _raw_rows(messages, decoded, nights, digests, batch_key, ingested),
        "cutouts": _cutout_rows(decoded, nights, batch_key),
        "quarantine": _quarantine_rows(messages, survey, decoded, values, digests, batch_key),
    }


def _raw_rows(
    messages: pa.Table,
    decoded: DecodedBatch,
    nights: pa.StringArray,
    digests: list[str],
    batch_key: str,
    ingested: datetime,
) -> pa.Table:
    origin = messages.select(["topic", "partition", "offset", "timestamp"]).take(decoded.positions).combine_chunks()
    rows = decoded.alerts.num_rows
    parts = {
        "topic": _flat(origin, "topic").cast(pa.string()),
        "partition": _flat(origin, "partition").cast(pa.int32()),
        "offset": _flat(origin, "offset").cast(pa.int64()),
        "kafka_time": _flat(origin, "timestamp").cast(UTC_US),
        "wire_format": decoded.wire_formats,
        "schema_version": decoded.schema_versions,
        "sha256": pa.array([digests[i] for i in decoded.positions.to_pylist()], pa.string()),
        "ingested": pa.array([ingested] * rows, UTC_US),
        "batch": pa.array([batch_key] * rows, pa.string()),
    }
    ingest = pa.StructArray.from_arrays([parts[field.name] for field in INGEST], fields=list(INGEST))
    return decoded.alerts.append_column("ingest", ingest).append_column(PARTITION, nights)


def _cutout_rows(decoded: DecodedBatch, nights: pa.StringArray, batch_key: str) -> pa.Table:
    row_of = {position: row for row, position in enumerate(decoded.positions.to_pylist())}
    rows = pa.array([row_of[position] for position in decoded.cutout_positions.to_pylist()], pa.int64())
    count = decoded.cutouts.num_rows
    return decoded.cutouts.append_column("batch", pa.array([batch_key] * count, pa.string())).append_column(
        PARTITION, nights.take(rows)
    )


def _quarantine_rows(
    messages: pa.Table,
    survey: Survey,
    decoded: DecodedBatch,
    values: list[bytes | None],
    digests: list[str],
    batch_key: str,
) -> pa.Table:
    records = []
    for bad in decoded.bad:
        message = messages.slice(bad.position, 1).to_pylist()[0]
        stamp: datetime = message["timestamp"]
        headers = message.get("headers") or []
        records.append(
            {
                "survey": survey.name,
                "topic": message["topic"],
                "partition": message["partition"],
                "offset": message["offset"],
                "kafka_timestamp": stamp,
                "key": message["key"],
                "headers": [(h["key"], (h["value"] or b"").decode(errors="replace")) for h in headers],
                "wire_format": bad.wire_format,
                "schema_id": bad.schema_id,
                "reason": bad.reason,
                "detail": bad.detail,
                "sha256": digests[bad.position],
                "payload": values[bad.position],
                "batch": batch_key,
                PARTITION: survey.night_of_topic(message["topic"]) or stamp.astimezone(UTC).strftime("%Y%m%d"),
            }
        )
    return pa.Table.from_pylist(records, schema=table_schema("quarantine", survey))


def _count(share: Share, table: str, rows: pa.Table) -> None:
    """Count the rows of one table by night, with the offsets they came from."""
    for night, number in _tally(rows.column(PARTITION)):
        share.count(night, table, number)
        if table == "cutouts":
            continue
        share.count(night, "received", number)
        mine = rows.filter(pc.equal(rows.column(PARTITION), night))
        origin = mine if table == "quarantine" else mine.select(["ingest"]).flatten()
        names = [name if table == "quarantine" else f"ingest.{name}" for name in ("topic", "partition", "offset")]
        for row in _ranges(origin.select(names).rename_columns(["topic", "partition", "offset"])):
            share.saw(
                night, f"{row['topic']}/{row['partition']}", row["offset_min"], row["offset_max"], row["offset_count"]
            )
        if table == "quarantine":
            for reason, of_it in _tally(mine.column("reason")):
                share.count(night, f"reason:{reason}", of_it)


def _ranges(origin: pa.Table) -> list[dict[str, Any]]:
    spans = origin.group_by(["topic", "partition"]).aggregate([("offset", how) for how in ("min", "max", "count")])
    return list(spans.to_pylist())


def _tally(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    return [(item["values"], item["counts"]) for item in column.value_counts().to_pylist()]


def _flat(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _flush(lake: Lake, pending: dict[str, list[pa.Table]], share: Share, least: int) -> None:
    for table, parts in pending.items():
        if sum(part.num_rows for part in parts) >= least:
            share.files[table].extend(lake.write_files(table, pa.concat_tables(parts)))
            parts.clear()
