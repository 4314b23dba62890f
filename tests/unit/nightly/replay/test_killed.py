"""A process that makes a night again, or promotes it, dies by a real SIGKILL while others read the night."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake
from fink_lib.nightly.late import Sent
from fink_lib.nightly.replay import compute, promote
from fink_lib.nightly.replay.content import content_of
from fink_lib.nightly.replay.make import replay_night
from fink_lib.nightly.replay.record import read_replay
from fink_lib.nightly.runner import run_stage
from tests.night_rows import NIGHT
from tests.unit.nightly.replay.conftest import NOW, install

CHANGED = {"label": "Unknown", "label_version": "2"}
ENDED_S = 300.0


def make_again(home: Path) -> None:
    """Make the shadow in a process of its own, four alerts at a time."""
    with pytest.MonkeyPatch.context() as patch:
        install(patch, **CHANGED)
        patch.setattr(compute, "PIECE_ROWS", 4)
        replay_night(Settings(home=home), "ztf", NIGHT, now=NOW)


def put_in_place(home: Path) -> None:
    """Promote in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        install(patch, **CHANGED)
        patch.setattr(promote, "send_healed", lambda context, filters, number: Sent())
        run_stage(Settings(home=home), "ztf", NIGHT, "promote", now=NOW)


def killed(step: Callable[[Path], None], home: Path, failpoint: str) -> bool:
    """Let a process do a step and die at a failpoint; tells whether it was that which ended it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINK_FAILPOINT", failpoint)
        process = multiprocessing.get_context("spawn").Process(target=step, args=(home,))
        process.start()
    process.join(ENDED_S)
    ended = not process.is_alive()
    process.kill()
    return ended and process.exitcode == -signal.SIGKILL


def look(lake: Lake) -> tuple[tuple[int, str], ...]:
    rows = lake.read("science", [NIGHT], ["candid", "finkclass"]).sort_by("candid").to_pylist()
    return tuple((row["candid"], row["finkclass"]) for row in rows)


def live_files(home: Path) -> dict[str, tuple[int, float]]:
    """Give size and time of every file of the live tables."""
    lake = home / "lake"
    found = {str(path.relative_to(lake)): path.stat() for path in lake.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime) for name, stat in found.items() if not name.startswith("replay/")}


@pytest.mark.usefixtures("sent")
def test_a_real_death_leaves_the_live_night_alone_until_the_switch_and_the_next_process_ends_it(
    settings: Settings, lake: Lake, science: Callable[..., None]
) -> None:
    seen: set[Any] = set()
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.05):
            seen.add(look(lake))

    science(**CHANGED)
    before, files = look(lake), live_files(settings.home)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert killed(make_again, settings.home, "replay_after_piece")
        made = replay_night(settings, "ztf", NIGHT, now=NOW)
        assert live_files(settings.home) == files and seen == {before}
        assert killed(put_in_place, settings.home, "promote_after_switch")
        after = look(lake)
        assert run_stage(settings, "ztf", NIGHT, "promote", now=NOW)["ok"]
    finally:
        over.set()
        reader.join(ENDED_S)
    assert look(lake) == after != before
    assert [one for one, _ in after] == [one for one, _ in before]
    assert seen <= {before, after}
    done = read_replay(settings, "ztf", NIGHT)
    assert done is not None and done.state == "promoted"
    assert content_of(lake, "science", NIGHT).digest == made["tables"]["science"]["shadow"]["digest"]
    again = replay_night(settings, "ztf", NIGHT, now=NOW)
    assert all(sides["equal"] for sides in again["tables"].values()), "an undisturbed replay gives another night"
