"""Active galactic nuclei: the chance that a varying source is one and not a star or a transient.

The light of a nucleus wanders for months without a period (damped random walk: Kelly et al. 2009, ApJ 698, 895; MacLeod
et al. 2011, ApJ 728, 26, who select quasars by it), its structure function grows with the lag, its colour is blue and
changes little. A star has a parallax; a nucleus lies in the middle of its galaxy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.models import ModelHandle, calibrated, light_curves
from fink_lib.science.models.lightcurves import LightCurves
from fink_lib.science.photometry import MAG_PER_LN
from fink_lib.science.timeseries.apparent import ENTRIES, HISTORY_INPUTS, BandCurves, apparent_curves
from fink_lib.science.timeseries.random_walk import random_walk
from fink_lib.science.timeseries.structure import LAGS_D, colours, structure_function
from fink_lib.science.timeseries.variability import LEAST_POINTS, VARIABILITY_FEATURES, variability
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BANDS = {"g": 1, "r": 2}
LEAST_IN_ONE_BAND = 10

SHARED = (
    "standard_deviation",
    "excess_deviation",
    "log_reduced_chi2",
    "log_signal_to_noise",
    "skew",
    "kurtosis",
    "beyond_1_deviation",
    "stetson_k",
    "von_neumann",
    "mean_change",
    "linear_r2",
    "parabola_r2",
    "median_crossings",
)
"""Features of one band that :mod:`fink_lib.science.timeseries.variability` gives."""

PER_BAND = ("log_tau", "log_sigma", "gain_walk", "gain_memory", *(f"structure_{lag}d" for lag in LAGS_D), *SHARED)
JOINT = ("colour", "colour_scatter", "deviation_ratio", "parallax_over_error", "distnr", "sgscore1")
FEATURES = (*(f"{name}_{band}" for band in BANDS for name in PER_BAND), *JOINT)
"""Names of the columns of :func:`features`, in order."""


def features(curves: LightCurves, parallax_over_error: Floats) -> tuple[Ints, Floats]:
    """Give the features of the alerts that have enough points.

    Parameters
    ----------
    curves : LightCurves
        With the entries of apparent magnitudes and the alert fields ``distnr`` and ``sgscore1``.
    parallax_over_error : ndarray, shape (alerts,)
        Of the Gaia source at the place; NaN where there is none or nobody knows.

    Returns
    -------
    alert : ndarray of int64, shape (chosen,)
        Alerts with at least 10 apparent magnitudes in g or in r.
    features : ndarray, shape (chosen, 46)
        NaN where a value is missing: a band with fewer than 5 points, a lag without pairs, no night with both bands.
    """
    bands = {name: apparent_curves(curves, fid, LEAST_POINTS) for name, fid in BANDS.items()}
    many = [one.alert[one.curves.lengths >= LEAST_IN_ONE_BAND] for one in bands.values()]
    alert = np.union1d(*many)
    columns = [_of_band(one, alert) for one in bands.values()]
    points = [
        (one.time, one.magnitude, np.full(len(one.time), fid), one.alert[one.curves.owner])
        for one, fid in zip(bands.values(), BANDS.values(), strict=True)
    ]
    time, magnitude, band, owner = (np.concatenate(parts) for parts in zip(*points, strict=True))
    colour, scatter = colours(time, magnitude, band, owner, len(curves))
    wide = PER_BAND.index("standard_deviation")
    ratio = np.log(np.maximum(columns[0][:, wide], 1e-4) / np.maximum(columns[1][:, wide], 1e-4))
    distance = curves.alerts["distnr"][alert]
    galaxy = curves.alerts["sgscore1"][alert]
    joint = (
        colour[alert],
        scatter[alert],
        ratio,
        parallax_over_error[alert],
        # The survey writes negative numbers where there is no neighbour.
        np.where(distance >= 0, distance, np.nan),
        np.where(galaxy >= 0, galaxy, np.nan),
    )
    return alert, np.column_stack((*columns, *joint))


def _of_band(band: BandCurves, alert: Ints) -> Floats:
    """Give one band's features of some alerts, NaN for those without the band."""
    result = np.full((len(alert), len(PER_BAND)), np.nan)
    # A curve of 5 points counts beside one of 10 in the other band.
    chosen = np.flatnonzero(np.isin(band.alert, alert))
    places, curves = band.curves.take(chosen)
    time, magnitude, error = band.time[places], band.magnitude[places], band.error[places]
    flux = 10 ** (-0.4 * (magnitude - curves.median(magnitude)[curves.owner]))
    walk = random_walk(time, flux, flux * error / MAG_PER_LN, curves)
    shared = variability(time, magnitude, error, curves)
    result[np.searchsorted(alert, band.alert[chosen])] = np.column_stack(
        (
            walk.log_tau,
            walk.log_sigma,
            walk.gain_walk,
            walk.gain_memory,
            structure_function(time, magnitude, error, curves),
            shared[:, [VARIABILITY_FEATURES.index(name) for name in SHARED]],
        )
    )
    return result


class ActiveNucleus(ScienceModule):
    """Judges alerts with many points in one band; a source at the place of a known asteroid is not judged.

    Parameters
    ----------
    model : ModelHandle
        The gradient-boosted trees.
    """

    declaration = Declaration(
        name="agn",
        version="1",
        inputs=("roid", "Plx", "e_Plx", "candidate.distnr", "candidate.sgscore1", *HISTORY_INPUTS),
        outputs=pa.schema([("agn_score", pa.float64())]),
        requires=("roid",),
        uses=("gaia",),
        applies="roid <> 3",
    )

    def __init__(self, model: ModelHandle) -> None:
        self._model = model

    @property
    def resources(self) -> Mapping[str, str]:
        """The model's version and digest."""
        return self._model.resources

    def run(self, columns: Columns) -> ModuleResult:
        """Score; without Gaia the light curve alone decides."""
        size = len(columns)
        score = np.full(size, np.nan)
        model = self._model.current
        if model is None:
            return ModuleResult({"agn_score": score}, statuses(size, Status.UNAVAILABLE))
        curves = light_curves(columns, ENTRIES, ("distnr", "sgscore1"))
        error = columns.floats("e_Plx")
        known = np.where(error > 0, error, np.nan)
        alert, rows = features(curves, columns.floats("Plx") / known)
        raw = model.graphs["trees"].run({"X": rows.astype(np.float32)}, "probability")[:, 0]
        score[alert] = calibrated(raw, model.arrays["calibration"])
        status = statuses(size, Status.NOT_APPLICABLE)
        status[alert] = Status.OK
        return ModuleResult({"agn_score": score}, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    return [ActiveNucleus(ModelHandle("agn", settings.model_dir))] if survey.name == "ztf" else []
