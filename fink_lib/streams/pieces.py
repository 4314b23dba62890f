"""Work of a batch that is read from files of the lake: which rows of which file each task takes.

Spark names the files and the tasks; the rows are read by the Python workers themselves. So an alert does not pass
through the JVM, which would take it apart into values and put these together again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem
from pyspark.sql.functions import input_file_name

from fink_lib.lake.lake import conform
from fink_lib.lake.tables import PARTITION

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fink_lib.lake import Lake
    from fink_lib.streams.stage import StageContext

FILE = "file"
"""Column in which Spark names the file of a row."""


@dataclass(frozen=True)
class Piece:
    """Some rows of one file of a table: what one task reads.

    Parameters
    ----------
    file : str
        Where Spark says the file is; its last two parts are its name in the table.
    begin, end : int
        First row, and the row behind the last.
    """

    file: str
    begin: int
    end: int

    @property
    def night(self) -> str:
        """Night that all rows are of."""
        return unquote(self.file).split("/")[-2].removeprefix(f"{PARTITION}=")


def pieces_of(files: dict[str, int], rows: int) -> list[Piece]:
    """Cut files, given with their numbers of rows, into pieces of `rows`; the same files give the same pieces."""
    return [
        Piece(file, begin, min(begin + rows, whole))
        for file, whole in sorted(files.items())
        for begin in range(0, whole, rows)
    ]


@contextmanager
def open_piece(lake: Lake, table: str, piece: Piece) -> Iterator[pq.ParquetFile]:
    """Open the file of a piece."""
    uri = lake.uri(table)
    filesystem, base = FileSystem.from_uri(uri if "://" in uri else os.path.abspath(uri))
    folder, file = unquote(piece.file).split("/")[-2:]
    with filesystem.open_input_file(f"{base}/{folder}/{file}") as handle:
        yield pq.ParquetFile(handle)


def groups_of(parquet: pq.ParquetFile, piece: Piece) -> Iterator[tuple[int, int, int]]:
    """Give the row groups that a piece touches, each with its first row and the row behind its last, counted within."""
    start = 0
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        begin, end = max(piece.begin - start, 0), min(piece.end - start, rows)
        if begin < end:
            yield group, begin, end
        start += rows


def follow_files(spark: SparkSession, context: StageContext, table: str) -> DataFrame:
    """Read a lake table as a stream of its appends: for each row the file it is in, and nothing else.

    Whatever else the stream had, Spark would read it in full for every action on the batch.
    """
    reader = (
        spark.readStream.format("delta")
        .option("skipChangeCommits", "true")
        .option("maxFilesPerTrigger", context.settings.streams.max_files_per_trigger)
    )
    if context.checkpoint.start:
        reader = reader.option("startingVersion", context.checkpoint.start)
    return reader.load(context.lake.uri(table)).select(input_file_name().alias(FILE))


def files_of(frame: DataFrame) -> dict[str, int]:
    """Give the files of a batch of :func:`follow_files`, each with its number of rows."""
    counts = frame.toArrow().column(FILE).value_counts()
    return {row["values"]: row["counts"] for row in counts.to_pylist()}


def read_piece(
    lake: Lake, table: str, piece: Piece, chunk_rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Read a piece.

    Parameters
    ----------
    lake : Lake
        Holds the file.
    table : str
        Name of the table.
    piece : Piece
        What to read.
    chunk_rows : int
        Rows that are held at once.
    columns : sequence of str, optional
        Columns, or fields of records as dotted paths, that every file has; all columns if not given.

    Yields
    ------
    pyarrow.Table
        Some rows with the columns of the table, ``night`` last; columns that the file lacks are null. If some were
        asked for, these alone, and records have only the fields that were asked for.
    """
    schema = lake.schema(table)
    body = pa.schema([field for field in schema if field.name != PARTITION])
    with open_piece(lake, table, piece) as parquet:
        wanted = list(columns or [name for name in body.names if name in set(parquet.schema_arrow.names)])
        for group, begin, end in groups_of(parquet, piece):
            place = 0
            for part in parquet.iter_batches(chunk_rows, row_groups=[group], columns=wanted):
                first, last = max(begin, place), min(end, place + part.num_rows)
                if first < last:
                    rows = pa.Table.from_batches([part.slice(first - place, last - first)])
                    rows = rows if columns else conform(rows, body)
                    yield rows.append_column(schema.field(PARTITION), pa.array([piece.night] * rows.num_rows))
                place += part.num_rows
                if place >= end:
                    break
