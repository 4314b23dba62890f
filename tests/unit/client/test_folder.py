"""Files of alerts, and the folder that holds each message once however often its writer is killed."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.client import files, folder
from fink_lib.client.files import ENDINGS, alert_files, read_alerts, read_tables, write_table
from fink_lib.client.folder import JOURNAL, Folder, Range, folder_of, gaps
from fink_lib.client.transfer import DATE, time_of, with_dates
from fink_lib.errors import ConfigError, LockedError, TransientError
from tests.client_alerts import packets

TOPIC = "ftransfer_ztf_2026-01-15_1"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20))), st.integers(0, 60), st.integers(0, 60))
def test_gaps_are_the_offsets_that_no_range_holds(ranges: list[tuple[int, int]], low: int, high: int) -> None:
    done = [(first, first + length) for first, length in ranges]
    held = {offset for first, last in done for offset in range(first, last + 1)}
    found = gaps(done, low, high)
    assert [offset for first, end in found for offset in range(first, end)] == sorted(set(range(low, high)) - held)
    assert all(first < end for first, end in found)


class Killed(BaseException):
    """The process is gone."""


def table(first: int, last: int) -> pa.Table:
    offsets = list(range(first, last + 1))
    return pa.table({"offset": offsets, "kind": [("a/b", None)[offset % 2] for offset in offsets]})


@pytest.mark.parametrize("by", [(), ("kind",)])
def test_a_folder_is_whole_after_kills_at_any_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: tuple[str, ...]
) -> None:
    chance = random.Random(3)
    real_table, real_line, real_replace = files.write_table, files.append_line, os.replace

    def may_die(real):
        def call(*arguments):
            if chance.random() < 0.15:
                raise Killed
            result = real(*arguments)
            if chance.random() < 0.15:
                raise Killed
            return result

        return call

    monkeypatch.setattr(folder, "write_table", may_die(real_table))
    monkeypatch.setattr(folder, "append_line", may_die(real_line))
    monkeypatch.setattr(files.os, "replace", may_die(real_replace))
    kills = 0
    while True:
        try:
            with Folder(tmp_path) as held:
                for partition in (0, 1):
                    for first, end in held.missing(TOPIC, "id", partition, 10, 60):
                        for begin in range(first, end, 7):
                            last = min(begin + chance.randrange(1, 7), end) - 1
                            held.add(Range(TOPIC, "id", partition, begin, last), [table(begin, last)], "parquet", by)
                if not any(held.missing(TOPIC, "id", partition, 10, 60) for partition in (0, 1)):
                    break
        except Killed:
            kills += 1
    assert kills > 5
    read = ds.dataset(tmp_path, format="parquet").to_table(columns=["offset"]).column("offset").to_pylist()
    assert sorted(read) == sorted(list(range(10, 60)) * 2)
    with Folder(tmp_path) as held:
        assert held.rows(TOPIC, "id") == 100


def test_a_topic_that_was_made_again_is_another_one(tmp_path: Path) -> None:
    with Folder(tmp_path) as held:
        held.add(Range(TOPIC, "first", 0, 0, 4), [table(0, 4)], "json")
    with Folder(tmp_path) as held:
        assert held.has(TOPIC, "first", 0, 4)
        assert not held.has(TOPIC, "second", 0, 4)
        held.add(Range(TOPIC, "second", 0, 0, 4), [table(0, 4)], "json")
    assert len(alert_files(tmp_path)) == 2


def test_files_of_others_stay_and_two_writers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine-p01-notes.parquet").write_bytes(b"x")
    with Folder(tmp_path), pytest.raises(LockedError), Folder(tmp_path):
        pass
    assert (tmp_path / "mine-p01-notes.parquet").exists()


def test_a_torn_line_of_the_journal_costs_only_its_own_range(tmp_path: Path) -> None:
    with Folder(tmp_path) as held:
        held.add(Range(TOPIC, "id", 0, 0, 4), [table(0, 4)], "parquet")
        held.add(Range(TOPIC, "id", 0, 5, 9), [table(5, 9)], "parquet")
    journal = tmp_path / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-20])
    with Folder(tmp_path) as held:
        assert held.missing(TOPIC, "id", 0, 0, 10) == [(5, 10)]
        held.add(Range(TOPIC, "id", 0, 5, 9), [table(5, 9)], "parquet")
    with Folder(tmp_path) as held:
        assert held.missing(TOPIC, "id", 0, 0, 10) == []
    assert ds.dataset(tmp_path, format="parquet").count_rows() == 10


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(TransientError, match=r"make room, and run it again"):
        files.append_line(tmp_path / "full", {"a": "b"})


@pytest.mark.parametrize("form", ["avro", "parquet"])
def test_alerts_survive_every_format(tmp_path: Path, form: str) -> None:
    alerts = packets(range(6))
    path = tmp_path / f"x{ENDINGS[form]}"
    write_table(path, alerts, form)
    assert [repr(one) for one in read_alerts(path)] == [repr(one) for one in alerts.to_pylist(maps_as_pydicts="strict")]
    (back,) = read_tables([path])
    assert back.schema.names == alerts.schema.names
    # formats name the items of lists and maps each in their way
    flat = [field for field in alerts.schema if not pa.types.is_list(field.type) and not pa.types.is_map(field.type)]
    assert [back.schema.field(field.name).type for field in flat] == [field.type for field in flat]


def test_json_is_plain_and_its_images_come_back(tmp_path: Path) -> None:
    alerts = packets(range(3))
    path = tmp_path / "x.jsonl"
    write_table(path, alerts, "json")
    lines = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    assert [line["candid"] for line in lines] == [0, 1, 2]
    first = next(read_alerts(path))
    assert first["cutoutScience"] == alerts.slice(0, 1).to_pylist()[0]["cutoutScience"]
    with pytest.raises(ConfigError, match="does not keep the types"):
        next(read_tables([path]))


def test_what_is_no_file_of_alerts_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.avro").write_bytes(b"Obj")
    (tmp_path / "x.fits").write_bytes(b"")
    for name, said in (("x.avro", "is it complete"), ("x.fits", "its name has to end in"), ("y", "no alerts in")):
        with pytest.raises(ConfigError, match=said):
            next(read_alerts(alert_files(tmp_path / name)[0]))


def test_dates_come_from_the_alerts_own_time() -> None:
    alerts = with_dates(packets([0, 9500]))
    assert alerts.select(list(DATE)).to_pylist() == [
        {"year": "2024", "month": "03", "day": "12"},
        {"year": "2024", "month": "03", "day": "13"},
    ]
    lsst = with_dates(pa.table({"midpointMjdTai": [61054.999, None], "year": [1, 2]}))
    assert lsst.column("day").to_pylist() == ["14", None]
    assert lsst.column("year").to_pylist() == ["2026", None]
    assert time_of(pa.schema([("ra", pa.float64())])) is None


def test_folders_are_named_as_hive_does_and_read_back(tmp_path: Path) -> None:
    assert folder_of({"a": None}) == "a=__HIVE_DEFAULT_PARTITION__"
    with Folder(tmp_path) as held:
        held.add(Range(TOPIC, "id", 0, 0, 3), [table(0, 3)], "parquet", ("kind",))
    read = ds.dataset(tmp_path, format="parquet", partitioning="hive").to_table().sort_by("offset")
    assert read.column("kind").to_pylist() == ["a/b", None, "a/b", None]
