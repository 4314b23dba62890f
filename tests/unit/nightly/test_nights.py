"""States of a night: which words, when they change, and which stage may run in which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fink_lib.errors import ConfigError
from fink_lib.nightly.nights import ORDER, STATES, check_night, end_of_night, list_nights, night_state, set_state
from fink_lib.nightly.stage import refusal
from tests.night_rows import NIGHT
from tests.unit.nightly.conftest import NOW, rejected_rows


def states(lake):
    rows = lake.read("nights", [NIGHT]).sort_by("time")
    return rows.column("state").to_pylist()


def test_a_transition_is_recorded_with_stage_person_and_reason(lake):
    assert set_state(lake, NIGHT, "held", "validate", "the night is odd", NOW, by="ada")
    state = night_state(lake, NIGHT)
    assert (state.state, state.stage, state.by, state.reason) == ("held", "validate", "ada", "the night is odd")
    assert state.time == NOW


def test_the_same_state_again_is_not_recorded(lake):
    assert set_state(lake, NIGHT, "live", "close_night", "", NOW)
    assert not set_state(lake, NIGHT, "live", "close_night", "again", NOW + timedelta(minutes=1))
    assert states(lake) == ["live"]


def test_the_last_transition_counts_even_if_the_clock_went_back(lake):
    set_state(lake, NIGHT, "closing", "close_night", "", NOW)
    set_state(lake, NIGHT, "closed", "close_night", "", NOW - timedelta(hours=1))
    assert night_state(lake, NIGHT).state == "closed"


def test_nights_do_not_meet(lake):
    set_state(lake, NIGHT, "closed", "close_night", "", NOW)
    assert night_state(lake, "20240313") is None


def test_an_unknown_word_is_refused(lake):
    with pytest.raises(ValueError, match="not a state"):
        set_state(lake, NIGHT, "done", "publish", "", NOW)


@pytest.mark.parametrize("night", ["2024031", "20241301", "today", "2024-03-12", "", "20240312x"])
def test_what_is_not_a_date_is_not_a_night(night):
    with pytest.raises(ConfigError, match="YYYYMMDD"):
        check_night(night)


def test_a_night_ends_when_no_survey_can_add_to_it():
    assert end_of_night("20240312") == datetime(2024, 3, 13, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "allowed"), [("live", False), ("closing", False), ("closed", True), ("archived", True)]
)
def test_stages_run_on_closed_and_archived_nights(lake, state, allowed):
    set_state(lake, NIGHT, state, "close_night", "", NOW)
    for stage in ORDER[1:]:
        refused = refusal(lake, NIGHT, stage)
        assert (refused is None) == allowed
        assert allowed or not refused.ok


def test_no_stage_runs_on_a_night_that_nobody_closed(lake):
    refused = refusal(lake, NIGHT, "archive")
    assert not refused.ok and "close_night" in refused.message


@pytest.mark.parametrize("state", ["failed", "held"])
@pytest.mark.parametrize("at", ORDER[1:])
def test_a_stuck_night_lets_the_stuck_stage_and_earlier_ones_run(lake, state, at):
    set_state(lake, NIGHT, state, at, "odd", NOW)
    ran = [stage for stage in ORDER if refusal(lake, NIGHT, stage) is None]
    assert ran == list(ORDER[: ORDER.index(at) + 1])


def test_an_empty_night_passes_every_stage_without_work(lake):
    set_state(lake, NIGHT, "empty", "close_night", "", NOW)
    assert refusal(lake, NIGHT, "archive").ok


def test_an_abandoned_night_stays_abandoned(lake):
    set_state(lake, NIGHT, "abandoned", "validate", "clouds", NOW, by="ada")
    refused = refusal(lake, NIGHT, "archive")
    assert not refused.ok and "ada: clouds" in refused.message


def test_every_state_has_a_rule(lake):
    for state in STATES:
        set_state(lake, NIGHT, state, "validate", "", NOW)
        assert refusal(lake, NIGHT, "close_night") is None  # a late alert may reopen any night


def test_the_list_of_nights_counts_rows_and_tells_states(small_night, settings):
    small_night.append("rejected", rejected_rows(small_night, [5], [50], ["duplicate"]).set_column(
        6, "night", [["20240310"]]
    ))  # fmt: skip
    set_state(small_night, NIGHT, "closed", "close_night", "all is in", NOW)
    newest, older = list_nights(settings, "ztf")
    assert newest == {
        "night": NIGHT, "state": "closed", "since": NOW.isoformat(), "reason": "all is in", "raw": 13, "cutouts": 0,
        "quarantine": 1, "science": 10, "rejected": 2, "duplicates": 1, "sent": 3,
    }  # fmt: skip
    assert (older["night"], older["state"], older["duplicates"], older["rejected"]) == ("20240310", "live", 1, 0)
