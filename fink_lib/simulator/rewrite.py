"""Change what is inside a container and write it again, with the schema it came with or an edited one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any

import fastavro

from fink_lib.avro.container import container_header, read_container, write_container
from fink_lib.avro.schemas import AvroSchema, parse_schema

Edit = Callable[[dict[str, Any]], None]


def rewrite(value: bytes, edit: Edit, edit_schema: Edit | None = None) -> bytes:
    """Give a container with its record changed.

    Parameters
    ----------
    value : bytes
        A container with one record that can be read.
    edit : callable
        Changes the record in place.
    edit_schema : callable, optional
        Changes the schema (its JSON) in place first.
    """
    text, record = _opened(value)
    edit(record)
    if edit_schema is not None:
        tree = json.loads(text)
        edit_schema(tree)
        text = json.dumps(tree).encode()
    return write_container(_header(text), encode(_schema(text), record))


def datum_of(value: bytes) -> bytes:
    """Give the bytes of a container's record."""
    return read_container(value, sys.maxsize - 1).datum


def record_of(value: bytes) -> dict[str, Any]:
    """Give the record of a container."""
    return _opened(value)[1]


def encode(schema: AvroSchema, record: dict[str, Any]) -> bytes:
    """Write a record without a frame."""
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, record, disable_tuple_notation=True)
    return out.getvalue()


def _opened(value: bytes) -> tuple[bytes, dict[str, Any]]:
    text, datum = read_container(value, sys.maxsize - 1)
    record = fastavro.schemaless_reader(BytesIO(datum), _schema(text).parsed, None)
    return text, record  # type: ignore[return-value]


@lru_cache(64)
def _schema(text: bytes) -> AvroSchema:
    return parse_schema(text)


@lru_cache(64)
def _header(text: bytes) -> bytes:
    return container_header(text)
