"""The forest behind ``mulens``: per band, 47 statistics to their principal components to four classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fink_lib.science.models.artefact import Artefact, Trained
from fink_lib.science.models.calibration import fit_isotonic
from fink_lib.science.models.inference import Graph
from fink_lib.science.models.metrics import describe
from fink_lib.science.models.simulation.sample import Request, Sample
from fink_lib.science.models.training.trainer import Tell
from fink_lib.science.models.training.trees import graph_of
from fink_lib.science.modules.microlensing import (
    BANDS,
    CLASSES,
    LEAST_PER_BAND,
    LENS,
    MOST_DETECTIONS,
    band_features,
    class_probabilities,
    lens_score,
)
from fink_lib.science.timeseries.apparent import apparent_curves
from fink_lib.science.timeseries.variability import VARIABILITY_FEATURES, variability

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLASS_OF = {
    "Constant": "CONST",
    "DwarfNova": "CV",
    "Nova": "CV",
    "Microlensing": "ML",
    **dict.fromkeys(("RRLyrae", "Eclipsing", "LongPeriod", "Erratic", "AGN", "Blazar"), "VAR"),
    # Single bumps with many points are what an event is mistaken for; the original plan did not know them.
    **dict.fromkeys(("SNIa", "SNII", "SNIIn", "SNIbc", "SLSN", "TDE"), "VAR"),
}

MOST_PER_CLASS = 16_000
"""Curves of one class in the forest's sample; variable stars would be most of it."""

CLASS_MASS = {"CONST": 0.11, "CV": 0.10, "ML": 0.48, "VAR": 0.31}
"""Share of each class in the forest's sample, by weight. An event must be the likeliest class twice, in g and in r:
with the weight of its number one in six would fail in one band."""


class MicrolensingTrainer:
    """Simulates alerts with many points, trains on single bands and calibrates on alerts with both."""

    name = "microlensing"
    version = "1"
    request = Request(
        {
            "Constant": 30_000,
            "DwarfNova": 60_000,
            "Nova": 9_000,
            "Microlensing": 24_000,
            "RRLyrae": 24_000,
            "Eclipsing": 24_000,
            "LongPeriod": 8_000,
            "Erratic": 24_000,
            "AGN": 16_000,
            "Blazar": 6_000,
            # the shares of a bright survey: Perley et al. 2020, ApJ 904, 35, the rare ones more often
            "SNIa": 12_000,
            "SNII": 3_500,
            "SNIIn": 1_200,
            "SNIbc": 1_000,
            "SLSN": 400,
            "TDE": 500,
        },
        alerts_per_object=2,
    )

    def train(self, seed: int, sample: Sample, tell: Tell) -> Trained:
        """Train on 75 % of the objects, calibrate on the others."""
        fitting, calibration = sample.split(0.75, 0.25)
        features, label = _curves(fitting)
        rows = _balanced(label, np.random.default_rng(seed))
        weight = np.array([CLASS_MASS[name] for name in CLASSES]) / np.bincount(label[rows], minlength=len(CLASSES))
        tell(f"fitting: {len(rows)} light curves of one band")
        pipeline = make_pipeline(
            StandardScaler(),
            PCA(n_components=0.999, svd_solver="full"),
            RandomForestClassifier(
                n_estimators=34,
                max_leaf_nodes=500,
                max_features=14,
                min_samples_leaf=4,
                class_weight=dict(enumerate(weight * len(rows))),
                random_state=seed,
            ),
        )
        pipeline.fit(features[rows], label[rows])
        data = graph_of(pipeline, features.shape[1])
        calibration = _applicable(calibration)
        alert, both = band_features(calibration.curves)
        probability = class_probabilities(Graph(data), both)
        agree = (probability.argmax(axis=2) == LENS).all(axis=0)
        mean = probability[:, :, LENS].mean(axis=0)
        knots = fit_isotonic(mean[agree], calibration.kind[alert][agree] == "Microlensing")
        card = {
            "purpose": "chance that an alert is a microlensing event, from its apparent magnitudes in g and in r",
            "classes": {name: [kind for kind, of in CLASS_OF.items() if of == name] for name in CLASSES},
            "features": list(VARIABILITY_FEATURES),
            "normalisation": "standard scores, then principal components with 99.9 % of the variance, in the graph",
            "cuts": "fewer than 100 detections, at least 20 valid points, at least 10 with a reference in g and in r",
            "calibration": "isotonic, of the mean of both bands where both say ML, on a quarter of the objects",
            "limits": "Calibrated for the simulated mixture, in which every third alert is an event; among real alerts "
            "events are rare, so the score ranks but does not count. In 30 days a slow event, a Mira on its way up, a "
            "quasar and the top of a supernova or a tidal disruption look alike: two in three of these get a score "
            "above 0. The history of a packet is not longer.",
        }
        return Trained({"forest": data}, {"calibration": knots}, card)

    def evaluate(self, model: Artefact, sample: Sample) -> Mapping[str, Any]:
        """Measure the published score on alerts that the module would judge."""
        sample = _applicable(sample)
        alert, features = band_features(sample.curves)
        probability = class_probabilities(model.graphs["forest"], features)
        kind = sample.kind[alert]
        lens = kind == "Microlensing"
        agree = (probability.argmax(axis=2) == LENS).all(axis=0)
        return {
            "microlensing against all": describe(lens_score(probability, model.arrays["calibration"]), lens),
            "mean of both bands, whether they agree or not": describe(
                probability[:, :, LENS].mean(axis=0), lens, calibration=False
            ),
            "share with a score above 0": {
                one: [int((kind == one).sum()), round(float(agree[kind == one].mean()), 3)]
                for one in CLASS_OF
                if (kind == one).any()
            },
        }


def _applicable(sample: Sample) -> Sample:
    """Give the alerts that the module judges, as far as the number of detections goes."""
    return sample.take(np.flatnonzero(sample.curves.alerts["ndethist"] < MOST_DETECTIONS))


def _curves(sample: Sample) -> tuple[Floats, Ints]:
    """Give features and class of every curve of one band with enough points."""
    features, labels = [], []
    codes = np.array([CLASSES.index(CLASS_OF[kind]) for kind in sample.kind.tolist()])
    for band in BANDS:
        one = apparent_curves(sample.curves, band, LEAST_PER_BAND)
        features.append(variability(one.time, one.magnitude, one.error, one.curves))
        labels.append(codes[one.alert])
    return np.concatenate(features), np.concatenate(labels)


def _balanced(label: Ints, rng: np.random.Generator) -> Ints:
    """Choose curves so that no class has more than :data:`MOST_PER_CLASS`."""
    chosen = [rng.permutation(np.flatnonzero(label == code))[:MOST_PER_CLASS] for code in range(len(CLASSES))]
    return np.sort(np.concatenate(chosen))


TRAINER = MicrolensingTrainer()
