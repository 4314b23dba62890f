"""The index over nights in the lake: it follows every change of the table, whatever its files look like."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.api import live, packed_rows
from fink_lib.api.live import LiveAlerts
from fink_lib.archive.rows import pack
from fink_lib.archive.tables import archive_table
from fink_lib.lake import Lake
from fink_lib.surveys import get_survey
from tests.unit.api.conftest import alerts

NIGHTS = ("20240311", "20240312")
FIRST = 10**17


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(str(tmp_path), get_survey("ztf"))
    lake.ensure()
    return lake


def reader(lake: Lake) -> LiveAlerts:
    return LiveAlerts(lake, archive_table(lake.survey, "ztf").stored)


def everything(index: pa.Table) -> np.ndarray:
    return np.argsort(index.column("i:candid").to_numpy(), kind="stable")[::-1]


def ids(found: pa.Table) -> list[int]:
    return [int(one) for one in found.column("i:candid").to_pylist()] if found.num_rows else []


def test_rows_come_in_the_order_of_the_choice_across_files(lake):
    for place in range(4):
        lake.append("science", alerts(lake, NIGHTS[place % 2], FIRST + 10 * place, 10))
    found = reader(lake).find(everything, {"i:candid", "i:objectId", "d:fink_status"})
    assert ids(found) == list(range(FIRST + 39, FIRST - 1, -1))
    assert set(found.column_names) == {"i:candid", "i:objectId", "d:fink_status"}


def test_nights_that_are_left_out_are_not_read(lake):
    for night, first in zip(NIGHTS, (FIRST, FIRST + 10), strict=True):
        lake.append("science", alerts(lake, night, first, 10))
    alerts_of = reader(lake)
    assert len(ids(alerts_of.find(everything, {"i:candid"}))) == 20
    assert min(ids(alerts_of.find(everything, {"i:candid"}, [NIGHTS[0]]))) == FIRST + 10
    assert ids(alerts_of.find(everything, {"i:candid"}, NIGHTS)) == []


def test_many_small_files_are_kept_as_one_piece(lake, monkeypatch):
    monkeypatch.setattr(live, "MOST_BLOCKS", 3)
    monkeypatch.setattr(live, "REFRESH_S", 0.0)
    follows = reader(lake)
    for place in range(8):
        lake.append("science", alerts(lake, NIGHTS[1], FIRST + 5 * place, 5))
        assert ids(follows.find(everything, {"i:candid"})) == list(range(FIRST + 5 * place + 4, FIRST - 1, -1))
        assert len(follows.blocks()) <= 3
    lake.replace_night("science", NIGHTS[1], alerts(lake, NIGHTS[1], FIRST, 3))
    assert ids(follows.find(everything, {"i:candid"})) == [FIRST + 2, FIRST + 1, FIRST]


def test_fields_inside_lists_are_read_as_science_has_them(lake):
    lake.append("science", alerts(lake, NIGHTS[1], FIRST, 3))
    paths = [("candid",), ("candidate", "jd"), ("prv_candidates", "magpsf")]
    found = reader(lake).science(everything, paths)
    assert found.column("candid").to_pylist() == [FIRST + 2, FIRST + 1, FIRST]
    assert [field.name for field in found.schema.field("candidate").type] == ["jd"]
    assert [field.name for field in found.schema.field("prv_candidates").type.value_type] == ["magpsf"]


def test_a_file_that_lacks_a_column_gives_nulls(lake, monkeypatch):
    lake.append("science", alerts(lake, NIGHTS[1], FIRST, 3))
    follows = reader(lake)
    follows.blocks()
    monkeypatch.setattr(live, "_leaves", lambda *_: ("candid", "objectId"))
    found = follows.find(everything, {"i:candid", "i:jd", "d:tns", "d:fink_status"})
    assert found.column("i:jd").to_pylist() == found.column("d:tns").to_pylist() == [None] * 3
    assert found.column("d:fink_status").type == pa.map_(pa.string(), pa.string())


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), data=st.data())
def test_any_rows_in_any_order_are_those_of_the_lake(tmp_path_factory, sizes, data):
    lake = Lake(str(tmp_path_factory.mktemp("live")), get_survey("ztf"))
    lake.ensure()
    first = FIRST
    for size in sizes:
        lake.append("science", alerts(lake, NIGHTS[1], first, size))
        first += size
    wanted = data.draw(st.lists(st.integers(0, sum(sizes) - 1), unique=True))

    def choose(index: pa.Table) -> np.ndarray:
        places = {one: place for place, one in enumerate(index.column("i:candid").to_pylist())}
        return np.array([places[FIRST + one] for one in wanted], np.int64)

    follows = reader(lake)
    found = follows.find(choose, None)
    live.MOST_PACKED, packed = -1, live.MOST_PACKED
    try:
        assert follows.find(choose, None).equals(found)  # row by row or column by column
    finally:
        live.MOST_PACKED = packed
    assert ids(found) == [FIRST + one for one in wanted]
    stored = {row["candid"]: row for row in lake.read("science").to_pylist()}
    for row in found.to_pylist():
        assert row["i:ra"] == stored[row["i:candid"]]["candidate"]["ra"]
        assert row["d:cdsxmatch"] == stored[row["i:candid"]]["cdsxmatch"]


def test_rows_looked_for_among_few_are_those_found_among_all(lake):
    for place in range(3):
        lake.append("science", alerts(lake, NIGHTS[place % 2], FIRST + 10 * place, 10))
    follows = reader(lake)
    index = pa.concat_tables(block.rows for block in follows.blocks())
    name, ra, dec = (index.column(column)[17].as_py() for column in ("i:objectId", "i:ra", "i:dec"))

    def of_object(rows: pa.Table) -> np.ndarray:
        return np.flatnonzero(np.array(rows.column("i:objectId").to_pylist()) == name)

    def at_place(rows: pa.Table) -> np.ndarray:
        return np.flatnonzero((rows.column("i:ra").to_numpy() == ra) & (rows.column("i:dec").to_numpy() == dec))

    for choose, within in (
        (of_object, lambda block: block.of_objects([name, "ZTF00nothing"])),
        (at_place, lambda block: block.in_band(dec - 1e-6, dec + 1e-6)),
    ):
        few = follows.packed(choose, (), within)
        assert few and few == follows.packed(choose)
    assert follows.packed(of_object, (), lambda block: block.of_objects(["ZTF00nothing"])) == []


def test_what_is_packed_is_what_the_archive_would_hold(lake):
    lake.append("science", alerts(lake, NIGHTS[1], FIRST, 7))
    table = archive_table(lake.survey, "ztf")
    rows = pack(table, table.layout(lake.survey), lake.read("science"))
    assert sorted(reader(lake).packed(everything)) == sorted(cell for row in rows for cell in row.cells.values())


def test_the_room_of_files_that_are_gone_is_given_back(lake, monkeypatch):
    monkeypatch.setattr(packed_rows, "LEAST_DEAD_BYTES", 0)
    kept = packed_rows.PackedRows(archive_table(lake.survey, "ztf").layout(lake.survey))
    whole = reader(lake)
    lake.append("science", alerts(lake, NIGHTS[1], FIRST, 5))

    def read() -> pa.Table:
        return whole.find(everything, None)

    cells = kept.take(("a", 0), np.arange(5), read)
    assert kept.take(("a", 0), np.array([3, 1]), lambda: pytest.fail("it is packed already")) == [cells[3], cells[1]]
    kept.keep(["b"])
    assert kept.take(("a", 0), np.arange(5), read) == cells
