"""Which finished nights have received alerts since they were closed."""

from __future__ import annotations

import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.runner import run_stage
from fink_lib.nightly.stage import NightContext, Verdict, keep_verdict
from tests.night_rows import NIGHT
from tests.unit.nightly.conftest import NOW, more_raw, quarantine_rows


def found(settings: Settings) -> list[dict[str, object]]:
    nights: list[dict[str, object]] = run_stage(settings, "ztf", NIGHT, "reopenable")["nights"]
    return nights


def close(context: NightContext, received: int) -> None:
    keep_verdict(context, "close_night", Verdict(True, "closed", {"received": received}))


def test_a_finished_night_as_it_was_closed_is_left_alone(
    small_night: Lake, settings: Settings, context: NightContext
) -> None:
    close(context, 14)
    set_state(small_night, NIGHT, "archived", "publish", "done", NOW)
    assert found(settings) == []


@pytest.mark.parametrize("table", ["raw", "quarantine"])
def test_one_more_message_of_either_kind_reopens_it(
    small_night: Lake, settings: Settings, context: NightContext, table: str
) -> None:
    close(context, 14)
    set_state(small_night, NIGHT, "archived", "publish", "done", NOW)
    late = more_raw(small_night, [50], [20]) if table == "raw" else quarantine_rows(small_night, [20])
    small_night.append(table, late)
    assert found(settings) == [{"night": NIGHT, "received": 15}]


@pytest.mark.parametrize("state", ["closing", "closed", "held", "failed", "abandoned"])
def test_a_night_that_somebody_looks_after_is_left_to_them(
    small_night: Lake, settings: Settings, context: NightContext, state: str
) -> None:
    close(context, 13)
    set_state(small_night, NIGHT, state, "validate", "as the test says", NOW)
    assert found(settings) == []


def test_a_night_without_data_that_gets_some_is_reopened(
    small_night: Lake, settings: Settings, context: NightContext
) -> None:
    close(context, 0)
    set_state(small_night, NIGHT, "empty", "close_night", "no data", NOW)
    assert found(settings) == [{"night": NIGHT, "received": 14}]
