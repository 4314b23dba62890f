"""What each live filter takes, written down a second time and in another language."""

from __future__ import annotations

import csv
import math
import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

TYPES = Path(__file__).parents[2] / "fink_lib" / "science" / "data" / "simbad_types.csv"


@cache
def spellings() -> dict[str, tuple[str, bool]]:
    """Give code and membership in the set EG by every spelling of a SIMBAD type."""
    found = {}
    with TYPES.open(newline="") as file:
        for row in csv.DictReader(file):
            for name in (row["code"], row["old_label"], row["new_label"], *row["aliases"].split(";")):
                found[name] = (row["code"], row["extragalactic"] == "1")
    found.pop("", None)
    return found


class Seen:
    """One row of ``science``; whatever is missing or no number is None."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def __call__(self, path: str) -> Any:
        value: Any = self._row
        for name in path.split("."):
            value = dict(value).get(name) if value is not None else None
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def _limit(self, path: str, limit: float) -> float:
        """Give a limit as the engine compares with it: in the precision of the column."""
        single = struct.unpack("f", struct.pack("f", self(path)))[0] == self(path)
        return struct.unpack("f", struct.pack("f", limit))[0] if single else limit

    def between(self, path: str, low: float, high: float = math.inf) -> bool:
        """Tell whether a value is there and within closed limits."""
        value = self(path)
        return value is not None and self._limit(path, low) <= value <= self._limit(path, high)

    def above(self, path: str, limit: float) -> bool:
        """Tell whether a value is there and larger."""
        value = self(path)
        return value is not None and value > self._limit(path, limit)

    def below(self, path: str, limit: float) -> bool:
        """Tell whether a value is there and smaller."""
        value = self(path)
        return value is not None and value < self._limit(path, limit)

    def away(self, path: str, limit: float) -> bool:
        """Tell whether a value is there and farther from zero."""
        value = self(path)
        return value is not None and abs(value) > self._limit(path, limit)

    def roid_not(self, *others: int) -> bool:
        """Tell whether the Solar System module said something else."""
        return self("roid") is not None and self("roid") not in others

    @property
    def age(self) -> float:
        """Days since the first detection; infinite if unknown."""
        now, start = self("candidate.jd"), self("candidate.jdstarthist")
        return math.inf if now is None or start is None else now - start

    @property
    def empty(self) -> bool:
        """SIMBAD was asked and has nothing."""
        return bool(self("fink_status.simbad") == "no_match")

    def kind(self, *codes: str) -> bool:
        """Tell whether SIMBAD's object is of one of some types."""
        known = spellings().get(self("cdsxmatch") or "", ("", False))
        return self("fink_status.simbad") == "ok" and known[0] in codes

    @property
    def eg(self) -> bool:
        """Whether it may be outside our Galaxy."""
        known = spellings().get(self("cdsxmatch") or "", ("", False))
        return self.empty or (self("fink_status.simbad") == "ok" and known[1])

    @property
    def good(self) -> bool:
        """Whether it looks like a real point source."""
        return self.above("candidate.drb", 0.5) and self.above("candidate.classtar", 0.4)

    @property
    def positive(self) -> bool:
        """Whether it became brighter."""
        return self("candidate.isdiffpos") in ("t", "1")

    @property
    def supernova(self) -> bool:
        """Whether the recurrent network calls it a supernova."""
        return self.above("snn_snia_vs_nonia", 0.5) or self.above("snn_sn_vs_all", 0.5)

    @property
    def hostless(self) -> bool:
        """Whether nothing is catalogued there, and the stamps show no host."""
        distance = self("candidate.distnr")
        return (
            (distance is None or distance < 0 or distance > 1.5)
            and self.empty
            and self("fink_status.gaia") == "no_match"
            and self.roid_not(3)
            and self.between("elephant_kstest_science", 0, 0.5)
            and self.between("elephant_kstest_template", 0, 0.85)
        )

    def earlier(self) -> list[tuple[float, bool]]:
        """Give time and validity of earlier entries, latest first, each time once."""
        found: dict[float, bool] = {}
        now = self("candidate.jd")
        for entry in self("prv_candidates") or ():
            time, magnitude = entry["jd"], entry["magpsf"]
            if time is not None and now is not None and time < now:
                found.setdefault(time, magnitude is not None and math.isfinite(magnitude))
        return sorted(found.items(), reverse=True)

    @property
    def detected_twice_tonight(self) -> bool:
        """Whether the last two entries are detections of one night."""
        before = self.earlier()
        return bool(before) and before[0][1] and self("candidate.jd") - before[0][0] < 0.5

    @property
    def detected_again(self) -> bool:
        """Whether two detections of one night came before this one, which is of another."""
        before = self.earlier()
        if len(before) < 2 or not (before[0][1] and before[1][1]):
            return False
        return self("candidate.jd") - before[0][0] > 0.5 and before[0][0] - before[1][0] < 0.5


