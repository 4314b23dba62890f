"""raw2science: an alert that passes the quality cuts leaves with its science values; the others with a reason.

1. The driver reads only ids, places and cuts of the batch, and decides: science, rejected by a cut, or duplicate.
2. Spark's workers read the alerts that stay, run all science modules over them in one pass, and write the files of
   ``science``.
3. The driver commits ``science``, then ``rejected``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib import __version__
from fink_lib.errors import TransientError
from fink_lib.lake import open_lake
from fink_lib.lake.lake import conform
from fink_lib.lake.patch import rewritten
from fink_lib.lake.tables import PARTITION, PROCESS, UTC_US
from fink_lib.runtime.failpoints import failpoint
from fink_lib.science import load_modules
from fink_lib.streams.books import close_books
from fink_lib.streams.earlier import NOTHING, PLACE, Earlier, find_earlier
from fink_lib.streams.pieces import Piece, files_of, follow_files, pieces_of, read_piece
from fink_lib.streams.report import REPORT_DDL, Share, add_up
from fink_lib.streams.seen import Ids, Origins, SeenIds
from fink_lib.streams.stage import Batch, LedgerRow, StageContext
from fink_lib.streams.stamps import cutout_reader
from fink_lib.streams.verdicts import Verdicts, cut_columns, decide, first_cut, origin_numbers

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fink_lib.lake import Lake
    from fink_lib.science.runner import Runner, ScienceResult

PASS_ROWS = 4000
PIECE_ROWS = 2000
"""Rows of ``raw`` that a task takes at a time: a row group, so that no two tasks read one."""

ORIGINS = pa.schema(
    [
        ("alert_id", pa.int64()),
        (PARTITION, pa.string()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_time", UTC_US),
        ("cut", pa.string()),
    ]
)
"""What decides about an alert."""


class Raw2Science:
    """The stage behind ``jobs/raw2science.py``."""

    name = "raw2science"

    def __init__(self) -> None:
        self._seen: SeenIds | None = None
        self._earlier = NOTHING

    def open(self, context: StageContext) -> None:
        """Prepare the memory of ids and of earlier generations; find out early whether the modules load."""
        load_modules(context.survey.name, context.settings)
        close_books(context, "science", "rejected")
        self._earlier = find_earlier(context.lake, context.checkpoint.generation, ("science", "rejected"))
        self._seen = SeenIds(lambda night: load_night(context.lake, night))

    def close(self) -> None:
        """Forget the ids."""
        self._seen = None

    def source(self, spark: SparkSession, context: StageContext) -> DataFrame:
        """Follow the files of ``raw``; nothing of their content is read here.

        Commits that only rewrite files (compaction, replay) are not seen again.
        """
        return follow_files(spark, context, "raw")

    def process(self, frame: DataFrame, batch: Batch) -> list[LedgerRow]:
        """Decide, compute, commit."""
        if self._seen is None:
            raise RuntimeError("the stage was not opened")
        pieces = pieces_of(files_of(frame), PIECE_ROWS)
        for night in {piece.night for piece in pieces}:
            self._seen.renew(night, partial(rewritten, batch.lake, night))
        verdicts = decide(self._earlier.missing(read_origins(batch.lake, pieces)), self._seen)
        staying, leaving = verdicts.staying, verdicts.leaving
        total = Share()
        if staying.num_rows:
            kernel = make_kernel(batch, self._earlier, _places(leaving), pieces)
            numbers = frame.sparkSession.range(0, len(pieces), 1, batch.settings.streams.write_tasks)
            total = add_up(row.report for row in numbers.mapInArrow(kernel, REPORT_DDL).collect())
            written = sum(file.rows for file in total.files["science"])
            if written != staying.num_rows:
                raise TransientError(f"workers wrote {written} science rows for {staying.num_rows} alerts")
        batch.lake.commit("science", total.files["science"], batch.app_id, batch.batch_id)
        batch.failpoint("after_science")
        if leaving.num_rows:
            rows = leaving.append_column("batch", pa.array([batch.key] * leaving.num_rows, pa.string()))
            batch.lake.append("rejected", rows, batch.app_id, batch.batch_id)
        for night in set(staying.column(PARTITION).to_pylist()):
            mine = staying.filter(pc.equal(staying.column(PARTITION), night))
            self._seen.night(night).add(mine.column("alert_id").to_numpy(), origin_numbers(mine))
        return _ledger(verdicts, total)


def read_origins(lake: Lake, pieces: Iterable[Piece]) -> pa.Table:
    """Read of each alert only what decides whether it stays.

    Parameters
    ----------
    lake : Lake
        Holds the files.
    pieces : iterable of Piece
        Of ``raw``.

    Returns
    -------
    pyarrow.Table
        ``alert_id, night, topic, partition, offset, kafka_time`` and ``cut``, the first cut that the alert fails.
    """
    survey = lake.survey
    places = {name: f"ingest.{name}" for name in ("topic", "partition", "offset", "kafka_time")}
    columns = [survey.id_field, *places.values(), *cut_columns(survey.quality_cuts)]
    parts = [ORIGINS.empty_table()]
    for piece in pieces:
        for rows in read_piece(lake, "raw", piece, PIECE_ROWS, columns):
            ingest = rows.column("ingest").combine_chunks()
            found = {
                "alert_id": rows.column(survey.id_field),
                PARTITION: rows.column(PARTITION),
                **{name: ingest.field(name) for name in places},
                "cut": first_cut(rows, survey.quality_cuts),
            }
            parts.append(conform(pa.table(found), ORIGINS))
    return pa.concat_tables(parts)


def load_night(lake: Lake, night: str) -> tuple[Ids, Origins]:
    """Read ids and places of a night's science rows."""
    rows = lake.dataset("science", [night]).to_table(
        columns={
            "alert_id": pc.field(lake.survey.id_field),
            "topic": pc.field("ingest", "topic"),
            "partition": pc.field("ingest", "partition"),
            "offset": pc.field("ingest", "offset"),
        }
    )
    return rows.column("alert_id").to_numpy(), origin_numbers(rows)


