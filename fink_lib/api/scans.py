"""Alerts of archived nights, found in HBase by row keys; each scan is bounded in rows and in time.

A row counts only if its night is archived now: HBase may still hold rows of a night that was opened again.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.api.column_sets import MAIN_TABLE, ORDER
from fink_lib.api.stores import Stores
from fink_lib.archive.hbase import HBase
from fink_lib.archive.reader import CHUNK_ROWS, ArchiveReader
from fink_lib.archive.tables import PACKED, archive_table
from fink_lib.surveys import Survey

LONGEST_S = 10.0
MOST_SCANNED = 100_000
"""Bounds of one request's look into one table; an answer that ends there says where to go on."""

LEAST_CHUNK_ROWS = 50
MOMENT_DAYS = 1e-6
"""Less than the time between two exposures, more than the precision of a row key."""

PIXEL_TABLE = "ztf.pixel128"
Test = Callable[[pa.Table], npt.NDArray[np.bool_]]
"""Tells of each row of a table of served columns whether it is wanted."""


@dataclass(frozen=True)
class Scan:
    """Rows of an archive table: those whose key begins with some values.

    Parameters
    ----------
    values : tuple
        Of the first parts of the key.
    low_jd, high_jd : float, optional
        Bounds of the time that follows in the key, the first included, the second not.
    begins : str
        How the name that follows begins, instead of bounds.
    timed : bool
        Whether a time follows, so that the rows can be read newest first.
    """

    values: tuple[Any, ...] = ()
    low_jd: float | None = None
    high_jd: float | None = None
    begins: str = ""
    timed: bool = True


@dataclass(frozen=True)
class Archived:
    """What a scan has found.

    Parameters
    ----------
    table : pyarrow.Table
        Served columns.
    total : int
        How many rows there are, as far as it looked.
    resume_jd : float, optional
        If it ended early: every row from this time on was looked at.
    """

    table: pa.Table
    total: int
    resume_jd: float | None = None


def archived_objects(
    stores: Stores, hbase: HBase, objects: Sequence[str], nights: Collection[str], most: int
) -> tuple[list[bytes], int]:
    """Read the newest archived alerts of objects, packed, and count all; rows of other nights do not count."""
    key = archive_table(stores.lake.survey, MAIN_TABLE).key
    newest: list[tuple[float, bytes]] = []
    total = 0
    for name in objects:
        rows = hbase.scan_prefix(MAIN_TABLE, key.prefix(name), [PACKED])
        jds = [float(key.parse(one)[1]) for one, _ in rows]
        found = zip(jds, nights_of(stores.lake.survey, jds), rows, strict=True)
        kept = [(jd, cells[PACKED]) for jd, night, (_, cells) in found if night in nights]
        total += len(kept)
        newest = heapq.nlargest(most, [*newest, *kept])
    return [cell for _, cell in newest], total


def archived_newest(
    stores: Stores,
    table: str,
    scans: Sequence[Scan],
    test: Test | None,
    nights: Collection[str],
    most: int,
    needed: Collection[str] | None,
) -> Archived:
    """Read the newest rows of an index table that pass a test.

    Parameters
    ----------
    stores : Stores
        Where the archive is.
    table : str
        Name of the table.
    scans : sequence of Scan
        Which rows.
    test : callable, optional
        What else is asked of them.
    nights : collection of str
        Nights that count.
    most : int
        How many rows at most.
    needed : collection of str, optional
        Served columns to give; all without.
    """
    end_s = time.monotonic() + LONGEST_S
    parts, total, resume_jd = [], 0, None
    with stores.archive(table).borrow() as (_, reader):
        parts.append(reader.decode([], needed))
        for scan in scans:
            kept, scanned, first_jd = 0, 0, None
            size = min(max(most + 1, LEAST_CHUNK_ROWS), CHUNK_ROWS)
            for chunk in _chunks(reader, scan, size, needed):
                if first_jd is None and scan.timed and chunk.num_rows:
                    first_jd = float(chunk.column(ORDER[0])[0].as_py())
                scanned += chunk.num_rows
                passed = _of_nights(stores.lake.survey, chunk, nights)
                if test is not None:
                    passed = passed.filter(pa.array(test(passed)))
                parts.append(passed)
                kept += passed.num_rows
                if scan.timed and kept > most:
                    break
                if chunk.num_rows == size and (scanned >= MOST_SCANNED or time.monotonic() > end_s):
                    if scan.timed:
                        # alerts of one exposure share their time, and some of the last one may not be read yet; so
                        # the look ends only behind the exposure that it began with, or the next would be no further
                        last_jd = float(chunk.column(ORDER[0])[-1].as_py()) + MOMENT_DAYS
                        if first_jd is not None and last_jd >= first_jd:
                            continue
                        resume_jd = last_jd if resume_jd is None else max(last_jd, resume_jd)
                    kept += 1  # there may be more
                    break
            total += kept
    return Archived(pa.concat_tables(parts, promote_options="permissive"), total, resume_jd)


