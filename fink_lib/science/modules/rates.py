"""Straight lines through light curves: how fast a source fades, how fast it rose, how straight its r light curve is.

``kn_rate`` serves the search for kilonovae, which fade by more than 0.3 mag/d (Andreoni et al. 2021, ApJ 918, 63);
``rise_rate`` that for fast transients; ``r_linfit_r2`` that for young stars with long-lasting trends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.history import History
from fink_lib.science.photometry import apparent_magnitude, difference_sign
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FAINTEST_MAG = 21.0
"""Apparent magnitudes at or beyond this do not take part in ``kn_rate``: the survey hardly sees them."""

SHORTEST_SPAN_D = 0.5
"""``kn_rate`` needs points over more than this."""

SHORTEST_GAP_D = 0.02
"""Between points closer than this a slope is noise."""

FASTEST_RISE_MAG_PER_D = 6.0
"""``rise_rate`` stops here, so that one bad point does not dwarf all others."""

LEAST_POINTS = 5
"""``r_linfit_r2`` needs so many: a line through fewer is straight by chance."""

R_BAND = 2


class FadeRate(ScienceModule):
    """Slope (mag/d, positive when fading) of the weighted line through apparent magnitudes of the alert's band."""

    declaration = Declaration(
        name="kn_rate",
        version="1",
        inputs=(
            "candidate.fid",
            *(f"history.{name}" for name in ("magpsf", "sigmapsf", "magnr", "sigmagnr", "isdiffpos")),
        ),
        outputs=pa.schema([("kn_rate", pa.float64())]),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Fit; ``not_applicable`` without two points brighter than 21 mag and more than half a day apart."""
        history = columns.history
        own_band = columns.ints("candidate.fid")
        points = history.where(history.valid & history.winner & (history.band == own_band[history.alert]))
        magnitude, error = apparent_magnitude(
            points.values("magpsf"),
            points.values("sigmapsf"),
            points.values("magnr"),
            points.values("sigmagnr"),
            difference_sign(points.arrow("isdiffpos")),
        )
        kept = (magnitude < FAINTEST_MAG) & np.isfinite(error) & (error > 0)
        points = points.where(kept)
        rate = slopes(points, magnitude[kept], error[kept] ** -2)
        rate[spans(points) <= SHORTEST_SPAN_D] = np.nan
        return _result("kn_rate", rate)


class RiseRate(ScienceModule):
    """Fastest brightening (mag/d) between neighbouring points of one band at least 0.02 d apart; 0 if there is none."""

    declaration = Declaration(
        name="rise_rate",
        version="1",
        inputs=("history.magpsf",),
        outputs=pa.schema([("rise_rate", pa.float64())]),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Look at all neighbours; every alert has a value."""
        history = columns.history
        points = history.where(history.valid & history.winner)
        magnitude = points.values("magpsf")
        order = np.lexsort((points.time, points.band, points.alert))
        alert, band, time, mag = (
            values[order] for values in (points.alert, points.band.astype(np.int64), points.time, magnitude)
        )
        gap = np.diff(time)
        pair = (np.diff(alert) == 0) & (np.diff(band) == 0) & (gap >= SHORTEST_GAP_D)
        rate = np.zeros(len(columns))
        np.maximum.at(rate, alert[1:][pair], -np.diff(mag)[pair] / gap[pair])
        return _result("rise_rate", np.minimum(rate, FASTEST_RISE_MAG_PER_D))


class Straightness(ScienceModule):
    """Share of the scatter of the r difference magnitudes that a straight line in time explains (R²)."""

    declaration = Declaration(
        name="r_linfit_r2",
        version="1",
        inputs=("history.magpsf",),
        outputs=pa.schema([("r_linfit_r2", pa.float64())]),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Fit; ``not_applicable`` with fewer than five r points or without any scatter."""
        history = columns.history
        points = history.where(history.valid & history.winner & (history.band == R_BAND))
        magnitude = points.values("magpsf")
        time, mag = centred(points, points.time), centred(points, magnitude)
        sums = [_sum(points, product) for product in (time * time, time * mag, mag * mag)]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = sums[1] ** 2 / (sums[0] * sums[2])
        share[points.lengths < LEAST_POINTS] = np.nan
        return _result("r_linfit_r2", np.minimum(share, 1.0))


def _sum(points: History, values: Floats) -> Floats:
    """Sum over each alert's points, one after the other, so that the sum does not depend on the other alerts."""
    sums: Floats = np.bincount(points.alert, weights=values, minlength=len(points.offsets) - 1).astype(np.float64)
    return sums


def centred(points: History, values: Floats, weight: Floats | None = None) -> Floats:
    """Subtract each alert's (weighted) mean.

    Parameters
    ----------
    points : History
        Light curves.
    values, weight : ndarray, shape (points,)
        One value per point; equal weights if none are given.
    """
    weight = np.ones(len(values)) if weight is None else weight
    # A Julian date is 10^7 times a light curve: only differences keep their digits.
    first = points.offsets[:-1][points.alert]
    shifted = values - values[first]
    with np.errstate(invalid="ignore"):
        mean = _sum(points, weight * shifted) / _sum(points, weight)
    return shifted - mean[points.alert]


def slopes(points: History, magnitude: Floats, weight: Floats) -> Floats:
    """Give the slope of the weighted least-squares line through each light curve (mag/d).

    Parameters
    ----------
    points : History
        Light curves.
    magnitude, weight : ndarray, shape (points,)
        Magnitudes and their inverse variances.

    Returns
    -------
    ndarray, shape (alerts,)
        NaN with fewer than two points.
    """
    time = centred(points, points.time, weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope: Floats = _sum(points, weight * time * magnitude) / _sum(points, weight * time * time)
    slope[points.lengths < 2] = np.nan
    return slope


def spans(points: History) -> Floats:
    """Give the time from the first to the last point of each light curve (d); 0 without points."""
    span = np.zeros(len(points.offsets) - 1)
    some = points.lengths > 0
    span[some] = points.time[points.offsets[1:][some] - 1] - points.time[points.offsets[:-1][some]]
    return span


def _result(column: str, values: Floats) -> ModuleResult:
    status = statuses(len(values))
    status[~np.isfinite(values)] = Status.NOT_APPLICABLE
    return ModuleResult({column: values}, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the three modules."""
    return [FadeRate(), RiseRate(), Straightness()] if survey.name == "ztf" else []
