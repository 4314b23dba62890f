"""Values of varying width as bytes: texts, maps and lists of many rows at once.

The entries of all rows are written as one array. Those of one row lie side by side in its buffer, so the rows are the
same buffer seen through wider offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.kinds import FIXED, WORDS

TEXTS = (pa.string(), pa.binary())


def numbers(values: pa.Array) -> np.ndarray[Any, Any]:
    """Give a column of numbers; the bits of a null are zero, so equal rows have equal bytes."""
    filled = values.fill_null(False if pa.types.is_boolean(values.type) else 0)
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def as_bytes(values: pa.Array) -> pa.Array:
    """Write a column whose values vary in width: one binary value for each row, null where it is null."""
    if pa.types.is_map(values.type):
        return _map_bytes(values)
    if pa.types.is_list(values.type):
        return _list_bytes(values)
    return values.cast(pa.binary())


def from_bytes(cells: Sequence[bytes | None], kind: pa.DataType) -> pa.Array:
    """Read what :func:`as_bytes` wrote."""
    if pa.types.is_map(kind):
        return _maps(cells, kind)
    if pa.types.is_list(kind):
        return _lists(cells, kind)
    return pa.array(cells, pa.binary()).cast(kind)


def _map_bytes(values: pa.MapArray) -> pa.Array:
    """Write maps: for each entry the key's length and bytes, whether there is a value, the value's length and bytes."""
    values = pa.concat_arrays([values])  # offsets then begin at 0
    first, last = values.offsets[0].as_py(), values.offsets[-1].as_py()
    keys = values.keys.slice(first, last - first).cast(pa.binary())
    items = values.items.slice(first, last - first)
    if items.type in TEXTS:
        item_bytes = items.cast(pa.binary()).fill_null(b"")
    else:
        item_bytes = _fixed_bytes(numbers(items).astype(FIXED[WORDS[items.type]][1]))
    entries = pc.binary_join_element_wise(
        _fixed_bytes(pc.binary_length(keys).to_numpy(zero_copy_only=False).astype("<u4")),
        keys,
        _fixed_bytes(items.is_valid().to_numpy(zero_copy_only=False).astype("u1")),
        _fixed_bytes(pc.binary_length(item_bytes).to_numpy(zero_copy_only=False).astype("<u4")),
        item_bytes,
        b"",
    )
    return _rows_of(entries, values.offsets.to_numpy() - first, values.is_valid())


def _list_bytes(values: pa.ListArray) -> pa.Array:
    """Write lists: for each entry whether there is a value, and the value, after its length if that varies."""
    values = pa.concat_arrays([values])
    first, last = values.offsets[0].as_py(), values.offsets[-1].as_py()
    items = values.values.slice(first, last - first)
    present = items.is_valid().to_numpy(zero_copy_only=False)
    offsets = values.offsets.to_numpy() - first
    if items.type not in TEXTS:
        record = np.zeros(len(items), _entry(items.type))
        record["there"], record["value"] = present, numbers(items)
        return _rows_of(_fixed_bytes(record), offsets, values.is_valid())
    texts = items.cast(pa.binary()).fill_null(b"")
    entries = pc.binary_join_element_wise(
        _fixed_bytes(present.astype("u1")),
        _fixed_bytes(pc.binary_length(texts).to_numpy(zero_copy_only=False).astype("<u4")),
        texts,
        b"",
    )
    return _rows_of(entries, offsets, values.is_valid())


def _rows_of(entries: pa.Array, offsets: np.ndarray[Any, Any], valid: pa.Array) -> pa.Array:
    """Join the entries of each row; `offsets` tell where the rows begin and end, in entries."""
    starts = np.frombuffer(entries.buffers()[1], "<i4", len(entries) + 1)
    body = entries.buffers()[2] or pa.py_buffer(b"")
    wider = pa.py_buffer(starts[offsets].astype("<i4").tobytes())
    joined = pa.Array.from_buffers(pa.binary(), len(valid), [None, wider, body])
    return pc.if_else(valid, joined, pa.scalar(None, pa.binary()))


def _fixed_bytes(values: np.ndarray[Any, Any]) -> pa.Array:
    buffer = pa.py_buffer(values.tobytes())
    return pa.Array.from_buffers(pa.binary(values.dtype.itemsize), len(values), [None, buffer]).cast(pa.binary())


def _entry(kind: pa.DataType) -> np.dtype[Any]:
    return np.dtype([("there", "u1"), ("value", FIXED[WORDS[kind]][1])])


def _lists(cells: Sequence[bytes | None], kind: pa.ListType) -> pa.Array:
    inner = kind.value_type
    if inner in TEXTS:
        return pa.array([None if cell is None else _texts(cell, inner) for cell in cells], kind)
    entry = _entry(inner)
    record = np.frombuffer(b"".join(cell or b"" for cell in cells), entry)
    values = record["value"].astype(bool) if pa.types.is_boolean(inner) else np.ascontiguousarray(record["value"])
    items = pa.array(values, inner, mask=record["there"] == 0)
    lengths = np.array([len(cell or b"") // entry.itemsize for cell in cells], np.int32)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32))).astype(np.int32)
    missing = pa.array([cell is None for cell in cells], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), items, type=kind, mask=missing)


def _texts(cell: bytes, kind: pa.DataType) -> list[Any]:
    values: list[Any] = []
    place = 0
    while place < len(cell):
        size = int.from_bytes(cell[place + 1 : place + 5], "little")
        text = cell[place + 5 : place + 5 + size]
        values.append((text if kind == pa.binary() else text.decode()) if cell[place] else None)
        place += 5 + size
    return values


def _maps(cells: Sequence[bytes | None], kind: pa.MapType) -> pa.Array:
    keys: list[Any] = []
    items: list[Any] = []
    offsets = [0]
    for cell in cells:
        if cell:
            own_keys, own_items = _map_entries(cell, kind.key_type == pa.string(), WORDS[kind.item_type])
            keys += own_keys
            items += own_items
        offsets.append(len(keys))
    gone = [cell is None for cell in cells]
    mask = pa.array(gone, pa.bool_()) if any(gone) else None
    return pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(keys, kind.key_type), pa.array(items, kind.item_type), kind, mask=mask
    )


@lru_cache(maxsize=1024)  # most alerts of a night say the same of most modules
def _map_entries(cell: bytes, textual_keys: bool, item_word: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Take the keys and the items of a map apart."""
    keys, items, place = [], [], 0
    code = FIXED[item_word][1] if item_word in FIXED else ""
    while place < len(cell):
        (size,) = _LENGTH.unpack_from(cell, place)
        key = cell[place + 4 : place + 4 + size]
        place += 4 + size
        present, size = _ITEM.unpack_from(cell, place)
        item = cell[place + 5 : place + 5 + size]
        place += 5 + size
        value: Any = None
        if present and code:
            value = np.frombuffer(item, code)[0].item()
            value = bool(value) if item_word == "bool" else value
        elif present:
            value = item if item_word == "binary" else item.decode()
        keys.append(key.decode() if textual_keys else key)
        items.append(value)
    return tuple(keys), tuple(items)


_LENGTH, _ITEM = struct.Struct("<I"), struct.Struct("<BI")
