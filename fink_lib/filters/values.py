"""What a predicate may refer to, and how that value is taken out of a table of alerts.

A reference is a path into the documented columns: ``roid``, ``candidate.rb``, ``prv_candidates.magpsf`` (the list of
that field over the history) or ``fink_status['simbad']`` (one key of a map). Only what is referred to is handed to the
query engine, as one flat column per reference, so a predicate over one field of ``candidate`` costs one field.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, order=True)
class Reference:
    """One value of an alert that a predicate reads.

    Parameters
    ----------
    path : tuple of str
        Root column, then field names.
    key : str, optional
        Key, if the path leads to a map.
    """

    path: tuple[str, ...]
    key: str | None = None

    @property
    def name(self) -> str:
        """The reference as it is written in a filter, and the name of its flat column."""
        dotted = ".".join(self.path)
        return dotted if self.key is None else f"{dotted}['{self.key}']"

    @property
    def root(self) -> str:
        """Column of the table that holds the value."""
        return self.path[0]


class UnknownValueError(Exception):
    """A path that leads nowhere; the message says what exists."""


def type_of(schema: pa.Schema, reference: Reference, words: tuple[str, ...] = ()) -> pa.DataType:
    """Give the type of the flat column of a reference.

    Parameters
    ----------
    schema : pyarrow.Schema
        The documented columns.
    reference : Reference
        What is read.
    words : tuple of str
        Other names that exist, for the message.

    Raises
    ------
    UnknownValueError
        If the schema has no such value, or if the path stops at something that is no single value.
    """
    if reference.root not in schema.names:
        raise UnknownValueError(f"unknown column '{reference.root}'{similar(reference.root, [*schema.names, *words])}")
    kind = schema.field(reference.root).type
    in_list = False
    for depth, name in enumerate(reference.path[1:], start=1):
        if pa.types.is_list(kind):
            kind, in_list = kind.value_type, True
        if not pa.types.is_struct(kind):
            raise UnknownValueError(f"column '{'.'.join(reference.path[:depth])}' has no fields")
        names = [field.name for field in kind]
        if name not in names:
            raise UnknownValueError(f"'{'.'.join(reference.path[:depth])}' has no field '{name}'{similar(name, names)}")
        kind = kind.field(name).type
    if pa.types.is_map(kind):
        if reference.key is None:
            raise UnknownValueError(f"'{reference.name}' is a map: name a key, for example {reference.name}['key']")
        kind = kind.item_type
    elif reference.key is not None:
        raise UnknownValueError(f"'{'.'.join(reference.path)}' is not a map and has no keys")
    if pa.types.is_struct(kind) or pa.types.is_nested(kind) and in_list:
        raise UnknownValueError(f"'{reference.name}' is a record: name one of its fields")
    if pa.types.is_list(kind) and pa.types.is_nested(kind.value_type):
        raise UnknownValueError(f"'{reference.name}' is an array of records: name one of their fields")
    return pa.list_(kind) if in_list else kind


def extract(table: pa.Table, reference: Reference) -> pa.Array:
    """Take one flat column out of a table; numbers that are not finite become null.

    NaN would compare as the greatest of all numbers, and an alert would pass because a value is *missing*.
    """
    column: pa.Array = _one_array(table.column(reference.root))
    for place, name in enumerate(reference.path[1:], start=1):
        if pa.types.is_list(column.type):
            return _finite(_list_field(column, reference.path[place:]))
        column = pc.struct_field(column, [name])
    if reference.key is not None:
        column = pc.map_lookup(column, pa.scalar(reference.key, column.type.key_type), "first")
    return _finite(column)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _list_field(column: pa.ListArray, names: tuple[str, ...]) -> pa.Array:
    values = column.flatten()
    for name in names:
        values = pc.struct_field(values, [name])
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), _finite(values), mask=pc.is_null(column))


def _finite(column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    return column


def similar(name: str, known: Sequence[str]) -> str:
    """Say which names are near one that does not exist; empty if none is."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
