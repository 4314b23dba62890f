"""Make many alerts of few: copies with new ids and names, shifted in time and place, their history with them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from fink_lib.simulator.packets import Packet
from fink_lib.simulator.rewrite import rewrite

SECONDS_APART = 40.0
POSITIONS_APART_DEG = 0.02
_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NAME_LETTERS = 7
_MOVED = ("jd", "jdstarthist", "jdendhist")


@dataclass(frozen=True)
class Copy:
    """One copy of every alert of a run.

    Parameters
    ----------
    number : int
        0 is the alert itself: same id, name and place.
    night : str, optional
        Night to which every alert is moved, by whole days; its own if empty.
    """

    number: int
    night: str = ""

    @property
    def exact(self) -> bool:
        """Tell whether the bytes stay as they are."""
        return self.number == 0 and not self.night

    def days(self, packet: Packet) -> float:
        """Give the shift in time of an alert, in days."""
        whole = _day(self.night) - _day(packet.night) if self.night else 0
        later = self.number * SECONDS_APART / 86400.0
        days_over = math.floor((packet.time + 0.5) % 1.0 + later)  # a copy stays in the night of its alert
        return whole + later - days_over

    def apply(self, packet: Packet) -> Packet:
        """Give the copy of an alert; a packet that cannot be read is its own copy."""
        if self.exact or packet.alert_id is None:
            return packet
        shift = self.days(packet)

        def edit(record: dict[str, Any]) -> None:
            record["candid"] = self.alert_id(record["candid"])
            record["objectId"] = self.object_id(record["objectId"])
            for entry in (record["candidate"], *(record.get("prv_candidates") or ()), *(record.get("fp_hists") or ())):
                self._move(entry, shift)

        return Packet(
            rewrite(packet.value, edit),
            self.alert_id(packet.alert_id),
            self.object_id(packet.object_id),
            packet.time + shift,
            self.night or packet.night,
        )

    def alert_id(self, alert_id: int) -> int:
        """Give the id of a copy: 18 digits that depend on the id and the copy only."""
        if self.number == 0:
            return alert_id
        return 10**17 + int(_digest(alert_id, self.number), 16) % (9 * 10**17)

    def object_id(self, name: str) -> str:
        """Give the name of a copied object: the same year, other letters."""
        if self.number == 0:
            return name
        number = int(_digest(name, self.number), 16)
        letters = []
        for _ in range(_NAME_LETTERS):
            number, letter = divmod(number, len(_LETTERS))
            letters.append(_LETTERS[letter])
        return name[:5] + "".join(letters)

    def _move(self, entry: dict[str, Any], shift: float) -> None:
        for name in _MOVED:
            if entry.get(name) is not None:
                entry[name] += shift
        if self.number == 0:
            return
        if entry.get("candid") is not None:
            entry["candid"] = self.alert_id(entry["candid"])
        for ra_name, dec_name in (("ra", "dec"), ("ranr", "decnr")):
            if entry.get(ra_name) is not None and -90.0 <= entry[dec_name] <= 90.0:
                entry[ra_name], entry[dec_name] = self._place(entry[ra_name], entry[dec_name])

    def _place(self, ra: float, dec: float) -> tuple[float, float]:
        """Move a position along a spiral; close positions stay close, so that a history still belongs together."""
        radius = POSITIONS_APART_DEG * math.sqrt(self.number)
        angle = self.number * _GOLDEN_ANGLE
        moved = max(-89.0, min(89.0, dec + radius * math.sin(angle)))
        return (ra + radius * math.cos(angle) / math.cos(math.radians(max(-89.0, min(89.0, dec))))) % 360.0, moved


def copies(packets: Iterable[Packet], count: int, night: str, first: int = 0) -> Iterator[Packet]:
    """Give `count` copies of each packet, numbered from `first`."""
    wanted = [Copy(first + number, night) for number in range(count)]
    for packet in packets:
        for copy in wanted if packet.alert_id is not None else wanted[:1]:
            yield copy.apply(packet)


def _day(night: str) -> int:
    return date(int(night[:4]), int(night[4:6]), int(night[6:8])).toordinal()


def _digest(name: object, number: int) -> str:
    return hashlib.sha256(f"{name}:{number}".encode()).hexdigest()
