"""One night of ``science``, cut into pieces that worker processes take one after the other.

A piece is a few row groups of one Parquet file. A worker holds one slice of a piece at a time, so memory does not grow
with the night. Small nights are done in the calling process: starting a worker costs more than they do.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from fink_lib.archive.rows import pack
from fink_lib.archive.tables import archive_table
from fink_lib.lake import open_lake
from fink_lib.lake.lake import conform
from fink_lib.lake.tables import PARTITION
from fink_lib.surveys import get_survey

if TYPE_CHECKING:
    from fink_lib.archive.codec import Layout
    from fink_lib.archive.rows import Row
    from fink_lib.archive.tables import ArchiveTable
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

Outcome = TypeVar("Outcome")

PIECE_ROWS = 8000
SLICE_ROWS = 2000
ALONE_ROWS = 4000


@dataclass(frozen=True)
class Piece:
    """Some row groups of one file; `place` counts the pieces of the night."""

    path: str
    row_groups: tuple[int, ...]
    rows: int
    place: int = 0


@dataclass(frozen=True)
class Job:
    """What every worker has to know.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, night : str
        Whose archive, which night.
    tables : tuple of str
        Archive tables.
    version : int
        Version of the lake table ``science``, the same for all pieces.
    chosen : mapping of str to tuple of int
        Ids of the alerts that each filter of the night chooses, for the tables that hold such alerts.
    generations : mapping of str to int
        By table: how often the night was remade.
    """

    settings: Settings
    survey: str
    night: str
    tables: tuple[str, ...]
    version: int
    chosen: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    generations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A table while a worker packs rows for it."""

    table: ArchiveTable
    layout: Layout
    generation: int
    chosen: Mapping[str, pa.Array]

    def rows(self, science: pa.Table) -> list[Row]:
        """Pack the rows of a slice that belong into the table."""
        return pack(self.table, self.layout, science, self.generation, self.chosen)


def open_job(
    settings: Settings,
    survey: str,
    tables: Sequence[str],
    night: str,
    chosen: Mapping[str, Collection[int]] | None = None,
) -> Job:
    """Fix the version of ``science`` that a job reads."""
    version = open_lake(settings, survey).table("science").version()
    ids = {name: tuple(sorted(found)) for name, found in (chosen or {}).items()}
    return Job(settings, survey, night, tuple(tables), version, ids)


def targets_of(job: Job) -> list[Target]:
    """Give the tables of a job with what packing needs."""
    survey = get_survey(job.survey)
    chosen = {name: pa.array(ids, pa.int64()) for name, ids in job.chosen.items()}
    tables = [archive_table(survey, name) for name in job.tables]
    return [Target(table, table.layout(survey), job.generations.get(table.name, 0), chosen) for table in tables]


def paths_of(targets: Iterable[Target]) -> list[str]:
    """Name the fields of ``science`` that some tables are made of."""
    return sorted({path for target in targets for path in target.table.lake_paths})


def source_of(job: Job, target: Target, pieces: Sequence[Piece]) -> str:
    """Digest everything that the night's rows of a table are made of: files, layout, key, choice."""
    table = target.table
    made_of = [
        [(piece.path.rpartition("/")[2], piece.row_groups, piece.rows) for piece in pieces],
        target.layout.schema_id.hex(),
        repr(table.key),
        str(table.selection),
        getattr(table.prepare, "__name__", ""),
        [[name, job.chosen.get(name, ())] for name in table.filters],
    ]
    return hashlib.sha256(json.dumps(made_of, default=list).encode()).hexdigest()


def pieces_of(job: Job) -> list[Piece]:
    """Cut the night; the same version gives the same pieces."""
    lake = open_lake(job.settings, job.survey)
    pieces = []
    for fragment in _dataset(lake, job).get_fragments():
        groups: list[int] = []
        rows = 0
        for group in fragment.row_groups:
            groups.append(group.id)
            rows += group.num_rows
            if rows >= PIECE_ROWS:
                pieces.append(Piece(fragment.path, tuple(groups), rows))
                groups, rows = [], 0
        if groups:
            pieces.append(Piece(fragment.path, tuple(groups), rows))
    ordered = sorted(pieces, key=lambda piece: (piece.path, piece.row_groups))
    return [replace(piece, place=place) for place, piece in enumerate(ordered)]


