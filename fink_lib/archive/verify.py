"""Checking a night in the archive against the lake, row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fink_lib.archive.hbase import HBase
from fink_lib.archive.night import Job, Piece, first_few, no_progress, open_job, slices, work_through
from fink_lib.archive.rows import Row, add_digests, pack, row_digest
from fink_lib.archive.tables import archive_table
from fink_lib.surveys import get_survey

if TYPE_CHECKING:
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
    """

    rows: int = 0
    found: int = 0
    lake_digest: int = 0
    archive_digest: int = 0
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows, cell for cell."""
        return self.rows == self.found and self.lake_digest == self.archive_digest and not self.differing

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
        return "; ".join(told)


def verify_night(
    settings: Settings,
    survey: str,
    table: str,
    night: str,
    generation: int = 0,
    progress: Callable[[int, int], None] = no_progress,
) -> Comparison:
    """Compare a night of ``science`` with what a table of the archive holds under its keys.

    Raises
    ------
    TransientError
        If HBase stays away.
    """
    job = open_job(settings, survey, table, night, generation)
    parts = work_through(job, compare_piece, settings.nightly.archive_workers, progress)
    return Comparison(
        sum(part.rows for part in parts),
        sum(part.found for part in parts),
        add_digests([part.lake_digest for part in parts]),
        add_digests([part.archive_digest for part in parts]),
        [key for part in parts for key in part.missing][:NAMED_KEYS],
        [key for part in parts for key in part.differing][:NAMED_KEYS],
    )


def compare_piece(job: Job, piece: Piece) -> Comparison:
    """Compare the rows of one piece."""
    survey = get_survey(job.survey)
    table = archive_table(survey, job.table)
    layout = table.layout(survey)
    number, found_number, lake_digest, archive_digest = 0, 0, 0, 0
    missing: list[str] = []
    differing: list[str] = []
    with HBase(job.settings.hbase) as hbase:
        for science in slices(job, piece, table):
            expected = pack(table, layout, science, job.generation)
            number += len(expected)
            lake_digest = add_digests([lake_digest, *(row.digest for row in expected)])
            for start in range(0, len(expected), GET_ROWS):
                part = expected[start : start + GET_ROWS]
                found = hbase.rows(table.name, [row.key for row in part])
                found_number += len(found)
                archive_digest = add_digests(
                    [archive_digest, *(row_digest(key, cells, stamp) for key, (cells, stamp) in found.items())]
                )
                _name_differences(part, found, missing, differing)
    return Comparison(number, found_number, lake_digest, archive_digest, missing, differing)


def _name_differences(
    expected: list[Row],
    found: dict[bytes, tuple[dict[bytes, bytes], int]],
    missing: list[str],
    differing: list[str],
) -> None:
    for row in expected:
        if row.key not in found:
            missing.append(row.key.decode())
        elif found[row.key] != (row.cells, row.timestamp_ms):
            differing.append(f"{row.key.decode()} ({_difference(row, *found[row.key])})")


def _difference(row: Row, cells: dict[bytes, bytes], timestamp_ms: int) -> str:
    names = sorted(name for name in row.cells.keys() | cells.keys() if row.cells.get(name) != cells.get(name))
    if names:
        return "cells " + ", ".join(name.decode() for name in names[:3])
    return f"timestamp {timestamp_ms} instead of {row.timestamp_ms}"
