"""Avro schemas: read them safely, turn them into Arrow types, tell whether a message's schema fits a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
from fastavro.schema import SchemaParseException, UnknownType

from fink_lib.errors import ConfigError, DataError

_ARROW = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "enum": pa.string(),
}
_READABLE_AS = {
    "boolean": ("boolean",),
    "int": ("int",),
    "long": ("long", "int"),
    "float": ("float", "long", "int"),
    "double": ("double", "float", "long", "int"),
    "string": ("string", "enum", "bytes"),
    "bytes": ("bytes", "string"),
}
"""Writer types that Avro's resolution rules accept for each table type; nothing is ever narrowed."""

PRIMITIVES = frozenset(_ARROW) - {"enum"} | {"null"}


MOST_FIELDS = 20_000
"""A schema that unfolds into more fields than this is refused."""


@dataclass(frozen=True)
class AvroSchema:
    """A record schema that is safe to read with.

    Parameters
    ----------
    root : mapping
        The schema as plain JSON, with every named type written out where it is used and every type a mapping.
    parsed : object
        The same as fastavro wants it.
    fingerprint : str
        First 16 hex digits of the SHA-256 of the text it came from.
    """

    root: Mapping[str, Any]
    parsed: Any
    fingerprint: str

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Type of each root field by name, in writing order."""
        return {field["name"]: field["type"] for field in self.root["fields"]}


def parse_schema(text: bytes | str) -> AvroSchema:
    """Read the JSON text of a record schema that may come from anywhere.

    Raises
    ------
    DataError
        ``unknown_schema`` if it is no usable Avro schema: broken JSON, a type that is not defined, or one that lets a
        few bytes run a reader out of memory (a type inside itself, array items that take no bytes, too many fields).
    """
    raw = text.encode() if isinstance(text, str) else text
    try:
        tree = _plain(json.loads(raw))
        parsed = fastavro.parse_schema(tree)
        root = _Expansion().kind(tree, "", ())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError("unknown_schema", f"not a usable Avro schema: {error!r}"[:500]) from error
    except (SchemaParseException, UnknownType) as error:
        raise DataError("unknown_schema", f"not an Avro schema: {error!r}"[:500]) from error
    if not isinstance(root, dict) or root["type"] != "record":
        raise DataError("unknown_schema", "the schema is not a record")
    return AvroSchema(root, parsed, hashlib.sha256(raw).hexdigest()[:16])


def load_schema(path: Path) -> AvroSchema:
    """Read a schema file that belongs to the installation.

    Raises
    ------
    ConfigError
        If the file is missing or is no Avro schema.
    """
    try:
        return parse_schema(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"schema file {path} cannot be read ({error}); restore it") from error
    except DataError as error:
        raise ConfigError(f"schema file {path} is wrong: {error.detail}; correct it") from error


def arrow_schema(schema: AvroSchema) -> pa.Schema:
    """Give the Arrow columns of a schema; everything is nullable."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in schema.fields.items()])


def arrow_type(kind: Any) -> pa.DataType:
    """Give the Arrow type of one field (a union with null becomes its other branch)."""
    branches = [branch for branch in branches_of(kind) if branch["type"] != "null"]
    if len(branches) != 1:
        raise ConfigError(f"a table column needs exactly one type besides null, not {kind}")
    branch = branches[0]
    if branch["type"] == "record":
        return pa.struct([(field["name"], arrow_type(field["type"])) for field in branch["fields"]])
    if branch["type"] == "array":
        return pa.list_(arrow_type(branch["items"]))
    if branch["type"] == "map":
        return pa.map_(pa.string(), arrow_type(branch["values"]))
    return _ARROW[branch["type"]]


def branches_of(kind: Any) -> list[Any]:
    """Give the branches of a union, or the one type of anything else."""
    return kind if isinstance(kind, list) else [kind]


