"""Bytes of a single cell whose order is the order of its values.

Columns that are selected on have cells of their own; with these bytes the server can compare them in its filters.
Missing has no cell.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyarrow as pa

_INTEGERS = {pa.int32(): ("i4", 1 << 31), pa.int64(): ("i8", 1 << 63)}
_FLOATS = {pa.float32(): ("f4", 1 << 31), pa.float64(): ("f8", 1 << 63)}


def encode_cells(column: pa.Array) -> list[bytes | None]:
    """Write each value of a column; null gives None.

    Parameters
    ----------
    column : pyarrow.Array
        Of string, boolean, 32- or 64-bit integers or floats.

    Raises
    ------
    TypeError
        If the type has no order in bytes.
    """
    kind = column.type
    if pa.types.is_string(kind):
        return cast(list[bytes | None], column.cast(pa.binary()).to_pylist())
    if pa.types.is_boolean(kind):
        return [None if value is None else bytes([value]) for value in column.to_pylist()]
    if kind not in _INTEGERS and kind not in _FLOATS:
        raise TypeError(f"a column of type {kind} cannot have a cell of its own")
    code, sign = _INTEGERS.get(kind) or _FLOATS[kind]
    unsigned = f"u{code[1:]}"
    bits = column.fill_null(0).to_numpy(zero_copy_only=False).astype(code).view(unsigned)
    flip = np.asarray(sign, unsigned)
    if kind in _FLOATS:  # the bits of negative floats run backwards
        bits = np.where(bits & flip, ~bits, bits | flip)
    else:
        bits = bits ^ flip
    raw = bits.astype(f">{unsigned}").tobytes()
    width = int(code[1:])
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return [raw[i * width : (i + 1) * width] if ok else None for i, ok in enumerate(valid)]


def decode_cell(cell: bytes, kind: pa.DataType) -> Any:
    """Read one cell that :func:`encode_cells` wrote.

    Parameters
    ----------
    cell : bytes
        The bytes.
    kind : pyarrow.DataType
        Type of the column.
    """
    if pa.types.is_string(kind):
        return cell.decode()
    if pa.types.is_boolean(kind):
        return cell == b"\x01"
    code, sign = _INTEGERS.get(kind) or _FLOATS[kind]
    unsigned = f"u{code[1:]}"
    bits = np.frombuffer(cell, f">{unsigned}").astype(unsigned)
    flip = np.asarray(sign, unsigned)
    if kind in _FLOATS:
        bits = np.where(bits & flip, bits ^ flip, ~bits)
    else:
        bits = bits ^ flip
    return bits.astype(unsigned).view(code)[0].item()