def _chunks(reader: ArchiveReader, scan: Scan, size: int, needed: Collection[str] | None) -> Iterator[pa.Table]:
    return reader.read(
        *scan.values,
        low=scan.low_jd,
        high=scan.high_jd,
        begins=scan.begins,
        newest_first=scan.timed,
        columns=needed,
        chunk=size,
    )


def archived_cone(
    stores: Stores,
    place: tuple[float, float],
    radius_deg: float,
    nights: Collection[str],
    needed: Collection[str],
    all_alerts: bool,
) -> pa.Table:
    """Read the alerts of the objects in and around a cone: of each object its newest, or all.

    Parameters
    ----------
    stores : Stores
        Where the archive is.
    place : tuple of float
        Right ascension and declination of the centre (deg).
    radius_deg : float
        Radius of the cone.
    nights : collection of str
        Nights that count.
    needed : collection of str
        Served columns to give.
    all_alerts : bool
        Whether older alerts of an object are wanted too.
    """
    with stores.archive(PIXEL_TABLE).borrow() as (_, reader):
        found = _all(reader, reader.in_cone(*place, radius_deg, needed, all_alerts), needed)
        kept = _of_nights(stores.lake.survey, found, nights)
        if not all_alerts and kept.num_rows < found.num_rows:
            # the newest alert of an object is of a night that was opened again; an older one may count
            found = _all(reader, reader.in_cone(*place, radius_deg, needed, True), needed)
            kept = _of_nights(stores.lake.survey, found, nights)
        return kept


def archived_pixels(
    stores: Stores, pixels: Sequence[int], nights: Collection[str], needed: Collection[str]
) -> pa.Table:
    """Read every alert in some pixels (RING, nside 128)."""
    with stores.archive(PIXEL_TABLE).borrow() as (_, reader):
        chunks = reader.in_pixels(pixels, needed, all_alerts=True) if pixels else iter(())
        return _of_nights(stores.lake.survey, _all(reader, chunks, needed), nights)


def _all(reader: ArchiveReader, chunks: Iterator[pa.Table], needed: Collection[str]) -> pa.Table:
    return pa.concat_tables([reader.decode([], needed), *chunks], promote_options="permissive")


def _of_nights(survey: Survey, rows: pa.Table, nights: Collection[str]) -> pa.Table:
    """Keep the rows whose night is archived."""
    if not rows.num_rows:
        return rows
    candidate = pa.StructArray.from_arrays([rows.column(ORDER[0]).combine_chunks()], names=["jd"])
    found = survey.nights(pa.table({"candidate": candidate}))
    return rows.filter(pa.compute.is_in(found, value_set=pa.array(sorted(nights), pa.string())))


def nights_of(survey: Survey, jds: Sequence[float]) -> list[str]:
    """Give the night of each Julian date (UTC, days)."""
    candidate = pa.StructArray.from_arrays([pa.array(jds, pa.float64())], names=["jd"])
    return [str(night) for night in survey.nights(pa.table({"candidate": candidate})).to_pylist()]
