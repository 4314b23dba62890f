"""Trees of scikit-learn as ONNX graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx import to_onnx  # type: ignore[import-untyped]

OPSET = 18
"""Of ONNX; onnxruntime reads all older ones too."""


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
