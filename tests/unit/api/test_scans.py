"""Bounded scans of the archive: every alert comes once, over as many answers as it takes. HBase is a list here."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fink_lib.api import scans
from fink_lib.api.scans import Scan
from fink_lib.api.search import Extra, Search, compare, find_newest
from fink_lib.api.stores import Stores
from tests.unit.api.conftest import write_settings

START_JD = 2460381.6
NIGHT = "20240312"
COLUMNS = ("i:jd", "i:candid", "d:mag_rate")


class Rows:
    """Reads a table as the archive's reader does."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def decode(self, _, columns):
        return self._rows.slice(0, 0)

    def read(self, *_, low, high, begins, newest_first, columns, chunk):
        jd = self._rows.column("i:jd")
        inside = self._rows
        if high is not None:
            inside = inside.filter(pc.less(jd, high))
        order = "descending" if newest_first else "ascending"
        inside = inside.sort_by([("i:jd", order), ("i:candid", order)])
        for start in range(0, inside.num_rows, chunk):
            yield inside.slice(start, chunk)

    @contextmanager
    def borrow(self):
        yield None, self


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> Stores:
    stores = Stores(write_settings(tmp_path_factory.mktemp("scans")))
    stores.archived_nights = lambda: frozenset({NIGHT})  # type: ignore[method-assign]
    return stores


def follow(stores, rows, extra, most=1000):
    """Ask again and again until there is nothing to go on with."""
    stores.archive = lambda _: Rows(rows)
    found, high, pages = [], None, 0
    while pages == 0 or high is not None:
        search = Search("ztf.class", [Scan(("x",), None, high)], lambda index: np.zeros(index.num_rows, bool), extra)
        page = find_newest(stores, search, most, set(COLUMNS))
        found += page.table.column("i:candid").to_pylist()
        high = None if page.resume is None else float(page.resume)
        pages += 1
        assert pages < 200
    return found, pages


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    exposures=st.lists(st.integers(1, 5), max_size=12),
    chunk=st.integers(6, 12),
    scanned=st.integers(1, 20),
    rising=st.booleans(),
)
def test_every_alert_comes_once_and_in_order(stores, exposures, chunk, scanned, rising):
    numbers = [place for place, size in enumerate(exposures) for _ in range(size)]
    count = len(numbers)
    rows = pa.table(
        {
            "i:jd": pa.array([START_JD + place * 4e-4 for place in numbers], pa.float64()),
            "i:candid": pa.array(range(count), pa.int64()),
            "d:mag_rate": pa.array([(-1.0, 1.0)[place % 2] for place in range(count)], pa.float64()),
        }
    )
    extra = Extra(("d:mag_rate",), compare("d:mag_rate", high=0)) if rising else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scans, "CHUNK_ROWS", chunk)
        patch.setattr(scans, "LEAST_CHUNK_ROWS", chunk)
        patch.setattr(scans, "MOST_SCANNED", scanned)
        found, _ = follow(stores, rows, extra)
    assert found == [one for one in reversed(range(count)) if not rising or one % 2 == 0]


def test_a_long_scan_takes_several_answers(stores, monkeypatch):
    monkeypatch.setattr(scans, "CHUNK_ROWS", 10)
    monkeypatch.setattr(scans, "MOST_SCANNED", 20)
    rows = pa.table(
        {
            "i:jd": pa.array([START_JD + place * 4e-4 for place in range(100)], pa.float64()),
            "i:candid": pa.array(range(100), pa.int64()),
            "d:mag_rate": pa.array([1.0] * 100, pa.float64()),
        }
    )
    found, pages = follow(stores, rows, None)
    assert found == list(range(99, -1, -1))
    assert pages > 3


def test_alerts_of_nights_that_are_not_archived_do_not_count(stores):
    rows = pa.table(
        {
            "i:jd": pa.array([START_JD, START_JD - 1], pa.float64()),
            "i:candid": pa.array([1, 2], pa.int64()),
            "d:mag_rate": pa.array([1.0, 1.0], pa.float64()),
        }
    )
    assert follow(stores, rows, None)[0] == [1]
