"""Training of the forest that finds early type Ia supernovae."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fink_lib.science.models.artefact import Artefact, Trained, in_memory
from fink_lib.science.models.calibration import fit_isotonic
from fink_lib.science.models.metrics import describe
from fink_lib.science.models.simulation.sample import Request, Sample
from fink_lib.science.models.training.forest import fit_forest
from fink_lib.science.models.training.snn import IDENTITY, SUPERNOVAE
from fink_lib.science.modules.early_sn_ia import FEATURES, Rises, applicable, find_rises, forest_inputs, scores

IA = "SNIa"
TREES, LEAF = 60, 40


class EarlySnIaTrainer:
    """Type Ia against everything else that rises in both bands."""

    name = "early_sn_ia"
    version = "1"
    request = Request(
        {
            IA: 30000,
            "SNII": 18000,
            "SNIIn": 3500,
            "SNIbc": 11000,
            "SLSN": 1500,
            "TDE": 2000,
            "Kilonova": 600,
            "DwarfNova": 3000,
            "Nova": 2000,
            "Flare": 300,
            "AGN": 3500,
            "Blazar": 1600,
            "RRLyrae": 1500,
            "Eclipsing": 1500,
            "LongPeriod": 1500,
            "Erratic": 3500,
            "Microlensing": 1600,
            "Constant": 2000,
        },
        newly_found=True,
    )

    def train(self, seed: int, sample: Sample, tell: Callable[[str], None]) -> Trained:
        """Train on 70 % of the objects, calibrate on the others."""
        sample, found = rising(sample)
        place = np.arange(len(sample))
        parts = [part.object_id for part in sample.split(0.7, 0.3)]
        training, calibration = (place[np.isin(sample.object_id, one)] for one in parts)
        tell(f"forest: {TREES} trees on {len(training)} alerts")
        inputs = forest_inputs(found.take(training))
        graphs = {"model": fit_forest(seed, inputs, sample.kind[training] == IA, TREES, LEAF)}
        arrays = {"calibration": IDENTITY}
        held = sample.take(calibration)
        raw = scores(in_memory(self.name, self.version, Trained(graphs, arrays, {})), held.curves)
        arrays["calibration"] = fit_isotonic(raw, held.kind == IA)
        card = {
            "purpose": "P(type Ia) of an alert whose light curve rises in g and in r",
            "method": f"random forest, {TREES} trees, at least {LEAF} alerts in a leaf, on sigmoids fitted to the rise",
            "features": [
                *FEATURES,
                "c_g - c_r (mag)",
                "b_g - b_r",
                "ln(a_g / a_r)",
                "g - r half way up",
                "g - r at the end of the rise",
            ],
            "normalisation": "signed FLUXCAL; ceilings as magnitudes; days from the latest point of the rise",
            "cuts": "at least 4 detections, at most 20 ever; a rise in both bands",
            "split": "by object: 70 % training, 30 % calibration; metrics on objects of another seed",
            "alerts_used": {"training": len(training), "calibration": len(calibration)},
            "limits": "the beginning of a supernova says little about its type while the errors are 0.1 mag; "
            "simulated light curves only; the mixture of classes is that of the training, not that of the sky",
        }
        return Trained(graphs, arrays, card)

    def evaluate(self, model: Artefact, sample: Sample) -> Mapping[str, Any]:
        """Measure the score where both bands rise: over all, among supernovae, and over all applicable alerts."""
        everything = sample.take(np.flatnonzero(applicable(sample.curves)))
        sample, _ = rising(sample)
        found, truth = scores(model, sample.curves), sample.kind == IA
        supernova = np.isin(sample.kind, SUPERNOVAE)
        return {
            "rf_snia_vs_nonia": describe(found, truth),
            "rf_snia_vs_nonia, supernovae only": describe(found[supernova], truth[supernova], calibration=False),
            "rf_snia_vs_nonia, no rise counted as 0": describe(
                scores(model, everything.curves), everything.kind == IA, calibration=False
            ),
        }


def rising(sample: Sample) -> tuple[Sample, Rises]:
    """Give the alerts with a rise in both bands, and their rises."""
    sample = sample.take(np.flatnonzero(applicable(sample.curves)))
    found = find_rises(sample.curves)
    rows = np.flatnonzero(found.fitted)
    return sample.take(rows), found.take(rows)


TRAINER = EarlySnIaTrainer()
