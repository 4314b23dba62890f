"""Random forests by scikit-learn, written as ONNX graphs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx.checker import check_model
from skl2onnx import to_onnx as convert
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

Floats = npt.NDArray[np.float64]

OPSET = {"": 17, "ai.onnx.ml": 3}


def fit_forest(
    seed: int,
    inputs: npt.NDArray[np.float32],
    positive: npt.NDArray[np.bool_],
    trees: int,
    leaf: int,
    weight: Floats | None = None,
) -> bytes:
    """Train a forest of two classes (Breiman 2001, Machine Learning 45, 5).

    Parameters
    ----------
    seed : int
        Of all draws.
    inputs : ndarray of float32, shape (alerts, features)
        Features.
    positive : ndarray of bool, shape (alerts,)
        Class.
    trees : int
        How many.
    leaf : int
        Least number of training alerts in a leaf: larger is smoother and smaller on disk.
    weight : ndarray, optional
        Of each alert.

    Returns
    -------
    bytes
        Graph with input ``features`` and output ``probabilities`` of shape (alerts, 2).
    """
    forest = RandomForestClassifier(
        n_estimators=trees, min_samples_leaf=leaf, max_features=0.5, random_state=seed % 2**32, n_jobs=1
    )
    forest.fit(inputs, positive.astype(int), sample_weight=weight)
    model = convert(
        forest,
        initial_types=[("features", FloatTensorType([None, inputs.shape[1]]))],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    check_model(model)
    return bytes(model.SerializeToString())
