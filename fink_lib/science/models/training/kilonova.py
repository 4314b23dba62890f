"""Training of the kilonova forest, and of the components that it judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.artefact import Artefact, Trained, in_memory
from fink_lib.science.models.calibration import fit_isotonic
from fink_lib.science.models.metrics import describe
from fink_lib.science.models.simulation.exposures import Exposures
from fink_lib.science.models.simulation.sample import Request, Sample
from fink_lib.science.models.simulation.sources.fast import draw_kilonova
from fink_lib.science.models.training.forest import fit_forest
from fink_lib.science.modules.kilonova import (
    COMPONENTS,
    FEATURES,
    GRID_D,
    applicable,
    describe_curves,
    forest_inputs,
    scores,
)

Floats = npt.NDArray[np.float64]

KILONOVA = "Kilonova"
SHAPES = 1500
"""Simulated kilonovae without noise that the components are made of."""

IDENTITY = np.array([[0.0, 0.0], [1.0, 1.0]])
TREES, LEAF = 50, 20


class KilonovaTrainer:
    """Kilonovae against everything else that is young and has few detections."""

    name = "kilonova"
    version = "1"
    request = Request(
        {
            KILONOVA: 12000,
            "SNIa": 5400,
            "SNII": 3600,
            "SNIIn": 900,
            "SNIbc": 2400,
            "SLSN": 600,
            "TDE": 900,
            "DwarfNova": 5400,
            "Nova": 2700,
            "Flare": 7500,
            "Passing": 10000,
            "AGN": 2100,
            "Blazar": 1500,
            "RRLyrae": 2400,
            "Eclipsing": 2400,
            "LongPeriod": 1200,
            "Erratic": 6000,
            "Microlensing": 2100,
            "Constant": 3600,
        },
        newly_found=True,
    )

    def train(self, seed: int, sample: Sample, tell: Callable[[str], None]) -> Trained:
        """Train on 70 % of the objects, calibrate on the others."""
        components, scatter = kilonova_components(seed)
        sample = sample.take(np.flatnonzero(applicable(sample.curves)))
        sample = sample.take(np.flatnonzero(describe_curves(sample.curves, components, scatter).both_bands))
        training, calibration = sample.split(0.7, 0.3)
        tell(f"forest: {TREES} trees on {len(training)} alerts")
        inputs = forest_inputs(describe_curves(training.curves, components, scatter))
        graphs = {"model": fit_forest(seed, inputs, training.kind == KILONOVA, TREES, LEAF)}
        arrays = {"components": components, "scatter": scatter, "calibration": IDENTITY}
        raw = scores(in_memory(self.name, self.version, Trained(graphs, arrays, {})), calibration.curves)
        arrays["calibration"] = fit_isotonic(raw, calibration.kind == KILONOVA)
        card = {
            "purpose": "P(kilonova) of a young alert with detections in g and in r",
            "method": f"random forest, {TREES} trees, at least {LEAF} alerts a leaf; {COMPONENTS} components per band",
            "features": [*FEATURES, "g - r of the peaks", "g - r at the alert", "fade_g (mag/d)", "fade_r (mag/d)"],
            "normalisation": "fluxes in parts of the brightest night of the band, days from it; peaks as magnitudes",
            "cuts": "more than 1 detection, at most 20 ever, first detected less than 20 days ago; both bands",
            "split": "by object: 70 % training, 30 % calibration; metrics on objects of another seed",
            "alerts_used": {"training": len(training), "calibration": len(calibration)},
            "limits": "a parametric kilonova that only one event is known to resemble; the training has far more "
            "kilonovae than the sky, where one alert in a million is one: a score of 0.5 is a reason to look, not a "
            "discovery; alerts in one band score 0",
        }
        return Trained(graphs, arrays, card)

    def evaluate(self, model: Artefact, sample: Sample) -> Mapping[str, Any]:
        """Measure the score where both bands are there, and over all applicable alerts."""
        sample = sample.take(np.flatnonzero(applicable(sample.curves)))
        found, truth = scores(model, sample.curves), sample.kind == KILONOVA
        both = describe_curves(sample.curves, model.arrays["components"], model.arrays["scatter"]).both_bands
        return {
            "rf_kn_vs_nonkn": describe(found[both], truth[both]),
            "rf_kn_vs_nonkn, one band counted as 0": describe(found, truth, calibration=False),
        }


def kilonova_components(seed: int) -> tuple[Floats, Floats]:
    """Derive the components: singular vectors of simulated kilonovae without noise, aligned at their brightest visit.

    Parameters
    ----------
    seed : int
        Of the draws.

    Returns
    -------
    components : ndarray, shape (2, 3, grid)
        In g and r.
    scatter : ndarray, shape (2, 2, 3)
        Mean and standard deviation of their coefficients.
    """
    rng = np.random.default_rng([seed, 1])
    time = np.arange(0.0, 62.0, 0.25)
    components = np.empty((2, COMPONENTS, len(GRID_D)))
    scatter = np.empty((2, 2, COMPONENTS))
    for band in range(2):
        shape = (SHAPES, len(time))
        exposures = Exposures(np.tile(time, (SHAPES, 1)), np.full(shape, band + 1), np.full(shape, 20.5))
        flux = draw_kilonova(rng, exposures).difference
        # the brightest visit comes up to two days after the true maximum
        late = rng.integers(0, 9, SHAPES)
        first = np.argmax(flux, axis=1) + late
        curves = np.empty((SHAPES, len(GRID_D)))
        for row in range(SHAPES):
            seen = np.where(time >= time[first[row]], flux[row], np.minimum(flux[row], flux[row, first[row]]))
            curves[row] = np.interp(GRID_D, time - time[first[row]], seen / flux[row, first[row]])
        _, _, vectors = np.linalg.svd(curves, full_matrices=False)
        # the sign of a singular vector is arbitrary: positive at the brightest night
        vectors = vectors[:COMPONENTS] * np.sign(vectors[:COMPONENTS, [int(np.argmin(np.abs(GRID_D)))]])
        coefficients = curves @ vectors.T
        components[band] = vectors
        scatter[band] = coefficients.mean(axis=0), coefficients.std(axis=0)
    return components, scatter


TRAINER = KilonovaTrainer()
