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

from fink_lib.archive.kinds import FIXED, WORDS, type_from_json, type_to_json
from fink_lib.archive.nested import TEXTS, as_bytes, from_bytes, numbers

ID_BYTES = 4
MOST_OFFSET = 2**31
"""Arrow's arrays of text end here; longer columns come in several pieces."""


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
                    record[f"v{place}"] = numbers(values)
                elif not pa.types.is_struct(leaf.kind):
                    piece = as_bytes(values)
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
        wanted = [node for node in self._nodes if columns is None or node.field.name in columns]
        schema = self.columns if columns is None else pa.schema([node.field for node in wanted])
        if not packed:
            return schema.empty_table()
        width = self._dtype.itemsize
        if any(cell[:ID_BYTES] != self.schema_id for cell in packed):
            raise ValueError(f"a row was packed under another layout than {self.schema_id.hex()}")
        record = np.frombuffer(b"".join([cell[:width] for cell in packed]), self._dtype)
        source = _Source.of(packed, record, len(self._leaves), width)
        return pa.Table.from_arrays([source.build(node) for node in wanted], schema=schema)

    @cached_property
    def _nodes(self) -> list[_Node]:
        """The columns, and where their leaves and their pieces of varying width are."""
        leaves, pieces = itertools.count(), itertools.count()
        return [_node_of(field, leaves, pieces) for field in self.columns]


@dataclass(frozen=True)
class _Node:
    """A column, or a field inside a struct.

    What is asked of its type is asked once: Arrow's types are slow to compare.

    Parameters
    ----------
    field : pyarrow.Field
        Name and type.
    leaf : int
        Its place among the leaves.
    piece : int
        Its place among the values of varying width; -1 if its width is fixed.
    truth : bool
        Whether its values are true or false.
    text : bool
        Whether its values are texts or bytes.
    inner : tuple of _Node
        The fields of a struct.
    """

    field: pa.Field
    leaf: int
    piece: int = -1
    truth: bool = False
    text: bool = False
    inner: tuple[_Node, ...] = ()


def _node_of(field: pa.Field, leaves: Iterator[int], pieces: Iterator[int]) -> _Node:
    leaf, kind = next(leaves), field.type
    if pa.types.is_struct(kind):
        return _Node(field, leaf, inner=tuple(_node_of(one, leaves, pieces) for one in kind))
    if kind in WORDS and WORDS[kind] in FIXED:
        return _Node(field, leaf, truth=pa.types.is_boolean(kind))
    return _Node(field, leaf, next(pieces), text=kind in TEXTS)


@dataclass(frozen=True)
class _Source:
    """Packed rows, taken apart as far as that goes without knowing the columns.

    Arrow's buffers are cut from what is made for all leaves at once: a hundred small arrays made one by one would take
    longer than their values.
    """

    packed: Sequence[bytes]
    record: np.ndarray[Any, Any]
    bitmaps: pa.Buffer
    bitmap_bytes: int
    missing: list[int]
    starts: list[list[int]]
    ends: list[list[int]]
    offsets: np.ndarray[Any, Any]

    @classmethod
    def of(cls, packed: Sequence[bytes], record: np.ndarray[Any, Any], leaves: int, width: int) -> _Source:
        """Take apart the validity bits and the lengths.

        Parameters
        ----------
        packed : sequence of bytes
            The rows.
        record : numpy.ndarray
            What they have but variable bytes.
        leaves : int
            How many leaves a row has.
        width : int
            Where its variable bytes begin.
        """
        rows = len(packed)
        valid = np.unpackbits(record["valid"], axis=1, count=leaves, bitorder="little")
        bitmap_bytes = -(-rows // 64) * 8  # Arrow likes buffers that begin at a multiple of eight bytes
        bitmaps = np.zeros((leaves, bitmap_bytes), np.uint8)
        bitmaps[:, : -(-rows // 8)] = np.packbits(valid.T, axis=1, bitorder="little")
        missing = (rows - valid.sum(axis=0, dtype=np.int64)).tolist()
        lengths = record["lengths"].astype(np.int64)
        ends = width + np.cumsum(lengths, axis=1)
        offsets = np.zeros((lengths.shape[1], rows + 1), np.int64)
        np.cumsum(lengths.T, axis=1, out=offsets[:, 1:])
        starts = ends - lengths
        return cls(
            packed, record, pa.py_buffer(bitmaps), bitmap_bytes, missing, starts.T.tolist(), ends.T.tolist(), offsets
        )

    def build(self, node: _Node) -> pa.Array:
        """Make a column."""
        kind, rows, missing = node.field.type, len(self.packed), self.missing[node.leaf]
        valid = self.bitmaps.slice(node.leaf * self.bitmap_bytes, self.bitmap_bytes) if missing else None
        if node.inner:
            fields = [self.build(inner) for inner in node.inner]
            return pa.Array.from_buffers(kind, rows, [valid], missing, children=fields)
        if node.piece < 0:
            values = np.ascontiguousarray(self.record[f"v{node.leaf}"])
            if node.truth:
                values = np.packbits(values, bitorder="little")
            return pa.Array.from_buffers(kind, rows, [valid, pa.py_buffer(values)], missing)
        offsets, starts, ends = self.offsets[node.piece], self.starts[node.piece], self.ends[node.piece]
        cells = [cell[start:end] for cell, start, end in zip(self.packed, starts, ends, strict=True)]
        if node.text and offsets[-1] < MOST_OFFSET:
            buffers = [valid, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(b"".join(cells))]
            return pa.Array.from_buffers(kind, rows, buffers, missing)  # it was text when it was packed
        there = [True] * rows if valid is None else pa.Array.from_buffers(pa.bool_(), rows, [None, valid]).to_pylist()
        return from_bytes([cell if known else None for cell, known in zip(cells, there, strict=True)], kind)


def _leaves_of(path: tuple[str, ...], kind: pa.DataType) -> Iterator[_Leaf]:
    if pa.types.is_struct(kind):
        yield _Leaf(path, kind, None)
        for field in kind:
            yield from _leaves_of((*path, field.name), field.type)
    else:
        code = None if pa.types.is_nested(kind) else FIXED.get(WORDS.get(kind, ""), (None, None))[1]
        type_to_json(kind)  # refuses what has no layout
        yield _Leaf(path, kind, code)


def _leaf_arrays(values: pa.Array) -> Iterator[pa.Array]:
    """Give the arrays of the leaves, in the order of :func:`_leaves_of`."""
    yield values
    if pa.types.is_struct(values.type):
        for child in values.flatten():  # a field of a null struct comes out null
            yield from _leaf_arrays(child)
