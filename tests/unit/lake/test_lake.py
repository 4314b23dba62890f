"""The lake: written in two halves, committed once, read without a JVM."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from pyarrow.fs import PyFileSystem, SubTreeFileSystem

from fink_lib.lake import Lake
from fink_lib.lake import lake as lake_module
from fink_lib.lake.lake import conform
from fink_lib.lake.patch import patch_rows
from fink_lib.surveys import get_survey
from tests.night_rows import NIGHT, science_rows


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path / "lake"), get_survey("ztf"))
    lake.ensure()
    return lake


def rejected(ids, night="20200101", reason="rb"):
    n = len(ids)
    return pa.table(
        {
            "alert_id": pa.array(ids, pa.int64()),
            "topic": ["t"] * n,
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(ids, pa.int64()),
            "reason": [reason] * n,
            "batch": ["g1-000000000"] * n,
            "night": [night] * n,
        }
    )


def test_files_are_unseen_until_they_are_committed(lake):
    files = lake.write_files("rejected", rejected([1, 2]))
    assert lake.read("rejected").num_rows == 0
    assert lake.commit("rejected", files, "w", 0)
    assert lake.read("rejected").column("alert_id").to_pylist() == [1, 2]


def test_a_replayed_batch_changes_nothing(lake):
    assert lake.append("rejected", rejected([1, 2]), "w", 7)
    assert not lake.append("rejected", rejected([1, 2]), "w", 7)
    assert not lake.append("rejected", rejected([1, 2]), "w", 6)
    assert lake.read("rejected").num_rows == 2


def test_writers_are_told_apart_by_name(lake):
    assert lake.append("rejected", rejected([1]), "ztf.raw2science.g1", 0)
    assert lake.append("rejected", rejected([2]), "ztf.raw2science.g2", 0)
    assert sorted(lake.read("rejected").column("alert_id").to_pylist()) == [1, 2]


def test_a_batch_without_rows_leaves_no_commit(lake):
    before = lake.table("rejected").version()
    assert not lake.append("rejected", rejected([]), "w", 0)
    assert lake.table("rejected").version() == before


def test_rows_of_several_nights_land_in_their_partitions(lake):
    rows = pa.concat_tables([rejected([1], "20200101"), rejected([2, 3], "20200102")])
    lake.append("rejected", rows)
    assert lake.nights("rejected") == ["20200101", "20200102"]
    assert lake.count("rejected", "20200102") == 2
    assert lake.read("rejected", ["20200101"]).column("alert_id").to_pylist() == [1]


def test_replacing_a_night_leaves_the_others_alone(lake):
    lake.append("rejected", rejected([1], "20200101"))
    lake.append("rejected", rejected([2], "20200102"))
    lake.replace_night("rejected", "20200102", rejected([8, 9], "20200102"))
    lake.replace_night("rejected", "20200102", rejected([8, 9], "20200102"))
    assert sorted(lake.read("rejected").column("alert_id").to_pylist()) == [1, 8, 9]


def test_file_statistics_let_a_reader_skip_files(lake):
    lake.append("rejected", rejected([1, 2]))
    lake.append("rejected", rejected([100, 200]))
    found = lake.dataset("rejected").get_fragments(filter=pc.field("alert_id") == 150)
    assert len(list(found)) == 1


def test_writers_at_the_same_time_all_get_through(lake):
    failures = []

    def write(writer):
        try:
            for batch in range(5):
                lake.append("rejected", rejected([writer * 100 + batch]), f"w{writer}", batch)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert lake.read("rejected").num_rows == 20


def test_compaction_is_no_new_data_and_keeps_every_row(lake):
    for n in range(4):
        lake.append("rejected", rejected([n]))
    lake.table("rejected").optimize.compact()
    assert sorted(lake.read("rejected").column("alert_id").to_pylist()) == [0, 1, 2, 3]
    assert len(lake.table("rejected").file_uris()) == 1


def test_missing_columns_become_null_and_unknown_ones_are_refused():
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    assert conform(pa.table({"a": [1]}), schema).column("b").to_pylist() == [None]
    with pytest.raises(ValueError, match="c"):
        conform(pa.table({"a": [1], "c": [2]}), schema)


def test_ledger_times_keep_their_zone(lake):
    now = datetime(2020, 1, 1, tzinfo=UTC)
    row = {"stage": "s", "batch": "g1-000000000", "finished": now, "night": "20200101"}
    lake.append("ledger", pa.Table.from_pylist([row], schema=lake.schema("ledger")), "s", 0)
    assert lake.read("ledger").column("finished").to_pylist() == [now]


def test_a_condition_on_a_column_without_statistics_finds_its_rows(lake):
    lake.append("rejected", rejected([1], reason="rb"))
    lake.append("rejected", rejected([2], reason="duplicate"))
    found = lake.read("rejected", where=pc.field("reason") == "duplicate")
    assert found.column("alert_id").to_pylist() == [2]


def test_conditions_hold_after_compaction_too(lake):
    for n in range(3):
        lake.append("rejected", rejected([n], reason=f"r{n}"))
    lake.table("rejected").optimize.compact()
    assert lake.read("rejected", ["20200101"], where=pc.field("reason") == "r1").column("alert_id").to_pylist() == [1]
    assert lake.read("rejected", where=pc.field("alert_id") == 2).num_rows == 1


def test_a_night_that_is_not_there_has_no_rows(lake):
    lake.append("rejected", rejected([1]))
    assert lake.read("rejected", ["20240313"]).num_rows == 0
    assert lake.count("sent", "20240313") == 0


def test_a_batch_that_another_writer_committed_meanwhile_is_recognised(lake):
    schema = lake.schema("rejected")
    rows = pa.Table.from_pylist([{"alert_id": 1, "night": "20240101"}], schema=schema)
    assert lake.append("rejected", rows, "stage.g1", 1)
    other = threading.Thread(target=lake.append, args=("rejected", rows, "stage.g1", 2))  # with a handle of its own
    other.start()
    other.join()
    assert lake.committed("rejected", "stage.g1", 2)
    assert not lake.append("rejected", rows, "stage.g1", 2)
    assert lake.read("rejected").num_rows == 2


def test_a_table_whose_log_was_cleaned_up_is_written_on(lake):
    schema = lake.schema("rejected")
    rows = pa.Table.from_pylist([{"alert_id": 1, "night": "20240101"}], schema=schema)
    lake.append("rejected", rows, "stage.g1", 1)
    other = DeltaTable(lake.uri("rejected"))
    for _ in range(5):
        other.update_incremental()
        other.create_write_transaction([], mode="append", schema=schema, partition_by=["night"])
    other.create_checkpoint()
    for file in sorted(Path(lake.uri("rejected"), "_delta_log").glob("*.json"))[:-1]:
        file.unlink()
    assert lake.append("rejected", rows, "stage.g1", 2)
    assert not lake.append("rejected", rows, "stage.g1", 2)
    assert lake.read("rejected").num_rows == 2


def test_an_append_stays_though_the_rows_of_its_night_are_rewritten_at_that_moment(lake, monkeypatch):
    lake.append("science", science_rows(lake, 3))
    values = pa.table({"candid": [1, 2, 3], "agn_score": [0.5] * 3})
    original, passed = lake_module._holds, []

    def meanwhile(*asked):
        found = original(*asked)
        if not passed:
            passed.append(asked)
            # another thread, so that this one's own handle of the table stays as it was
            writer = threading.Thread(target=patch_rows, args=(lake, "science", NIGHT, "candid", values))
            writer.start()
            writer.join()
        return found

    rows = science_rows(lake, 1, seed=9, first_id=70)
    files = lake.write_files("science", rows)
    monkeypatch.setattr(lake_module, "_holds", meanwhile)
    assert lake.commit("science", files, "a stream", 4)
    assert not lake.commit("science", files, "a stream", 4)
    stored = lake.read("science", [NIGHT], ["candid", "agn_score"]).sort_by("candid").to_pylist()
    assert [row["candid"] for row in stored] == [1, 2, 3, 70]
    assert [row["agn_score"] for row in stored[:3]] == [0.5] * 3


def test_a_table_of_an_older_version_gets_the_columns_that_it_lacks(tmp_path):
    lake = Lake(str(tmp_path / "lake"), get_survey("ztf"))
    uri, whole = lake.uri("night_summary"), lake.schema("night_summary")
    Path(uri).mkdir(parents=True)
    known = ("basic", "class", "filters", "versions", "computed", "night")
    DeltaTable.create(uri, pa.schema([field for field in whole if field.name in known]), partition_by=["night"])
    old = pa.Table.from_pylist([{"basic": [("raw", 1)], "night": "20200101"}], schema=whole).select(known)
    lake.append("night_summary", old)
    for _ in range(2):
        lake.ensure()
    new = {"basic": [("raw", 2)], "latency": [("sent_s.p50", 3.0)], "night": "20200102"}
    lake.replace_night("night_summary", "20200102", pa.Table.from_pylist([new], schema=whole))
    rows = {row["night"]: row for row in lake.read("night_summary").to_pylist()}
    assert rows["20200101"]["basic"] == [("raw", 1)] and rows["20200101"]["latency"] is None
    assert rows["20200102"]["latency"] == [("sent_s.p50", 3.0)]


def test_files_are_opened_without_python(tmp_path):
    lake = Lake(str(tmp_path), get_survey("ztf"))
    lake.ensure()
    store = lake.dataset("science").filesystem
    while isinstance(store, SubTreeFileSystem):
        store = store.base_fs
    assert not isinstance(store, PyFileSystem), "a thread of Arrow would need the interpreter's lock"
