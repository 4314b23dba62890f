"""The checker on the archive: what the broker packs passes; a row dropped, doubled or altered is named."""

from __future__ import annotations

import copy

import pytest

from fink_lib.archive.codec import Layout
from fink_lib.archive.rows import pack
from fink_lib.archive.tables import archive_table
from fink_lib.lake import Lake
from fink_lib.surveys import get_survey
from tests.faults.archive import Archive, ArchiveRow, check_archive
from tests.faults.archived import PACKED, TABLES
from tests.night_rows import replace, science_rows
from tests.unit.archive.nights import archive_night, target

CHOSEN = {name: [2, 3, 5, 7] for name in ("anomaly", "low_blazar_state", "high_blazar_state", "slsn")}


@pytest.fixture(scope="module")
def night():
    """Science rows with every type, null and extreme; and the archive as the broker would write it."""
    survey = get_survey("ztf")
    table = archive_table(survey, "ztf")
    rows = science_rows(Lake("unused", survey), 60)
    rows = replace(
        rows, candidate={"jd": [float(jd) for jd in rows.column("candidate").combine_chunks().field("jd").to_pylist()]}
    )
    layout: Layout = table.layout(survey)
    packed = pack(table, layout, rows)
    archive = Archive(
        [ArchiveRow(row.key, {name: (cell, row.timestamp_ms) for name, cell in row.cells.items()}) for row in packed],
        {layout.schema_id: layout.to_json()},
    )
    return rows.to_pylist(maps_as_pydicts="strict"), archive


@pytest.fixture
def archive(night):
    return copy.deepcopy(night[1])


def test_every_column_of_a_whole_archive_is_found_equal(night, archive):
    assert check_archive(night[0], archive) == []


def test_a_dropped_a_doubled_and_a_foreign_row_are_named(night, archive):
    science = night[0]
    del archive.rows[4]
    archive.rows.append(copy.deepcopy(archive.rows[7]))
    archive.rows.append(ArchiveRow(b"ghost", {PACKED: (b"", 0)}))
    assert check_archive(science, archive) == [
        f"archive: 1 alert(s) are missing: candid {science[4]['candid']}",
        "archive: 1 row(s) are no alert of science: ghost",
        f"archive: 1 key(s) came twice: {archive.rows[7].key.decode()}",
    ]


@pytest.mark.parametrize("place", [4, 40, 200, -1])
def test_one_altered_byte_of_a_packed_cell_is_named(night, archive, place):
    row = archive.rows[9]
    cell, stamp = row.cells[PACKED]
    changed = bytearray(cell)
    changed[place] ^= 0xFF
    row.cells[PACKED] = (bytes(changed), stamp)
    (sentence,) = check_archive(night[0], archive)
    assert sentence.startswith(("archive: 1 row(s) differ from science:", "archive: 1 packed cell(s) cannot be read:"))
    assert f"candid {night[0][9]['candid']} (" in sentence


def test_a_wrong_time_an_unknown_layout_and_a_cell_too_many_are_named(night, archive):
    science = night[0]
    archive.rows[0].cells[b"i:jd"] = (b"12345678", archive.rows[0].cells[PACKED][1])
    cell, stamp = archive.rows[1].cells[PACKED]
    archive.rows[1].cells[PACKED] = (cell, stamp - 1)
    cell, stamp = archive.rows[2].cells[PACKED]
    archive.rows[2].cells[PACKED] = (b"none" + cell[4:], stamp)
    assert check_archive(science, archive) == [
        f"archive: 1 row(s) are no alert of science: {archive.rows[0].key.decode()} i:jd",
        f"archive: 1 row(s) have a layout that the registry does not know: candid {science[2]['candid']}",
        f"archive: 1 row(s) do not carry the alert's own time: candid {science[1]['candid']}",
    ]


def test_a_column_that_the_archive_forgot_is_named(night, archive):
    science = [row | {"new_score": 0.5} for row in night[0]]
    (sentence,) = check_archive(science, archive)
    assert "60 row(s) differ" in sentence
    assert "(d:new_score)" in sentence


@pytest.fixture(scope="module")
def other_tables():
    """A night that has something for each table, and every table as the broker would write it."""
    science = archive_night(80, seed=4)
    archives = {}
    for name in TABLES:
        into = target(name, chosen=CHOSEN)
        rows: dict = {}
        for row in into.rows(science):
            rows.setdefault(row.key, {}).update(
                {cell: (packed, row.timestamp_ms) for cell, packed in row.cells.items()}
            )
        layouts = {into.layout.schema_id: into.layout.to_json()}
        archives[name] = Archive([ArchiveRow(key, cells) for key, cells in rows.items()], layouts)
    return science.to_pylist(maps_as_pydicts="strict"), archives


@pytest.mark.parametrize("table", TABLES)
def test_every_table_of_a_whole_archive_is_found_equal(other_tables, table):
    science, archives = other_tables
    assert archives[table].rows
    assert check_archive(science, archives[table], table, CHOSEN) == []


@pytest.mark.parametrize("table", TABLES)
def test_a_dropped_row_a_ghost_and_an_altered_byte_of_any_table_are_named(other_tables, table):
    science, archive = other_tables[0], copy.deepcopy(other_tables[1][table])
    dropped, altered = archive.rows.pop(0), archive.rows[0]
    archive.rows.append(ArchiveRow(b"ghost", dict(dropped.cells)))
    name, (cell, stamp) = next(iter(altered.cells.items()))
    altered.cells[name] = (cell.replace(b"ZTF", b"ATF", 1), stamp)
    sentences = check_archive(science, archive, table, CHOSEN)
    assert len(sentences) == 3
    assert "are missing" in sentences[0] and "ghost" in sentences[1]
    assert "differ from science" in sentences[2] or "cannot be read" in sentences[2]
