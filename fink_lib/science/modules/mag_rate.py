"""How fast an alert's magnitude changes since the last time its place was seen in the same band, and how surely.

The rate is a Monte Carlo over the errors of both fluxes, as in the Fink broker (Möller et al. 2021, MNRAS 501, 3272);
where nothing was seen the earlier flux is anything below the limit. Brightening is negative (mag/d).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.draws import generator
from fink_lib.science.history import History
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Draws = npt.NDArray[np.float32]

NAME = "mag_rate"
DRAWS = 10_000
FEWEST_DRAWS = DRAWS // 2
"""With fewer pairs of positive fluxes the rate says nothing."""

TAIL = 0.05
"""``lower_rate`` and ``upper_rate`` leave this share of the draws outside, each."""

I_BAND = 3
POGSON = 2.5 / np.log(10.0)


class FirstDetection(ScienceModule):
    """When the light curve's first valid point was, and how long after the survey's own first detection."""

    declaration = Declaration(
        name="first_detection",
        version="1",
        inputs=("candidate.jdstarthist", "history.magpsf"),
        outputs=pa.schema([("jd_first_real_det", pa.float64()), ("jdstarthist_dt", pa.float64())]),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Take the earliest valid point of any band; ``not_applicable`` without one."""
        history = columns.history
        first = np.full(len(columns), np.nan)
        np.fmin.at(first, history.alert[history.valid], history.time[history.valid])
        after = first - columns.floats("candidate.jdstarthist")
        status = statuses(len(columns))
        status[~np.isfinite(after)] = Status.NOT_APPLICABLE
        return ModuleResult({"jd_first_real_det": first, "jdstarthist_dt": after}, status)


@dataclass(frozen=True)
class Pair:
    """The alert's own entry and the one before it in the same band.

    Parameters
    ----------
    own, previous : ndarray of int64
        Places in the light curves; -1 where there is none.
    delta_time_d : ndarray
        Time between them; NaN where there is no pair.
    """

    own: Ints
    previous: Ints
    delta_time_d: Floats


def find_pairs(history: History) -> Pair:
    """Find the last earlier entry, detection or limit, of each alert's band; entries in i are passed over.

    Parameters
    ----------
    history : History
        Light curves.
    """
    size = len(history.offsets) - 1
    own = np.full(size, -1, dtype=np.int64)
    places = np.flatnonzero(history.own)
    own[history.alert[places]] = places
    mine = own[history.alert]
    earlier = (
        (mine >= 0)
        & history.winner
        & (history.band == history.band[mine])
        & (history.band != I_BAND)
        & (history.time < history.time[mine])
    )
    previous = np.full(size, -1, dtype=np.int64)
    places = np.flatnonzero(earlier)
    np.maximum.at(previous, history.alert[places], places)
    found = previous >= 0
    delta = np.full(size, np.nan)
    delta[found] = history.time[own[found]] - history.time[previous[found]]
    return Pair(own, previous, delta)


