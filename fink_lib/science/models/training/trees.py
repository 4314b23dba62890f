"""Trees of scikit-learn as ONNX graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper
from skl2onnx import to_onnx

from fink_lib.errors import FinkError
from fink_lib.science.models.inference import Graph

OPSET = 18
"""Of ONNX; onnxruntime reads all older ones too."""

IR_VERSION = 10
TREES_OPSET = 3
TOLERANCE = 1e-4
"""Largest difference between the probabilities of the graph (float32) and of scikit-learn (float64)."""


class ConversionError(FinkError):
    """A graph does not say what its model says."""


def graph_of(classifier: Any, features: int) -> bytes:
    """Give a fitted classifier as a graph with the input ``X`` (float32) and the output ``probabilities``.

    Parameters
    ----------
    classifier : scikit-learn estimator
        A classifier, or a pipeline that ends in one.
    features : int
        Columns of its input.
    """
    model = to_onnx(classifier, np.zeros((1, features), np.float32), options={"zipmap": False}, target_opset=OPSET)
    data: bytes = model.SerializeToString()
    return data


def boosted_graph(classifier: Any, rows: npt.NDArray[np.float32]) -> bytes:
    """Give two classes of histogram gradient boosting as a graph: ``X`` (float32, NaN is missing) to ``probability``.

    Written here because skl2onnx 1.20 cannot convert what scikit-learn 1.9 grows.

    Parameters
    ----------
    classifier : sklearn.ensemble.HistGradientBoostingClassifier
        Fitted, with two classes and no categories.
    rows : ndarray, shape (rows, features)
        On which graph and classifier are compared.

    Raises
    ------
    ConversionError
        If they differ.
    """
    fields: dict[str, list[Any]] = {
        name: [] for name in ("ids", "tree", "feature", "value", "mode", "yes", "no", "nan")
    }
    leaves: dict[str, list[Any]] = {name: [] for name in ("ids", "tree", "weight")}
    for tree, (predictor,) in enumerate(classifier._predictors):
        for place, node in enumerate(predictor.nodes):
            leaf = bool(node["is_leaf"])
            fields["ids"].append(place)
            fields["tree"].append(tree)
            fields["feature"].append(0 if leaf else int(node["feature_idx"]))
            fields["value"].append(0.0 if leaf else float(node["num_threshold"]))
            fields["mode"].append("LEAF" if leaf else "BRANCH_LEQ")
            fields["yes"].append(0 if leaf else int(node["left"]))
            fields["no"].append(0 if leaf else int(node["right"]))
            fields["nan"].append(0 if leaf else int(node["missing_go_to_left"]))
            if leaf:
                leaves["ids"].append(place)
                leaves["tree"].append(tree)
                leaves["weight"].append(float(node["value"]))
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["margin"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[float(np.ravel(classifier._baseline_prediction)[0])],
        nodes_nodeids=fields["ids"],
        nodes_treeids=fields["tree"],
        nodes_featureids=fields["feature"],
        nodes_values=fields["value"],
        nodes_modes=fields["mode"],
        nodes_truenodeids=fields["yes"],
        nodes_falsenodeids=fields["no"],
        nodes_missing_value_tracks_true=fields["nan"],
        target_nodeids=leaves["ids"],
        target_treeids=leaves["tree"],
        target_ids=[0] * len(leaves["ids"]),
        target_weights=leaves["weight"],
    )
    graph = helper.make_graph(
        [ensemble, helper.make_node("Sigmoid", ["margin"], ["probability"])],
        "boosted_trees",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, rows.shape[1]])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model)
    data: bytes = model.SerializeToString()
    expected = classifier.predict_proba(rows)[:, 1]
    worst = float(np.abs(Graph(data).run({"X": rows}, "probability")[:, 0] - expected).max())
    if worst > TOLERANCE:
        raise ConversionError(f"the graph of the boosted trees differs from its model by up to {worst:.1e}")
    return data
