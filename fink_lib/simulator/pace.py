"""When each visit is due."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from fink_lib.errors import ConfigError
from fink_lib.simulator.packets import Packet

_CLOCK = re.compile(r"(?P<kind>replay|visit|flat|max)(?::x?(?P<amount>[0-9.]+))?")


@dataclass(frozen=True)
class Clock:
    """How the run is spread over time.

    Parameters
    ----------
    kind : str
        ``replay``: by the alerts' own times; ``visit``: one visit each `interval_s`; ``flat``: so many alerts per
        second; ``max``: as fast as they go.
    amount : float
        Speed-up of ``replay``, alerts per second of ``flat``.
    interval_s : float
        Seconds between visits of ``visit``.
    """

    kind: str
    amount: float = 1.0
    interval_s: float = 1.0

    def due_s(self, visit: int, days: float, sent: int) -> float:
        """Give when a message is due, in seconds after the start.

        Parameters
        ----------
        visit : int
            Number of its visit, from 0.
        days : float
            Its own time after that of the first visit; NaN if it has none.
        sent : int
            Messages before it.
        """
        match self.kind:
            case "replay":
                return days * 86400.0 / self.amount if math.isfinite(days) else 0.0
            case "visit":
                return visit * self.interval_s
            case "flat":
                return sent / self.amount
        return 0.0


def parse_clock(text: str, interval_s: float) -> Clock:
    """Read ``replay[:xSPEED]``, ``visit``, ``flat:RATE`` or ``max``.

    Raises
    ------
    ConfigError
        If the text is none of these.
    """
    found = _CLOCK.fullmatch(text)
    amounts = {"flat": (True,), "replay": (False, True)}
    if found is None or bool(found["amount"]) not in amounts.get(found["kind"], (False,)):
        raise ConfigError(f"clock {text!r} is not known; use replay, replay:xSPEED, visit, flat:RATE or max")
    try:
        amount = float(found["amount"] or 1.0)
    except ValueError:
        amount = 0.0
    if amount <= 0.0:
        raise ConfigError(f"clock {text!r} needs a number above 0")
    return Clock(found["kind"], amount, interval_s)


def group_visits(packets: Iterable[Packet], per_visit: int | None, visits: int | None) -> Iterator[list[Packet]]:
    """Group packets, which come in order of time, into visits.

    Parameters
    ----------
    packets : iterable of Packet
        In order of time.
    per_visit : int, optional
        Packets per visit; by default those of one time are one visit.
    visits : int, optional
        Visits to give; all by default.
    """
    groups = _by_time(packets) if per_visit is None else _chunks(packets, per_visit)
    return islice(groups, visits)


def _by_time(packets: Iterable[Packet]) -> Iterator[list[Packet]]:
    for _, group in groupby(packets, key=lambda packet: packet.time):
        yield list(group)


def _chunks(packets: Iterable[Packet], size: int) -> Iterator[list[Packet]]:
    source = iter(packets)
    while chunk := list(islice(source, size)):
        yield chunk
