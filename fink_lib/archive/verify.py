"""Checking a night in the archive against the lake, row by row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fink_lib.archive.hbase import HBase
from fink_lib.archive.journal import earlier_parts, present_generation
from fink_lib.archive.night import (
    Job,
    Piece,
    first_few,
    no_progress,
    open_job,
    paths_of,
    pieces_of,
    slices,
    targets_of,
    work_through,
)
from fink_lib.archive.rows import Row, add_digests, row_digest

if TYPE_CHECKING:
    from fink_lib.archive.tables import ArchiveTable
    from fink_lib.config import Settings

GET_ROWS = 500
NAMED_KEYS = 20


@dataclass(frozen=True)
class Comparison:
    """A night in the lake and in one table of the archive.

    Parameters
    ----------
    rows : int
        Rows that the lake says the table should hold.
    found : int
        How many of their keys the table has.
    lake_digest, archive_digest : int
        Sums of the rows' digests on both sides.
    missing, differing : list of str
        Keys that are not there, and keys whose cells or timestamps are not as they should be (the first few of each).
    left : int
        Lists of cells of earlier archives of the night that have not been cleared yet.
    """

    rows: int = 0
    found: int = 0
    lake_digest: int = 0
    archive_digest: int = 0
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    left: int = 0

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows, cell for cell."""
        same = self.rows == self.found and self.lake_digest == self.archive_digest
        return same and not self.differing and not self.left

    @property
    def sentence(self) -> str:
        """What was found, for a person."""
        if self.equal:
            return f"{self.rows} rows are in the archive as the lake has them"
        told = [f"the lake has {self.rows} rows, the archive {self.found} of them"]
        if self.missing:
            told.append(f"missing: {first_few(self.missing)}")
        if self.differing:
            told.append(f"different: {first_few(self.differing)}")
        if self.left:
            told.append("rows of an earlier archive of the night may be left")
        return "; ".join(told)


def verify_night(
    settings: Settings,
    survey: str,
    table: str,
    night: str,
    chosen: Mapping[str, Collection[int]] | None = None,
    progress: Callable[[int, int], None] = no_progress,
) -> Comparison:
    """Compare a night with one table; see :func:`verify_tables`."""
    return verify_tables(settings, survey, [table], night, chosen, progress)[table]


def verify_tables(
    settings: Settings,
    survey: str,
    tables: Sequence[str],
    night: str,
    chosen: Mapping[str, Collection[int]] | None = None,
    progress: Callable[[int, int], None] = no_progress,
) -> dict[str, Comparison]:
    """Compare a night of ``science`` with what tables of the archive hold under its keys, in one pass over the night.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, night : str
        Which night.
    tables : sequence of str
        Which tables, of those that a night is written into.
    chosen : mapping of str to collection of int, optional
        Ids of the alerts that each filter of the night chooses.
    progress : callable
        Called with (alerts done, alerts in all).

    Raises
    ------
    TransientError
        If HBase stays away.
    """
    job = open_job(settings, survey, tables, night, chosen)
    with HBase(settings.hbase) as hbase:
        # A night that nobody has archived is compared as one that was archived for the first time, and is missing.
        generations = {name: present_generation(hbase, name, night) or 0 for name in tables}
        left = {name: earlier_parts(hbase, name, night, generations[name]) for name in tables}
    job = replace(job, generations=generations)
    parts = work_through(job, pieces_of(job), compare_piece, settings.nightly.archive_workers, progress)
    return {name: _together([part[name] for part in parts], left[name]) for name in tables}


def compare_piece(job: Job, piece: Piece) -> dict[str, Comparison]:
    """Compare the rows of one piece, by table."""
    targets = targets_of(job)
    found: dict[str, list[Comparison]] = {target.table.name: [] for target in targets}
    with HBase(job.settings.hbase) as hbase:
        for science in slices(job, piece, paths_of(targets)):
            for target in targets:
                expected = target.rows(science)
                for start in range(0, len(expected), GET_ROWS):
                    part = expected[start : start + GET_ROWS]
                    found[target.table.name].append(compare_rows(hbase, target.table, part))
    return {name: _together(parts, 0) for name, parts in found.items()}


def compare_rows(hbase: HBase, table: ArchiveTable, expected: Sequence[Row]) -> Comparison:
    """Compare rows with the cells of theirs that the table has.

    A row of a stacked table has cells of other alerts too, of this night and of others; they are not looked at.
    """
    # A table whose rows have one cell is asked for all that there is: a cell too many is a difference as well.
    wanted = sorted({cell for row in expected for cell in row.cells}) if table.stacked else None
    stored = hbase.cells(table.name, list(dict.fromkeys(row.key for row in expected)), wanted)
    number, digests = 0, []
    missing: list[str] = []
    differing: list[str] = []
    for row in expected:
        cells = stored.get(row.key, {})
        if table.stacked:
            cells = {name: cells[name] for name in row.cells if name in cells}
        if not cells:
            missing.append(row.key.decode())
            continue
        number += 1
        stamps = {stamp for _, stamp in cells.values()}
        stamp = stamps.pop() if len(stamps) == 1 else -1
        values = {name: value for name, (value, _) in cells.items()}
        digests.append(row_digest(row.key, values, stamp))
        if (values, stamp) != (row.cells, row.timestamp_ms):
            differing.append(f"{row.key.decode()} ({_difference(row, values, stamp)})")
    lake_digest = add_digests([row.digest for row in expected])
    return Comparison(len(expected), number, lake_digest, add_digests(digests), missing, differing)


def _together(parts: Sequence[Comparison], left: int) -> Comparison:
    return Comparison(
        sum(part.rows for part in parts),
        sum(part.found for part in parts),
        add_digests([part.lake_digest for part in parts]),
        add_digests([part.archive_digest for part in parts]),
        [key for part in parts for key in part.missing][:NAMED_KEYS],
        [key for part in parts for key in part.differing][:NAMED_KEYS],
        left,
    )


def _difference(row: Row, cells: dict[bytes, bytes], timestamp_ms: int) -> str:
    names = sorted(name for name in row.cells.keys() | cells.keys() if row.cells.get(name) != cells.get(name))
    if names:
        return "cells " + ", ".join(name.decode() for name in names[:3])
    return f"timestamp {timestamp_ms} instead of {row.timestamp_ms}"