def misfit(kind: Any, wanted: pa.DataType, path: str) -> str | None:
    """Say why values of an Avro type cannot become a table column, or None if they can.

    Fields are matched by name: a field absent on either side is no misfit.
    """
    for branch in branches_of(kind):
        name = branch["type"]
        if name == "null":
            continue
        if pa.types.is_struct(wanted):
            if name != "record":
                return f"{path} is {name}, not a record"
            known = {wanted.field(i).name: wanted.field(i).type for i in range(wanted.num_fields)}
            reasons = (
                misfit(field["type"], known[field["name"]], f"{path}.{field['name']}")
                for field in branch["fields"]
                if field["name"] in known
            )
        elif pa.types.is_list(wanted):
            if name != "array":
                return f"{path} is {name}, not an array"
            reasons = (misfit(branch["items"], wanted.value_type, f"{path}[]"),)  # type: ignore[assignment]
        else:
            column = next(avro for avro, arrow in _ARROW.items() if arrow == wanted)
            reasons = (  # type: ignore[assignment]
                None if name in _READABLE_AS[column] else f"{path} is {name}, which is not readable as {column}",
            )
        for reason in reasons:
            if reason:
                return reason
    return None


def record_branch(kind: Any) -> Any:
    """Give the record among the branches of a type, or None."""
    return next((branch for branch in branches_of(kind) if branch["type"] == "record"), None)


def array_items(kind: Any) -> Any:
    """Give the item type of the array among the branches of a type, or None."""
    return next((branch["items"] for branch in branches_of(kind) if branch["type"] == "array"), None)


class _Expansion:
    """Writes out named types where they are used, and refuses what could make a reader run away."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.fields: dict[str, int] = {}
        self.empty: set[str] = set()

    def kind(self, kind: Any, space: str, inside: tuple[str, ...]) -> Any:
        if isinstance(kind, list):
            return [self.kind(branch, space, inside) for branch in kind]
        if isinstance(kind, str):
            return {"type": kind} if kind in PRIMITIVES else self.reference(kind, space, inside)
        base = kind["type"]
        if base == "array":
            items = self.kind(kind["items"], space, inside)
            if self.takes_no_bytes(items):
                raise ValueError("an array's items take no bytes")
            return {"type": "array", "items": items}
        if base == "map":
            return {"type": "map", "values": self.kind(kind["values"], space, inside)}
        if base in ("record", "enum", "fixed"):
            return self.named(kind, space, inside)
        return self.kind(base, space, inside)

    def reference(self, name: str, space: str, inside: tuple[str, ...]) -> Any:
        full = name if "." in name or not space else f"{space}.{name}"
        if full in inside:
            raise ValueError(f"type {full} contains itself")
        return self.known[full]

    def named(self, kind: Any, space: str, inside: tuple[str, ...]) -> Any:
        name = kind["name"]
        space = name.rpartition(".")[0] if "." in name else kind.get("namespace", space)
        full = name if "." in name or not space else f"{space}.{name}"
        made: dict[str, Any] = {"type": kind["type"], "name": full}
        if kind["type"] == "record":
            made["fields"] = [
                {"name": field["name"], "type": self.kind(field["type"], space, (*inside, full))}
                for field in kind["fields"]
            ]
            kinds = [branch for field in made["fields"] for branch in branches_of(field["type"])]
            self.fields[full] = len(kinds) + sum(self.fields.get(branch.get("name"), 0) for branch in kinds)
            if self.fields[full] > MOST_FIELDS:
                raise ValueError(f"more than {MOST_FIELDS} fields")
            if all(self.takes_no_bytes(field["type"]) for field in made["fields"]):
                self.empty.add(full)
        elif kind["type"] == "fixed" and kind["size"] == 0:
            self.empty.add(full)
        self.known[full] = made
        return made

    def takes_no_bytes(self, kind: Any) -> bool:
        # a union writes at least its branch number
        return not isinstance(kind, list) and (kind["type"] == "null" or kind.get("name") in self.empty)


def _plain(kind: Any) -> Any:
    """Drop what only describes (docs, defaults, logical types), so that values come out as they were written."""
    if isinstance(kind, list):
        return [_plain(branch) for branch in kind]
    if not isinstance(kind, dict):
        return kind
    kept = {key: kind[key] for key in ("name", "namespace", "symbols", "size") if key in kind}
    for key in ("type", "items", "values"):
        if key in kind:
            kept[key] = _plain(kind[key])
    if "fields" in kind:
        kept["fields"] = [{"name": f["name"], "type": _plain(f["type"])} for f in kind["fields"]]
    return kept
