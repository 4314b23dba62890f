"""When and how deep the survey looks at a place: drawn from tables that were measured on real alerts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TABLES = Path(__file__).parent / "data" / "ztf_observing.json"
"""Written by :mod:`fink_lib.science.models.simulation.measure`."""

FIDS = {"g": 1, "r": 2}
NIGHT_START_D = 0.60
"""Fraction of the Julian date at which observing begins (02:24 UT); a night at Palomar is one UT date."""

NIGHT_LENGTH_D = 0.30


@dataclass(frozen=True)
class Exposures:
    """Exposures of many places, in order of time; shorter rows end in NaN.

    Parameters
    ----------
    time_d : ndarray, shape (places, exposures)
        Days since the beginning of the window.
    band : ndarray of int64
        1 g, 2 r; 0 where there is no exposure.
    depth_mag : ndarray
        Five-sigma limiting magnitude.
    """

    time_d: Floats
    band: Ints
    depth_mag: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Places and exposures."""
        return self.time_d.shape[0], self.time_d.shape[1]


@cache
def tables() -> dict[str, Any]:
    """Give the measured tables."""
    found: dict[str, Any] = json.loads(TABLES.read_text())
    return found


def draw_exposures(rng: np.random.Generator, places: int, span_d: float) -> Exposures:
    """Draw when and how deep some places are observed.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all draws.
    places : int
        How many.
    span_d : float
        Length of the window (days).
    """
    table = tables()
    gaps = rng.choice(table["night_gap_d"]["days"], (places, int(span_d)), p=_shares(table["night_gap_d"]["share"]))
    night = np.cumsum(gaps, axis=1).astype(np.float64)
    night = night[:, : int((night < span_d).sum(axis=1).max())]

    patterns = table["patterns"]
    longest = max(map(len, patterns))
    visits = np.array([[FIDS[name] for name in one] + [0] * (longest - len(one)) for one in patterns], np.int64)
    band = visits[rng.choice(len(patterns), night.shape, p=_shares(patterns.values()))]
    gap = np.interp(rng.random(band.shape), table["quantile"], table["visit_gap_d"])
    start = NIGHT_START_D + NIGHT_LENGTH_D * rng.random(night.shape)
    time = night[:, :, None] + start[:, :, None] + np.cumsum(gap, axis=2) - gap[:, :, :1]
    # what would fall into the morning is not observed
    time[(band == 0) | (time - night[:, :, None] > NIGHT_START_D + NIGHT_LENGTH_D + 0.06)] = np.nan
    time[night >= span_d] = np.nan
    depth = _depths(rng, band)

    flat = time.reshape(places, -1)
    order = np.argsort(flat, axis=1, kind="stable")[:, : int((~np.isnan(flat)).sum(axis=1).max())]
    time, band, depth = (np.take_along_axis(one.reshape(places, -1), order, axis=1) for one in (time, band, depth))
    return Exposures(time, np.where(np.isnan(time), 0, band), depth)


def _depths(rng: np.random.Generator, band: Ints) -> Floats:
    """Draw limiting magnitudes that follow each other as they do in the real survey, within and between nights."""
    table, level = tables()["depth"], tables()["quantile"]
    places, nights, visits = band.shape
    common, kept = np.sqrt(table["within_night"]), table["between_nights"] / table["within_night"]
    draws = rng.standard_normal((places, nights))
    sky = np.empty_like(draws)
    sky[:, 0] = draws[:, 0]
    for place in range(1, nights):
        sky[:, place] = kept * sky[:, place - 1] + np.sqrt(1.0 - kept**2) * draws[:, place]
    own = np.sqrt(1.0 - common**2) * rng.standard_normal((places, nights, visits))
    rank = ndtr(common * sky[:, :, None] + own)
    depth: Floats = np.where(band == FIDS["g"], np.interp(rank, level, table["g"]), np.interp(rank, level, table["r"]))
    return depth


def noise(above_limit_mag: Floats, band: Ints) -> tuple[Floats, Floats]:
    """Give how much larger the error is than that of the background alone, and the scatter of its logarithm.

    Parameters
    ----------
    above_limit_mag : ndarray
        Limiting magnitude minus magnitude.
    band : ndarray of int64
        1 g, 2 r.
    """
    table = tables()["noise"]
    at = table["above_limit_mag"]
    by_band = {name: (np.log(table[name]["ratio"]), table[name]["scatter"]) for name in FIDS}
    ratio, scatter = (
        np.where(
            band == FIDS["g"],
            np.interp(above_limit_mag, at, by_band["g"][which]),
            np.interp(above_limit_mag, at, by_band["r"][which]),
        )
        for which in (0, 1)
    )
    return np.exp(ratio), scatter


def _shares(values: Any) -> Floats:
    shares = np.array(list(values), np.float64)
    normalised: Floats = shares / shares.sum()
    return normalised
