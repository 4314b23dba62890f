"""Visits are due when the clock says."""

from __future__ import annotations

import math

import pytest

from fink_lib.errors import ConfigError
from fink_lib.simulator.pace import group_visits, parse_clock
from fink_lib.simulator.packets import Packet

MINUTE_DAYS = 1.0 / 1440.0


def packets(*times: float) -> list[Packet]:
    return [Packet(b"", number, "ZTF", time, "20240101") for number, time in enumerate(times)]


def test_packets_of_one_time_are_one_visit() -> None:
    visits = list(group_visits(packets(1.0, 1.0, 2.0, 3.0, 3.0), None, None))
    assert [len(visit) for visit in visits] == [2, 1, 2]


def test_the_size_and_the_number_of_visits_can_be_set() -> None:
    assert [len(visit) for visit in group_visits(packets(1, 2, 3, 4, 5), 2, None)] == [2, 2, 1]
    assert [len(visit) for visit in group_visits(packets(1, 2, 3, 4, 5), 2, 1)] == [2]


@pytest.mark.parametrize(
    ("text", "due_s"),
    [("max", 0.0), ("visit", 6.0), ("replay", 120.0), ("replay:x60", 2.0), ("replay:4", 30.0), ("flat:50", 2.0)],
)
def test_each_clock_has_its_own_due_time(text: str, due_s: float) -> None:
    clock = parse_clock(text, interval_s=2.0)
    assert clock.due_s(visit=3, days=2 * MINUTE_DAYS, sent=100) == pytest.approx(due_s)


def test_a_visit_without_a_time_of_its_own_is_due_at_once() -> None:
    assert parse_clock("replay", 1.0).due_s(3, math.nan, 10) == 0.0


@pytest.mark.parametrize(
    "text", ["", "fast", "flat", "flat:0", "replay:x0", "visit:x", "flat:1.2.3", "visit:5", "max:x2"]
)
def test_an_unknown_clock_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_clock(text, 1.0)
