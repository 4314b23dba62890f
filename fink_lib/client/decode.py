"""One message becomes one alert: the schema is found by the message's key and parsed once."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa

from fink_lib.avro.columns import column
from fink_lib.avro.container import container_header, write_container
from fink_lib.avro.schemas import AvroSchema, arrow_schema, load_schema, parse_schema
from fink_lib.errors import ConfigError, DataError

SCHEMAS_KEPT = 256
REPLAYED = "_replayed"
"""End of the name of a schema under which a version's replayed alerts were written."""
_UNREADABLE = (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, TypeError, ValueError, struct.error)


@dataclass(frozen=True)
class WriterSchema:
    """The schema that wrote an alert.

    Parameters
    ----------
    text : bytes
        As JSON, with everything that it says.
    avro : AvroSchema
        Ready to read with.
    """

    text: bytes
    avro: AvroSchema

    @classmethod
    def of_file(cls, path: Path) -> WriterSchema:
        """Give the schema of the alerts in an Avro file.

        Raises
        ------
        ConfigError
            If it is no Avro file.
        """
        try:
            with path.open("rb") as file:
                text = str(fastavro.reader(file).metadata["avro.schema"]).encode()
        except (OSError, ValueError, EOFError, LookupError) as error:
            raise ConfigError(f"{path} cannot be read as avro ({error}); is it complete?") from error
        return cls(text, parse_schema(text))

    @cached_property
    def columns(self) -> pa.Schema:
        """The alert's fields as Arrow columns."""
        return arrow_schema(self.avro)

    @cached_property
    def _header(self) -> bytes:
        return container_header(self.text)

    def decode(self, value: bytes) -> dict[str, Any]:
        """Read one schemaless record.

        Raises
        ------
        DataError
            If the bytes were not written with this schema.
        """
        source = BytesIO(value)
        try:
            alert = fastavro.schemaless_reader(source, self.avro.parsed, None)
        except _UNREADABLE as error:
            raise DataError("schema_mismatch", f"the value was not written with its schema: {error!r}"[:300]) from error
        if source.tell() != len(value):
            raise DataError("trailing_bytes", f"{len(value) - source.tell()} bytes follow the record")
        assert isinstance(alert, dict)
        return alert

    def container(self, value: bytes) -> bytes:
        """Put the bytes of one record into an Avro file, as they are."""
        return write_container(self._header, value)

    def table(self, alerts: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Give alerts that this schema wrote as an Arrow table, with the types of the schema."""
        whole = column(alerts, self.avro.root, pa.struct(list(self.columns)))
        return pa.Table.from_arrays(whole.flatten(), schema=self.columns)


class Decoder:
    """Finds the schema of each message, and reads the message with it.

    The key is the schema, as JSON text. Older streams have a version in the key (``2.7_3.10.1``); its schema is then a
    file whose name ends in ``_<version>.avsc``.

    Parameters
    ----------
    schema_path : Path or str, optional
        For keys that are no schema: a folder of schema files, or the one file that is used for all of them.

    Raises
    ------
    ConfigError
        If there is nothing at `schema_path`.
    """

    def __init__(self, schema_path: Path | str | None = None) -> None:
        self._place = None if schema_path is None else Path(schema_path)
        if self._place is not None and not self._place.exists():
            raise ConfigError(f"there is no schema at {self._place}; name a folder of .avsc files, or one of them")
        self._known: dict[bytes, tuple[WriterSchema, ...]] = {}

    def decode(self, key: bytes | None, value: bytes | None) -> tuple[dict[str, Any], WriterSchema]:
        """Read one message.

        Raises
        ------
        DataError
            If its schema is not known, or did not write it.
        """
        if value is None:
            raise DataError("empty", "the message has no value")
        schemas = self._schemas(key or b"")
        for schema in schemas[:-1]:
            try:
                return schema.decode(value), schema
            except DataError:
                continue  # the next one may fit; the last one's refusal is the answer
        return schemas[-1].decode(value), schemas[-1]

    def _schemas(self, key: bytes) -> tuple[WriterSchema, ...]:
        found = self._known.get(key)
        if found is None:
            found = self._find(key)
            if len(self._known) >= SCHEMAS_KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = found
        return found

    def _find(self, key: bytes) -> tuple[WriterSchema, ...]:
        if key.lstrip().startswith(b"{"):
            return (WriterSchema(key, parse_schema(key)),)
        if self._place is None:
            said = f"the key {key[:40]!r} is a version" if key else "the message has no key"
            raise DataError("unknown_schema", f"{said}; give the folder of its schema")
        if self._place.is_file():
            files = [self._place]
        else:
            version = key.decode(errors="replace")
            files = [file for end in ("", REPLAYED) for file in sorted(self._place.glob("*.avsc"))
                     if version and file.name.endswith(f"_{version}{end}.avsc")]  # fmt: skip
        if not files:
            raise DataError("unknown_schema", f"no file in {self._place} is named after version {key[:40]!r}")
        return tuple(WriterSchema(file.read_bytes(), load_schema(file)) for file in files)
