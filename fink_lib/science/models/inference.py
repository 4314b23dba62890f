"""ONNX graphs on one thread, in calls of one fixed shape.

A matrix product may take another path through the processor for one row than for many, and end in another last bit.
Every call therefore has the same number of rows, the last one filled up: the result of a row is then the same in
whatever batch it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

ROWS = 64
"""Rows of one call."""


class Graph:
    """One ONNX graph; its session is made at the first use and never leaves the process.

    Parameters
    ----------
    data : bytes
        The serialised model.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[type[Graph], tuple[bytes]]:
        return Graph, (self.data,)

    @cached_property
    def session(self) -> Any:
        """The onnxruntime session: one thread, since Spark runs one worker per core."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(self.data, options, providers=["CPUExecutionProvider"])

    def run(
        self, inputs: Mapping[str, npt.NDArray[Any]], output: str, rows: int = ROWS, axis: int = 0
    ) -> npt.NDArray[np.float64]:
        """Compute one output for many rows.

        Parameters
        ----------
        inputs : mapping of str to array
            Arrays with the rows along `axis`.
        output : str
            Name of a tensor of the graph whose first axis is the rows.
        rows : int
            Rows of one call of the graph.
        axis : int
            Where the inputs have their rows.

        Returns
        -------
        ndarray of float64
            The output, as many rows as the inputs have.
        """
        size = next(iter(inputs.values())).shape[axis]
        parts = []
        for start in range(0, size, rows):
            piece = {name: _filled(array, start, rows, axis) for name, array in inputs.items()}
            parts.append(np.asarray(self.session.run([output], piece)[0], dtype=np.float64)[: size - start])
        if not parts:
            shape = [one if isinstance(one, int) else 0 for one in self._shape(output)]
            return np.zeros((0, *shape[1:]))
        return np.concatenate(parts)

    def _shape(self, output: str) -> list[Any]:
        return next(list(one.shape) for one in self.session.get_outputs() if one.name == output)


def _filled(array: npt.NDArray[Any], start: int, rows: int, axis: int) -> npt.NDArray[Any]:
    """Cut `rows` rows out of an array; rows beyond its end are zero."""
    place = [slice(None)] * array.ndim
    place[axis] = slice(start, start + rows)
    piece = array[tuple(place)]
    missing = rows - piece.shape[axis]
    if not missing:
        return np.ascontiguousarray(piece)
    width = [(0, 0)] * array.ndim
    width[axis] = (0, missing)
    return np.pad(piece, width)
