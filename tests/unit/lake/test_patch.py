"""Some values of some rows change, in one commit, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fink_lib.config import Settings
from fink_lib.errors import TransientError
from fink_lib.lake import Lake, open_lake
from fink_lib.lake import patch as patch_module
from fink_lib.lake.lookup import find_rows
from fink_lib.lake.patch import MovedError, files_of, patch_rows, swap_files, write_anew
from tests.night_rows import NIGHT, science_rows

OTHER_NIGHT = "20240313"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give a lake with two files of one night and one of another."""
    lake = open_lake(Settings(home=tmp_path), "ztf")
    lake.ensure()
    lake.append("science", science_rows(lake, 30, seed=1, first_id=1))
    lake.append("science", science_rows(lake, 30, seed=2, first_id=31))
    lake.append("science", science_rows(lake, 5, seed=3, first_id=61, night=OTHER_NIGHT))
    return lake


def values(lake: Lake, ids: list[int]) -> pa.Table:
    kind = lake.schema("science").field("fink_versions").type
    return pa.table(
        {
            "candid": pa.array(ids, pa.int64()),
            "tracklet": [f"TRCK_{one}" for one in ids],
            "fink_versions": pa.array([[("tracklet", str(one))] for one in ids], kind),
        }
    )


def rows(lake: Lake, *without: str) -> list[str]:
    table = lake.read("science").sort_by("candid").drop_columns(list(without))
    return [repr(row) for row in table.to_pylist()]


def files(lake: Lake) -> set[str]:
    return set(lake.table("science").file_uris())


def test_the_rows_named_change_and_no_others(lake: Lake) -> None:
    before = rows(lake, "tracklet", "fink_versions")
    told = {row["candid"]: row["tracklet"] for row in lake.read("science").to_pylist()}
    assert patch_rows(lake, "science", NIGHT, "candid", values(lake, [29, 3])) == 2
    assert rows(lake, "tracklet", "fink_versions") == before
    after = lake.read("science").sort_by("candid").to_pylist()
    assert {row["candid"]: row["tracklet"] for row in after} == told | {3: "TRCK_3", 29: "TRCK_29"}
    assert after[2]["fink_versions"] == [("tracklet", "3")]
    assert lake.read("science").schema == lake.schema("science")


def test_only_files_that_hold_such_rows_are_written_anew(lake: Lake) -> None:
    before = files(lake)
    patch_rows(lake, "science", NIGHT, "candid", values(lake, [40]))
    assert len(before & files(lake)) == 2
    assert len(files(lake)) == 3


def test_rows_of_another_night_and_unknown_ids_stay(lake: Lake) -> None:
    version = lake.table("science").version()
    assert patch_rows(lake, "science", NIGHT, "candid", values(lake, [62, 9999])) == 0
    assert patch_rows(lake, "science", NIGHT, "candid", values(lake, [])) == 0
    assert lake.table("science").version() == version


def test_readers_find_the_rows_by_the_ranges_of_the_new_file(lake: Lake) -> None:
    patch_rows(lake, "science", NIGHT, "candid", values(lake, [40, 50]))
    assert find_rows(lake, "science", "candid", 50, ["tracklet"]).to_pylist() == [{"tracklet": "TRCK_50"}]
    assert find_rows(lake, "science", "candid", 60, ["candid", "night"]).to_pylist() == [{"candid": 60, "night": NIGHT}]
    assert lake.count("science", NIGHT) == 60


def test_the_commit_takes_the_old_file_away_so_that_streams_skip_it(lake: Lake) -> None:
    patch_rows(lake, "science", NIGHT, "candid", values(lake, [40]))
    log = Path(lake.uri("science"), "_delta_log", f"{lake.table('science').version():020d}.json").read_text()
    actions = [json.loads(line) for line in log.splitlines()]
    assert [action["remove"]["dataChange"] for action in actions if "remove" in action] == [True]
    assert [action["add"]["dataChange"] for action in actions if "add" in action] == [True]


