"""Schemas from anywhere are read safely and compared with table columns by name."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from fink_lib.avro.schemas import arrow_schema, misfit, parse_schema
from fink_lib.errors import ConfigError, DataError


def schema(*fields: object) -> str:
    return json.dumps({"type": "record", "name": "r", "fields": list(fields)})


def field(name: str, kind: object) -> dict[str, object]:
    return {"name": name, "type": kind}


def test_named_types_are_written_out_where_they_are_used() -> None:
    point = {"type": "record", "name": "ns.point", "fields": [field("x", "float")]}
    parsed = parse_schema(schema(field("a", point), field("b", ["null", "ns.point"])))
    expected = pa.struct([("x", pa.float32())])
    assert arrow_schema(parsed) == pa.schema([("a", expected), ("b", expected)])


def test_a_relative_name_is_found_in_the_namespace_of_its_record() -> None:
    text = json.dumps(
        {
            "type": "record",
            "namespace": "ztf",
            "name": "alert",
            "fields": [
                field("a", {"type": "record", "name": "cutout", "fields": [field("x", "int")]}),
                field("b", "cutout"),
            ],
        }
    )
    assert arrow_schema(parse_schema(text)).field("b").type == pa.struct([("x", pa.int32())])


def test_logical_types_do_not_change_values() -> None:
    parsed = parse_schema(schema(field("t", {"type": "long", "logicalType": "timestamp-micros"})))
    assert arrow_schema(parsed) == pa.schema([("t", pa.int64())])
    assert "logicalType" not in json.dumps(parsed.root)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '"string"',
        '["null", "int"]',
        "{}",
        schema(field("a", "nothing.known")),
        schema({"type": "int"}),
        schema(field("a", ["null", "r"])),
        schema(field("a", {"type": "array", "items": "null"})),
        schema(field("a", {"type": "array", "items": {"type": "record", "name": "e", "fields": []}})),
        schema(field("a", {"type": "array", "items": {"type": "fixed", "name": "f", "size": 0}})),
    ],
)
def test_a_schema_that_cannot_be_used_is_unknown(text: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_schema(text)
    assert caught.value.reason == "unknown_schema"


def test_a_schema_that_unfolds_without_end_is_refused_at_once() -> None:
    kinds: list[object] = [field("f0", {"type": "record", "name": "t0", "fields": [field("x", "int")]})]
    for level in range(1, 40):
        inner = [field(side, f"t{level - 1}") for side in ("a", "b")]
        kinds.append(field(f"f{level}", {"type": "record", "name": f"t{level}", "fields": inner}))
    with pytest.raises(DataError, match="fields"):
        parse_schema(schema(*kinds))


@pytest.mark.parametrize(
    ("written", "column", "fits"),
    [
        ("int", pa.int64(), True),
        ("long", pa.int32(), False),
        ("float", pa.float64(), True),
        ("double", pa.float32(), False),
        ("int", pa.float64(), True),
        ("string", pa.int64(), False),
        ("bytes", pa.string(), True),
        (["string", "null"], pa.string(), True),
        (["null"], pa.string(), True),
        ({"type": "array", "items": "int"}, pa.list_(pa.int64()), True),
        ({"type": "array", "items": "string"}, pa.list_(pa.int64()), False),
        ("int", pa.list_(pa.int64()), False),
        ("int", pa.struct([("x", pa.int64())]), False),
    ],
)
def test_types_are_widened_and_never_narrowed(written: object, column: pa.DataType, fits: bool) -> None:
    kind = parse_schema(schema(field("v", written))).fields["v"]
    assert (misfit(kind, column, "v") is None) == fits


def test_fields_that_only_one_side_knows_are_no_misfit() -> None:
    inner = {"type": "record", "name": "i", "fields": [field("new", "string"), field("x", "float")]}
    kind = parse_schema(schema(field("v", inner))).fields["v"]
    assert misfit(kind, pa.struct([("x", pa.float32()), ("old", pa.int64())]), "v") is None


def test_a_column_needs_one_type() -> None:
    with pytest.raises(ConfigError):
        arrow_schema(parse_schema(schema(field("v", ["int", "string"]))))
