"""The frame in which alerts go out: containers as a telescope sends them, or records without their schema.

==============  =====================================================================================================
``container``   schema and record in one; the bytes of a file are not touched
``confluent``   a zero, the number of a schema (4 bytes), the record; keyed
``schemaless``  the record alone, and no key, as the simulator of the Fink broker sends it
==============  =====================================================================================================

A record without its schema is written in the schema of the survey, or in one that is given, for a reader cannot know
that a file had an older one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

from fink_lib.avro.container import container_header, write_container
from fink_lib.avro.messages import CONFLUENT_HEADER
from fink_lib.avro.schemas import AvroSchema, parse_schema
from fink_lib.errors import ConfigError, DataError
from fink_lib.simulator.rewrite import encode, record_of
from fink_lib.surveys.ztf import SCHEMA_FILE, SCHEMA_ID

CONTAINER, CONFLUENT, SCHEMALESS = WIRES = ("container", "confluent", "schemaless")

_OWN = {"ztf": (SCHEMA_FILE, SCHEMA_ID)}
"""Schema of a survey's newest packets, and the number under which the broker knows it."""


@dataclass(frozen=True)
class Wire:
    """Frames messages.

    Parameters
    ----------
    kind : str
        One of :data:`WIRES`.
    schema : AvroSchema, optional
        What records are written in; containers keep their own without.
    header : bytes
        Of containers in that schema.
    schema_id : int
        Number of the schema, for ``confluent``.
    """

    kind: str = CONTAINER
    schema: AvroSchema | None = None
    header: bytes = b""
    schema_id: int = 0

    @property
    def keyed(self) -> bool:
        """Whether messages have a key."""
        return self.kind != SCHEMALESS

    def frame(self, value: bytes) -> bytes:
        """Give the message for a container with one record.

        Raises
        ------
        ConfigError
            If the record cannot be written in the schema.
        """
        if self.schema is None:
            return value
        try:
            datum = encode(self.schema, record_of(value))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ConfigError(
                f"an alert does not fit schema {self.schema.root['name']} ({error}); give its own with --schema"
            ) from error
        if self.kind == CONTAINER:
            return write_container(self.header, datum)
        return CONFLUENT_HEADER.pack(0, self.schema_id) + datum if self.kind == CONFLUENT else datum

    def record(self, value: bytes) -> dict[str, Any]:
        """Give the record of a message that :meth:`frame` made."""
        if self.kind == CONTAINER or self.schema is None:
            return record_of(value)
        datum = value[CONFLUENT_HEADER.size :] if self.kind == CONFLUENT else value
        found = fastavro.schemaless_reader(BytesIO(datum), self.schema.parsed, None)
        return found  # type: ignore[return-value]


def make_wire(kind: str, survey: str, schema: Path | None = None, schema_id: int | None = None) -> Wire:
    """Choose a frame.

    Parameters
    ----------
    kind : str
        One of :data:`WIRES`; empty for that of the survey.
    survey : str
        Whose alerts.
    schema : Path, optional
        Avro schema to write records in (JSON); the survey's own, or for containers that of each file, without.
    schema_id : int, optional
        Number of the schema; that of the survey without.

    Raises
    ------
    ConfigError
        If there is no such frame, or no such schema.
    """
    kind = kind or CONTAINER
    if kind not in WIRES:
        raise ConfigError(f"wire format {kind!r} is not known; use {', '.join(WIRES)}")
    own, own_id = _OWN.get(survey, (None, 0))
    if kind == CONTAINER and schema is None:
        return Wire()
    path = schema or own
    if path is None:
        raise ConfigError(f"survey {survey} has no schema of its own here; give one with --schema")
    try:
        text = path.read_bytes()
        parsed = parse_schema(text)
    except (OSError, DataError) as error:
        raise ConfigError(f"{path} is no Avro schema ({error}); give the JSON text of a record") from error
    return Wire(kind, parsed, container_header(json.dumps(json.loads(text)).encode()), schema_id or own_id)
