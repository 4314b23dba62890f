"""The pace of a run: what a message is due after is the first message, not the making of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import cast

from fink_lib.simulator.delivery import Delivery
from fink_lib.simulator.pace import parse_clock
from fink_lib.simulator.packets import Packet
from fink_lib.simulator.run import Plan, VisitReport, run
from fink_lib.surveys import get_survey

SLOW_S = 0.6


class Recorder:
    """Takes messages and notes how long it was told to wait, instead of waiting."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self.sent = 0

    def wait(self, seconds: float) -> None:
        self.waits_s.append(seconds)

    def send(self, topic: str, message: object) -> None:
        self.sent += 1

    def flush(self) -> None:
        """Nothing is held back."""

    def finish(self) -> bool:
        return True


def slow_packets(count: int) -> Iterator[Packet]:
    time.sleep(SLOW_S)  # as copies of thousands of alerts take
    for number in range(count):
        yield Packet(b"x", number, f"ZTF{number}", 2_460_000.5, "20230224")


def test_time_spent_on_making_packets_is_not_caught_up_with_a_burst() -> None:
    recorder, reports = Recorder(), []
    plan = Plan(parse_clock("flat:10", 1.0))
    assert run(slow_packets(5), get_survey("ztf"), plan, cast(Delivery, recorder), reports.append)
    assert recorder.sent == 5
    told: VisitReport = reports[0]
    assert told.late_s < SLOW_S / 2
    assert max(recorder.waits_s) > 0.4 - SLOW_S / 2  # the fifth is due 0.4 s after the first
