"""Superluminous supernovae: the chance that a long transient is one.

They rise and fall slowly, stay hot and are not explained by a type Ia supernova however stretched (Gal-Yam 2019, ARA&A
57, 305; Inserra 2019, Nature Astronomy 3, 697). The parameters of the Rainbow fit (Russeil et al. 2024, A&A 683, A251),
of a type Ia template and some statistics of the light curve go to boosted trees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.models import LightCurves, ModelHandle, calibrated, fluxcal, light_curves
from fink_lib.science.models.lightcurves import ZERO_POINT_MAG
from fink_lib.science.timeseries.ia_template import ia_fit
from fink_lib.science.timeseries.rainbow import PARAMETERS, rainbow_fit
from fink_lib.science.timeseries.segments import Segments
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BANDS = {"g": 1, "r": 2}
LEAST_AGE_D = 30.0
LEAST_POINTS = 8
LEAST_PER_BAND = 3
LEAST_SPAN_D = 30.0
ARCHIVE_D = 500.0
ENTRIES = ("magpsf", "sigmapsf", "sign")

FEATURES = (
    *(f"rainbow_{name}" for name in PARAMETERS),
    "rainbow_log_chi2",
    "ia_log_width",
    "ia_peak_after_d",
    "ia_colour",
    "ia_log_chi2",
    "log_chi2_ratio",
    "amplitude",
    "standard_deviation",
    "skew",
    "kurtosis",
    "max_slope",
    "peak_mag_g",
    "peak_mag_r",
    "quantile_15_d",
    "quantile_85_d",
    "distnr",
)
"""Names of the columns of :func:`features`, in order."""


def features(curves: LightCurves) -> tuple[Ints, Floats]:
    """Give the features of the alerts whose light curve is long and full enough.

    Parameters
    ----------
    curves : LightCurves
        With the entries ``magpsf``, ``sigmapsf``, ``sign`` and the alert field ``distnr``.

    Returns
    -------
    alert : ndarray of int64, shape (chosen,)
        Alerts with more than 7 points in g and r, at least 3 in each, over more than 30 days, one of them positive.
    features : ndarray, shape (chosen, 23)
        Times in days, in the observer's frame; NaN where a value is missing.
    """
    flux, error = fluxcal(*(curves.entries[name] for name in ENTRIES))
    usable = np.isin(curves.band, list(BANDS.values())) & np.isfinite(flux) & np.isfinite(error) & (error > 0)
    chosen = curves.count(usable & (flux > 0)) > 0
    chosen &= curves.count(usable) >= LEAST_POINTS
    for fid in BANDS.values():
        chosen &= curves.count(usable & (curves.band == fid)) >= LEAST_PER_BAND
    alert = np.flatnonzero(chosen)
    usable &= chosen[curves.alert]
    segments = Segments(curves.count(usable)[alert])
    time = curves.time_jd[usable]
    long = time[segments.last] - time[segments.first] > LEAST_SPAN_D
    places, segments = segments.take(np.flatnonzero(long))
    kept = np.flatnonzero(usable)[places]
    alert = alert[long]
    return alert, _of_points(
        curves.time_jd[kept], flux[kept], error[kept], curves.band[kept], segments, curves.alerts["distnr"][alert]
    )


def _of_points(
    time: Floats, flux: Floats, error: Floats, band: Ints, curves: Segments, distance_arcsec: Floats
) -> Floats:
    rainbow = rainbow_fit(time, flux, error, band, curves)
    ia = ia_fit(time, flux, error, band, curves)
    owner = curves.owner
    share = flux / rainbow.scale[owner]
    residual = share - curves.mean(share)[owner]
    # A flux that never changes has no shape; its moments are 0 and not infinite.
    variance = np.maximum(curves.mean(residual**2), 1e-12)
    brightest = {name: curves.max(np.where(band == fid, flux, -np.inf)) for name, fid in BANDS.items()}
    peaks = [_magnitude(one) for one in brightest.values()]
    quantiles = curves.quantiles(time - time[curves.first][owner], 0.15, 0.85)
    logs = [np.log1p(one.reduced_chi2) for one in (rainbow, ia)]
    return np.column_stack(
        (
            rainbow.parameters,
            logs[0],
            ia.log_width,
            ia.peak_jd - time[curves.first],
            ia.colour,
            logs[1],
            logs[1] - logs[0],
            (curves.max(share) - curves.min(share)) / 2,
            np.sqrt(variance),
            curves.mean(residual**3) / variance**1.5,
            curves.mean(residual**4) / variance**2 - 3,
            _max_slope(time, share, band, curves),
            *peaks,
            *quantiles,
            np.where(distance_arcsec >= 0, distance_arcsec, np.nan),
        )
    )


def _magnitude(flux: Floats) -> Floats:
    """Give the magnitude of a FLUXCAL; NaN where it is not positive."""
    return ZERO_POINT_MAG - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


def _max_slope(time: Floats, share: Floats, band: Ints, curves: Segments) -> Floats:
    """Give the steepest change between neighbours of one band (per day, in parts of the largest flux)."""
    steepest = np.zeros(len(curves))
    for fid in BANDS.values():
        places = np.flatnonzero(band == fid)
        owner = curves.owner[places]
        first = np.flatnonzero(owner[1:] == owner[:-1])
        gap = time[places[first + 1]] - time[places[first]]
        change = np.abs(share[places[first + 1]] - share[places[first]])
        # Two points of one night are divided by a day: noise over minutes is no slope.
        np.maximum.at(steepest, owner[first], change / np.maximum(gap, 1.0))
    return steepest


class Superluminous(ScienceModule):
    """Judges transients of more than 30 days; a packet alone holds 30, so the archive's points must be with it.

    Parameters
    ----------
    model : ModelHandle
        The boosted trees.
    """

    declaration = Declaration(
        name="slsn",
        version="1",
        inputs=(
            "is_transient",
            "candidate.jd",
            "candidate.jdstarthist",
            "candidate.distnr",
            "history.magpsf",
            "history.sigmapsf",
            "history.isdiffpos",
        ),
        outputs=pa.schema([("slsn_score", pa.float64())]),
        requires=("is_transient",),
        applies=f"is_transient AND jd - jdstarthist >= {LEAST_AGE_D}",
        archive_d=ARCHIVE_D,
    )

    def __init__(self, model: ModelHandle) -> None:
        self._model = model

    @property
    def resources(self) -> Mapping[str, str]:
        """The model's version and digest."""
        return self._model.resources

    def run(self, columns: Columns) -> ModuleResult:
        """Score."""
        size = len(columns)
        score = np.full(size, np.nan)
        model = self._model.current
        if model is None:
            return ModuleResult({"slsn_score": score}, statuses(size, Status.UNAVAILABLE))
        alert, rows = features(light_curves(columns, ENTRIES, ("distnr",)))
        raw = model.graphs["trees"].run({"X": rows.astype(np.float32)}, "probability")[:, 0]
        score[alert] = calibrated(raw, model.arrays["calibration"])
        status = statuses(size, Status.NOT_APPLICABLE)
        status[alert] = Status.OK
        return ModuleResult({"slsn_score": score}, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    return [Superluminous(ModelHandle("slsn", settings.model_dir))] if survey.name == "ztf" else []
