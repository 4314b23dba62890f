r"""One message of an input topic: recognise how it is framed, decode its record.

=============  =====================================================  =========================================
wire format    first bytes                                            schema
=============  =====================================================  =========================================
container      ``Obj\x01``                                             in the message
confluent      ``0x00``, schema id (4 bytes, big-endian), a known id  looked up by id
schemaless     anything else                                          the survey's own
=============  =====================================================  =========================================
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any

import fastavro
import pyarrow as pa

from fink_lib.avro.container import MAGIC, read_container
from fink_lib.avro.schemas import AvroSchema, misfit, parse_schema
from fink_lib.errors import DataError

CONTAINER, CONFLUENT, SCHEMALESS = "container", "confluent", "schemaless"
CONFLUENT_HEADER = struct.Struct(">bI")

_WRITERS_KEPT = 256
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)
"""What the decoder raises on bytes that its schema did not write."""


class Writer:
    """A schema that wrote messages, checked against the columns that they go to.

    Parameters
    ----------
    schema : AvroSchema
        The writer's schema.
    columns : pyarrow.Schema
        Columns of the table.
    """

    def __init__(self, schema: AvroSchema, columns: pa.Schema) -> None:
        self.schema = schema
        self.misfit = next(
            (
                reason
                for field in columns
                if field.name in schema.fields and (reason := misfit(schema.fields[field.name], field.type, field.name))
            ),
            None,
        )
        if not any(field.name in schema.fields for field in columns):
            self.misfit = f"no field of schema {schema.root['name']} is known"


class Message:
    """A message as far as it was understood.

    Attributes
    ----------
    wire_format, schema_id : str
        ``container`` and the schema's fingerprint, ``confluent`` and the id, or ``schemaless`` and nothing.
    writer : Writer
        The schema that wrote the record.
    record : dict
        The decoded record.
    """

    __slots__ = ("record", "schema_id", "wire_format", "writer")

    def __init__(self) -> None:
        self.wire_format = ""
        self.schema_id = ""
        self.writer: Writer
        self.record: dict[str, Any] = {}


class MessageReader:
    """Decodes messages in any wire format, each with the schema that wrote it.

    Parameters
    ----------
    own : AvroSchema
        Schema of messages that carry none.
    registry : mapping of int to AvroSchema
        Schemas of messages that carry an id.
    columns : pyarrow.Schema
        Columns that a record must fit, by field name.
    oversize_bytes : int
        Largest message (and largest decompressed record) that is decoded.
    """

    def __init__(
        self, own: AvroSchema, registry: Mapping[int, AvroSchema], columns: pa.Schema, oversize_bytes: int
    ) -> None:
        self._own = Writer(own, columns)
        self._registry = {number: Writer(schema, columns) for number, schema in registry.items()}
        self._limit = oversize_bytes
        self._writer_of = lru_cache(_WRITERS_KEPT)(lambda text: Writer(parse_schema(text), columns))

    def read(self, value: bytes | None, message: Message) -> None:
        """Decode a message into `message`, which says how far it got if the message is bad.

        Raises
        ------
        DataError
            With the reason for the quarantine.
        """
        if not value:
            raise DataError("empty", "the message has no value" if value is None else "the message has no bytes")
        if len(value) > self._limit:
            raise DataError("oversize", f"{len(value)} bytes are more than {self._limit}")
        if value[: len(MAGIC)] == MAGIC:
            message.wire_format = CONTAINER
            text, datum = read_container(value, self._limit)
            message.writer = self._writer_of(text)
            message.schema_id = message.writer.schema.fingerprint
            self._decode(datum, message)
        elif MAGIC.startswith(value):
            raise DataError("truncated", "the message ends inside the container's magic bytes")
        elif (number := self._confluent_id(value)) in self._registry:
            message.wire_format = CONFLUENT
            message.schema_id = str(number)
            message.writer = self._registry[number]
            self._decode(value[CONFLUENT_HEADER.size :], message)
        else:
            message.wire_format = SCHEMALESS
            message.writer = self._own
            self._decode_schemaless(value, message, number)

    def _decode(self, datum: bytes, message: Message) -> None:
        writer = message.writer
        if writer.misfit:
            raise DataError("schema_mismatch", writer.misfit)
        source = BytesIO(datum)
        try:
            message.record = fastavro.schemaless_reader(source, writer.schema.parsed, None)  # type: ignore[assignment]
        except EOFError as error:
            raise DataError("truncated", f"the record ends after {len(datum)} bytes, inside a field") from error
        except _UNREADABLE as error:
            detail = f"the record was not written with its schema: {error!r}"[:500]
            raise DataError("schema_mismatch", detail) from error
        if source.tell() != len(datum):
            raise DataError("trailing_bytes", f"{len(datum) - source.tell()} bytes follow the record")

    def _decode_schemaless(self, value: bytes, message: Message, number: int) -> None:
        """Decode bytes that name no schema; what the survey's schema cannot read at all is no Avro."""
        try:
            self._decode(value, message)
        except DataError as error:
            if self._begins_well(value):
                raise
            message.wire_format = ""
            if number >= 0:
                message.schema_id = str(number)
                raise DataError("unknown_schema", f"no schema has id {number}") from error
            raise DataError("not_avro", f"no container, no known schema id, and {error}") from error

    def _begins_well(self, value: bytes) -> bool:
        """Tell whether the leading strings of the survey's schema are there, as readable text."""
        source = BytesIO(value)
        leading = 0
        for kind in self._own.schema.fields.values():
            if kind != {"type": "string"}:
                break
            try:
                text = fastavro.schemaless_reader(source, {"type": "string"}, None)
            except (EOFError, *_UNREADABLE):
                return False
            if not str(text).isprintable():
                return False
            leading += len(str(text))
        return leading > 0

    @staticmethod
    def _confluent_id(value: bytes) -> int:
        if value[0] != 0 or len(value) < CONFLUENT_HEADER.size:
            return -1
        return int(CONFLUENT_HEADER.unpack_from(value)[1])
