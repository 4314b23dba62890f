"""Cells of hot columns: exact, and ordered as their values."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.archive.cells import decode_cell, encode_cells

VALUES = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(),
    pa.bool_(): st.booleans(),
}
pairs = st.sampled_from(list(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind], VALUES[kind]))


@given(pairs)
def test_a_cell_gives_its_value_back(drawn):
    kind, one, _ = drawn
    back = decode_cell(encode_cells(pa.array([one], kind))[0], kind)
    assert back == one
    if isinstance(one, float):
        assert math.copysign(1, back) == math.copysign(1, one)


@given(pairs)
def test_cells_sort_as_their_values(drawn):
    kind, one, other = drawn
    first, second = encode_cells(pa.array([one, other], kind))
    if isinstance(one, float) and one == other:  # -0.0 and 0.0 are equal values with two spellings
        return
    assert (first > second) - (first < second) == (one > other) - (one < other)


def test_missing_has_no_cell():
    assert encode_cells(pa.array([None, 1], pa.int64()))[0] is None
    assert encode_cells(pa.array([None, 1.0], pa.float32()))[0] is None
    assert encode_cells(pa.array([None, ""], pa.string())) == [None, b""]


def test_a_struct_cannot_have_a_cell():
    with pytest.raises(TypeError, match="cell of its own"):
        encode_cells(pa.array([{"a": 1}]))
