"""Training of the recurrent supernova network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.artefact import Artefact, Trained, in_memory
from fink_lib.science.models.calibration import fit_isotonic
from fink_lib.science.models.metrics import describe
from fink_lib.science.models.sequences import INPUTS, normalisation, sequences
from fink_lib.science.models.simulation.sample import Request, Sample
from fink_lib.science.modules.snn import IA, OTHER_SN, REST, applicable, network_inputs, raw_scores, scores

SUPERNOVAE = ("SNIa", "SNII", "SNIIn", "SNIbc", "SLSN")
IDENTITY = np.array([[0.0, 0.0], [1.0, 1.0]])


def classes_of(sample: Sample) -> npt.NDArray[np.int64]:
    """Give the network's class of each alert."""
    result = np.full(len(sample), REST)
    result[np.isin(sample.kind, SUPERNOVAE)] = OTHER_SN
    result[sample.kind == "SNIa"] = IA
    return result


class SnnTrainer:
    """Three classes: type Ia, other supernovae, everything else that passes the module's cuts."""

    name = "snn"
    version = "1"
    request = Request(
        {
            "SNIa": 8000,
            "SNII": 4000,
            "SNIIn": 1000,
            "SNIbc": 2600,
            "SLSN": 500,
            "TDE": 1000,
            "Kilonova": 800,
            "DwarfNova": 2000,
            "Nova": 1300,
            "Flare": 800,
            "Passing": 800,
            "AGN": 2000,
            "Blazar": 900,
            "RRLyrae": 1000,
            "Eclipsing": 1000,
            "LongPeriod": 1200,
            "Erratic": 2500,
            "Microlensing": 800,
            "Constant": 1800,
        },
        newly_found=True,
    )

    def train(self, seed: int, sample: Sample, tell: Callable[[str], None]) -> Trained:
        """Train on 75 % of the objects, calibrate on the others."""
        # JAX takes seconds to import and is needed here only
        from fink_lib.science.models.training.recurrent import BATCH, DROPOUT, EPOCHS, HIDDEN, LAYERS, fit, to_onnx

        sample = sample.take(np.flatnonzero(applicable(sample.curves)))
        training, calibration = sample.split(0.75, 0.25)
        found = sequences(training.curves)
        scale = normalisation(found)
        target = classes_of(training)
        share = np.bincount(target, minlength=3) / len(target)
        weight = (1.0 / (3.0 * share))[target].astype(np.float32)
        weights = fit(seed, network_inputs(found, scale), found.length, target, weight, 3, tell)
        graphs = {"model": to_onnx(weights)}
        arrays = {"normalisation": scale, "calibration_ia": IDENTITY, "calibration_sn": IDENTITY}
        raw = raw_scores(in_memory(self.name, self.version, Trained(graphs, arrays, {})), calibration.curves)
        truth = classes_of(calibration)
        arrays["calibration_ia"] = fit_isotonic(raw[:, IA], truth == IA)
        arrays["calibration_sn"] = fit_isotonic(raw[:, IA] + raw[:, OTHER_SN], truth != REST)
        card = {
            "purpose": "P(type Ia) and P(supernova) of an alert from its light curve of 30 days",
            "method": f"{LAYERS} bidirectional LSTM layers of {HIDDEN}, dropout {DROPOUT}, mean pooling, softmax of 3 "
            f"classes; Adam, {EPOCHS} epochs of batches of {BATCH}",
            "features": list(INPUTS),
            "normalisation": "sign(F) ln(1 + |F|/300); mean and standard deviation of the training in the arrays",
            "cuts": "at least 2 detections, first detected at most 90 days ago",
            "split": "by object: 75 % training, 25 % calibration; metrics on objects of another seed",
            "alerts_used": {"training": len(training), "calibration": len(calibration)},
            "limits": "simulated light curves only: peculiar supernovae, hosts that are themselves variable, and "
            "artefacts are not among them; with two detections of one night the score says little; the mixture of "
            "classes is that of the training, not that of the sky",
        }
        return Trained(graphs, arrays, card)

    def evaluate(self, model: Artefact, sample: Sample) -> Mapping[str, Any]:
        """Measure both scores over all alerts, and the type Ia score among supernovae."""
        sample = sample.take(np.flatnonzero(applicable(sample.curves)))
        found, truth = scores(model, sample.curves), classes_of(sample)
        supernova = truth != REST
        return {
            "snn_sn_vs_all": describe(found["snn_sn_vs_all"], supernova),
            "snn_snia_vs_nonia": describe(found["snn_snia_vs_nonia"], truth == IA),
            "snn_snia_vs_nonia, supernovae only": describe(
                found["snn_snia_vs_nonia"][supernova], truth[supernova] == IA, calibration=False
            ),
        }


TRAINER = SnnTrainer()
