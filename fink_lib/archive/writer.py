"""Writing a night into tables of the archive, all of them in one pass over the night."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fink_lib.archive.hbase import HBase
from fink_lib.archive.journal import clear_ghosts, note, open_generation
from fink_lib.archive.night import (
    Job,
    Piece,
    Target,
    no_progress,
    open_job,
    paths_of,
    pieces_of,
    slices,
    source_of,
    targets_of,
    work_through,
)
from fink_lib.archive.registry import register
from fink_lib.archive.rows import Row, add_digests, pack_given
from fink_lib.archive.tables import archive_table
from fink_lib.surveys import get_survey

if TYPE_CHECKING:
    import pyarrow as pa

    from fink_lib.config import Settings
    from fink_lib.surveys.base import Survey


@dataclass(frozen=True)
class Written:
    """What was put into a table.

    Parameters
    ----------
    rows : int
        Number of rows.
    digest : int
        Sum of the rows' digests, whatever their order.
    seconds : float
        How long it took, together with the tables that were written beside it.
    generation : int
        How often the night was remade.
    ghosts : int
        Cells of earlier generations that were deleted.
    """

    rows: int
    digest: int
    seconds: float
    generation: int = 0
    ghosts: int = 0


def write_night(
    settings: Settings,
    survey: str,
    table: str,
    night: str,
    chosen: Mapping[str, Collection[int]] | None = None,
    progress: Callable[[int, int], None] = no_progress,
) -> Written:
    """Write a night into one table; see :func:`write_tables`."""
    return write_tables(settings, survey, [table], night, chosen, progress)[table]


def write_tables(
    settings: Settings,
    survey: str,
    tables: Sequence[str],
    night: str,
    chosen: Mapping[str, Collection[int]] | None = None,
    progress: Callable[[int, int], None] = no_progress,
) -> dict[str, Written]:
    """Put every row of a night that belongs into some tables; doing it again changes nothing.

    Rows that an earlier archive of the night has written, and that are not made any more, are deleted.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, night : str
        Which night.
    tables : sequence of str
        Which tables; those that are not of the night are made if they are not there.
    chosen : mapping of str to collection of int, optional
        Ids of the alerts that each filter of the night chooses.
    progress : callable
        Called with (alerts done, alerts in all).

    Returns
    -------
    dict of str to Written

    Raises
    ------
    TransientError
        If HBase stays away; the rows written so far are good, and the same call goes on.
    DataError
        If an alert's name, time or id has no place in a row key.
    """
    began_s = time.monotonic()
    declared = get_survey(survey)
    with HBase(settings.hbase) as hbase:
        register(hbase, settings.hbase, [archive_table(declared, name) for name in tables], declared)
        nightly = [name for name in tables if archive_table(declared, name).source == "night"]
        job = open_job(settings, survey, nightly, night, chosen)
        pieces = pieces_of(job) if nightly else []
        sources = {target.table.name: source_of(job, target, pieces) for target in targets_of(job)}
        generations = {name: open_generation(hbase, name, night, source) for name, source in sources.items()}
    job = replace(job, generations=generations)
    parts = work_through(job, pieces, put_piece, settings.nightly.archive_workers, progress)
    written = {}
    with HBase(settings.hbase) as hbase:
        for name in tables:
            told = [part[name] for part in parts if name in part]
            generation = generations.get(name, 0)
            ghosts = clear_ghosts(hbase, name, night, generation) if name in generations else 0
            rows, digest = sum(rows for rows, _ in told), add_digests([digest for _, digest in told])
            written[name] = Written(rows, digest, time.monotonic() - began_s, generation, ghosts)
    return written


def put_piece(job: Job, piece: Piece) -> dict[str, tuple[int, int]]:
    """Put the rows of one piece.

    Returns
    -------
    dict of str to tuple of int
        By table: number of rows, sum of their digests.
    """
    targets = targets_of(job)
    done = {target.table.name: (0, 0) for target in targets}
    with ExitStack() as stack:
        hbase = stack.enter_context(HBase(job.settings.hbase))
        for number, science in enumerate(slices(job, piece, paths_of(targets))):
            for target in targets:
                name, rows = target.table.name, target.rows(science)
                place = f"{piece.place:06d}-{number:04d}"
                put_slice(hbase, target, job.night, place, rows, job.settings.nightly.archive_batch_rows)
                before, digest = done[name]
                done[name] = before + len(rows), add_digests([digest, *(row.digest for row in rows)])
    return done


def put_slice(hbase: HBase, target: Target, night: str, place: str, rows: Sequence[Row], batch_rows: int) -> None:
    """Put some rows of a night into a table; first the list of them, so that whatever is there is named somewhere."""
    note(hbase, target.table.name, night, target.generation, place, rows)
    hbase.put(target.table.name, rows, batch_rows)


def put_rows(hbase: HBase, survey: Survey, table: str, rows: pa.Table, timestamp_ms: int, batch_rows: int = 500) -> int:
    """Put rows that are not of a night: a catalogue's, or a user's.

    Parameters
    ----------
    hbase : HBase
        The connection.
    survey : Survey
        Whose archive.
    table : str
        Name of a table that is there (:func:`fink_lib.archive.registry.register`).
    rows : pyarrow.Table
        See :func:`fink_lib.archive.rows.pack_given`.
    timestamp_ms : int
        Time of the cells; of two rows with one key the later one stays.

    Returns
    -------
    int
        How many rows.
    """
    declared = archive_table(survey, table)
    packed = pack_given(declared, declared.layout(survey), rows, timestamp_ms)
    hbase.put(table, packed, batch_rows)
    return len(packed)
