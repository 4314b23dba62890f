"""The forests behind ``anomaly_score``: per band, how soon random cuts in the features set a light curve apart.

Liu, Ting & Zhou 2008 (ICDM, 413). They are trained on the classes that fill a night (variable stars, active nuclei,
common supernovae), so that what is none of these is set apart early; rare classes and injected outliers measure it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper
from sklearn.ensemble import IsolationForest

from fink_lib.science.models.artefact import Artefact, Trained
from fink_lib.science.models.lightcurves import LightCurves
from fink_lib.science.models.metrics import describe
from fink_lib.science.models.simulation.sample import Request, Sample
from fink_lib.science.models.training.trainer import Tell
from fink_lib.science.modules.anomaly import BANDS, INPUTS, MODEL, Forest, band_scores, feature_matrix
from fink_lib.science.modules.lc_features import BANDS as FILTERS
from fink_lib.science.modules.lc_features import extract, measurements

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ORDINARY = {
    "RRLyrae": 6_000,
    "Eclipsing": 6_000,
    "LongPeriod": 4_000,
    "Erratic": 6_000,
    "AGN": 6_000,
    "Blazar": 900,
    "Constant": 1_500,
    "DwarfNova": 1_500,
    "SNIa": 3_000,
    "SNII": 2_100,
    "SNIIn": 300,
    "SNIbc": 300,
}
"""Objects of the classes that the forests know."""

RARE = {"TDE": 900, "SLSN": 900, "Nova": 900, "Microlensing": 900}
"""Objects of classes that they have never seen; used in the evaluation alone. Faster ones seldom have four points."""

TREES = 150
CURVES_PER_TREE = 256
"""The paper's choice: more would make ordinary crowds look like outliers."""

LOWEST_SHARE = 0.05
"""Scores below those of this share of ordinary light curves are called anomalous when hits are counted."""

OPSET, ML_OPSET, IR_VERSION = 18, 3, 9
EULER_GAMMA = 0.5772156649015329

OUTLIERS = ("flare", "eclipse", "ramp", "flicker")
JUMP_MAG, RAMP_MAG_PER_D, FLICKER_MAG = 4.0, 0.3, 1.5


def distort(points: LightCurves, magnitude: Floats, kind: str) -> Floats:
    """Make light curves that no source is known to have.

    Parameters
    ----------
    points : LightCurves
        Points of alerts.
    magnitude : ndarray, shape (points,)
        Their magnitudes.
    kind : str
        ``flare`` and ``eclipse``: each alert's middle point is 4 mag brighter or fainter; ``ramp``: 0.3 mag/d are
        added; ``flicker``: points are in turn 1.5 mag brighter and fainter.

    Returns
    -------
    ndarray, shape (points,)
    """
    rank = np.arange(len(magnitude)) - points.offsets[:-1][points.alert]
    middle = rank == points.lengths[points.alert] // 2
    if kind == "ramp":
        first = points.time_jd[points.offsets[:-1][points.alert]]
        return magnitude + RAMP_MAG_PER_D * (points.time_jd - first)
    if kind == "flicker":
        return magnitude + np.where(rank % 2 == 1, FLICKER_MAG, -FLICKER_MAG)
    return magnitude + np.where(middle, -JUMP_MAG if kind == "flare" else JUMP_MAG, 0.0)


def sample_features(curves: LightCurves, outlier: str = "") -> dict[str, Floats]:
    """Give the features of light curves per band, as the module has them.

    Parameters
    ----------
    curves : LightCurves
        See :func:`fink_lib.science.modules.lc_features.measurements`.
    outlier : str
        How to distort each band (see :func:`distort`); not at all if empty.
    """
    points, magnitude, error = measurements(curves)
    found = {}
    for band in BANDS:
        chosen = points.band == FILTERS[band]
        one, values = points.where(chosen), magnitude[chosen]
        values = distort(one, values, outlier) if outlier else values
        found[band] = feature_matrix(extract(one.time_jd, values, error[chosen], one.lengths))
    return found


def average_path(size: npt.NDArray[np.int64]) -> Floats:
    """Give the mean depth of an unsuccessful search in a binary tree of `size` leaves (Liu et al. 2008, equation 1).

    >>> average_path(np.array([1, 2, 256])).round(3).tolist()
    [0.0, 1.0, 10.245]
    """
    many = np.maximum(size, 3).astype(np.float64)
    path = 2 * (np.log(many - 1) + EULER_GAMMA) - 2 * (many - 1) / many
    result: Floats = np.where(size <= 1, 0.0, np.where(size == 2, 1.0, path))
    return result