def slices(job: Job, piece: Piece, paths: Sequence[str]) -> Iterator[pa.Table]:
    """Read the rows of a piece, a slice at a time, only the fields that are asked for.

    Parameters
    ----------
    job : Job
        Whose night.
    piece : Piece
        Which rows.
    paths : sequence of str
        Fields of ``science``, dotted; inside lists too.

    Yields
    ------
    pyarrow.Table
        The root columns of the paths; records have the fields asked for, null where the file is too old to have one.
    """
    lake = open_lake(job.settings, job.survey)
    schema = lake.schema("science")
    narrow = pa.schema([narrowed(schema.field(root), paths) for root in dict.fromkeys(p.split(".")[0] for p in paths)])
    inside = pa.schema([field for field in narrow if field.name != PARTITION])
    with _dataset(lake, job).filesystem.open_input_file(piece.path) as handle:
        parquet = pq.ParquetFile(handle)
        leaves = _leaves(parquet, paths)
        for batch in parquet.iter_batches(SLICE_ROWS, list(piece.row_groups), leaves, use_threads=False):
            rows = conform(pa.Table.from_batches([batch]), inside)
            if PARTITION in narrow.names:
                rows = rows.append_column(narrow.field(PARTITION), pa.array([job.night] * rows.num_rows, pa.string()))
            yield rows


def narrowed(field: pa.Field, paths: Sequence[str]) -> pa.Field:
    """Give a field with only those of its own fields that some dotted paths ask for."""
    inner = [rest for root, _, rest in (path.partition(".") for path in paths) if root == field.name]
    if "" in inner:
        return field
    if pa.types.is_struct(field.type):
        return field.with_type(pa.struct(_narrowed_fields(field.type, inner)))
    return field.with_type(pa.list_(pa.struct(_narrowed_fields(field.type.value_type, inner))))


def _narrowed_fields(record: pa.StructType, paths: Sequence[str]) -> list[pa.Field]:
    wanted = {path.partition(".")[0] for path in paths}
    return [narrowed(field, paths) for field in record if field.name in wanted]


def _leaves(parquet: pq.ParquetFile, paths: Sequence[str]) -> list[str]:
    """Name the file's columns that belong to some paths; inside lists the file has levels of its own."""
    wanted = [path.split(".") for path in paths]
    names = [parquet.schema.column(place).path for place in range(len(parquet.schema))]
    return [name for name in names if any(_belongs(name.split("."), path) for path in wanted)]


def _belongs(column: list[str], path: list[str]) -> bool:
    if column[0] != path[0]:
        return False
    place = 1
    for part in column[1:]:
        if place < len(path) and part == path[place]:
            place += 1
    return place == len(path)


def work_through(
    job: Job,
    pieces: Sequence[Piece],
    work: Callable[[Job, Piece], Outcome],
    workers: int,
    progress: Callable[[int, int], None],
) -> list[Outcome]:
    """Do `work` for each piece, in `workers` processes if the night is large.

    Parameters
    ----------
    job : Job
        What to do it for.
    pieces : sequence of Piece
        Of the night.
    work : callable
        A function of a module (it travels to other processes).
    workers : int
        How many processes.
    progress : callable
        Called with (rows done, rows in all) after each piece.

    Returns
    -------
    list
        One outcome for each piece, in no order.
    """
    total = sum(piece.rows for piece in pieces)
    done = 0
    outcomes = []
    if workers < 2 or total <= ALONE_ROWS:
        for piece in pieces:
            outcomes.append(work(job, piece))
            done += piece.rows
            progress(done, total)
        return outcomes
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(work, job, piece): piece for piece in pieces}
        try:
            for finished in as_completed(waiting):
                outcomes.append(finished.result())
                done += waiting[finished].rows
                progress(done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return outcomes


def no_progress(done: int, total: int) -> None:
    """Say nothing."""


def _dataset(lake: Lake, job: Job) -> ds.FileSystemDataset:
    table = lake.table("science")
    if table.version() != job.version:
        table.load_as_version(job.version)
    return table.to_pyarrow_dataset(file_pruning_predicate=[(PARTITION, "=", job.night)], schema=lake.schema("science"))


def first_few(items: Sequence[str], limit: int = 5) -> str:
    """Name some items for a sentence."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more
