"""The boosted trees behind ``slsn_score``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from fink_lib.science.models.artefact import Artefact, Trained
from fink_lib.science.models.calibration import calibrated, fit_isotonic
from fink_lib.science.models.inference import Graph
from fink_lib.science.models.metrics import describe
from fink_lib.science.models.simulation.sample import Request, Sample
from fink_lib.science.models.training.trainer import Tell
from fink_lib.science.models.training.trees import boosted_graph
from fink_lib.science.modules.slsn import FEATURES, LEAST_AGE_D, features

Floats = npt.NDArray[np.float64]

POSITIVE = "SLSN"
SUPERNOVAE = ("SNIa", "SNII", "SNIIn", "SNIbc", "SLSN")
FAINTEST_MAG = 19.8
"""Of the alert itself: what ``is_transient`` asks for."""

ANY_HISTORY_D = 1e9


class SlsnTrainer:
    """Superluminous supernovae against other long transients, with all their points since the first."""

    name = "slsn"
    version = "1"
    request = Request(
        {
            "SLSN": 6_000,
            "SNIa": 6_000,
            "SNII": 4_000,
            "SNIIn": 2_500,
            "SNIbc": 3_000,
            "TDE": 2_000,
            "Nova": 1_500,
            "AGN": 3_000,
            "Blazar": 1_500,
            "LongPeriod": 300,
            "Erratic": 600,
        },
        alerts_per_object=2,
        history_d=ANY_HISTORY_D,
    )

    def train(self, seed: int, sample: Sample, tell: Tell) -> Trained:
        """Train on 70 % of the objects, calibrate on the others."""
        fitting, calibration = _applicable(sample).split(0.7, 0.3)
        rows, table = features(fitting.curves)
        truth = fitting.kind[rows] == POSITIVE
        tell(f"fitting: {len(rows)} alerts, {int(truth.sum())} of superluminous supernovae")
        trees = HistGradientBoostingClassifier(
            learning_rate=0.06, max_iter=150, max_leaf_nodes=15, min_samples_leaf=30, l2_regularization=1.0,
            early_stopping=False, random_state=seed,
        )  # fmt: skip
        trees.fit(table.astype(np.float32), truth)
        data = boosted_graph(trees, table.astype(np.float32))
        kept, held = features(calibration.curves)
        knots = fit_isotonic(_raw(Graph(data), held), calibration.kind[kept] == POSITIVE)
        card = {
            "purpose": "chance that a transient of more than 30 days is a superluminous supernova",
            "classes": {"positive": POSITIVE, "others": [name for name in self.request.objects if name != POSITIVE]},
            "features": list(FEATURES),
            "normalisation": "none; missing values have a branch of their own",
            "cuts": "first detected at least 30 days ago, brighter than 19.8 mag and than the reference; more than 7 "
            "points in g and r, at least 3 in each, over more than 30 days",
            "split": "by object: 70 % training, 30 % calibration; metrics on objects of another seed",
            "calibration": "isotonic",
            "limits": "The type Ia features come from one stretched template per band, not from SALT2, whose surfaces "
            "are not in the broker. Dust of our Galaxy is neither removed nor a feature: there is no dust map offline. "
            "No photometric redshift: ZTF's packets have none, so the cut on the absolute magnitude is not applied and "
            "a slow, distant type IIn or a tidal disruption may score high. Every third simulated alert is a "
            "superluminous supernova; in the sky one in hundreds is.",
        }
        return Trained({"trees": data}, {"calibration": knots}, card)

    def evaluate(self, model: Artefact, sample: Sample) -> Mapping[str, Any]:
        """Measure against all, and among supernovae."""
        sample = _applicable(sample)
        rows, table = features(sample.curves)
        score = calibrated(_raw(model.graphs["trees"], table), model.arrays["calibration"])
        kind = sample.kind[rows]
        truth = kind == POSITIVE
        supernova = np.isin(kind, SUPERNOVAE)
        return {
            "superluminous against all": describe(score, truth),
            "superluminous among supernovae": describe(score[supernova], truth[supernova], calibration=False),
        }


def _raw(graph: Graph, rows: Floats) -> Floats:
    return graph.run({"X": rows.astype(np.float32)}, "probability")[:, 0]


def _applicable(sample: Sample) -> Sample:
    """Give the alerts that the module would judge, as far as the simulator knows what ``is_transient`` asks."""
    curves = sample.curves
    last = curves.offsets[1:] - 1
    old = curves.alerts["jd"] - curves.alerts["jdstarthist"] >= LEAST_AGE_D
    with np.errstate(invalid="ignore"):
        bright = curves.entries["magpsf"][last] < FAINTEST_MAG
    chosen: npt.NDArray[np.bool_] = old & bright & (curves.entries["sign"][last] > 0)
    return sample.take(np.flatnonzero(chosen))


TRAINER = SlsnTrainer()