def _early_kilonova(a: Seen) -> bool:
    return (
        a.good
        and a.age < 0.25
        and a.eg
        and a.roid_not(3)
        and a("kn_host.lum_dist") is not None
        and a("star_near") is False
        and a.away("gal_lat", 10)
        and a.away("ecl_lat", 10)
    )


def _fast_fading(a: Seen) -> bool:
    return (
        a.above("candidate.drb", 0.9)
        and a.above("candidate.classtar", 0.4)
        and a.age < 5
        and a.below("candidate.ndethist", 20)
        and a.positive
        and (a.above("candidate.ssdistnr", 10) or a.below("candidate.ssdistnr", 0))
        and a.away("gal_lat", 10)
        and a.eg
        and a.above("kn_rate", 0.3)
        and a("star_near") is False
    )


_TAKES: dict[str, Callable[[Seen], bool]] = {
    "blazar": lambda a: a.kind("Bla", "Bz?", "BLL", "BL?"),
    "early_kn_candidates": _early_kilonova,
    "early_sn_candidates": lambda a: (
        a.supernova and a.eg and a.good and a.above("rf_snia_vs_nonia", 0.5) and a.below("candidate.ndethist", 21)
    ),
    "fast_riser_candidates": lambda a: (
        a.eg and a.roid_not(2, 3) and a.above("candidate.drb", 0.5) and a.age <= 60 and a.between("rise_rate", 0.25)
    ),
    "first_pass_candidates": lambda a: a("roid") == 1,
    "inter_night_hostless": lambda a: a.hostless and a("candidate.ndethist") == 3 and a.detected_again,
    "intra_night_hostless": lambda a: a.hostless and a("candidate.ndethist") == 2 and a.detected_twice_tonight,
    "kn_candidates": lambda a: (
        a.above("rf_kn_vs_nonkn", 0.5)
        and a.good
        and a.age < 5
        and a.below("candidate.ndethist", 20)
        and a.eg
        and a.roid_not(3)
    ),
    "magnetic_cvs": lambda a: a.positive and a("xm_lists.magnetic_cv") is not None,
    "microlensing_candidates": lambda a: a.above("mulens", 0),
    "new_hostless": lambda a: a.hostless and a("candidate.ndethist") == 1,
    "rate_based_kn_candidates": _fast_fading,
    "simbad_grav_candidates": lambda a: a.kind("grv", "Lev", "gLS", "gLe", "LeI", "LeG", "LeQ", "BH", "GWE"),
    "sn_candidates": lambda a: (
        a.supernova and a.eg and a.good and a.age <= 90 and a.above("candidate.ndethist", 1) and a.roid_not(3)
    ),
    "sso_fink_candidates": lambda a: a("roid") == 2,
    "sso_ztf_candidates": lambda a: a("roid") == 3,
    "tns_match": lambda a: a("tns") is not None and a.age <= 30,
    "unknowns": lambda a: a("finkclass") == "Unknown" and a.empty,
    "vra": lambda a: a.empty and a.roid_not(3) and a.above("candidate.magpsf", 19.5) and a.above("candidate.drb", 0.5),
    "yso_candidates": lambda a: a.kind("Y*?", "TT?") or a("cdsxmatch") == "TTau*_Candidate",
    "yso_spicy_candidates": lambda a: (
        a("spicy_class") is not None and a.away("lc_features_r.linear_fit_slope", 0.025) and a.above("r_linfit_r2", 0.6)
    ),
}

FILTERS: dict[str, Callable[[Row], bool]] = {
    name: (lambda row, takes=takes: takes(Seen(row))) for name, takes in _TAKES.items()
}
"""By name: whether the filter takes a row of ``science``."""
