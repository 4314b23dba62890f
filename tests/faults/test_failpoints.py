"""Each stream is killed at the places where it could lose or double something, while alerts keep coming.

One storm feeds all tests of this module, because starting Spark is what takes the time.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import pytest

from fink_lib.errors import EXIT_FAILED, EXIT_LOCKED
from tests.faults.evidence import read_manifest
from tests.faults.harness import STAGES, SURVEY, Harness, wait_until
from tests.faults.storm import KINDS, WORST, Aftermath, rage

pytestmark = pytest.mark.timeout(1200)

REFUSAL_S = 30.0


@pytest.fixture(scope="module")
def storm(harness: Harness) -> Aftermath:
    return rage(harness, WORST)


@pytest.fixture(scope="module")
def drained(harness: Harness, storm: Aftermath) -> Harness:
    for stage in STAGES:
        (driver,) = [process for process in harness.processes if process.pid in harness.drivers(stage)]
        harness.drain(driver, stage)
    return harness


def _content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_stream_was_killed_where_it_should_be(storm: Aftermath) -> None:
    assert storm.survived == []


def test_nothing_is_lost_and_nothing_is_there_twice(storm: Aftermath) -> None:
    assert storm.problems == []


def test_no_two_drivers_of_a_stage_were_at_work_at_once(storm: Aftermath) -> None:
    assert storm.doubled == {}


def test_the_storm_held_every_kind_of_bad_message(harness: Harness, storm: Aftermath) -> None:
    sent = {row["fault"] for row in read_manifest(harness.manifests[0])}
    assert set(KINDS) <= sent


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_driver_ends_with_75_and_touches_nothing(harness: Harness, storm: Aftermath, stage: str) -> None:
    checkpoint = harness.settings.checkpoint_dir(SURVEY, stage)
    before, owner, epoch = _content(checkpoint), harness.identity(stage), harness.heartbeat(stage)["epoch"]
    for others in (1, 3):
        begun_s = time.monotonic()
        losers = [harness.driver(stage) for _ in range(others)]
        assert [loser.wait(REFUSAL_S) for loser in losers] == [EXIT_LOCKED] * others
        harness.note(f"{others} refused in {time.monotonic() - begun_s:.1f} s")
    assert harness.drivers(stage) == [owner["process"]["pid"]]
    assert harness.identity(stage) == owner
    assert harness.heartbeat(stage)["epoch"] == epoch
    assert _content(checkpoint) == before


def test_a_drained_installation_is_whole_and_leaves_no_process(drained: Harness) -> None:
    assert drained.problems() == []
    wait_until(lambda: not drained.strays(), "the workers of Spark have ended", 10.0)


@pytest.mark.parametrize(
    ("stage", "damage"),
    list(zip(STAGES, ("metadata gone", "last offsets torn", "commits beyond offsets"), strict=True)),
)
def test_a_damaged_checkpoint_is_refused_with_the_page_to_read(drained: Harness, stage: str, damage: str) -> None:
    folder = drained.settings.checkpoint_dir(SURVEY, stage) / "g1"
    safe = folder.with_name("safe")
    shutil.copytree(folder, safe)
    last = max((folder / "offsets").glob("[0-9]*"), key=lambda path: int(path.name))
    try:
        if damage == "metadata gone":
            (folder / "metadata").unlink()
            (folder / ".metadata.crc").unlink(missing_ok=True)
        elif damage == "last offsets torn":
            last.write_bytes(last.read_bytes()[:-7])
        else:
            last.unlink()
        damaged = _content(folder)
        assert drained.once(stage) == EXIT_FAILED
        heartbeat = drained.heartbeat(stage)
        assert heartbeat["error_kind"] == "config"
        assert "docs/operations.md" in heartbeat["error"]
        assert _content(folder) == damaged, "a checkpoint that was refused was changed"
    finally:
        shutil.rmtree(folder)
        safe.rename(folder)
