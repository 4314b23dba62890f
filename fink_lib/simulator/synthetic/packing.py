"""Write packets whose history is written already.

Most of a packet is its history, and most of that are upper limits which all alerts of a readout channel share. Avro
writes a record field by field, so the history can be written once and put between the fields around it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fink_lib.avro.container import container_header, write_container, write_varint
from fink_lib.avro.schemas import AvroSchema, parse_schema
from fink_lib.simulator.rewrite import encode
from fink_lib.surveys.ztf import SCHEMA_FILE

HISTORY = "prv_candidates"

_TREE = json.loads(SCHEMA_FILE.read_bytes())
_AT = next(place for place, field in enumerate(_TREE["fields"]) if field["name"] == HISTORY)
_ARRAY_BRANCH = 1  # of the union [null, array]


def _part(fields: list[dict[str, Any]]) -> AvroSchema:
    return parse_schema(json.dumps({**_TREE, "fields": fields}))


_BEFORE = _part(_TREE["fields"][:_AT])
_AFTER = _part(_TREE["fields"][_AT + 1 :])
_ENTRY = parse_schema(json.dumps(_TREE["fields"][_AT]["type"][_ARRAY_BRANCH]["items"]))
_HEADER = container_header(SCHEMA_FILE.read_bytes())


def pack_entry(entry: dict[str, Any]) -> bytes:
    """Write one entry of a history."""
    return encode(_ENTRY, entry)


def pack(record: dict[str, Any], history: Sequence[bytes]) -> bytes:
    """Write a packet as a container.

    Parameters
    ----------
    record : dict
        The packet without its history.
    history : sequence of bytes
        What :func:`pack_entry` gave for each entry; none makes the history null.
    """
    middle = write_varint(0)
    if history:
        middle = b"".join((write_varint(_ARRAY_BRANCH), write_varint(len(history)), *history, write_varint(0)))
    return write_container(_HEADER, encode(_BEFORE, record) + middle + encode(_AFTER, record))
