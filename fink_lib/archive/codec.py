"""A whole row in one cell, exact to the bit.

HBase's price is the number of cells, not their bytes, so all columns of a row travel in one::

    schema id (4 bytes, big endian) | validity bits | fixed-width values | lengths of the others | their bytes

Structs are laid out leaf by leaf. Both directions work on columns of many rows at once and never loop over values in
Python where a value has a fixed width. The schema id is the start of the digest of the column list, so rows of
different layouts may share a table: table ``fink.schema_registry`` keeps the layouts by id.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ID_BYTES = 4

_FIXED = {
    "bool": (pa.bool_(), "u1"),
    "int32": (pa.int32(), "<i4"),
    "int64": (pa.int64(), "<i8"),
    "float": (pa.float32(), "<f4"),
    "double": (pa.float64(), "<f8"),
}
_VARIABLE = {"string": pa.string(), "binary": pa.binary()}
_BY_TYPE = {kind: name for name, kind in _VARIABLE.items()} | {kind: name for name, (kind, _) in _FIXED.items()}


def type_to_json(kind: pa.DataType) -> Any:
    """Write a type as JSON: a word, ``{"map": [key, value]}`` or ``{"struct": [[field, type], ...]}``.

    Fields of a struct are a list: their order is that of the bytes, and the keys of a JSON object have none.

    Raises
    ------
    TypeError
        If the archive has no layout for the type.
    """
    if pa.types.is_map(kind):
        return {"map": [type_to_json(kind.key_type), type_to_json(kind.item_type)]}
    if pa.types.is_struct(kind):
        return {"struct": [[field.name, type_to_json(field.type)] for field in kind]}
    if kind not in _BY_TYPE:
        raise TypeError(f"the archive has no layout for columns of type {kind}")
    return _BY_TYPE[kind]


def type_from_json(text: Any) -> pa.DataType:
    """Read what :func:`type_to_json` wrote."""
    if isinstance(text, str):
        return _FIXED[text][0] if text in _FIXED else _VARIABLE[text]
    if "map" in text:
        key, value = text["map"]
        return pa.map_(type_from_json(key), type_from_json(value))
    return pa.struct([(name, type_from_json(inner)) for name, inner in text["struct"]])


@dataclass(frozen=True)
class _Leaf:
    """One value of a row: a column, or a field inside a struct; `code` is None if its width varies."""

    path: tuple[str, ...]
    kind: pa.DataType
    code: str | None


@dataclass(frozen=True)
class Layout:
    """How the columns of a table lie in its packed cell.

    Parameters
    ----------
    columns : pyarrow.Schema
        API names and types, in order.
    """

    columns: pa.Schema

    @classmethod
    def from_json(cls, columns: Sequence[dict[str, Any]]) -> Layout:
        """Rebuild a layout from the registry's list of ``{"name", "type"}``."""
        return cls(pa.schema([(column["name"], type_from_json(column["type"])) for column in columns]))

    def to_json(self) -> list[dict[str, Any]]:
        """Give the list of ``{"name", "type"}`` that the registry keeps."""
        return [{"name": field.name, "type": type_to_json(field.type)} for field in self.columns]

    @cached_property
    def schema_id(self) -> bytes:
        """First bytes of the digest of the column list."""
        text = json.dumps([[c["name"], c["type"]] for c in self.to_json()], separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()[:ID_BYTES]

    @cached_property
    def _leaves(self) -> list[_Leaf]:
        """Every leaf, structs themselves included (they have a validity bit and no bytes)."""
        return [leaf for field in self.columns for leaf in _leaves_of((field.name,), field.type)]

    @cached_property
    def _variable(self) -> list[_Leaf]:
        return [leaf for leaf in self._leaves if leaf.code is None and not pa.types.is_struct(leaf.kind)]

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        """Everything of a row but its variable bytes, as one packed record."""
        fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [
            ("schema", "u1", (ID_BYTES,)),
            ("valid", "u1", ((len(self._leaves) + 7) // 8,)),
        ]
        fields += [(f"v{i}", leaf.code) for i, leaf in enumerate(self._leaves) if leaf.code]
        fields += [("lengths", "<u4", (len(self._variable),))]
        return np.dtype(fields)

    def encode(self, rows: pa.Table) -> list[bytes]:
        """Pack each row.

        Parameters
        ----------
        rows : pyarrow.Table
            Exactly the columns of the layout, in order.

        Returns
        -------
        list of bytes
        """
        if rows.schema.names != self.columns.names:
            raise ValueError("the rows do not have the columns of the layout")
        number = rows.num_rows
        if number == 0:
            return []
        record = np.zeros(number, self._dtype)
        record["schema"] = np.frombuffer(self.schema_id, "u1")
        valid = np.zeros((number, len(self._leaves)), bool)
        pieces: list[pa.Array] = []
        place = 0
        for column, field in zip(rows.columns, self.columns, strict=True):
            if column.type != field.type:
                raise ValueError(f"column {field.name} is {column.type}, the layout has {field.type}")
            whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            for values in _leaf_arrays(whole):
                leaf = self._leaves[place]
                valid[:, place] = values.is_valid().to_numpy(zero_copy_only=False)
                if leaf.code:
                    record[f"v{place}"] = _numbers(values)
                elif not pa.types.is_struct(leaf.kind):
                    piece = _as_bytes(values)
                    record["lengths"][:, len(pieces)] = pc.fill_null(pc.binary_length(piece), 0).to_numpy(
                        zero_copy_only=False
                    )
                    pieces.append(piece)
                place += 1
        record["valid"] = np.packbits(valid, axis=1, bitorder="little")
        width = self._dtype.itemsize
        heads = pa.Array.from_buffers(pa.binary(width), number, [None, pa.py_buffer(record.tobytes())])
        parts = [heads.cast(pa.binary()), *(pc.fill_null(piece, b"") for piece in pieces), b""]
        packed = pc.binary_join_element_wise(*parts)
        return list(packed.to_numpy(zero_copy_only=False))

    def decode(self, packed: Sequence[bytes], columns: Collection[str] | None = None) -> pa.Table:
        """Unpack rows of this layout.

        Parameters
        ----------
        packed : sequence of bytes
            Cells that :meth:`encode` made.
        columns : collection of str, optional
            Only these columns; all without.

        Returns
        -------
        pyarrow.Table
            Columns in the order of the layout.

        Raises
        ------
        ValueError
            If a cell was packed under another layout.
        """
        wanted = [field for field in self.columns if columns is None or field.name in columns]
        schema = pa.schema(wanted)
        if not packed:
            return schema.empty_table()
        width = self._dtype.itemsize
        if any(cell[:ID_BYTES] != self.schema_id for cell in packed):
            raise ValueError(f"a row was packed under another layout than {self.schema_id.hex()}")
        record = np.frombuffer(b"".join(cell[:width] for cell in packed), self._dtype)
        valid = np.unpackbits(record["valid"], axis=1, count=len(self._leaves), bitorder="little").astype(bool)
        ends = width + np.cumsum(record["lengths"], axis=1, dtype=np.int64)
        source = _Source(packed, record, valid, ends, ends - record["lengths"])
        names = {field.name for field in wanted}
        arrays, place, piece = [], 0, 0
        for field in self.columns:
            leaves = list(_leaves_of((field.name,), field.type))
            if field.name in names:
                arrays.append(source.build(field.type, iter(range(place, place + len(leaves))), itertools.count(piece)))
            place += len(leaves)
            piece += sum(1 for leaf in leaves if leaf.code is None and not pa.types.is_struct(leaf.kind))
        return pa.Table.from_arrays(arrays, schema=schema)


@dataclass(frozen=True)
class _Source:
    """Packed rows, taken apart as far as that goes without knowing the columns."""

    packed: Sequence[bytes]
    record: np.ndarray[Any, Any]
    valid: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]
    starts: np.ndarray[Any, Any]

    def build(self, kind: pa.DataType, places: Iterator[int], pieces: Iterator[int]) -> pa.Array:
        """Make the column whose leaves come next."""
        place = next(places)
        missing = ~self.valid[:, place]
        if pa.types.is_struct(kind):
            fields = [self.build(field.type, places, pieces) for field in kind]
            return pa.StructArray.from_arrays(fields, fields=list(kind), mask=pa.array(missing))
        if kind in _BY_TYPE and _BY_TYPE[kind] in _FIXED:
            numbers = self.record[f"v{place}"]
            if pa.types.is_boolean(kind):
                numbers = numbers.astype(bool)
            return pa.array(np.ascontiguousarray(numbers), kind, mask=missing)
        piece = next(pieces)
        spans = zip(self.packed, self.starts[:, piece], self.ends[:, piece], missing, strict=True)
        values = [None if gone else cell[start:end] for cell, start, end, gone in spans]
        if pa.types.is_map(kind):
            return pa.array([None if value is None else _map_entries(value, kind) for value in values], kind)
        return pa.array(values, pa.binary()).cast(kind)


def _leaves_of(path: tuple[str, ...], kind: pa.DataType) -> Iterator[_Leaf]:
    if pa.types.is_struct(kind):
        yield _Leaf(path, kind, None)
        for field in kind:
            yield from _leaves_of((*path, field.name), field.type)
    else:
        code = None if pa.types.is_map(kind) else _FIXED.get(_BY_TYPE.get(kind, ""), (None, None))[1]
        type_to_json(kind)  # refuses what has no layout
        yield _Leaf(path, kind, code)


def _leaf_arrays(values: pa.Array) -> Iterator[pa.Array]:
    """Give the arrays of the leaves, in the order of :func:`_leaves_of`."""
    yield values
    if pa.types.is_struct(values.type):
        for child in values.flatten():  # a field of a null struct comes out null
            yield from _leaf_arrays(child)


def _numbers(values: pa.Array) -> np.ndarray[Any, Any]:
    # Bits of a null are zero, so equal rows have equal bytes.
    filled = values.fill_null(False if pa.types.is_boolean(values.type) else 0)
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _as_bytes(values: pa.Array) -> pa.Array:
    if pa.types.is_map(values.type):
        return _map_bytes(values)
    return values.cast(pa.binary())


def _map_bytes(values: pa.MapArray) -> pa.Array:
    """Write maps: for each entry the key's length and bytes, whether there is a value, the value's length and bytes.

    The entries of all rows are written as one array. Those of one row lie side by side in its buffer, so the maps are
    the same buffer seen through wider offsets.
    """
    values = pa.concat_arrays([values])  # offsets then begin at 0
    first, last = values.offsets[0].as_py(), values.offsets[-1].as_py()
    keys = values.keys.slice(first, last - first).cast(pa.binary())
    items = values.items.slice(first, last - first)
    present = items.is_valid()
    if pa.types.is_string(items.type) or pa.types.is_binary(items.type):
        item_bytes = items.cast(pa.binary()).fill_null(b"")
    else:
        numbers = _numbers(items).astype(_FIXED[_BY_TYPE[items.type]][1])
        item_bytes = _fixed_bytes(numbers)
    entries = pc.binary_join_element_wise(
        _fixed_bytes(pc.binary_length(keys).to_numpy(zero_copy_only=False).astype("<u4")),
        keys,
        _fixed_bytes(present.to_numpy(zero_copy_only=False).astype("u1")),
        _fixed_bytes(pc.binary_length(item_bytes).to_numpy(zero_copy_only=False).astype("<u4")),
        item_bytes,
        b"",
    )
    starts = np.frombuffer(entries.buffers()[1], "<i4", len(entries) + 1)
    offsets = starts[values.offsets.to_numpy() - first].astype("<i4")
    body = entries.buffers()[2] or pa.py_buffer(b"")
    maps = pa.Array.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(offsets.tobytes()), body])
    return pc.if_else(values.is_valid(), maps, pa.scalar(None, pa.binary()))


def _fixed_bytes(numbers: np.ndarray[Any, Any]) -> pa.Array:
    width = numbers.dtype.itemsize
    buffer = pa.py_buffer(numbers.tobytes())
    return pa.Array.from_buffers(pa.binary(width), len(numbers), [None, buffer]).cast(pa.binary())


def _map_entries(cell: bytes, kind: pa.MapType) -> list[tuple[Any, Any]]:
    entries, place = [], 0
    textual = kind.item_type in (pa.string(), pa.binary())
    while place < len(cell):
        size = int.from_bytes(cell[place : place + 4], "little")
        key = cell[place + 4 : place + 4 + size]
        place += 4 + size
        present = cell[place]
        size = int.from_bytes(cell[place + 1 : place + 5], "little")
        item = cell[place + 5 : place + 5 + size]
        place += 5 + size
        value: Any = None
        if present and textual:
            value = item if kind.item_type == pa.binary() else item.decode()
        elif present:
            value = np.frombuffer(item, _FIXED[_BY_TYPE[kind.item_type]][1])[0].item()
            value = bool(value) if pa.types.is_boolean(kind.item_type) else value
        entries.append((key if kind.key_type == pa.binary() else key.decode(), value))
    return entries