def disturbed(
    monkeypatch: pytest.MonkeyPatch, times: int, disturb: Callable[[], object], place: str = "write_anew"
) -> None:
    """Let something happen after a step of the work, the first times."""
    step = getattr(patch_module, place)
    left = iter(range(times))

    def meanwhile(*arguments: Any) -> Any:
        given = step(*arguments)
        if next(left, None) is not None:
            disturb()
        return given

    monkeypatch.setattr(patch_module, place, meanwhile)


# After a file is written, and between the look at the table and the commit.
PLACES = pytest.mark.parametrize("place", ["write_anew", "removal"])


@PLACES
def test_rows_are_there_once_if_the_files_are_rewritten_meanwhile(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    table = lake.table("science")
    disturbed(monkeypatch, 1, lambda: table.optimize.compact(partition_filters=[("night", "=", NIGHT)]), place)
    assert patch_rows(lake, "science", NIGHT, "candid", values(lake, [40])) == 1
    assert lake.count("science", NIGHT) == 60
    assert find_rows(lake, "science", "candid", 40, ["tracklet"]).to_pylist() == [{"tracklet": "TRCK_40"}]


@PLACES
def test_rows_that_arrive_meanwhile_stay(lake: Lake, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    disturbed(monkeypatch, 1, lambda: lake.append("science", science_rows(lake, 1, seed=4, first_id=71)), place)
    assert patch_rows(lake, "science", NIGHT, "candid", values(lake, [40])) == 1
    assert lake.count("science", NIGHT) == 61


def test_a_night_that_never_rests_is_left_for_later(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def rewrite() -> None:
        lake.append("science", science_rows(lake, 1, seed=4, first_id=71))
        lake.table("science").optimize.compact(partition_filters=[("night", "=", NIGHT)])

    disturbed(monkeypatch, 99, rewrite)
    before = lake.read("science").filter(pc.field("candid") == 40).to_pylist()
    with pytest.raises(TransientError, match=f"other writers kept changing night {NIGHT} of science"):
        patch_rows(lake, "science", NIGHT, "candid", values(lake, [40]))
    assert repr(lake.read("science").filter(pc.field("candid") == 40).to_pylist()) == repr(before)


def test_a_stream_that_commits_all_the_time_costs_no_second_writing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = patch_module.write_anew
    monkeypatch.setattr(patch_module, "write_anew", lambda *args: written.append(args) or write(*args))
    disturbed(monkeypatch, 99, lambda: lake.append("science", science_rows(lake, 1, seed=4, night=OTHER_NIGHT)))
    assert patch_rows(lake, "science", NIGHT, "candid", values(lake, [40])) == 1
    assert len(written) == 1


def test_a_change_of_a_named_writer_is_committed_once(lake: Lake) -> None:
    def commit() -> bool:
        (path,) = [one for one in files_of(lake, "science", NIGHT) if one in first]
        return swap_files(lake, "science", [write_anew(lake, "science", path, lambda rows: rows)], ("healing", 1))

    first = files_of(lake, "science", NIGHT)[:1]
    assert commit()
    first = files_of(lake, "science", NIGHT)[:1]
    version = lake.table("science").version()
    assert not commit()
    assert lake.table("science").version() == version
    assert lake.count("science", NIGHT) == 60


def test_a_file_that_is_gone_is_not_replaced(lake: Lake) -> None:
    path = files_of(lake, "science", NIGHT)[0]
    replacement = write_anew(lake, "science", path, lambda rows: rows)
    swap_files(lake, "science", [write_anew(lake, "science", path, lambda rows: rows)])
    with pytest.raises(MovedError, match="was rewritten meanwhile"):
        swap_files(lake, "science", [replacement])
    assert lake.count("science", NIGHT) == 60


def test_row_groups_stay_small(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(patch_module.ROW_GROUP_ROWS, "science", 7)
    patch_rows(lake, "science", NIGHT, "candid", values(lake, [1, 30]))
    new = max(lake.table("science").file_uris(), key=lambda path: Path(path).stat().st_mtime_ns)
    assert pq.ParquetFile(new).metadata.num_row_groups == 5
    found = {row["candid"]: row["tracklet"] for row in lake.read("science", [NIGHT]).to_pylist()}
    assert (found[1], found[30]) == ("TRCK_1", "TRCK_30")
