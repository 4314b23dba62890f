"""A night of 20,000 alerts, every filter on, and a hundred kills: each pair of alert and filter is there once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fink_lib.runtime import control
from tests.faults.harness import STAGES, Harness, Sampler, wait_settled, wait_until
from tests.stack_services import installation

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]

ALERTS, RATE = 20_000, 16
KILLS = {"stream2raw": 34, "raw2science": 33, "distribution": 33}
FEED = ("--synthetic", str(ALERTS), "--seed", "100", "--clock", f"flat:{RATE}", "--fault", "duplicate:0.01,empty:0.005")
FED_S = 2 * ALERTS / RATE
PROGRESS_S = 240.0
RECOVERY_S = 900.0
LIVES_S = (0.0, 4.0)
"""How long a driver that has finished a batch may go on before it is killed."""

NIGHT = """
[streams]
max_offsets_per_trigger = 250
max_files_per_trigger = 8
trigger_s = 0.5

[spark.extra]
"spark.driver.extraJavaOptions" = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:UseAVX=2"
"spark.sql.codegen.wholeStage" = "false"
"""


@pytest.fixture
def night() -> Iterator[Harness]:
    """An installation with batches of the size that a night has."""
    with installation(Path(tempfile.mkdtemp(prefix="fink-faults-")), NIGHT) as settings:
        control.bring_up(settings, ["kafka"], lambda line: None)
        with Harness(settings) as one:
            yield one


def _die(harness: Harness, stage: str, driver: subprocess.Popen[bytes], what: str) -> None:
    victims = [driver.pid] if what != "jvm" else []
    victims += harness.jvms(stage) if what != "python" else []
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    driver.wait(PROGRESS_S)


def _driver_that_got_on(harness: Harness, stage: str, what: str) -> subprocess.Popen[bytes]:
    before = harness.heartbeat(stage).get("batch", "")
    driver = harness.driver(stage)
    wait_until(lambda: harness.heartbeat(stage).get("batch", "") > before, what, PROGRESS_S)
    return driver


def _kill_often(harness: Harness, stage: str, kills: int, chance: random.Random) -> Counter[str]:
    """Kill a stage's driver, its JVM or both, each time after it has finished a batch; leave the last one alive."""
    struck: Counter[str] = Counter()
    for number in range(kills):
        driver = _driver_that_got_on(harness, stage, f"{stage} finishes a batch after kill {number}")
        time.sleep(chance.uniform(*LIVES_S))
        what = chance.choice(("python", "jvm", "both"))
        _die(harness, stage, driver, what)
        struck[what] += 1
        harness.note(f"kill {number + 1} of {stage}: {what}")
    harness.driver(stage)
    return struck


def test_each_pair_of_alert_and_filter_is_there_once_after_a_hundred_kills(night: Harness) -> None:
    feeder = night.feeder(*FEED)
    with Sampler(night) as sampler, ThreadPoolExecutor(len(STAGES)) as pool:
        chances = {stage: random.Random(f"{stage} of the night") for stage in STAGES}
        lanes = {stage: pool.submit(_kill_often, night, stage, KILLS[stage], chances[stage]) for stage in STAGES}
        struck = {stage: lane.result() for stage, lane in lanes.items()}
        assert feeder.wait(FED_S) == 0, night.tail("simulate")
        night.note("no more alerts")
        problems = wait_settled(night, RECOVERY_S)
    night.note(f"settled; struck: {struck}")
    assert sum(sum(kinds.values()) for kinds in struck.values()) == sum(KILLS.values())
    assert problems == []
    assert sampler.seen == {}, "two drivers of a stage were at work at once"
