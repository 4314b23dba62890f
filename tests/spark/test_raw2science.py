"""raw2science over a real session: nothing lost, nothing twice, and a result that is the alert's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from fink_lib.config import load_settings, project_root
from fink_lib.errors import EXIT_FAILED, EXIT_OK
from fink_lib.lake import open_lake
from fink_lib.lake.tables import UTC_US
from fink_lib.simulator.synthetic.night import SyntheticNight
from fink_lib.simulator.synthetic.snapshots import write_snapshots
from fink_lib.streams.stream2raw import decode_messages

COUNT = 120
NOW = datetime(2026, 1, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def sky():
    return SyntheticNight(3, COUNT)


def installation(home, sky):
    settings = load_settings(home)
    write_snapshots(sky, settings.catalog_dir)
    lake = open_lake(settings, "ztf")
    lake.ensure()
    return lake


@pytest.fixture(scope="module")
def first(tmp_path_factory, sky):
    """An installation that has received the night once."""
    home = tmp_path_factory.mktemp("first")
    lake = installation(home, sky)
    receive(lake, list(sky.packets()))
    assert run_once(home) == EXIT_OK
    return home


@pytest.fixture
def again(first, tmp_path):
    """A copy of it, to go on with."""
    shutil.copytree(first, tmp_path / "again", ignore=shutil.ignore_patterns("run"))
    return tmp_path / "again"


def lake_of(home):
    return open_lake(load_settings(home), "ztf")


def receive(lake, packets, first_offset=0, batch="g1-000000000"):
    """Put packets into ``raw`` as stream2raw does, from offsets of one partition."""
    count = len(packets)
    messages = pa.table(
        {
            "key": pa.nulls(count, pa.binary()),
            "value": pa.array([packet.value for packet in packets], pa.binary()),
            "topic": ["ztf_20260115_programid1"] * count,
            "partition": pa.array([0] * count, pa.int32()),
            "offset": pa.array(range(first_offset, first_offset + count), pa.int64()),
            "timestamp": pa.array([NOW] * count, UTC_US),
        }
    )
    lake.append("raw", decode_messages(messages, lake.survey, batch, NOW)["raw"])


def run_once(home):
    """Run the job as it is run, in a process of its own."""
    command = [sys.executable, "-m", "jobs.raw2science", "--survey", "ztf", "--once"]
    return subprocess.run(command, cwd=project_root(), env={**os.environ, "FINK_HOME": str(home)}).returncode


def content(lake):
    """Alert and science columns by id: what a replay must give again."""
    names = ["candid", "roid", "nalerthist", "gcvs", "vsx", "cdsxmatch", "finkclass", "fink_status", "gal_lat"]
    rows = lake.read("science", columns=names).to_pylist()
    return {row["candid"]: {k: dict(v) if k == "fink_status" else v for k, v in row.items()} for row in rows}


def test_each_alert_becomes_science_or_is_rejected_with_its_cut(first):
    lake = lake_of(first)
    kept, left = content(lake), lake.read("rejected")
    assert len(kept) + left.num_rows == COUNT
    assert set(left.column("reason").to_pylist()) <= {"nbad", "rb", "fid"}
    assert kept.keys().isdisjoint(left.column("alert_id").to_pylist())
    raw = {row["candid"]: row["candidate"] for row in lake.read("raw", columns=["candid", "candidate"]).to_pylist()}
    assert all(c["nbad"] == 0 and c["rb"] >= 0.55 and c["fid"] != 3 for c in (raw[i] for i in kept))
    [books] = lake.read("ledger").to_pylist()
    assert (books["received"], books["produced"], books["rejected"]) == (COUNT, len(kept), left.num_rows)


def test_copies_from_other_offsets_are_duplicates(again, sky):
    lake = lake_of(again)
    before = content(lake)
    receive(lake, list(sky.packets()), first_offset=COUNT, batch="g1-000000001")
    assert run_once(again) == EXIT_OK
    assert content(lake) == before
    assert lake.read("rejected").column("reason").to_pylist().count("duplicate") == len(before)


@pytest.mark.long
def test_a_result_does_not_depend_on_the_batch_it_came_in(first, sky, tmp_path):
    lake = installation(tmp_path, sky)
    packets = list(sky.packets())
    for number, start in enumerate(range(0, COUNT, 37)):
        receive(lake, packets[start : start + 37][::-1], start, f"g1-{number:09d}")
    assert run_once(tmp_path) == EXIT_OK
    assert content(lake) == content(lake_of(first))


def test_a_damaged_checkpoint_ends_the_stage_before_anything_is_written(again, sky):
    lake = lake_of(again)
    before = content(lake)
    (again / "checkpoints" / "ztf" / "raw2science" / "g1" / "metadata").unlink()
    receive(lake, list(sky.packets())[:20], first_offset=COUNT, batch="g1-000000001")
    assert run_once(again) == EXIT_FAILED
    assert content(lake) == before
    assert lake.read("ledger").num_rows == 1
