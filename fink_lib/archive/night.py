"""One night of ``science``, cut into pieces that worker processes take one after the other.

A piece is a few row groups of one Parquet file. A worker holds one slice of a piece at a time, so memory does not grow
with the night. Small nights are done in the calling process: starting a worker costs more than they do.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds

from fink_lib.lake import open_lake
from fink_lib.lake.tables import PARTITION

if TYPE_CHECKING:
    from fink_lib.archive.tables import ArchiveTable
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

Outcome = TypeVar("Outcome")

PIECE_ROWS = 8000
SLICE_ROWS = 2000
ALONE_ROWS = 4000


@dataclass(frozen=True)
class Piece:
    """Some row groups of one file."""

    path: str
    row_groups: tuple[int, ...]
    rows: int


@dataclass(frozen=True)
class Job:
    """What every worker has to know.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, table, night : str
        Whose archive, which archive table, which night.
    version : int
        Version of the lake table ``science``, the same for all pieces.
    generation : int
        How often the night was remade.
    """

    settings: Settings
    survey: str
    table: str
    night: str
    version: int
    generation: int = 0


def open_job(settings: Settings, survey: str, table: str, night: str, generation: int = 0) -> Job:
    """Fix the version of ``science`` that a job reads."""
    version = open_lake(settings, survey).table("science").version()
    return Job(settings, survey, table, night, version, generation)


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
    return sorted(pieces, key=lambda piece: (piece.path, piece.row_groups))


def slices(job: Job, piece: Piece, table: ArchiveTable) -> Iterator[pa.Table]:
    """Read the rows of a piece that belong into an archive table, a slice at a time, only the columns it needs."""
    lake = open_lake(job.settings, job.survey)
    fragment = ds.ParquetFileFormat().make_fragment(
        piece.path, _dataset(lake, job).filesystem, row_groups=list(piece.row_groups)
    )
    batches = fragment.to_batches(
        schema=lake.schema("science"),
        columns=list(table.lake_columns),
        filter=table.selection,
        batch_size=SLICE_ROWS,
        batch_readahead=1,
        fragment_readahead=0,
        use_threads=False,
    )
    for batch in batches:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def work_through(
    job: Job,
    work: Callable[[Job, Piece], Outcome],
    workers: int,
    progress: Callable[[int, int], None],
) -> list[Outcome]:
    """Do `work` for each piece, in `workers` processes if the night is large.

    Parameters
    ----------
    job : Job
        What to do it for.
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
    pieces = pieces_of(job)
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
