"""Columns written at once give the bytes that a record-by-record reader understands."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.avro.encode import avro_schema, encode_rows

INNER = pa.struct([("x", pa.float32()), ("name", pa.string()), ("n", pa.int64())])
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        ("i", pa.int32()),
        ("x", pa.float64()),
        ("b", pa.bool_()),
        ("s", pa.string()),
        ("raw", pa.binary()),
        pa.field("always", INNER, nullable=False),
        ("maybe", INNER),
        ("history", pa.list_(INNER)),
        ("words", pa.map_(pa.string(), pa.string())),
        ("numbers", pa.map_(pa.string(), pa.float32())),
        ("nested", pa.list_(pa.list_(pa.int32()))),
    ]
)
PARSED = fastavro.parse_schema(avro_schema(SCHEMA, "root"))

LONG = st.integers(-(2**63), 2**63 - 1)
inner = st.fixed_dictionaries(
    {"x": st.none() | st.floats(width=32), "name": st.none() | st.text(max_size=4), "n": st.none() | LONG}
)
record = st.fixed_dictionaries(
    {
        "id": LONG,
        "i": st.none() | st.integers(-(2**31), 2**31 - 1),
        "x": st.none() | st.floats(),
        "b": st.none() | st.booleans(),
        "s": st.none() | st.text(max_size=200),
        "raw": st.none() | st.binary(max_size=300),
        "always": inner,
        "maybe": st.none() | inner,
        "history": st.none() | st.lists(inner, max_size=4),
        "words": st.none() | st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3), max_size=3),
        "numbers": st.none() | st.dictionaries(st.text(max_size=3), st.none() | st.floats(width=32), max_size=3),
        "nested": st.none() | st.lists(st.none() | st.lists(st.none() | st.integers(-9, 9), max_size=3), max_size=3),
    }
)


def table_of(records: list[dict[str, Any]]) -> pa.Table:
    """Make a table; maps are lists of pairs to Arrow."""
    pairs = ("words", "numbers")
    rows = [{name: list(v.items()) if name in pairs and v is not None else v for name, v in r.items()} for r in records]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def decoded(values: pa.LargeBinaryArray) -> list[Any]:
    """Read each value to its last byte."""
    records = []
    for value in values.to_pylist():
        stream = BytesIO(value)
        records.append(fastavro.schemaless_reader(stream, PARSED))
        assert stream.read() == b""
    return records


def exact(value: Any) -> Any:
    """Give a value in a form in which NaN equals itself, 0.0 differs from -0.0, and the order of keys is no matter."""
    if isinstance(value, dict):
        return sorted((name, exact(item)) for name, item in value.items())
    return [exact(item) for item in value] if isinstance(value, list) else repr(value)


@settings(deadline=None)
@given(st.lists(record, max_size=6))
def test_what_is_read_is_what_was_written(records: list[dict[str, Any]]) -> None:
    assert exact(decoded(encode_rows(table_of(records)))) == exact(records)


@settings(deadline=None, max_examples=30)
@given(st.lists(record, min_size=3, max_size=8), st.integers(0, 2), st.integers(0, 5))
def test_a_slice_and_chunks_are_written_as_their_rows(records: list[dict[str, Any]], begin: int, size: int) -> None:
    table = table_of(records)
    assert exact(decoded(encode_rows(table.slice(begin, size)))) == exact(records[begin : begin + size])
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert encode_rows(chunked).equals(encode_rows(table))


@settings(deadline=None, max_examples=30)
@given(record)
def test_the_bytes_are_those_of_a_plain_writer(one: dict[str, Any]) -> None:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, PARSED, one)
    assert encode_rows(table_of([one]))[0].as_py() == stream.getvalue()


@pytest.mark.parametrize("value", [0, -1, 1, 63, 64, -64, -65, 8191, 8192, 2**31, -(2**31), 2**63 - 1, -(2**63)])
def test_integers_at_the_edges_of_their_bytes(value: int) -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    (written,) = encode_rows(pa.table({"n": [value]}, schema=schema)).to_pylist()
    parsed = fastavro.parse_schema(avro_schema(schema, "root"))
    assert fastavro.schemaless_reader(BytesIO(written), parsed) == {"n": value}


def test_a_null_where_none_may_be_is_an_error() -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    with pytest.raises(ValueError, match="field n may not be null"):
        encode_rows(pa.table({"n": pa.array([1, None], pa.int64())}, schema=schema))


def test_a_type_that_messages_do_not_have_is_an_error() -> None:
    schema = pa.schema([("when", pa.timestamp("us"))])
    with pytest.raises(TypeError, match="field when"):
        avro_schema(schema, "root")
    with pytest.raises(TypeError, match="field when"):
        encode_rows(schema.empty_table())


def test_records_are_named_by_their_path() -> None:
    text = json.dumps(avro_schema(SCHEMA, "root"))
    fields = {field["name"]: field["type"] for field in json.loads(text)["fields"]}
    assert fields["id"] == "long"
    assert fields["i"] == ["int", "null"]
    assert (fields["always"]["namespace"], fields["always"]["name"]) == ("root", "always")
    assert fields["history"][0]["items"][0]["name"] == "history"
    assert fields["numbers"] == [{"type": "map", "values": ["float", "null"]}, "null"]