def forest_graph(forest: IsolationForest) -> bytes:
    """Write a fitted forest as ONNX: input ``X`` (float32), output ``score``, minus 2 to the minus relative depth.

    The published converter makes several nodes per tree; here all trees are one node.

    Parameters
    ----------
    forest : sklearn.ensemble.IsolationForest
        Fitted with all features in each tree.

    Returns
    -------
    bytes
    """
    columns: dict[str, list[Any]] = {name: [] for name in _TREE_COLUMNS}
    for number, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        leaf = tree.children_left < 0
        # Inputs are float32: the largest one that is not above the threshold divides them alike.
        threshold = tree.threshold.astype(np.float32)
        threshold = np.where(threshold > tree.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
        nodes = np.arange(tree.node_count)
        columns["nodes_treeids"] += [number] * tree.node_count
        columns["nodes_nodeids"] += nodes.tolist()
        columns["nodes_featureids"] += np.where(leaf, 0, tree.feature).tolist()
        columns["nodes_modes"] += np.where(leaf, "LEAF", "BRANCH_LEQ").tolist()
        columns["nodes_values"] += np.where(leaf, 0, threshold).astype(float).tolist()
        columns["nodes_truenodeids"] += np.where(leaf, 0, tree.children_left).tolist()
        columns["nodes_falsenodeids"] += np.where(leaf, 0, tree.children_right).tolist()
        leaves = nodes[leaf]
        columns["target_treeids"] += [number] * len(leaves)
        columns["target_nodeids"] += leaves.tolist()
        columns["target_ids"] += [0] * len(leaves)
        depth = _depths(tree)[leaf] + average_path(tree.n_node_samples[leaf])
        columns["target_weights"] += depth.tolist()
    # Mean depth over the expected one, as a power of two.
    scale = -np.log(2) / (len(forest.estimators_) * average_path(np.array([forest.max_samples_]))[0])
    trees: dict[str, Any] = {"domain": "ai.onnx.ml", "n_targets": 1, "aggregate_function": "SUM", **columns}
    steps = [
        helper.make_node("TreeEnsembleRegressor", ["X"], ["depth"], **trees),
        helper.make_node("Mul", ["depth", "scale"], ["exponent"]),
        helper.make_node("Exp", ["exponent"], ["power"]),
        helper.make_node("Neg", ["power"], ["score"]),
    ]
    graph = helper.make_graph(
        steps,
        "isolation_forest",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, len(INPUTS)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
    return data


_TREE_COLUMNS = (
    *(
        f"nodes_{name}"
        for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    ),
    *(f"target_{name}" for name in ("treeids", "nodeids", "ids", "weights")),
)


def _depths(tree: Any) -> Floats:
    """Give the depth of each node; a tree lists parents before their children."""
    depth = np.zeros(tree.node_count)
    for node in np.flatnonzero(tree.children_left >= 0).tolist():
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    return depth


class AnomalyTrainer:
    """Trains one forest per band on ordinary light curves."""

    name = MODEL
    version = "1"
    request = Request({**ORDINARY, **RARE}, alerts_per_object=2, newly_found=True)

    def train(self, seed: int, sample: Sample, tell: Tell) -> Trained:
        """Train; rare classes are left out."""
        sample = sample.take(np.flatnonzero(np.isin(sample.kind, list(ORDINARY))))
        graphs, arrays = {}, {}
        for band, features in sample_features(sample.curves).items():
            complete = features[np.isfinite(features).all(axis=1)]
            tell(f"fitting: {len(complete)} light curves in {band}")
            forest = IsolationForest(n_estimators=TREES, max_samples=CURVES_PER_TREE, random_state=seed)
            forest.fit(complete.astype(np.float32))
            graphs[band] = forest_graph(forest)
            arrays[f"quantiles_{band}"] = np.quantile(forest.score_samples(complete), np.linspace(0, 1, 101))
        card = {
            "purpose": "how unlike common variable stars, active nuclei and supernovae a light curve is",
            "features": list(INPUTS),
            "normalisation": "none: a forest does not see scales",
            "cuts": "bands with all features, which takes 4 points",
            "calibration": "none: a score ranks; arrays quantiles_g and quantiles_r say where ordinary ones lie",
            "limits": "An unusual light curve need not be an unusual object: bad subtractions and very bright stars "
            "come first. A rare class whose 30 days look like those of a common one, as a tidal disruption's or a "
            "lens's do, is not found. Colours are not used, nor anything beside the light curve.",
        }
        return Trained(graphs, arrays, card)

    def evaluate(self, model: Artefact, sample: Sample) -> Mapping[str, Any]:
        """Measure how far below ordinary light curves rare classes and injected outliers score."""
        forests = {band: Forest(model.graphs[band], len(INPUTS)) for band in BANDS}
        ordinary = np.isin(sample.kind, list(ORDINARY))
        score = np.fmin.reduce(band_scores(forests, sample_features(sample.curves)))
        usual = score[ordinary & np.isfinite(score)]
        below = {kind: score[(sample.kind == kind) & np.isfinite(score)] for kind in RARE}
        few = sample.take(np.flatnonzero(ordinary)[::20])
        for kind in OUTLIERS:
            injected = np.fmin.reduce(band_scores(forests, sample_features(few.curves, kind)))
            below[f"injected {kind}"] = injected[np.isfinite(injected)]
        return {f"{kind} below ordinary": _separation(usual, rare) for kind, rare in below.items() if len(rare)}


def _separation(ordinary: Floats, rare: Floats) -> dict[str, Any]:
    """Give metrics of being rare; hits are counted below the lowest 5 % of the ordinary."""
    score, positive = np.concatenate([ordinary, rare]), np.arange(len(ordinary) + len(rare)) >= len(ordinary)
    metrics = describe(-score, positive)
    said = score <= np.quantile(ordinary, LOWEST_SHARE)
    confusion = {
        "true_positive": int((said & positive).sum()),
        "false_positive": int((said & ~positive).sum()),
        "false_negative": int((~said & positive).sum()),
        "true_negative": int((~said & ~positive).sum()),
    }
    return {"n": metrics["n"], "positives": metrics["positives"], "auc": metrics["auc"], "ece": None} | {
        "confusion": confusion,
        "roc": metrics["roc"],
    }


TRAINER = AnomalyTrainer()
