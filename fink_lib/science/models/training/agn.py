"""The gradient-boosted trees behind ``agn_score``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
from fink_lib.science.modules.agn import FEATURES, features

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NUCLEI = ("AGN", "Blazar")
TRANSIENTS = ("TDE", "SNIa", "SNII", "SNIIn", "SLSN")

ABSOLUTE_MAG = {
    "RRLyrae": (0.6, 0.3),
    "Eclipsing": (4.0, 1.8),
    "LongPeriod": (-2.0, 1.2),
    "Erratic": (5.5, 2.0),
    "Constant": (5.0, 2.0),
    "Microlensing": (2.5, 2.0),
    "DwarfNova": (9.0, 1.5),
    "Nova": (4.5, 1.5),
}
"""Mean and scatter of the absolute G of a star at rest, from the colour-magnitude diagram of Gaia (Babusiaux et al.
2018, A&A 616, A10; Abril et al. 2020, MNRAS 492, L40, for cataclysmic variables); gives its distance and parallax."""

PARALLAX_ERROR_MAS = ((12.0, 15.0, 17.0, 18.0, 19.0, 20.0, 21.0), (0.02, 0.03, 0.07, 0.12, 0.22, 0.5, 1.3))
"""Gaia DR3 (Lindegren et al. 2021, A&A 649, A2, section 3; rounded): G and the typical error."""

GAIA_LIMIT_MAG = 20.7
UNKNOWN_SHARE = 0.4
"""Alerts that are trained without a parallax: Gaia may be away, and then the light curve must do."""

POINT_LIKE_SHARE = 0.6
"""Nuclei that outshine their galaxy: quasars, whose PS1 image is that of a star (Tachibana and Miller 2018, PASP 130,
128001); the others are Seyfert galaxies."""


EXTENDED_STARS_SHARE = 0.15
"""Stars to which a neighbour, or a bad image, gives any star-galaxy score."""

REDDENING_MAG = 0.35
"""Scale of the exponential that dust adds to a star's g - r; variable stars are seen throughout the Galactic plane."""

HIDDEN_SHARE = 0.12
"""Objects that are trained without g, and as many without r."""

COLOUR_SCATTER_MAG = 0.25
"""Of nuclei, beyond the simulator's: redshifts move emission lines through the bands (Richards et al. 2001, AJ 121,
2308)."""


class AgnTrainer:
    """Nuclei against stars of all kinds and some transients."""

    name = "agn"
    version = "1"
    request = Request(
        {
            "AGN": 12_000,
            "Blazar": 4_000,
            "RRLyrae": 3_000,
            "Eclipsing": 3_000,
            "LongPeriod": 3_000,
            "Erratic": 3_000,
            "Constant": 4_000,
            "Microlensing": 2_000,
            "DwarfNova": 8_000,
            "Nova": 1_500,
            "TDE": 500,
            "SNIa": 1_200,
            "SNII": 1_200,
            "SNIIn": 500,
            "SLSN": 300,
        },
        alerts_per_object=2,
    )

    def train(self, seed: int, sample: Sample, tell: Tell) -> Trained:
        """Train on 70 % of the objects, calibrate on the others."""
        kind, object_id, table = _table(sample, seed)
        _hide_bands(table, object_id, np.random.default_rng([seed, 2]))
        fitting = _first_part(object_id, 0.7)
        truth = np.isin(kind, NUCLEI)
        tell(f"fitting: {int(fitting.sum())} alerts, {int(truth[fitting].sum())} of nuclei")
        trees = HistGradientBoostingClassifier(
            learning_rate=0.06, max_iter=150, max_leaf_nodes=15, min_samples_leaf=30, l2_regularization=1.0,
            early_stopping=False, random_state=seed,
        )  # fmt: skip
        trees.fit(table[fitting].astype(np.float32), truth[fitting])
        data = boosted_graph(trees, table.astype(np.float32))
        raw = _raw(Graph(data), table[~fitting])
        knots = fit_isotonic(raw, truth[~fitting])
        card = {
            "purpose": "chance that a varying source is an active galactic nucleus and not a star or a transient",
            "classes": {"nuclei": NUCLEI, "others": [name for name in self.request.objects if name not in NUCLEI]},
            "features": list(FEATURES),
            "normalisation": "none; missing values have a branch of their own",
            "cuts": "at least 10 apparent magnitudes in g or in r",
            "split": "by object: 70 % training, 30 % calibration; metrics on objects of another seed",
            "calibration": "isotonic",
            "drawn_beside_the_simulator": {
                "parallax": "distances from absolute magnitudes, errors of Gaia DR3; unknown for 40 % of the objects",
                "sgscore1": f"{POINT_LIKE_SHARE:.0%} of nuclei look like stars, {EXTENDED_STARS_SHARE:.0%} of stars "
                "like anything",
                "bands": f"{HIDDEN_SHARE:.0%} of the objects are trained without g, as many without r",
                "colour": f"dust of {REDDENING_MAG} mag before stars, {COLOUR_SCATTER_MAG} mag of lines in nuclei",
            },
            "limits": "30 days show a small part of a walk of months: time scales above 30 d look alike, and the score "
            "leans on colour, parallax and image shape. Real hosts add light that the simulation lacks. The mixture of "
            "classes is that of the training.",
        }
        return Trained({"trees": data}, {"calibration": knots}, card)

    def evaluate(self, model: Artefact, sample: Sample) -> Mapping[str, Any]:
        """Measure with and without Gaia, against all and against stars."""
        kind, _, table = _table(sample, seed=len(sample))
        truth = np.isin(kind, NUCLEI)
        stars = ~np.isin(kind, TRANSIENTS)

        def score_of(rows: Floats) -> Floats:
            return calibrated(_raw(model.graphs["trees"], rows), model.arrays["calibration"])

        blind = table.copy()
        blind[:, FEATURES.index("parallax_over_error")] = np.nan
        score, alone = score_of(table), score_of(blind)
        return {
            "nuclei against all": describe(score, truth),
            "nuclei against stars": describe(score[stars], truth[stars], calibration=False),
            "nuclei against all, no parallax known": describe(alone, truth),
        }


