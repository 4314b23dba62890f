"""The types of columns that the archive has a layout for, as words of the schema registry."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

FIXED = {
    "bool": (pa.bool_(), "u1"),
    "int32": (pa.int32(), "<i4"),
    "int64": (pa.int64(), "<i8"),
    "float": (pa.float32(), "<f4"),
    "double": (pa.float64(), "<f8"),
}
VARIABLE = {"string": pa.string(), "binary": pa.binary()}
WORDS = {kind: name for name, kind in VARIABLE.items()} | {kind: name for name, (kind, _) in FIXED.items()}


def type_to_json(kind: pa.DataType) -> Any:
    """Write a type as JSON: a word, ``{"map": [key, value]}``, ``{"list": type}``, ``{"struct": [[field, type]]}``.

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
    if pa.types.is_list(kind) and kind.value_type in WORDS:
        return {"list": WORDS[kind.value_type]}
    if kind not in WORDS:
        raise TypeError(f"the archive has no layout for columns of type {kind}")
    return WORDS[kind]


def type_from_json(text: Any) -> pa.DataType:
    """Read what :func:`type_to_json` wrote."""
    if isinstance(text, str):
        return FIXED[text][0] if text in FIXED else VARIABLE[text]
    if "map" in text:
        key, value = text["map"]
        return pa.map_(type_from_json(key), type_from_json(value))
    if "list" in text:
        return pa.list_(type_from_json(text["list"]))
    return pa.struct([(name, type_from_json(inner)) for name, inner in text["struct"]])
