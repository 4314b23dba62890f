"""Microlensing: the chance that a star brightens because another one passes in front of it.

The plan is that of Godines et al. 2019 (Astronomy and Computing 28, 100298): 47 statistics of the apparent magnitudes
of one band, their principal components, and a random forest that knows constant stars, cataclysmic variables,
microlensing and other variables. An event must look like one in both bands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.models.calibration import calibrated
from fink_lib.science.models.inference import Graph
from fink_lib.science.models.lightcurves import LightCurves, light_curves
from fink_lib.science.models.registry import ModelHandle
from fink_lib.science.timeseries.apparent import ENTRIES, HISTORY_INPUTS, apparent_curves
from fink_lib.science.timeseries.variability import variability
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLASSES = ("CONST", "CV", "ML", "VAR")
"""Constant, cataclysmic variable, microlensing, other variable: the columns of the forest's answer."""

LENS = CLASSES.index("ML")
BANDS = (1, 2)
MOST_DETECTIONS = 100
LEAST_VALID = 20
LEAST_PER_BAND = 10


def band_features(curves: LightCurves) -> tuple[Ints, Floats]:
    """Give the features of the alerts that have enough points.

    Parameters
    ----------
    curves : LightCurves
        With the entries of apparent magnitudes.

    Returns
    -------
    alert : ndarray of int64, shape (alerts,)
        Alerts with at least 20 valid points and 10 with an apparent magnitude in g and in r.
    features : ndarray, shape (2, alerts, 47)
        In g and in r.
    """
    enough = curves.count(curves.valid) >= LEAST_VALID
    both = [apparent_curves(curves, band, LEAST_PER_BAND) for band in BANDS]
    alert = np.intersect1d(both[0].alert, both[1].alert)
    alert = alert[enough[alert]]
    features = []
    for one in both:
        places, some = one.curves.take(np.searchsorted(one.alert, alert))
        features.append(variability(one.time[places], one.magnitude[places], one.error[places], some))
    return alert, np.stack(features)


def class_probabilities(forest: Graph, features: Floats) -> Floats:
    """Give the forest's answer, shape (2, alerts, 4), to the features of both bands."""
    rows = features.reshape(-1, features.shape[2]).astype(np.float32)
    return forest.run({"X": rows}, "probabilities").reshape(*features.shape[:2], len(CLASSES))


def lens_score(probability: Floats, knots: Floats) -> Floats:
    """Join the answers of the two bands.

    Parameters
    ----------
    probability : ndarray, shape (2, alerts, 4)
        Of the classes, in g and in r.
    knots : ndarray, shape (knots, 2)
        Calibration of the mean probability of microlensing.

    Returns
    -------
    ndarray, shape (alerts,)
        Calibrated mean probability if microlensing is the likeliest class in both bands, else 0.
    """
    agree = (probability.argmax(axis=2) == LENS).all(axis=0)
    mean = (probability[0, :, LENS] + probability[1, :, LENS]) / 2
    result: Floats = np.where(agree, calibrated(mean, knots), 0.0)
    return result


class Microlensing(ScienceModule):
    """Judges alerts with many points in both bands; with fewer it cannot tell and is ``not_applicable``.

    Parameters
    ----------
    model : ModelHandle
        The forest.
    """

    declaration = Declaration(
        name="microlensing",
        version="1",
        inputs=("candidate.ndethist", *HISTORY_INPUTS),
        outputs=pa.schema([("mulens", pa.float64())]),
        applies=f"ndethist < {MOST_DETECTIONS}",
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
            return ModuleResult({"mulens": score}, statuses(size, Status.UNAVAILABLE))
        alert, features = band_features(light_curves(columns, ENTRIES))
        probability = class_probabilities(model.graphs["forest"], features)
        score[alert] = lens_score(probability, model.arrays["calibration"])
        status = statuses(size, Status.NOT_APPLICABLE)
        status[alert] = Status.OK
        return ModuleResult({"mulens": score}, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    return [Microlensing(ModelHandle("microlensing", settings.model_dir))] if survey.name == "ztf" else []
