"""Supernova or not, and type Ia or not, from the light curve alone, by a recurrent network.

Architecture of SuperNNova (Moeller and de Boissiere 2020, MNRAS 491, 4277), as used in Moeller et al. 2021 (MNRAS 501,
3272); the weights are our own (``fink models show snn``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.hosts import LABEL, SIMBAD, may_be_extragalactic
from fink_lib.science.models import Artefact, LightCurves, ModelHandle, calibrated, light_curves
from fink_lib.science.models.nights import ENTRIES
from fink_lib.science.models.sequences import Sequences, sequences
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MODEL = "snn"
LEAST_VALID = 2
MOST_AGE_D = 90.0
KNOWN_ASTEROID = 3
ROWS = 16
"""Light curves of one call of the network: all of one length, so that nothing is filled up but whole rows."""

IA, OTHER_SN, REST = range(3)
"""Classes of the network."""

OUTPUTS = ("snn_snia_vs_nonia", "snn_sn_vs_all")


def network_inputs(found: Sequences, normalisation: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Normalise; what is missing becomes zero, the mean.

    Parameters
    ----------
    found : Sequences
        Light curves.
    normalisation : ndarray of float32, shape (2, inputs)
        Mean and standard deviation of each input.
    """
    values = (found.values - normalisation[0]) / normalisation[1]
    for place in range(4):
        # a band was not detected in a night of which only the other band's flag is set
        only_other = found.values[:, :, 5 + (place % 2 == 0)] > 0
        values[:, :, place] = np.where(only_other, 0.0, values[:, :, place])
    return np.ascontiguousarray(values)


def raw_scores(model: Artefact, curves: LightCurves) -> Floats:
    """Give the network's probabilities of the three classes, NaN without any detection in g or r.

    Light curves are grouped by length: the network never sees a filled-up step.

    Parameters
    ----------
    model : Artefact
        The network.
    curves : LightCurves
        With the entries ``magpsf``, ``sigmapsf``, ``sign``.

    Returns
    -------
    ndarray, shape (alerts, 3)
    """
    found = sequences(curves)
    values = network_inputs(found, model.arrays["normalisation"])
    result = np.full((len(curves), 3), np.nan)
    for length in np.unique(found.length[found.length > 0]).tolist():
        rows = np.flatnonzero(found.length == length)
        steps = np.ascontiguousarray(values[rows, :length].transpose(1, 0, 2))
        result[rows] = model.graphs["model"].run({"sequences": steps}, "probabilities", rows=ROWS, axis=1)
    return result


def scores(model: Artefact, curves: LightCurves) -> dict[str, Floats]:
    """Give the calibrated scores of :data:`OUTPUTS` (see :func:`raw_scores`)."""
    raw = raw_scores(model, curves)
    return {
        "snn_snia_vs_nonia": calibrated(raw[:, IA], model.arrays["calibration_ia"]),
        "snn_sn_vs_all": calibrated(raw[:, IA] + raw[:, OTHER_SN], model.arrays["calibration_sn"]),
    }


def applicable(curves: LightCurves) -> Bools:
    """Tell where the scores mean something: at least 2 detections (one of them in g or r), first seen 90 days ago."""
    age_d = curves.alerts["jd"] - curves.alerts["jdstarthist"]
    useful = curves.valid & ((curves.band == 1) | (curves.band == 2))
    return (curves.count(curves.valid) >= LEAST_VALID) & (curves.count(useful) >= 1) & (age_d <= MOST_AGE_D)


class RecurrentSupernova(ScienceModule):
    """Scores alerts that may be extragalactic, are no known asteroids and are young.

    Parameters
    ----------
    model : ModelHandle
        The network.
    """

    declaration = Declaration(
        name="snn",
        version="1",
        inputs=(
            "candidate.jd",
            "candidate.jdstarthist",
            "roid",
            LABEL,
            "history.magpsf",
            "history.sigmapsf",
            "history.isdiffpos",
        ),
        outputs=pa.schema([(name, pa.float64()) for name in OUTPUTS]),
        requires=("roid",),
        uses=(SIMBAD,),
        applies=f"jd - jdstarthist <= {MOST_AGE_D} AND roid <> {KNOWN_ASTEROID}",
    )

    def __init__(self, model: ModelHandle) -> None:
        self._model = model

    @property
    def resources(self) -> dict[str, str]:
        """The network and its digest."""
        return dict(self._model.resources)

    def run(self, columns: Columns) -> ModuleResult:
        """Score; without the model every applicable alert is ``unavailable``."""
        status = statuses(len(columns), Status.NOT_APPLICABLE)
        values = {name: np.zeros(len(columns)) for name in OUTPUTS}
        curves = light_curves(columns, ENTRIES, ("jd", "jdstarthist"))
        rows = np.flatnonzero(applicable(curves) & may_be_extragalactic(columns))
        model = self._model.current
        if model is None:
            status[rows] = Status.UNAVAILABLE
        elif len(rows):
            status[rows] = Status.OK
            for name, found in scores(model, curves.take(rows)).items():
                values[name][rows] = found
        return ModuleResult(values, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    return [RecurrentSupernova(ModelHandle(MODEL, settings.model_dir))] if survey.name == "ztf" else []
