"""Writing a night into one table of the archive."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fink_lib.archive.hbase import HBase
from fink_lib.archive.night import Job, Piece, no_progress, open_job, slices, work_through
from fink_lib.archive.registry import register
from fink_lib.archive.rows import add_digests, pack
from fink_lib.archive.tables import archive_table
from fink_lib.surveys import get_survey

if TYPE_CHECKING:
    from fink_lib.config import Settings


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
        How long it took.
    """

    rows: int
    digest: int
    seconds: float


def write_night(
    settings: Settings,
    survey: str,
    table: str,
    night: str,
    generation: int = 0,
    progress: Callable[[int, int], None] = no_progress,
) -> Written:
    """Put every row of a night that belongs into a table; doing it again changes nothing.

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
        register(hbase, archive_table(declared, table), declared)
    job = open_job(settings, survey, table, night, generation)
    parts = work_through(job, put_piece, settings.nightly.archive_workers, progress)
    return Written(
        sum(rows for rows, _ in parts), add_digests([digest for _, digest in parts]), time.monotonic() - began_s
    )


def put_piece(job: Job, piece: Piece) -> tuple[int, int]:
    """Put the rows of one piece.

    Returns
    -------
    tuple of int
        Number of rows, sum of their digests.
    """
    survey = get_survey(job.survey)
    table = archive_table(survey, job.table)
    layout = table.layout(survey)
    number, digest = 0, 0
    with HBase(job.settings.hbase) as hbase:
        for science in slices(job, piece, table):
            rows = pack(table, layout, science, job.generation)
            hbase.put(table.name, rows, job.settings.nightly.archive_batch_rows)
            number += len(rows)
            digest = add_digests([digest, *(row.digest for row in rows)])
    return number, digest
