"""Minutes of kills at random moments, with fixed seeds: of Python, of the JVM, of both."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.faults.harness import STAGES, Harness, Keeper, Sampler, wait_settled, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

STORM_S = 150.0
FEED = ("--synthetic", "400", "--loop", "--clock", "flat:15", "--fault", "duplicate:0.02,truncated:0.02,empty:0.01")
RECOVERY_S = 600.0
ORPHANED_S = 60.0


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _strike(harness: Harness, chance: random.Random) -> None:
    """Kill the Python, the JVM, or both, of some stage, if it has got that far."""
    stage, what = chance.choice(STAGES), chance.choice(("python", "jvm", "both"))
    victims = harness.drivers(stage) if what != "jvm" else []
    victims += harness.jvms(stage) if what != "python" else []
    harness.note(f"kill {what} of {stage}: {victims}")
    for pid in victims:
        _kill(pid)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_at_random_lose_nothing_and_double_nothing(fresh: Harness, seed: int) -> None:
    chance = random.Random(seed)
    feeder = fresh.feeder(*FEED, "--seed", str(seed))
    with Sampler(fresh) as sampler, Keeper(fresh):
        end_s = time.monotonic() + STORM_S
        while time.monotonic() < end_s:
            time.sleep(chance.uniform(2.0, 16.0))
            _strike(fresh, chance)
        fresh.stop_feeder(feeder)
        problems = wait_settled(fresh, RECOVERY_S)
    assert problems == []
    assert sampler.seen == {}, "two drivers of a stage were at work at once"


@pytest.mark.parametrize("stage", STAGES)
def test_a_driver_whose_jvm_dies_ends_by_itself_with_a_failure(fresh: Harness, stage: str) -> None:
    driver = fresh.driver(stage)
    wait_until(lambda: fresh.heartbeat(stage).get("state") == "running", f"{stage} runs")
    (jvm,) = fresh.jvms(stage)
    _kill(jvm)
    assert driver.wait(ORPHANED_S) == 1
    assert fresh.heartbeat(stage)["state"] == "failed"
    assert fresh.heartbeat(stage)["error"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_driver_that_is_stopped_in_mid_batch_finishes_or_replays_it(fresh: Harness, stage: str) -> None:
    fresh.feed("--synthetic", "200", "--seed", "5", "--clock", "max")
    for before in STAGES[: STAGES.index(stage)]:
        assert fresh.once(before) == 0
    driver = fresh.driver(stage)
    wait_until(lambda: fresh.heartbeat(stage).get("batch"), f"{stage} is at work")
    fresh.drain(driver, stage)
    for late in STAGES[STAGES.index(stage) :]:
        assert fresh.once(late) == 0
    assert fresh.problems() == []
