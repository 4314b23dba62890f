"""Work of a batch that is read from files of the lake: which rows of which file each task takes.

Spark names the files and the tasks; the rows are read by the Python workers themselves. So an alert does not pass
through the JVM, which would take it apart into values and put these together again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from fink_lib.lake.lake import conform
from fink_lib.lake.tables import PARTITION

if TYPE_CHECKING:
    from fink_lib.lake import Lake

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


def read_piece(lake: Lake, table: str, piece: Piece, chunk_rows: int) -> Iterator[pa.Table]:
    """Read all columns of a piece.

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

    Yields
    ------
    pyarrow.Table
        Some rows with the columns of the table, ``night`` last; columns that the file lacks are null.
    """
    schema = lake.schema(table)
    body = pa.schema([field for field in schema if field.name != PARTITION])
    with open_piece(lake, table, piece) as parquet:
        columns = [name for name in body.names if name in set(parquet.schema_arrow.names)]
        for group, begin, end in groups_of(parquet, piece):
            place = 0
            for part in parquet.iter_batches(chunk_rows, row_groups=[group], columns=columns):
                first, last = max(begin, place), min(end, place + part.num_rows)
                if first < last:
                    rows = conform(pa.Table.from_batches([part.slice(first - place, last - first)]), body)
                    yield rows.append_column(schema.field(PARTITION), pa.array([piece.night] * rows.num_rows))
                place += part.num_rows
                if place >= end:
                    break
