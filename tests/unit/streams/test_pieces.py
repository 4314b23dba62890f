"""Rows that workers read from files by themselves: each once, however files are cut, and as the table has them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from fink_lib.lake import lake as lake_module
from fink_lib.streams.pieces import Piece, pieces_of, read_piece
from tests.night_rows import NIGHT, random_table, replace


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Give a lake with 150 rows of ``raw`` in two files, in row groups of 40."""
    monkeypatch.setitem(lake_module.ROW_GROUP_ROWS, "raw", 40)
    lake = open_lake(Settings(home=tmp_path), "ztf")
    lake.ensure()
    for first in (0, 100):
        rows = random_table(lake.schema("raw"), 100 if first == 0 else 50, seed=first)
        lake.append("raw", replace(rows, candid=range(first, first + rows.num_rows), night=[NIGHT] * rows.num_rows))
    return lake


def files(lake: Lake) -> dict[str, int]:
    """Name the files as Spark does."""
    paths = lake.table("raw").file_uris()
    return {f"file://{path}": pq.read_metadata(path).num_rows for path in paths}


def content(rows: pa.Table) -> list[str]:
    return [repr(row) for row in rows.sort_by("candid").to_pylist()]


@pytest.mark.parametrize(("size", "chunk"), [(1, 500), (7, 3), (40, 40), (64, 16), (1000, 500)])
def test_each_row_is_read_once_as_the_table_has_it(lake: Lake, size: int, chunk: int) -> None:
    parts = [rows for piece in pieces_of(files(lake), size) for rows in read_piece(lake, "raw", piece, chunk)]
    assert max(part.num_rows for part in parts) <= chunk
    whole = pa.concat_tables(parts)
    assert whole.schema == lake.schema("raw")
    assert content(whole) == content(lake.read("raw"))


def test_single_fields_can_be_read(lake: Lake) -> None:
    names = ["candid", "candidate.rb", "ingest.offset"]
    parts = [rows for piece in pieces_of(files(lake), 64) for rows in read_piece(lake, "raw", piece, 500, names)]
    assert parts[0].schema.field("candidate").type.names == ["rb"]
    found = pa.concat_tables(parts).to_pylist()
    stored = lake.read("raw", columns=["candid", "candidate", "ingest", "night"]).to_pylist()
    assert {r["candid"]: (r["candidate"] or {}).get("rb") for r in found} == {
        r["candid"]: (r["candidate"] or {}).get("rb") for r in stored
    }
    assert {r["night"] for r in found} == {NIGHT}


def test_a_column_that_a_file_lacks_is_null(lake: Lake) -> None:
    name = next(iter(files(lake)))
    path = name.removeprefix("file://")
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["fp_hists"]), path)
    (rows,) = read_piece(lake, "raw", Piece(name, 0, 10), 500)
    assert rows.schema == lake.schema("raw")
    assert rows.column("fp_hists").null_count == rows.num_rows == 10


def test_a_night_is_read_from_the_name_of_the_folder_however_it_is_written() -> None:
    assert Piece("file:///a%20b/raw/ztf/night%3D20240312/part-1.parquet", 0, 1).night == "20240312"


@given(st.dictionaries(st.text("ab/", min_size=1), st.integers(0, 50)), st.integers(1, 60))
def test_pieces_cover_every_file_without_overlap(whole: dict[str, int], size: int) -> None:
    pieces = pieces_of(whole, size)
    covered = [(piece.file, row) for piece in pieces for row in range(piece.begin, piece.end)]
    assert covered == [(file, row) for file, rows in sorted(whole.items()) for row in range(rows)]
    assert all(0 < piece.end - piece.begin <= size for piece in pieces)