def make_kernel(
    batch: Batch, earlier: Earlier, leaving: dict[str, set[tuple[int, int]]], pieces: list[Piece]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Build the function that runs in Spark's workers: numbers of pieces in, one report out."""
    settings, survey_name, key, started = batch.settings, batch.survey.name, batch.key, batch.started

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        lake = open_lake(settings, survey_name)
        runner = load_modules(survey_name, settings)
        share = Share()
        mine = (pieces[number] for numbers in batches for number in numbers.column(0).to_pylist())
        received = (rows for piece in mine for rows in read_piece(lake, "raw", piece, settings.streams.arrow_rows))
        for alerts in _in_passes(received, earlier, leaving):
            rows, result = enrich(lake, runner, alerts, [key] * alerts.num_rows, started)
            failpoint(settings, survey_name, "raw2science", "in_pass")
            share.files["science"].extend(lake.write_files("science", rows))
            for module, seconds in result.timings.items():
                share.count("", f"us:{module}", int(seconds * 1e6))
            for module, statuses in result.statuses.items():
                for status, number in statuses.items():
                    share.count("", f"status:{module}:{status}", number)
        yield share.to_batch()

    return kernel


def enrich(
    lake: Lake, runner: Runner, alerts: pa.Table, batches: Sequence[str], started: datetime
) -> tuple[pa.Table, ScienceResult]:
    """Make rows of ``science`` of rows of ``raw``: the one way in which this is done, in the stream and in a replay.

    Parameters
    ----------
    lake : Lake
        Gives the columns, and the images that modules ask for.
    runner : Runner
        All science modules.
    alerts : pyarrow.Table
        Rows of ``raw``, each id once.
    batches : sequence of str
        For each alert, the batch that has decided about it.
    started : datetime
        When the work on them began (UTC).
    """
    result = runner.apply(alerts, cutout_reader(lake, alerts))
    rows = alerts.select(lake.survey.alert_schema.names)
    for field in lake.survey.fink_schema:
        rows = rows.append_column(field, result.table.column(field.name))
    process = {
        "started": started,
        "ended": datetime.now(UTC),
        "broker_version": __version__,
        "science_version": runner.version,
    }
    rows = rows.append_column("ingest", alerts.column("ingest"))
    rows = rows.append_column("process", pa.array([{**process, "batch": batch} for batch in batches], PROCESS))
    return rows.append_column(PARTITION, alerts.column(PARTITION)), result


def _in_passes(
    received: Iterable[pa.Table], earlier: Earlier, leaving: dict[str, set[tuple[int, int]]]
) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    for rows in received:
        ingest = rows.column("ingest").combine_chunks()
        places = pa.table({name: ingest.field(name) for name in PLACE})
        columns = (places.column(name).to_pylist() for name in PLACE)
        stays = [
            (partition, offset) not in leaving.get(topic, ()) for topic, partition, offset in zip(*columns, strict=True)
        ]
        held.append(rows.filter(pa.array(np.array(stays) & ~earlier.done(places))))
        if sum(part.num_rows for part in held) >= PASS_ROWS:
            yield pa.concat_tables(held).combine_chunks()
            held = []
    if sum(part.num_rows for part in held):
        yield pa.concat_tables(held).combine_chunks()


def _places(rows: pa.Table) -> dict[str, set[tuple[int, int]]]:
    places: dict[str, set[tuple[int, int]]] = {}
    for row in rows.select(["topic", "partition", "offset"]).to_pylist():
        places.setdefault(row["topic"], set()).add((row["partition"], row["offset"]))
    return places


def _ledger(verdicts: Verdicts, total: Share) -> list[LedgerRow]:
    tally: dict[str, dict[str, int]] = {}
    for row in verdicts.rows.group_by([PARTITION, "reason"]).aggregate([([], "count_all")]).to_pylist():
        tally.setdefault(row[PARTITION], {})[row["reason"] or ""] = row["count_all"]
    whole_batch = dict(sorted(total.counts.get("", {}).items()))
    rows = []
    for place, (night, reasons) in enumerate(sorted(tally.items())):
        duplicates = reasons.get("duplicate", 0)
        stayed = reasons.get("", 0)
        received = sum(reasons.values())
        cuts = {f"cut:{name}": number for name, number in sorted(reasons.items()) if name not in ("", "duplicate")}
        rows.append(
            LedgerRow(
                night,
                received=received,
                produced=stayed,
                rejected=received - stayed - duplicates,
                duplicates=duplicates,
                details={**cuts, **(whole_batch if place == 0 else {})},
            )
        )
    return rows
