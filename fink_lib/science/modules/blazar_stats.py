"""Whether a blazar is in a low or a high state, judged by its own past.

Fluxes are standardised: apparent flux over the source's median flux in that band, so that g and r share one scale. A
state is a flux below or above a threshold that each source has of its own (table ``ctao_blazars``; the Fink broker's
follow-up for the Cherenkov Telescope Array Observatory).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.catalogs.tables import Table, TableHandle
from fink_lib.science.columns import Columns
from fink_lib.science.history import History
from fink_lib.science.photometry import JANSKY_OF_MAG_0, apparent_flux, difference_sign
from fink_lib.surveys.base import Survey
from fink_lib.surveys.ztf_columns import BLAZAR_KEYS

Floats = npt.NDArray[np.float64]

LOW_WINDOW_D = 30.0
HIGH_WINDOW_D = 5.0
"""How far back a state must have lasted, for the low and for the high one."""

BANDS = (1, 2)
"""g and r: columns ``median_g_jy`` and ``median_r_jy``."""


class BlazarStates(ScienceModule):
    """Compares the light curves of listed blazars with their thresholds; other objects are ``not_applicable``.

    Parameters
    ----------
    thresholds : TableHandle
        Medians and thresholds.
    release : TableHandle
        Long light curves; without them ``cdf_quantile`` is null.
    """

    declaration = Declaration(
        name="blazar_stats",
        version="1",
        inputs=(
            "objectId",
            *(f"history.{name}" for name in ("magpsf", "sigmapsf", "magnr", "sigmagnr", "isdiffpos")),
        ),
        outputs=pa.schema([("blazar_stats", pa.map_(pa.string(), pa.float32()))]),
    )

    def __init__(self, thresholds: TableHandle, release: TableHandle) -> None:
        self._thresholds = thresholds
        self._release = release

    @property
    def resources(self) -> Mapping[str, str]:
        """The tables in use."""
        return {**self._thresholds.resources, **self._release.resources}

    def run(self, columns: Columns) -> ModuleResult:
        """Judge the listed objects."""
        size = len(columns)
        kind = self.declaration.outputs.field("blazar_stats").type
        table, release = self._thresholds.current(), self._release.current()
        if table is None:
            return ModuleResult({"blazar_stats": pa.nulls(size, kind)}, statuses(size, Status.UNAVAILABLE))
        names = columns.arrow("objectId")
        source = table.find(names)
        listed = np.asarray(source.is_valid())
        maps: list[list[tuple[str, float | None]] | None] = [None] * size
        status = statuses(size, Status.NOT_APPLICABLE)
        if listed.any():
            points = columns.history
            points = points.where(points.valid & points.winner & np.isin(points.band, BANDS) & listed[points.alert])
            flux = flux_jy(points)
            for alert in np.flatnonzero(listed).tolist():
                own = slice(points.offsets[alert], points.offsets[alert + 1])
                row = {
                    name: column[0] for name, column in table.rows.slice(source[alert].as_py(), 1).to_pydict().items()
                }
                medians = np.array([row["median_g_jy"], row["median_r_jy"]], dtype=np.float64)
                standard = flux[own] / medians[np.searchsorted(BANDS, points.band[own])]
                stats = states(points.time[own], standard, row["low_threshold"], row["high_threshold"])
                if stats is None:
                    continue
                stats["cdf_quantile"] = _quantile(release, names[alert].as_py(), standard)
                maps[alert] = [(key, stats[key]) for key in BLAZAR_KEYS]
                status[alert] = Status.OK
        return ModuleResult({"blazar_stats": pa.array(maps, kind)}, status)


def flux_jy(points: History) -> Floats:
    """Give the apparent flux of each point (Jy); NaN without a reference magnitude."""
    flux, _ = apparent_flux(
        points.values("magpsf"),
        points.values("sigmapsf"),
        points.values("magnr"),
        points.values("sigmagnr"),
        difference_sign(points.arrow("isdiffpos")),
    )
    return JANSKY_OF_MAG_0 * np.where(flux > 0, flux, np.nan)


def states(
    time: Floats, flux: Floats, low_threshold: float | None, high_threshold: float | None
) -> dict[str, float | None] | None:
    """Compare a light curve with its thresholds: its last value (instantness), its mean of the last days (robustness).

    Parameters
    ----------
    time : ndarray
        Days, increasing.
    flux : ndarray
        Standardised flux; NaN where it is not known.
    low_threshold, high_threshold : float, optional
        In the same unit.

    Returns
    -------
    dict, optional
        Each value over its threshold; below 1 for both low ones is a low state, above 1 for both high ones a high
        state. The high ones are null unless a low one is above 1; robustness is null with fewer than two points.
        Nothing without a flux or a low threshold.
    """
    known = np.isfinite(flux)
    time, flux = time[known], flux[known]
    if not len(flux) or low_threshold is None or not low_threshold > 0:
        return None
    stats: dict[str, float | None] = dict.fromkeys(BLAZAR_KEYS)
    stats["instantness_low"] = low = float(flux[-1]) / low_threshold
    stats["robustness_low"] = lasting = _mean_of_last(time, flux, LOW_WINDOW_D, low_threshold)
    if high_threshold is not None and high_threshold > 0 and max(low, lasting or 0.0) > 1:
        stats["instantness_high"] = float(flux[-1]) / high_threshold
        stats["robustness_high"] = _mean_of_last(time, flux, HIGH_WINDOW_D, high_threshold)
    return stats


def _mean_of_last(time: Floats, flux: Floats, window_d: float, threshold: float) -> float | None:
    """Give the mean over the last days, by trapezoids, over a threshold."""
    recent = time >= time[-1] - window_d
    time, flux = time[recent], flux[recent]
    if len(flux) < 2:
        return None
    span = time[-1] - time[0]
    mean = np.trapezoid(flux, time) / span if span > 0 else flux.mean()
    return float(mean) / threshold


def _quantile(release: Table | None, name: str, standard: Floats) -> float | None:
    row = release.find(pa.array([name]))[0].as_py() if release else None
    if release is None or row is None:
        return None
    time, flux = (np.array(release.rows.column(column)[row].as_py() or []) for column in ("jd", "standard_flux"))
    return cdf_quantile(time, flux, float(standard[np.isfinite(standard)][-1])) if len(time) > 1 else None


def cdf_quantile(time: Floats, flux: Floats, value: float) -> float:
    """Say which share of the time a source was not brighter than a value.

    Each point stands for the time from half way to the one before it to half way to the one after it.

    Parameters
    ----------
    time : ndarray
        Days, increasing, two or more.
    flux : ndarray
        Standardised flux.
    value : float
        In the same unit.

    Returns
    -------
    float
        0 to 1.

    >>> cdf_quantile(np.array([0.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]), 2.0)
    0.8333333333333334
    """
    half = np.diff(time) / 2
    weight = np.append(half, 0.0) + np.append(0.0, half)
    return float(weight[flux <= value].sum() / weight.sum())


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    if survey.name != "ztf":
        return []
    folder = settings.catalog_dir
    return [BlazarStates(TableHandle("ctao_blazars", folder), TableHandle("blazar_light_curves", folder))]
