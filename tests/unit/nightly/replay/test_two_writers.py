"""Late alerts that a stream appends while a replay is promoted, a night healed or compacted: each stays, once.

The stream is a process of its own here, which commits to the same Delta tables as fast as it can.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake
from fink_lib.lake.patch import MovedError, files_of, patch_rows, swap_files, write_anew
from fink_lib.nightly.compact import files_of_night, optimize
from fink_lib.nightly.replay.make import replay_night
from fink_lib.nightly.runner import run_stage
from tests.appending import FIRST_ID, append_alerts
from tests.night_rows import NIGHT
from tests.unit.nightly.replay.conftest import ALERTS, NOW

LATE = 12
LATE_IDS = list(range(FIRST_ID, FIRST_ID + LATE))
STREAMED = [n for n in range(1, ALERTS + 1) if n % 10]


@contextmanager
def appending(settings: Settings, pause_s: float = 0.01) -> Iterator[None]:
    """Let another process append while the block runs; it must come to its end by itself."""
    ready = settings.home / "ready"
    arguments = (str(settings.home), LATE, pause_s, str(ready))
    writer = multiprocessing.get_context("spawn").Process(target=append_alerts, args=arguments)
    writer.start()
    try:
        deadline_s = time.monotonic() + 120
        while not ready.exists() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        yield
        writer.join(120)
    finally:
        writer.kill()
    assert writer.exitcode == 0, "the stream died"


def again_and_again(step: Callable[[], object], settings: Settings) -> int:
    """Repeat a step while the other writer writes; gives how often."""
    number = 0
    with appending(settings):
        for _ in range(6):
            step()
            number += 1
    return number


def ids(lake: Lake) -> Counter[int]:
    return Counter(lake.read("science", [NIGHT], ["candid"]).column("candid").to_pylist())


def whole(lake: Lake) -> None:
    """Check that each alert is there once, and each rejected copy too."""
    assert ids(lake) == Counter([*STREAMED, *LATE_IDS])
    rejected = Counter(lake.read("rejected", [NIGHT], ["offset"]).column("offset").to_pylist())
    assert max(rejected.values()) == 1
    assert {offset for offset in rejected if offset >= 10 * FIRST_ID} == {
        10 * FIRST_ID + place for place in range(0, LATE, 3)
    }


def test_a_night_is_patched_while_alerts_come(settings: Settings, lake: Lake) -> None:
    turn = iter(range(100))

    def patch() -> None:
        values = pa.table({"candid": STREAMED, "agn_score": np.full(len(STREAMED), float(next(turn)))})
        assert patch_rows(lake, "science", NIGHT, "candid", values) == len(STREAMED)

    assert again_and_again(patch, settings) == 6
    whole(lake)
    rows = lake.read("science", [NIGHT], ["candid", "agn_score"]).to_pylist()
    assert {row["agn_score"] for row in rows if row["candid"] in STREAMED} == {5.0}


def test_a_night_is_compacted_while_alerts_come(settings: Settings, lake: Lake) -> None:
    def compact() -> None:
        for table in ("science", "rejected"):
            optimize(lake, table, NIGHT, sum(files_of_night(lake, table, NIGHT).values()))

    assert again_and_again(compact, settings) == 6
    whole(lake)


def test_a_healing_that_meets_a_compaction_does_not_bring_rows_back(settings: Settings, lake: Lake) -> None:
    (first, *_) = files_of(lake, "science", NIGHT)
    healed = write_anew(lake, "science", first, lambda rows: rows)
    optimize(lake, "science", NIGHT, 1)
    with pytest.raises(MovedError):  # its own kind of TransientError: the stage is tried again and looks anew
        swap_files(lake, "science", [healed])
    assert ids(lake) == Counter(STREAMED)


@pytest.mark.usefixtures("science", "sent")
def test_a_replay_is_made_and_promoted_while_alerts_come(
    settings: Settings, lake: Lake, science: Callable[..., None]
) -> None:
    science(label="Unknown", label_version="2")
    with appending(settings, pause_s=0.05):
        replay_night(settings, "ztf", NIGHT, now=NOW)
        verdict = run_stage(settings, "ztf", NIGHT, "promote", now=NOW)
        assert verdict["ok"], verdict["message"]
    whole(lake)
    classes = {row["candid"]: row["finkclass"] for row in lake.read("science", [NIGHT]).to_pylist()}
    assert {classes[n] for n in STREAMED} == {"Unknown"}


@pytest.mark.usefixtures("science", "sent")
def test_readers_see_the_night_as_it_was_or_as_it_will_be_and_nothing_between(
    settings: Settings, lake: Lake, science: Callable[..., None]
) -> None:
    def look() -> Any:
        rows = lake.read("science", [NIGHT], ["candid", "finkclass"]).sort_by("candid")
        return tuple(zip(*(rows.column(name).to_pylist() for name in ("candid", "finkclass")), strict=True))

    seen: list[Any] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(look())

    science(label="Unknown", label_version="2")
    before = look()
    reader = threading.Thread(target=read)
    reader.start()
    try:
        replay_night(settings, "ztf", NIGHT, now=NOW)
        assert seen and set(seen) == {before}
        assert run_stage(settings, "ztf", NIGHT, "promote", now=NOW)["ok"]
        time.sleep(0.3)
    finally:
        over.set()
        reader.join(10)
    after = look()
    assert set(seen) == {before, after}
    assert [dict(one)[11] for one in (before, after)] == ["QSO", "Unknown"]
