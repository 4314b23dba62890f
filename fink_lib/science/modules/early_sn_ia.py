"""Early type Ia supernovae: how likely a rising light curve of a few points is the beginning of one.

Leoni et al. 2022, A&A 663, A13: a sigmoid is fitted to the rising part of each band, and a random forest judges the
parameters.
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
from fink_lib.science.models.sigmoid import fit_sigmoids
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MODEL = "early_sn_ia"
LEAST_VALID = 4
MOST_DETECTIONS = 20
LEAST_RISING = 2
LEAST_POINTS = 4
"""Nightly points of both bands together."""

SMOOTHING = 0.2
"""Weight of the newest point in the running mean on which the rise is judged."""

FEATURES = tuple(f"{name}_{band}" for band in ("g", "r") for name in ("a", "b", "c", "snratio", "chisq", "nrise"))


def rising_part(flux: Floats) -> Bools:
    """Mark the points of the rise: from the first one up to the maximum of an exponentially weighted running mean.

    Parameters
    ----------
    flux : ndarray, shape (curves, points)
        NaN where there is no point.

    Returns
    -------
    ndarray of bool, shape (curves, points)
        All false where the mean never rises.
    """
    present = ~np.isnan(flux)
    mean = np.full(len(flux), np.nan)
    highest = np.full(len(flux), -np.inf)
    last = np.full(len(flux), -1)
    seen = np.zeros(len(flux), dtype=int)
    for place in range(flux.shape[1]):
        here = present[:, place]
        value = flux[:, place]
        mean = np.where(here, np.where(np.isnan(mean), value, mean + SMOOTHING * (value - mean)), mean)
        above = here & (mean > highest)
        highest = np.where(above, mean, highest)
        last = np.where(above, place, last)
        seen = np.where(above, seen + 1, seen)
    rising = present & (np.arange(flux.shape[1])[None, :] <= last[:, None])
    return rising & (seen >= 2)[:, None]


@dataclass(frozen=True)
class Rises:
    """What is known of the rise of each light curve.

    Parameters
    ----------
    features : ndarray, shape (alerts, 12)
        In the order of :data:`FEATURES`: a (1/d), b (days after the latest night of the band's rise), c (FLUXCAL), mean
        flux over error, chi2 per point, number of rising nights; for g, then r. All six are zero for a band without a
        rise.
    latest_d : ndarray, shape (alerts, 2)
        Latest night of the rise in g and in r, in days after the alert; 0 without a rise.
    """

    features: Floats
    latest_d: Floats

    @property
    def fitted(self) -> Bools:
        """Which alerts have a rise in both bands."""
        both: Bools = (self.features[:, 0] != 0) & (self.features[:, 6] != 0)
        return both

    def take(self, rows: npt.NDArray[np.int64]) -> Rises:
        """Give those of some alerts."""
        return Rises(self.features[rows], self.latest_d[rows])


def find_rises(curves: LightCurves) -> Rises:
    """Fit the rise of each light curve in g and in r.

    Parameters
    ----------
    curves : LightCurves
        With the entries ``magpsf``, ``sigmapsf``, ``sign``.
    """
    nights = average_nights(curves)
    now_jd = curves.time_jd[curves.offsets[1:] - 1]
    enough = (~np.isnan(nights.flux)).sum(axis=(1, 2)) >= LEAST_POINTS
    found = Rises(np.zeros((len(curves), len(FEATURES))), np.zeros((len(curves), 2)))
    for place in range(2):
        flux, error = nights.flux[:, :, place], nights.error[:, :, place]
        use = rising_part(flux)
        bright = np.max(np.where(use, flux, -np.inf), axis=1) > 0
        rows = np.flatnonzero(enough & bright & (use.sum(axis=1) >= LEAST_RISING))
        if not len(rows):
            continue
        flux, error, use = flux[rows], error[rows], use[rows]
        time = nights.time_jd[rows, :, place] - now_jd[rows, None]
        latest = np.max(np.where(use, time, -np.inf), axis=1)
        fit = fit_sigmoids(time - latest[:, None], flux, error, use)
        count = use.sum(axis=1)
        ratio = np.where(use, flux / error, 0.0).sum(axis=1) / count
        columns = (fit.rate_per_d, fit.middle_d, fit.ceiling, ratio, fit.chi2, count)
        found.features[rows, 6 * place : 6 * place + 6] = np.column_stack(columns)
        found.latest_d[rows, place] = latest
    return found


def scores(model: Artefact, curves: LightCurves) -> Floats:
    """Give the calibrated probability of type Ia; 0 where one band has no rise.

    Parameters
    ----------
    model : Artefact
        The forest.
    curves : LightCurves
        See :func:`find_rises`.
    """
    found = find_rises(curves)
    result = np.zeros(len(curves))
    rows = np.flatnonzero(found.fitted)
    raw = model.graphs["model"].run({"features": forest_inputs(found.take(rows))}, "probabilities")[:, 1]
    result[rows] = calibrated(raw, model.arrays["calibration"])
    return result


def forest_inputs(found: Rises) -> npt.NDArray[np.float32]:
    """Give what the forest takes: the twelve features, and what they say of g and r together.

    A tree splits at values and cannot take the difference of two of them. Ceilings become magnitudes; then come their
    difference, that of b, the logarithm of the ratio of a, and the colour (mag) of the two sigmoids half way between
    their middles and at the end of the rise that ends first.

    Parameters
    ----------
    found : Rises
        Of alerts with a rise in both bands.

    Returns
    -------
    ndarray of float32, shape (alerts, 17)
    """
    rate, middle = found.features[:, [0, 6]], found.features[:, [1, 7]] + found.latest_d
    ceiling = ZERO_POINT_MAG - 2.5 * np.log10(np.maximum(found.features[:, [2, 8]], 1.0))

    def colour_at(time_d: Floats) -> Floats:
        below = 2.5 * np.log10(1.0 + np.exp(np.clip(-rate * (time_d[:, None] - middle), -30.0, 30.0)))
        mags = ceiling + below
        difference: Floats = mags[:, 0] - mags[:, 1]
        return difference

    inputs = found.features.copy()
    inputs[:, [2, 8]] = ceiling
    more = (
        ceiling[:, 0] - ceiling[:, 1],
        inputs[:, 1] - inputs[:, 7],
        np.log(rate[:, 0] / rate[:, 1]),
        colour_at(0.5 * (middle[:, 0] + middle[:, 1])),
        colour_at(np.minimum(found.latest_d[:, 0], found.latest_d[:, 1])),
    )
    return np.column_stack([inputs, *more]).astype(np.float32)


def applicable(curves: LightCurves) -> Bools:
    """Tell where the score means something: at least 4 detections now, at most 20 ever."""
    return (curves.count(curves.valid) >= LEAST_VALID) & (curves.alerts["ndethist"] <= MOST_DETECTIONS)


class EarlySupernovaIa(ScienceModule):
    """Scores alerts that may be extragalactic, with a few detections.

    Parameters
    ----------
    model : ModelHandle
        The forest.
    """

    declaration = Declaration(
        name="rf_snia",
        version="1",
        inputs=(
            "candidate.ndethist",
            LABEL,
            "history.magpsf",
            "history.sigmapsf",
            "history.isdiffpos",
        ),
        outputs=pa.schema([("rf_snia_vs_nonia", pa.float64())]),
        uses=(SIMBAD,),
        applies=f"ndethist <= {MOST_DETECTIONS}",
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
        curves = light_curves(columns, ENTRIES, ("ndethist",))
        rows = np.flatnonzero(applicable(curves) & may_be_extragalactic(columns))
        model = self._model.current
        if model is None:
            status[rows] = Status.UNAVAILABLE
        elif len(rows):
            status[rows] = Status.OK
            values[rows] = scores(model, curves.take(rows))
        return ModuleResult({"rf_snia_vs_nonia": values}, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    return [EarlySupernovaIa(ModelHandle(MODEL, settings.model_dir))] if survey.name == "ztf" else []