class PreviousEntry(ScienceModule):
    """How long ago the alert's place was last observed in its band, and whether only a limit came of it."""

    declaration = Declaration(
        name="previous_entry",
        version="1",
        inputs=("history.magpsf",),
        outputs=pa.schema([("delta_time", pa.float64()), ("from_upper", pa.bool_())]),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Look back; ``not_applicable`` without an earlier entry of the band."""
        history = columns.history
        pair = find_pairs(history)
        found = pair.previous >= 0
        from_upper = np.zeros(len(columns), dtype=bool)
        from_upper[found] = ~history.valid[pair.previous[found]]
        status = statuses(len(columns))
        status[~found] = Status.NOT_APPLICABLE
        return ModuleResult({"delta_time": pair.delta_time_d, "from_upper": from_upper}, status)


class MagnitudeRate(ScienceModule):
    """Mean, standard deviation and 5 and 95 % of the rate, from 10,000 draws of both fluxes."""

    declaration = Declaration(
        name=NAME,
        version="1",
        inputs=("history.magpsf", "history.sigmapsf", "history.diffmaglim"),
        outputs=pa.schema([(name, pa.float64()) for name in ("mag_rate", "sigma_rate", "lower_rate", "upper_rate")]),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Draw; ``not_applicable`` without a pair, or where too few draws leave both fluxes positive."""
        history = columns.history
        pair = find_pairs(history)
        magnitude, error, limit = (history.values(name) for name in ("magpsf", "sigmapsf", "diffmaglim"))
        seen = history.valid
        known = np.where(seen, magnitude, limit)
        rates = np.full((4, len(columns)), np.nan)
        for row in np.flatnonzero(pair.previous >= 0):
            own, previous = pair.own[row], pair.previous[row]
            if not seen[own] or np.isnan(known[previous]):
                continue
            drawn = draw_log_ratios(
                int(columns.ids[row]), float(error[own]), float(error[previous]) if seen[previous] else None
            )
            if len(drawn) >= FEWEST_DRAWS:
                change = magnitude[own] - known[previous]
                rates[:, row] = _summary(change, drawn) / pair.delta_time_d[row]
        status = statuses(len(columns))
        status[~np.isfinite(rates).all(axis=0)] = Status.NOT_APPLICABLE
        return ModuleResult(dict(zip(self.declaration.outputs.names, rates, strict=True)), status)


def draw_log_ratios(alert_id: int, error_mag: float, previous_error_mag: float | None) -> Draws:
    """Draw ln(F / F_prev), each flux in units of its measured value or of its limit.

    A flux with error sigma_m in magnitudes is F (1 + sigma_m ln(10) / 2.5 z) with a normal z. Both z come from one pair
    of uniform numbers (Box & Muller 1958, Ann. Math. Stat. 29, 610), which costs a third of the ziggurat.

    Parameters
    ----------
    alert_id : int
        Seeds the draws.
    error_mag : float
        Error of the alert's magnitude.
    previous_error_mag : float, optional
        Error of the earlier magnitude; none for a limit, whose flux is uniform between 0 and the limit.

    Returns
    -------
    ndarray of float32
        Sorted; at most 10,000, without the pairs in which a flux is not positive.
    """
    random = generator(NAME, alert_id)
    radius = np.sqrt(-2 * np.log(1 - random.random(DRAWS, dtype=np.float32)))
    angle = np.float32(2 * np.pi) * random.random(DRAWS, dtype=np.float32)
    flux = 1 + np.float32(error_mag / POGSON) * radius * np.cos(angle)
    if previous_error_mag is None:
        previous = random.random(DRAWS, dtype=np.float32)
    else:
        previous = 1 + np.float32(previous_error_mag / POGSON) * radius * np.sin(angle)
    positive = (flux > 0) & (previous > 0)
    if not positive.all():
        flux, previous = flux[positive], previous[positive]
    drawn: Draws = np.log(flux / previous)
    drawn.sort()
    return drawn


def _summary(change_mag: float, drawn: Draws) -> Floats:
    """Give mean, standard deviation, 5 and 95 % of the change in magnitude, from sorted draws of ln(F / F_prev)."""
    exact = drawn.astype(np.float64)
    place = TAIL * (len(exact) - 1)
    below = int(place)
    share = place - below
    # Magnitudes run against fluxes: the lower tail of the change is the upper tail of the draws.
    low = exact[-1 - below] + share * (exact[-2 - below] - exact[-1 - below])
    high = exact[below] + share * (exact[below + 1] - exact[below])
    mean = exact.mean()
    exact -= mean
    deviation = np.sqrt(exact @ exact / len(exact))
    return np.array(
        [change_mag - POGSON * mean, POGSON * deviation, change_mag - POGSON * low, change_mag - POGSON * high]
    )


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the modules."""
    return [FirstDetection(), PreviousEntry(), MagnitudeRate()] if survey.name == "ztf" else []
