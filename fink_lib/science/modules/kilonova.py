"""Kilonovae: how likely a light curve of a few days is that of a neutron-star merger.

Biswas et al. 2023, A&A 677, A77: each band is described by the coefficients of three components that simulated
kilonovae are made of, and a random forest judges them. The components and the forest are our own
(``fink models show kilonova``).
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
from fink_lib.science.hosts import LABEL, SIMBAD, may_be_extragalactic
from fink_lib.science.models import Artefact, LightCurves, ModelHandle, calibrated, light_curves
from fink_lib.science.models.lightcurves import ZERO_POINT_MAG
from fink_lib.science.models.nights import ENTRIES, average_nights
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MODEL = "kilonova"
LEAST_VALID = 2
MOST_DETECTIONS = 20
MOST_AGE_D = 20.0
COMPONENTS = 3
GRID_D = np.arange(-5.0, 20.5, 0.5)
"""Days from the brightest night at which the components are tabulated."""

SYSTEMATIC = 0.1
"""Part of the flux that is added to its error: three components do not make every kilonova."""

LEAST_PART = 0.01
"""Least part of the brightest night that a fitted flux counts as: five magnitudes below it."""

SOON_D = 0.25
"""Added to the days over which a fade is measured, so that two visits of one night give no huge rate."""

FEATURES = tuple(f"{name}_{band}" for band in ("g", "r") for name in ("c1", "c2", "c3", "residual", "peak"))


@dataclass(frozen=True)
class Described:
    """Light curves in terms of the components.

    Parameters
    ----------
    features : ndarray, shape (alerts, 10)
        In the order of :data:`FEATURES`: coefficients, root mean square residual in units of the error, brightest flux
        (FLUXCAL); for g, then r. All five are zero for a band without a positive flux.
    now : ndarray, shape (alerts, 2)
        Fitted flux at the time of the alert, in parts of the brightest night of the band; 0 without one.
    since_d : ndarray, shape (alerts, 2)
        Days from the brightest night of the band to the alert.
    """

    features: Floats
    now: Floats
    since_d: Floats

    @property
    def both_bands(self) -> Bools:
        """Which alerts have coefficients in both bands."""
        both: Bools = (self.features[:, 0:3] != 0).any(axis=1) & (self.features[:, 5:8] != 0).any(axis=1)
        return both

    def take(self, rows: npt.NDArray[np.int64]) -> Described:
        """Give those of some alerts."""
        return Described(self.features[rows], self.now[rows], self.since_d[rows])


def describe_curves(curves: LightCurves, components: Floats, scatter: Floats) -> Described:
    """Fit the components to each light curve.

    The nights of a band, divided by the brightest of them, are fitted with c1 p1(t) + c2 p2(t) + c3 p3(t), t counted
    from the brightest night; few points leave the coefficients near what kilonovae have.

    Parameters
    ----------
    curves : LightCurves
        With the entries ``magpsf``, ``sigmapsf``, ``sign``.
    components : ndarray, shape (2, 3, grid)
        p1, p2, p3 in g and r on :data:`GRID_D`.
    scatter : ndarray, shape (2, 2, 3)
        Mean and standard deviation of the coefficients of simulated kilonovae in g and r.
    """
    nights = average_nights(curves)
    now_jd = curves.time_jd[curves.offsets[1:] - 1]
    size = len(curves)
    result = Described(np.zeros((size, len(FEATURES))), np.zeros((size, 2)), np.zeros((size, 2)))
    for band in range(2):
        flux = nights.flux[:, :, band]
        top = np.max(np.where(np.isnan(flux), -np.inf, flux), axis=1)
        rows = np.flatnonzero(top > 0)
        if not len(rows):
            continue
        there = ~np.isnan(flux[rows])
        scaled = np.where(there, flux[rows] / top[rows, None], 0.0)
        error = np.where(there, nights.error[rows, :, band] / top[rows, None], 1.0)
        weight = np.where(there, 1.0 / (error**2 + (SYSTEMATIC * scaled) ** 2), 0.0)
        time = nights.time_jd[rows, :, band]
        brightest = time[np.arange(len(rows)), np.argmax(np.where(there, scaled, -np.inf), axis=1)]
        shapes = _shapes(np.where(there, time - brightest[:, None], 0.0), components[band])
        mean, spread = scatter[band]
        found = _coefficients(shapes, scaled, weight, mean, spread)
        residual = np.sqrt((weight * (scaled - _sum(found, shapes)) ** 2).sum(axis=1) / there.sum(axis=1))
        result.features[rows, 5 * band : 5 * band + 5] = np.column_stack([*found, residual, top[rows]])
        result.since_d[rows, band] = now_jd[rows] - brightest
        at_alert = _shapes(result.since_d[rows, band, None], components[band])
        result.now[rows, band] = _sum(found, at_alert)[:, 0]
    return result


def _shapes(since_d: Floats, components: Floats) -> Floats:
    """Give the three components at some times; shape (3, rows, times)."""
    return np.stack([np.interp(since_d, GRID_D, one) for one in components])


def _sum(found: Floats, shapes: Floats) -> Floats:
    total: Floats = found[0][:, None] * shapes[0] + found[1][:, None] * shapes[1] + found[2][:, None] * shapes[2]
    return total


def _coefficients(shapes: Floats, scaled: Floats, weight: Floats, mean: Floats, spread: Floats) -> Floats:
    """Solve the weighted least squares of each row, with the coefficients known beforehand to `spread`."""
    matrix = np.empty((scaled.shape[0], COMPONENTS, COMPONENTS))
    right = np.empty((scaled.shape[0], COMPONENTS, 1))
    for i in range(COMPONENTS):
        right[:, i, 0] = (weight * shapes[i] * scaled).sum(axis=1) + mean[i] / spread[i] ** 2
        for j in range(COMPONENTS):
            matrix[:, i, j] = (weight * shapes[i] * shapes[j]).sum(axis=1)
        matrix[:, i, i] += 1.0 / spread[i] ** 2
    solved: Floats = np.linalg.solve(matrix, right)[:, :, 0].T.astype(np.float64)
    return solved


def forest_inputs(found: Described) -> npt.NDArray[np.float32]:
    """Give what the forest takes: the features, and what they say of g and r together.

    A tree splits at values and cannot take the difference of two of them. Peaks become magnitudes; then come the colour
    (mag) of the peaks and at the time of the alert, and how fast each band faded from its peak to the alert (mag/d).

    Parameters
    ----------
    found : Described
        Of alerts with both bands.

    Returns
    -------
    ndarray of float32, shape (alerts, 14)
    """
    inputs = found.features.copy()
    peak = ZERO_POINT_MAG - 2.5 * np.log10(np.maximum(inputs[:, [4, 9]], 1.0))
    inputs[:, [4, 9]] = peak
    faded = -2.5 * np.log10(np.maximum(found.now, LEAST_PART))
    colour = peak[:, 0] - peak[:, 1]
    rate = faded / (found.since_d + SOON_D)
    return np.column_stack([inputs, colour, colour + faded[:, 0] - faded[:, 1], rate]).astype(np.float32)


def scores(model: Artefact, curves: LightCurves) -> Floats:
    """Give the calibrated probability of a kilonova; 0 where one band has no coefficients.

    Parameters
    ----------
    model : Artefact
        Components and forest.
    curves : LightCurves
        See :func:`describe_curves`.
    """
    found = describe_curves(curves, model.arrays["components"], model.arrays["scatter"])
    result = np.zeros(len(curves))
    rows = np.flatnonzero(found.both_bands)
    raw = model.graphs["model"].run({"features": forest_inputs(found.take(rows))}, "probabilities")[:, 1]
    result[rows] = calibrated(raw, model.arrays["calibration"])
    return result


def applicable(curves: LightCurves) -> Bools:
    """Tell where the score means something: more than one detection, at most 20 ever, the first within 20 days."""
    age_d = curves.alerts["jd"] - curves.alerts["jdstarthist"]
    few = curves.alerts["ndethist"] <= MOST_DETECTIONS
    return (curves.count(curves.valid) >= LEAST_VALID) & few & (age_d < MOST_AGE_D)


class Kilonova(ScienceModule):
    """Scores alerts that may be extragalactic, with a few detections within days.

    Parameters
    ----------
    model : ModelHandle
        Components and forest.
    """

    declaration = Declaration(
        name="rf_kn",
        version="1",
        inputs=(
            "candidate.jd",
            "candidate.jdstarthist",
            "candidate.ndethist",
            LABEL,
            "history.magpsf",
            "history.sigmapsf",
            "history.isdiffpos",
        ),
        outputs=pa.schema([("rf_kn_vs_nonkn", pa.float64())]),
        uses=(SIMBAD,),
        applies=f"ndethist <= {MOST_DETECTIONS} AND jd - jdstarthist < {MOST_AGE_D}",
    )

    def __init__(self, model: ModelHandle) -> None:
        self._model = model

    @property
    def resources(self) -> dict[str, str]:
        """The forest and its digest."""
        return dict(self._model.resources)

    def run(self, columns: Columns) -> ModuleResult:
        """Score; without the model every applicable alert is ``unavailable``."""
        status = statuses(len(columns), Status.NOT_APPLICABLE)
        values = np.zeros(len(columns))
        curves = light_curves(columns, ENTRIES, ("jd", "jdstarthist", "ndethist"))
        rows = np.flatnonzero(applicable(curves) & may_be_extragalactic(columns))
        model = self._model.current
        if model is None:
            status[rows] = Status.UNAVAILABLE
        elif len(rows):
            status[rows] = Status.OK
            values[rows] = scores(model, curves.take(rows))
        return ModuleResult({"rf_kn_vs_nonkn": values}, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    return [Kilonova(ModelHandle(MODEL, settings.model_dir))] if survey.name == "ztf" else []
