"""A checkpoint is given up: the new generation reads everything again, and nothing is there twice."""

from __future__ import annotations

import signal

import pytest

from fink_lib.streams.checkpoint import new_generation
from tests.faults.evidence import Lake
from tests.faults.harness import STAGES, SURVEY, Harness

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

LAST_WORDS = {
    "stream2raw": "between_sink_and_ledger",
    "raw2science": "between_sink_and_ledger",
    "distribution": "between_commit_and_sent",
}
FAULTS = "truncated:0.05,empty:0.03,duplicate:0.05"


@pytest.mark.parametrize("stage", STAGES)
def test_a_new_generation_after_a_kill_loses_and_doubles_nothing(fresh: Harness, stage: str) -> None:
    fresh.feed("--synthetic", "200", "--seed", "51", "--clock", "max", "--fault", FAULTS)
    for before in STAGES[: STAGES.index(stage)]:
        assert fresh.once(before) == 0
    assert fresh.once(stage, failpoint=LAST_WORDS[stage]) == -signal.SIGKILL
    assert new_generation(fresh.settings, SURVEY, stage, "").generation == 2
    fresh.feed("--synthetic", "60", "--seed", "52", "--clock", "max", "--fault", FAULTS)
    for late in STAGES:
        assert fresh.once(late) == 0, fresh.tail(late)
    assert fresh.problems() == []
    batches = {row["batch"] for row in Lake.read(fresh.settings.lake_root).ledger if row["stage"] == stage}
    assert {batch[:2] for batch in batches} >= {"g2"}
