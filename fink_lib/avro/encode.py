"""Arrow columns become Avro records, a column at a time.

A record of 103 fields with a history of 30 entries of 57 fields is 1,800 values; visiting them one by one in Python
takes milliseconds for each alert. Here each column is turned into the bytes of all its values at once with numpy, and
Arrow joins the columns into records. The bytes are those of the schemaless Avro encoding, block for block.

Every field is written as the union ``[type, "null"]`` if it may be null, and as the bare type if the Arrow field says
``nullable=False``; :func:`avro_schema` gives the schema that says the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_VALUE = 0x00  # branch 0 of [type, "null"], as a zigzag varint
_NULL = 0x02  # branch 1
_LONGEST_VARINT = 10
_EMPTY = pa.scalar(b"", pa.large_binary())

Bytes = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]


def avro_schema(schema: pa.Schema, name: str) -> dict[str, Any]:
    """Give the Avro schema under which :func:`encode_rows` writes.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns in the order in which they are written.
    name : str
        Name of the root record. Records below it are named after their field, in the namespace of the root's name,
        so every name is unique and dotted as Spark does it.

    Raises
    ------
    TypeError
        If a column has a type that Avro messages of the broker do not use.
    """
    return {"type": "record", "name": name, "fields": [_field(field, name) for field in schema]}


def encode_rows(table: pa.Table) -> pa.LargeBinaryArray:
    """Encode each row as one schemaless Avro record.

    Parameters
    ----------
    table : pyarrow.Table
        Its schema is the schema of the records.

    Returns
    -------
    pyarrow.LargeBinaryArray
        One value per row, none null.

    Raises
    ------
    ValueError
        If a column that may not be null has a null.
    """
    parts = [_encode(_contiguous(table.column(field.name)), field) for field in table.schema]
    return _join(parts)


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


# -- schema ----------------------------------------------------------------------------------------------------------


def _field(field: pa.Field, namespace: str) -> dict[str, Any]:
    kind = _type(field.type, field.name, namespace)
    return {"name": field.name, "type": [kind, "null"] if field.nullable else kind}


def _type(kind: pa.DataType, name: str, namespace: str) -> Any:
    for test, avro in (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_int64, "long"),
        (pa.types.is_int32, "int"),
        (pa.types.is_float64, "double"),
        (pa.types.is_float32, "float"),
        (pa.types.is_string, "string"),
        (pa.types.is_binary, "bytes"),
    ):
        if test(kind):
            return avro
    if pa.types.is_struct(kind):
        inner = f"{namespace}.{name}"
        return {
            "type": "record",
            "name": name,
            "namespace": namespace,
            "fields": [_field(child, inner) for child in kind],
        }
    if pa.types.is_map(kind):
        return {"type": "map", "values": _field(kind.item_field, f"{namespace}.{name}")["type"]}
    if pa.types.is_list(kind):
        value = _type(kind.value_type, name, namespace)
        return {"type": "array", "items": [value, "null"] if kind.value_field.nullable else value}
    raise TypeError(f"field {name} has type {kind}, which messages do not use")


# -- values ----------------------------------------------------------------------------------------------------------


def _encode(column: pa.Array, field: pa.Field) -> pa.LargeBinaryArray:
    kind = field.type
    if not field.nullable and column.null_count:
        raise ValueError(f"field {field.name} may not be null and is")
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _fixed(column, field.nullable)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        parts = _text(column)
    elif pa.types.is_struct(kind):
        parts = [_encode(_child(column, place), child) for place, child in enumerate(kind)]
    elif pa.types.is_map(kind):
        parts = _blocks(column.offsets, _entries(column), len(column))
    elif pa.types.is_list(kind):
        parts = _blocks(column.offsets, _encode(column.values, kind.value_field), len(column))
    else:
        raise TypeError(f"field {field.name} has type {kind}, which messages do not use")
    if not field.nullable:
        return _join(parts)
    written = _join([_repeat(_VALUE, len(column)), *parts])
    if column.null_count:
        written = pc.if_else(pc.is_valid(column), written, pa.scalar(bytes([_NULL]), pa.large_binary()))
    return written


def _fixed(column: pa.Array, nullable: bool) -> pa.LargeBinaryArray:
    """Encode numbers and truth values: at most 10 bytes each."""
    rows = len(column)
    if pa.types.is_floating(column.type):
        width = 8 if pa.types.is_float64(column.type) else 4
        values = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(f"<f{width}", copy=False)
        body = np.ascontiguousarray(values).view(np.uint8).reshape(rows, width)
        lengths = np.full(rows, width, np.int64)
    elif pa.types.is_boolean(column.type):
        body = pc.fill_null(column, False).to_numpy(zero_copy_only=False).astype(np.uint8).reshape(rows, 1)
        lengths = np.ones(rows, np.int64)
    else:
        body, lengths = _varints(pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(np.int64))
    if not nullable:
        return _rows(body, lengths)
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    branch = np.where(valid, _VALUE, _NULL).astype(np.uint8).reshape(rows, 1)
    return _rows(np.hstack([branch, body]), np.where(valid, lengths + 1, 1))


def _text(column: pa.Array) -> list[pa.LargeBinaryArray]:
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return [_rows(*_varints(lengths)), pc.fill_null(column.cast(pa.large_binary()), _EMPTY)]


def _entries(column: pa.MapArray) -> pa.LargeBinaryArray:
    key = pa.field("key", pa.string(), nullable=False)
    return _join([_encode(column.keys, key), _encode(column.items, column.type.item_field)])


def _blocks(offsets: pa.Array, items: pa.LargeBinaryArray, rows: int) -> list[pa.LargeBinaryArray]:
    """Encode arrays or maps: one block with its count, if there is anything in it, and the closing zero."""
    bounds = offsets.to_numpy().astype(np.int64)
    counts = np.diff(bounds)
    head, lengths = _varints(counts)
    edges = np.frombuffer(items.buffers()[1], np.int64)[items.offset : items.offset + len(items) + 1]
    block = _from_buffers(edges[bounds], items.buffers()[2])
    return [_rows(head, np.where(counts > 0, lengths, 0)), block, _repeat(0, rows)]


def _child(column: pa.StructArray, place: int) -> pa.Array:
    """Take a field of a record, null where the record is."""
    return pc.struct_field(column, [place])


def _varints(values: npt.NDArray[np.int64]) -> tuple[Bytes, Lengths]:
    """Encode integers zigzag, seven bits to a byte, least first; the last byte of each has no high bit."""
    rest = ((values << 1) ^ (values >> 63)).astype(np.uint64)
    columns = []
    lengths = np.ones(len(values), np.int64)
    for place in range(_LONGEST_VARINT):
        columns.append((rest & np.uint64(0x7F)).astype(np.uint8))
        rest = rest >> np.uint64(7)
        more = rest != 0
        columns[-1][more] |= 0x80
        if not more.any():
            break
        lengths[more] = place + 2
    return np.stack(columns, axis=1), lengths


def _rows(matrix: Bytes, lengths: Lengths) -> pa.LargeBinaryArray:
    """Take the first `lengths` bytes of each row of a matrix."""
    rows, width = matrix.shape
    ends = np.concatenate(([0], np.cumsum(lengths)))
    if ends[-1] == rows * width:
        data = np.ascontiguousarray(matrix).reshape(-1)
    else:
        data = matrix[np.arange(width) < lengths[:, None]]
    return _from_buffers(ends, pa.py_buffer(data))


def _repeat(byte: int, rows: int) -> pa.LargeBinaryArray:
    return _from_buffers(np.arange(rows + 1, dtype=np.int64), pa.py_buffer(bytes([byte]) * rows))


def _from_buffers(offsets: npt.NDArray[np.int64], data: pa.Buffer) -> pa.LargeBinaryArray:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64)), data]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _join(parts: list[pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    return pc.binary_join_element_wise(*parts, _EMPTY)
