"""Promotion: one commit switches readers; late alerts stay; killed anywhere, the next call ends it; discarding."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from fink_lib.lake.lake import conform
from fink_lib.nightly import runner as stages
from fink_lib.nightly.healing import committed_number, writer_of
from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.nights import night_state, set_state
from fink_lib.nightly.replay import switch
from fink_lib.nightly.replay.content import content_of
from fink_lib.nightly.replay.make import replay_night
from fink_lib.nightly.replay.promote import AFTER_PROMOTION
from fink_lib.nightly.replay.record import read_replay
from fink_lib.nightly.runner import run_stage
from fink_lib.nightly.stage import Verdict
from tests.night_rows import NIGHT
from tests.unit.nightly.replay.conftest import ALERTS, NOW, Killed, dying_at, raw_rows, runner, stream

pytestmark = pytest.mark.usefixtures("science", "sent")
LABELLED = [n for n in range(11, ALERTS + 1) if n % 10]


@pytest.fixture
def replayed(settings: Settings, relabelled: Path, science: Callable[..., None]) -> Lake:
    """Give the night with a replay that says something else of nine alerts."""
    science(label="Unknown", label_version="2")
    shutil.copytree(relabelled, settings.home, dirs_exist_ok=True)
    return open_lake(settings, "ztf")


def run(settings: Settings, stage: str) -> dict[str, Any]:
    return run_stage(settings, "ztf", NIGHT, stage, now=NOW)


def classes(lake: Lake) -> Counter[str]:
    return Counter(lake.read("science", [NIGHT], ["finkclass"]).column("finkclass").to_pylist())


def state_of(settings: Settings) -> str:
    found = read_replay(settings, "ztf", NIGHT)
    return found.state if found else ""


def closes(settings: Settings) -> dict[str, Any]:
    """Compute the equation of raw2science."""
    return next(
        one for one in night_ledger(settings, "ztf", NIGHT, kafka=False)["stages"] if one["stage"] == "raw2science"
    )


def test_a_promoted_replay_stands_for_the_night(settings: Settings, replayed: Lake, sent: list[int]) -> None:
    other = raw_rows(replayed, [41])
    night = pa.array(["20240313"], pa.string())
    stream(replayed, other.set_column(other.schema.get_field_index("night"), "night", night), runner())
    assert classes(replayed) == {"QSO": 9, "Unknown": 9}
    expected = read_replay(settings, "ztf", NIGHT)
    version = replayed.table("science").version()
    verdict = run(settings, "promote")
    assert verdict["ok"], verdict["message"]
    assert classes(replayed) == {"Unknown": 18}
    assert expected is not None
    assert content_of(replayed, "science", NIGHT).digest == expected.content["science"]["digest"]
    assert replayed.table("science").version() == version + 1
    assert replayed.count("science", "20240313") == 1
    assert (sent, committed_number(replayed, NIGHT), verdict["generation"]) == ([1], 1, 1)
    healed = replayed.read("healed", [NIGHT]).sort_by("alert_id").to_pylist()
    assert [row["alert_id"] for row in healed] == LABELLED
    assert healed[0]["modules"] == ["class_rule", "simbad"] and healed[0]["enters"] == ["unknowns"]
    assert state_of(settings) == "promoted"
    assert not list((settings.home / "lake" / "replay").glob("*"))
    assert closes(settings)["closed"]


def test_promoting_again_changes_nothing(settings: Settings, replayed: Lake) -> None:
    run(settings, "promote")
    tables = {name: replayed.table(name).version() for name in ("science", "rejected", "healed", "ledger")}
    assert run(settings, "promote")["ok"]
    assert {name: replayed.table(name).version() for name in tables} == tables


def test_an_archived_night_follows_and_a_held_one_is_judged_again(
    settings: Settings, replayed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def load(place: str) -> Callable[[Any], Verdict]:
        name = place.partition(":")[2]
        if name not in AFTER_PROMOTION:
            return original(place)

        def stage(context: Any) -> Verdict:
            ran.append(name)
            return Verdict(True, name, {}, "archived" if name == "publish" else "")

        return stage

    original = stages._load
    monkeypatch.setattr(stages, "_load", load)
    set_state(replayed, NIGHT, "archived", "publish", "done", NOW)
    assert run(settings, "promote")["ok"]
    assert ran == list(AFTER_PROMOTION)
    ran.clear()
    replay_night(settings, "ztf", NIGHT, now=NOW)
    set_state(replayed, NIGHT, "held", "validate", "odd", NOW)
    assert run(settings, "promote")["ok"]
    assert ran == list(AFTER_PROMOTION)
    state = night_state(replayed, NIGHT)
    assert state is not None and state.state == "archived"


PLACES = ["promote_before_switch", "promote_in_switch", "promote_after_switch", "promote_after_rejected",
          "promote_before_sent"]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_promotion_that_is_killed_is_ended_by_the_next_call(
    settings: Settings, replayed: Lake, place: str, sent: list[int]
) -> None:
    version, before = replayed.table("science").version(), content_of(replayed, "science", NIGHT)
    with dying_at(place), pytest.raises(Killed):
        run(settings, "promote")
    switched = place not in PLACES[:2]
    assert replayed.table("science").version() == version + switched
    assert (content_of(replayed, "science", NIGHT) == before) is not switched
    refused = run(settings, "compact")
    assert not refused["ok"] and "fink replay promote" in refused["message"]
    assert run(settings, "promote")["ok"]
    assert replayed.table("science").version() == version + 1
    assert classes(replayed) == {"Unknown": 18}
    assert replayed.read("healed", [NIGHT]).num_rows == len(LABELLED)
    assert sent == [1]
    assert closes(settings)["closed"]
    books = replayed.read("ledger", [NIGHT]).to_pylist()
    assert [row["batch"] for row in books if row["stage"] == "replay"] == [f"replay-{NIGHT}-1"]


def test_late_alerts_stay_whenever_they_come(
    settings: Settings, replayed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # after the comparison: made by the replay's versions like the rest
    early = raw_rows(replayed, [31, 40], first_offset=30)
    replayed.append("raw", early)
    stream(replayed, early, runner())
    # in the middle of the switch, between the look at the table and the commit: as the stream made it
    last = raw_rows(replayed, [32, 33, 11], first_offset=40)
    replayed.append("raw", last)
    calls: list[int] = []
    original = switch._files

    def look(delta: Any, night: str) -> Any:
        found = original(delta, night)
        if not calls and "science" in str(delta.table_uri):
            calls.append(1)
            stream(replayed, last, runner(), duplicates=())
        return found

    monkeypatch.setattr(switch, "_files", look)
    verdict = run(settings, "promote")
    assert verdict["ok"] and calls
    rows = {row["candid"]: row["finkclass"] for row in replayed.read("science", [NIGHT]).to_pylist()}
    assert (rows[31], rows[32], rows[33]) == ("Unknown", "QSO", "QSO")
    assert len(rows) == replayed.count("science", NIGHT) == 18 + 1 + 2
    rejected = replayed.read("rejected", [NIGHT]).to_pylist()
    assert sorted((row["alert_id"], row["reason"]) for row in rejected) == [
        (3, "duplicate"), (10, "nbad"), (11, "duplicate"), (20, "nbad"), (40, "nbad"),
    ]  # fmt: skip
    assert closes(settings)["closed"], closes(settings)["sentence"]


def test_a_changed_cut_moves_alerts_and_the_equation_still_closes(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(lake.survey), "quality_cuts", (("faint", "candidate.magpsf < 19.85"),))
    lake.append("sent", conform(pa.table({"alert_id": [19], "filter": ["faint"], "topic": ["fink_faint_ztf"], "night":
                [NIGHT], "batch": [""], "partition": [0], "offset": [0]}), lake.schema("sent")))  # fmt: skip
    replay_night(settings, "ztf", NIGHT, now=NOW)
    assert run(settings, "promote")["ok"]
    ids = lake.read("science", [NIGHT], ["candid"]).column("candid").to_pylist()
    assert sorted(ids) == list(range(1, 19))
    assert closes(settings)["closed"], closes(settings)["sentence"]
    healed = {row["alert_id"]: row["modules"] for row in lake.read("healed", [NIGHT]).to_pylist()}
    assert healed == {10: ["quality_cuts"], 19: ["withdrawn"]}
    books = lake.read("ledger", [NIGHT]).to_pylist()
    assert [(row["received"], row["produced"]) for row in books if row["stage"] == "replay"] == [(1, 18)]


def test_each_promotion_has_a_number_of_its_own_though_nothing_changes(
    settings: Settings, replayed: Lake, science: Callable[..., None]
) -> None:
    numbers = []
    for label in ("Unknown", "Unknown", "QSO"):
        science(label=label, label_version="2")
        replay_night(settings, "ztf", NIGHT, now=NOW)
        numbers.append(run(settings, "promote")["generation"])
    assert numbers == [1, 2, 3]
    assert classes(replayed) == {"QSO": 9, "Unknown": 9}


def test_a_night_that_was_healed_since_is_replayed_again_first(settings: Settings, replayed: Lake) -> None:
    row = replayed.read("science", ["20240401"])  # no rows: only the number counts
    files = replayed.write_files("science", replayed.read("science", [NIGHT]).slice(0, 1))
    assert row.num_rows == 0
    replayed.commit("science", files, writer_of(replayed, NIGHT), 1)
    verdict = run(settings, "promote")
    assert not verdict["ok"] and "was healed since" in verdict["message"]
    assert state_of(settings) == "compared"


def test_a_discarded_replay_leaves_no_trace(settings: Settings, replayed: Lake) -> None:
    before = {name: replayed.table(name).version() for name in ("science", "rejected", "healed", "nights")}
    assert run(settings, "discard")["ok"]
    assert {name: replayed.table(name).version() for name in before} == before
    assert not list((settings.home / "lake" / "replay").glob("*"))
    assert not run(settings, "promote")["ok"]
    assert run(settings, "discard")["ok"]


@pytest.mark.parametrize("state", ["archived", "held", "failed"])
@pytest.mark.parametrize("place", ["promote_before_record", "promote_before_switch"])
def test_a_night_whose_promotion_died_is_as_it_was_when_its_replay_is_discarded(
    settings: Settings, replayed: Lake, state: str, place: str
) -> None:
    set_state(replayed, NIGHT, state, "validate", "the reason", NOW, by="ann")
    with dying_at(place), pytest.raises(Killed):
        run(settings, "promote")
    closed = night_state(replayed, NIGHT)
    assert closed is not None and closed.state == "closed"
    assert run(settings, "discard")["ok"]
    present = night_state(replayed, NIGHT)
    assert present is not None
    assert (present.state, present.stage, present.by, present.reason) == (state, "validate", "ann", "the reason")


def test_a_night_that_is_switched_cannot_be_discarded(settings: Settings, replayed: Lake) -> None:
    with dying_at("promote_after_switch"), pytest.raises(Killed):
        run(settings, "promote")
    verdict = run(settings, "discard")
    assert not verdict["ok"] and "switched already" in verdict["message"]


def test_a_live_night_takes_no_replay(settings: Settings, replayed: Lake) -> None:
    set_state(replayed, NIGHT, "closing", "close_night", "a late alert", NOW)
    verdict = run(settings, "promote")
    assert not verdict["ok"] and "is closing" in verdict["message"]


def test_the_ledger_row_says_by_what_the_night_was_made(settings: Settings, replayed: Lake) -> None:
    run(settings, "promote")
    (row,) = [row for row in replayed.read("ledger", [NIGHT]).to_pylist() if row["stage"] == "replay"]
    assert json.loads(row["details"])["versions"]["simbad"] == "2"
