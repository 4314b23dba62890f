"""Packed rows: what is unpacked is what was packed, to the bit, for every type and every null."""

from __future__ import annotations

import json
import struct

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.archive.codec import ID_BYTES, Layout, type_from_json, type_to_json

BANDS = pa.struct([("mean", pa.float64()), ("name", pa.string()), ("inner", pa.struct([("n", pa.int32())]))])
SCHEMA = pa.schema(
    [
        ("i:flag", pa.bool_()),
        ("i:small", pa.int32()),
        ("i:id", pa.int64()),
        ("i:mag", pa.float32()),
        ("i:jd", pa.float64()),
        ("i:name", pa.string()),
        ("i:bytes", pa.binary()),
        ("d:status", pa.map_(pa.string(), pa.string())),
        ("d:stats", pa.map_(pa.string(), pa.float32())),
        ("d:lc", BANDS),
        ("i:jds", pa.list_(pa.float64())),
        ("i:flags", pa.list_(pa.bool_())),
        ("i:signs", pa.list_(pa.string())),
        ("d:last", pa.string()),
    ]
)
LAYOUT = Layout(SCHEMA)


def optional(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | values


keys = st.text(max_size=8)
rows = st.fixed_dictionaries(
    {
        "i:flag": optional(st.booleans()),
        "i:small": optional(st.integers(-(2**31), 2**31 - 1)),
        "i:id": optional(st.integers(-(2**63), 2**63 - 1)),
        "i:mag": optional(st.floats(width=32)),
        "i:jd": optional(st.floats()),
        "i:name": optional(st.text()),
        "i:bytes": optional(st.binary()),
        "d:status": optional(st.dictionaries(keys, optional(st.text()), max_size=4)),
        "d:stats": optional(st.dictionaries(keys, optional(st.floats(width=32)), max_size=4)),
        "i:jds": optional(st.lists(optional(st.floats()), max_size=4)),
        "i:flags": optional(st.lists(optional(st.booleans()), max_size=4)),
        "i:signs": optional(st.lists(optional(st.text()), max_size=4)),
        "d:lc": optional(
            st.fixed_dictionaries(
                {
                    "mean": optional(st.floats()),
                    "name": optional(st.text()),
                    "inner": optional(st.fixed_dictionaries({"n": optional(st.integers(-5, 5))})),
                }
            )
        ),
        "d:last": optional(st.text()),
    }
)


def bits(value: object) -> object:
    """Make floats comparable: NaN equals NaN, and -0.0 differs from 0.0."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return {name: bits(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [bits(inner) for inner in value]
    return value


def table_of(records: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                name: list(value.items()) if name in ("d:status", "d:stats") and value else value
                for name, value in r.items()
            }
            for r in records
        ],
        schema=SCHEMA,
    )


@given(st.lists(rows, max_size=6))
def test_rows_come_back_to_the_bit(records):
    table = table_of(records)
    assert bits(LAYOUT.decode(LAYOUT.encode(table)).to_pylist()) == bits(table.to_pylist())


@given(st.lists(rows, min_size=2, max_size=6))
def test_a_row_is_packed_alone_as_in_company(records):
    table = table_of(records)
    together = LAYOUT.encode(table)
    assert [LAYOUT.encode(table.slice(i, 1))[0] for i in range(len(records))] == together


@given(st.lists(rows, max_size=4), st.sets(st.sampled_from(SCHEMA.names), min_size=1))
def test_only_the_columns_asked_for_come_back(records, names):
    table = table_of(records)
    wanted = [name for name in SCHEMA.names if name in names]
    found = LAYOUT.decode(LAYOUT.encode(table), names)
    assert found.schema.names == wanted
    assert bits(found.to_pylist()) == bits(table.select(wanted).to_pylist())


def test_missing_differs_from_empty_and_zero():
    empty = {"i:name": "", "i:small": 0, "i:mag": 0.0, "i:flag": False, "d:status": {}, "d:lc": {"mean": None}}
    table = table_of([empty, {}])
    packed = LAYOUT.encode(table)
    assert packed[0] != packed[1]
    back = LAYOUT.decode(packed).to_pylist()
    assert back[1] == dict.fromkeys(SCHEMA.names)
    assert back[0]["i:name"] == "" and back[0]["d:status"] == [] and back[0]["i:small"] == 0


def test_a_row_begins_with_the_id_of_its_layout():
    assert LAYOUT.encode(table_of([{}]))[0][:ID_BYTES] == LAYOUT.schema_id


def test_another_column_or_type_is_another_layout():
    ids = {LAYOUT.schema_id}
    ids.add(Layout(pa.schema(list(SCHEMA)[:-1])).schema_id)
    ids.add(Layout(SCHEMA.set(1, pa.field("i:small", pa.int64()))).schema_id)
    assert len(ids) == 3


def test_a_layout_is_rebuilt_from_the_registry():
    again = Layout.from_json(json.loads(json.dumps(LAYOUT.to_json(), sort_keys=True)))
    assert again.schema_id == LAYOUT.schema_id
    assert again.columns.equals(SCHEMA)


def test_a_row_of_another_layout_is_refused():
    other = Layout(pa.schema([("i:small", pa.int32())]))
    with pytest.raises(ValueError, match="another layout"):
        LAYOUT.decode(other.encode(pa.table({"i:small": pa.array([1], pa.int32())})))


@pytest.mark.parametrize("kind", [pa.list_(pa.list_(pa.int32())), pa.timestamp("us"), pa.int16(), pa.decimal128(5, 2)])
def test_a_type_without_a_layout_is_refused(kind):
    with pytest.raises(TypeError, match="no layout"):
        type_to_json(kind)


@pytest.mark.parametrize("kind", [field.type for field in SCHEMA])
def test_types_survive_json(kind):
    assert type_from_json(type_to_json(kind)) == kind