def _raw(graph: Graph, rows: Floats) -> Floats:
    return graph.run({"X": rows.astype(np.float32)}, "probability")[:, 0]


def _first_part(object_id: npt.NDArray[np.int64], share: float) -> Bools:
    """Mark the alerts of a share of the objects (see :meth:`Sample.split`)."""
    result: Bools = (object_id * 2_654_435_761 % 2**32) / 2**32 < share
    return result


def _table(sample: Sample, seed: int) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int64], Floats]:
    """Give class, object and features of the alerts that the module would judge."""
    rng = np.random.default_rng([seed, 1])
    curves = sample.curves
    alerts = {**curves.alerts, "sgscore1": _star_galaxy(sample, rng)}
    alert, table = features(replace(curves, alerts=alerts), _parallax_over_error(sample, rng))
    table[:, FEATURES.index("colour")] += _colour_offset(sample, rng)[alert]
    return sample.kind[alert], sample.object_id[alert], table


def _hide_bands(table: Floats, object_id: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
    """Take one band from some objects, whatever they are: which band is lacking must not tell what a source is.

    In the simulator a source that is seen in g alone is blue; in the sky it lies where r was not observed.
    """
    objects, of = np.unique(object_id, return_inverse=True)
    draw = rng.random(len(objects))[of]
    shared = [FEATURES.index(name) for name in ("colour", "colour_scatter", "deviation_ratio")]
    for start, hidden, kept in ((0.0, "g", "r"), (HIDDEN_SHARE, "r", "g")):
        rows = (draw >= start) & (draw < start + HIDDEN_SHARE) & np.isfinite(table[:, FEATURES.index(f"skew_{kept}")])
        columns = [place for place, name in enumerate(FEATURES) if name.endswith(f"_{hidden}")] + shared
        table[np.ix_(np.flatnonzero(rows), np.array(columns))] = np.nan


def _star_galaxy(sample: Sample, rng: np.random.Generator) -> Floats:
    """Give sgscore1: what the simulator says, but nuclei are of two kinds and some stars look extended."""
    objects, first, of = np.unique(sample.object_id, return_index=True, return_inverse=True)
    kind = sample.kind[first]
    count = len(objects)
    nucleus = np.where(rng.random(count) < POINT_LIKE_SHARE, rng.beta(8.0, 1.0, count), rng.beta(1.0, 5.0, count))
    score = np.where(np.isin(kind, NUCLEI), nucleus, sample.curves.alerts["sgscore1"][first])
    blended = np.isin(kind, list(ABSOLUTE_MAG)) & (rng.random(count) < EXTENDED_STARS_SHARE)
    return np.where(blended, rng.random(count), score)[of]


def _colour_offset(sample: Sample, rng: np.random.Generator) -> Floats:
    """Draw what the simulator's colours lack: dust before stars, emission lines of nuclei."""
    objects, first, of = np.unique(sample.object_id, return_index=True, return_inverse=True)
    kind = sample.kind[first]
    dust = np.where(np.isin(kind, list(ABSOLUTE_MAG)), rng.exponential(REDDENING_MAG, len(objects)), 0.0)
    lines = np.where(np.isin(kind, NUCLEI), rng.normal(0.0, COLOUR_SCATTER_MAG, len(objects)), 0.0)
    return (dust + lines)[of]


def _parallax_over_error(sample: Sample, rng: np.random.Generator) -> Floats:
    """Draw what Gaia would say of each object: nothing, noise, or a star's parallax."""
    objects, first, of = np.unique(sample.object_id, return_index=True, return_inverse=True)
    kind = sample.kind[first]
    rest = _rest_mag(sample)[first]
    typical = np.interp(rest, *PARALLAX_ERROR_MAS)
    ratio = rng.normal(0.0, 1.05, len(objects))
    for name, (mean, scatter) in ABSOLUTE_MAG.items():
        rows = np.flatnonzero(kind == name)
        absolute = rng.normal(mean, scatter, len(rows))
        parallax_mas = np.clip(10 ** (0.2 * (absolute - rest[rows]) + 2.0), 0.02, 20.0)
        ratio[rows] += parallax_mas / typical[rows]
    galaxy = np.isin(kind, TRANSIENTS)
    lost = np.where(galaxy, 0.8, np.where(np.isin(kind, NUCLEI), 0.25, 0.03))
    missing = (rest > GAIA_LIMIT_MAG) | (rng.random(len(objects)) < lost) | (rng.random(len(objects)) < UNKNOWN_SHARE)
    return np.where(missing, np.nan, ratio)[of]


def _rest_mag(sample: Sample) -> Floats:
    """Give the reference magnitude of each alert's last point."""
    return np.nan_to_num(sample.curves.entries["magnr"][sample.curves.offsets[1:] - 1], nan=21.5)


TRAINER = AgnTrainer()
