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
from fink_lib.archive.nested import as_bytes, from_bytes, numbers

ID_BYTES = 4


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
        if kind in WORDS and WORDS[kind] in FIXED:
            fixed = self.record[f"v{place}"]
            if pa.types.is_boolean(kind):
                fixed = fixed.astype(bool)
            return pa.array(np.ascontiguousarray(fixed), kind, mask=missing)
        piece = next(pieces)
        spans = zip(self.packed, self.starts[:, piece], self.ends[:, piece], missing, strict=True)
        values = [None if gone else cell[start:end] for cell, start, end, gone in spans]
        return from_bytes(values, kind)


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
