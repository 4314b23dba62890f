"""A night is made again, and killed at it: nothing live changes before the promotion, and nothing is lost by it."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fink_lib.config import project_root
from tests.faults.evidence import Lake
from tests.faults.harness import STAGES, Harness, stopped
from tests.faults.replayed import (
    MAKING,
    PROMOTING,
    Reader,
    await_state,
    bring_late,
    check_whole,
    corrected,
    digests,
    fingerprint,
    install_types,
    record,
    would_change,
)

ALERTS = "200"
LABELS = ("QSO", "RRLyr")
RANDOM_KILLS = 4
KILLED = -signal.SIGKILL
ENDED_S = 300.0


@dataclass
class Made:
    """A closed night, what the catalogue says of it, and how an undisturbed replay goes.

    Parameters
    ----------
    night : str
        Which night.
    label : str
        What the catalogue of now says of some alerts; the night itself was made by the other word at first.
    took_s : float
        How long an undisturbed replay takes.
    """

    night: str
    label: str
    took_s: float = 60.0


def replay(harness: Harness, made: Made, failpoint: str = "") -> int:
    """Run ``fink replay NIGHT``; give its exit code."""
    return harness.run("fink_lib.cli", "replay", made.night, name="replay", failpoint=failpoint, timeout_s=ENDED_S)


def start(harness: Harness, *words: str) -> subprocess.Popen[bytes]:
    """Start ``fink replay ...``."""
    return harness.start("fink_lib.cli", "replay", *words, name="replay")


def step(harness: Harness, made: Made, word: str, failpoint: str = "") -> int:
    """Run ``fink replay promote`` or ``discard``; give its exit code."""
    words = ("fink_lib.cli", "replay", word, made.night)
    return harness.run(*words, name="replay", failpoint=failpoint, timeout_s=ENDED_S)


def relabel(harness: Harness, made: Made) -> set[int]:
    """Let the catalogue say the other word from now on; give the alerts of which it says it."""
    made.label = LABELS[LABELS.index(made.label) - 1]
    return install_types(harness, made.night, made.label)


def ids_of(harness: Harness, made: Made) -> set[int]:
    return {row["candid"] for row in Lake.read(harness.settings.lake_root).science if row["night"] == made.night}


@pytest.fixture(scope="module")
def made(harness: Harness) -> Iterator[Made]:
    """One closed night; the catalogue has changed since."""
    harness.feed("--synthetic", ALERTS, "--seed", "41", "--clock", "max", "--fault", "duplicate:0.05,empty:0.01")
    assert harness.once("stream2raw") == 0
    night = max(row["night"] for row in Lake.read(harness.settings.lake_root).raw)
    install_types(harness, night, LABELS[0])
    assert [harness.once(stage) for stage in STAGES[1:]] == [0, 0]
    time.sleep(harness.settings.nightly.quiet_s)
    # A replay finds tracklets, as compact does: without it they would be news.
    assert [harness.nightly(stage, night) for stage in ("close_night", "reconcile", "compact")] == [0, 0, 0]
    assert harness.problems() == []
    made = Made(night, LABELS[0])
    relabel(harness, made)
    begun_s = time.monotonic()
    assert replay(harness, made) == 0, harness.tail("replay")
    made.took_s = time.monotonic() - begun_s
    harness.note(f"an undisturbed replay takes {made.took_s:.1f} s")
    yield made


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_replay_killed_anywhere_leaves_the_live_night_alone_and_ends_as_if_undisturbed(
    harness: Harness, made: Made
) -> None:
    expected, before, ids = digests(harness, made.night), fingerprint(harness), ids_of(harness, made)
    with Reader(harness, made.night) as watcher:
        for place in MAKING:
            assert step(harness, made, "discard") == 0, harness.tail("replay")
            assert replay(harness, made, place) == KILLED, f"not killed at {place}\n{harness.tail('replay')}"
            assert record(harness, made.night)["state"] == "computing"
            assert fingerprint(harness) == before, f"killed at {place}, and the live night has changed"
            assert replay(harness, made) == 0, harness.tail("replay")
            assert digests(harness, made.night) == expected, f"killed at {place}, and another night came out"
        chance = random.Random(5)
        assert step(harness, made, "discard") == 0
        for _ in range(RANDOM_KILLS):
            process = start(harness, made.night)
            time.sleep(made.took_s * chance.uniform(0.3, 1.0))
            process.kill()
            process.wait()
            assert fingerprint(harness) == before
        assert replay(harness, made) == 0, harness.tail("replay")
    assert digests(harness, made.night) == expected
    assert len(watcher.contents(ids)) == 1 and watcher.looks > 20
    assert not watcher.doubled
    assert harness.problems() == []


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_promotion_killed_anywhere_switches_readers_once_and_tells_each_change_once(
    harness: Harness, made: Made
) -> None:
    for place in PROMOTING:
        sent = {row["alert_id"] for row in Lake.read(harness.settings.lake_root).sent}
        ids = ids_of(harness, made)
        with Reader(harness, made.night) as watcher:
            assert step(harness, made, "promote", place) == KILLED, f"not killed at {place}\n{harness.tail('replay')}"
            assert step(harness, made, "promote") == 0, f"killed at {place}\n{harness.tail('replay')}"
        promoted = record(harness, made.night)
        assert promoted["state"] == "promoted"
        seen = watcher.contents(ids)
        assert len(seen) <= 2, f"killed at {place}: readers saw a night that was neither the old nor the new one"
        assert not watcher.doubled
        assert check_whole(harness) == [], f"killed at {place}"
        changed = {row["candid"] for row in Lake.read(harness.settings.lake_root).science if
                   row["cdsxmatch"] == made.label}  # fmt: skip
        assert changed, "the catalogue matched nothing"
        assert corrected(harness, promoted["number"]) == changed & sent, f"killed at {place}"
        assert step(harness, made, "promote") == 0
        assert corrected(harness, promoted["number"]) == changed & sent
        # What readers see now is what an undisturbed replay makes: made again, nothing would change.
        assert replay(harness, made) == 0, harness.tail("replay")
        assert would_change(harness, made.night) == [], f"killed at {place}"
        assert digests(harness, made.night)["science"] == promoted["content"]["science"]
        relabel(harness, made)
        assert replay(harness, made) == 0, harness.tail("replay")
    assert harness.nightly("reconcile", made.night) == 0, harness.tail("reconcile")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_alerts_that_come_late_while_a_night_is_made_again_and_promoted_stay(harness: Harness, made: Made) -> None:
    relabel(harness, made)
    assert step(harness, made, "discard") == 0
    process = start(harness, made.night)
    await_state(harness, made.night, "computing")
    with stopped(process.pid):
        bring_late(harness, made.night, seed=42)
    assert process.wait(ENDED_S) == 0, harness.tail("replay")
    process = start(harness, "promote", made.night)
    time.sleep(0.4 * made.took_s)
    with stopped(process.pid):
        bring_late(harness, made.night, seed=43)
    assert process.wait(ENDED_S) == 0, harness.tail("replay")
    assert record(harness, made.night)["state"] == "promoted"
    assert check_whole(harness) == []

    assert replay(harness, made) == 0, harness.tail("replay")
    relabel(harness, made)
    assert replay(harness, made) == 0, harness.tail("replay")
    assert step(harness, made, "promote", "promote_in_switch") == KILLED
    bring_late(harness, made.night, seed=44)
    assert step(harness, made, "promote") == 0, harness.tail("replay")
    assert check_whole(harness) == []
    assert replay(harness, made) == 0, harness.tail("replay")
    assert would_change(harness, made.night) == []
    for stage in ("close_night", "reconcile"):
        assert harness.nightly(stage, made.night) == 0, harness.tail(stage)


def test_no_failpoint_of_a_replay_is_left_out() -> None:
    folder = project_root() / "fink_lib" / "nightly"
    text = "".join(path.read_text() for path in [*sorted((folder / "replay").glob("*.py")), folder / "late.py"])
    assert set(re.findall(r'(?:failpoint|point)\([^()]*"([a-z_]+)"\)', text)) == {*MAKING, *PROMOTING}
