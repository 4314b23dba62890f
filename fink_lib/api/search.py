"""Alerts by class, time, place or name: the newest that pass a test, from the archive and the lake alike.

A search names a table of the archive and the rows of it that count; for the nights that are not archived it has a test
over what is kept of them in memory. Both sides give the same columns, so whatever is asked of a row besides is asked of
both in the same way, before the answer is cut to its length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.alerts import ARCHIVE, LAKE, Bools, Found, Newest, Test, from_lake, newest_first, with_source
from fink_lib.api.column_sets import ORDER
from fink_lib.api.live import INDEX
from fink_lib.api.scans import MOST_SCANNED, Scan, archived_newest
from fink_lib.api.stores import Stores


@dataclass(frozen=True)
class Extra:
    """What is asked of a row besides.

    Parameters
    ----------
    needs : tuple of str
        Served columns that it looks at.
    test : callable
        Which rows pass.
    """

    needs: tuple[str, ...]
    test: Test


@dataclass(frozen=True)
class Search:
    """Which alerts.

    Parameters
    ----------
    table : str
        Name of the archive table.
    scans : sequence of Scan
        Which of its rows.
    live : callable
        The same for nights in the lake: a test over :data:`~fink_lib.api.live.INDEX`.
    extra : Extra, optional
        What else is asked of an alert.
    """

    table: str
    scans: Sequence[Scan]
    live: Test
    extra: Extra | None = None


def find_newest(stores: Stores, search: Search, most: int, needed: Collection[str] | None) -> Found:
    """Read the newest alerts of a search.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    search : Search
        Which alerts.
    most : int
        How many at most.
    needed : collection of str, optional
        Served columns to read; all without.

    Returns
    -------
    Found
        ``total`` counts what was seen; ``resume`` is set if the archive holds more than was looked at.

    Raises
    ------
    TransientError
        If there are archived nights and HBase is away.
    """
    if needed is not None and search.extra is not None:
        needed = {*needed, *search.extra.needs}
    archived = stores.archived_nights()
    live, total = _live(stores, search, most, archived, needed)
    parts, sources, resume_jd = [with_source(live, LAKE)], Counter({LAKE: total}), None
    if archived:
        test = search.extra.test if search.extra else None
        old = archived_newest(stores, search.table, search.scans, test, archived, most, needed)
        sources[ARCHIVE] = old.total
        parts.append(with_source(old.table, ARCHIVE))
        resume_jd = old.resume_jd
    table = newest_first(parts)
    if resume_jd is not None:
        # before this time the archive was not read, so the lake must not go farther either
        seen = pc.greater_equal(table.column("i:jd"), resume_jd)
        table = table.filter(seen)
    cut = table.slice(0, most)
    # rows that are cut off are a matter of limit and offset; only an unread archive needs a place to go on
    resume = resume_jd if resume_jd is not None and table.num_rows < most else None
    return Found(cut, sources.total(), sources, None if resume is None else repr(resume))


def _live(
    stores: Stores, search: Search, most: int, archived: Collection[str], needed: Collection[str] | None
) -> tuple[pa.Table, int]:
    extra = search.extra
    if extra is None or set(extra.needs) <= set(INDEX):
        tests = [search.live] if extra is None else [search.live, extra.test]
        newest = Newest(lambda index: all_of(tests, index), most)
        return from_lake(stores, newest, archived, needed), newest.total
    candidates = from_lake(stores, Newest(search.live, MOST_SCANNED), archived, needed)
    passed = candidates.filter(pa.array(extra.test(candidates)))
    return passed.slice(0, most), passed.num_rows


def all_of(tests: Sequence[Test], rows: pa.Table) -> Bools:
    """Tell which rows pass every test."""
    passed = np.ones(rows.num_rows, dtype=bool)
    for test in tests:
        passed &= test(rows)
    return passed


def equal_to(column: str, *values: str) -> Test:
    """Make the test for a column of text."""
    wanted = pa.array(list(values), pa.string())
    return lambda rows: pc.is_in(rows.column(column), value_set=wanted).to_numpy()


def between(low_jd: float | None, high_jd: float | None, column: str = ORDER[0]) -> Test:
    """Make the test for a time: `low_jd` included, `high_jd` not; open where it is None."""

    def test(rows: pa.Table) -> Bools:
        jd = rows.column(column).to_numpy()
        inside = np.ones(len(jd), dtype=bool)
        if low_jd is not None:
            inside &= jd >= low_jd
        if high_jd is not None:
            inside &= jd < high_jd
        return inside

    return test


def compare(column: str, low: float | None = None, high: float | None = None) -> Test:
    """Make the test for a number above `low` and below `high`, strictly; a missing one does not pass."""

    def test(rows: pa.Table) -> Bools:
        values = rows.column(column).cast(pa.float64()).to_numpy()
        above = values > low if low is not None else np.isfinite(values)
        below = values < high if high is not None else np.isfinite(values)
        passed: Bools = above & below
        return passed

    return test
