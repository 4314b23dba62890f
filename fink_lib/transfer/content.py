"""What a row of a transfer holds: the packet of the streams or a part of it, and a few columns more.

Values are those of the packet: what stands there for a missing value stands here too. A field of the alert's own record
goes out under its own name, a field of another record as ``record_field``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.avro.encode import avro_schema, encode_rows
from fink_lib.errors import ConfigError
from fink_lib.filters.files import documented_columns
from fink_lib.filters.values import similar
from fink_lib.lake.lake import conform
from fink_lib.streams.packet import ROOT_RECORD, Packet
from fink_lib.surveys.base import Survey
from fink_lib.transfer.ztf import ZtfTransfer

SETS = ("full", "medium", "light")
DATE = ("year", "month", "day")


class TransferForm(Protocol):
    """What is particular about a survey."""

    @property
    def record(self) -> str:
        """The alert's own record, whose fields go out under their own names."""

    @property
    def time(self) -> str:
        """Path of the alert's time."""

    @property
    def images(self) -> tuple[str, ...]:
        """Fields of the packet that hold images."""

    @property
    def light(self) -> tuple[str, ...]:
        """Columns of the set ``light``."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns of ``science`` that are always read."""

    @property
    def class_columns(self) -> tuple[str, ...]:
        """Names of the class columns: the class of the broker, and that of the Transient Name Server."""

    @property
    def class_inputs(self) -> tuple[str, ...]:
        """Columns of ``science`` that :meth:`classes` reads."""

    def classes(self, science: pa.Table) -> dict[str, pa.ChunkedArray]:
        """Give the class columns of some rows, without nulls."""


_FORMS: dict[str, TransferForm] = {"ztf": ZtfTransfer()}


def form_of(survey_name: str) -> TransferForm:
    """Give the form of a survey.

    Raises
    ------
    ConfigError
        If it has none.
    """
    try:
        return _FORMS[survey_name]
    except KeyError:
        raise ConfigError(f"survey {survey_name!r} has no transfer form; add one to {__name__}") from None


@dataclass(frozen=True)
class Column:
    """One column of the rows: its name, where in the packet it is, and its type."""

    name: str
    path: tuple[str, ...]
    field: pa.Field


class Content:
    """Makes the rows of one job.

    Parameters
    ----------
    survey : Survey
        Whose alerts.
    columns : sequence of str
        One of :data:`SETS`, or names of columns.

    Raises
    ------
    ConfigError
        If a column does not exist, or two would have one name.
    """

    def __init__(self, survey: Survey, columns: Sequence[str]) -> None:
        self.survey = survey
        self._form = form_of(survey.name)
        self._packet = Packet(survey).form
        self._beside = [f for f in documented_columns(survey) if f.name not in self._packet.schema.names]
        dates = [pa.field(name, pa.int32()) for name in DATE]
        extra = pa.schema([*dates, *(pa.field(name, pa.string()) for name in self._form.class_columns)])
        self._known = {f.name: f for f in (*self._packet.schema, *self._beside, *extra)}
        packet = [name for name in self._packet.schema.names if name not in extra.names]
        if tuple(columns) == ("full",):
            names = packet
        elif tuple(columns) == ("medium",):
            names = [name for name in packet if name not in self._form.images]
        else:
            names = [survey.id_field, *(self._form.light if tuple(columns) == ("light",) else columns)]
            if self._form.record not in names:
                names.append(self._form.time)
        found: dict[str, Column] = {}
        for column in (self._column(name) for name in (*names, *extra.names)):
            other = found.setdefault(column.name, column)
            if other.path != column.path and column.path != (self._form.record, survey.id_field):
                raise ConfigError(
                    f"columns {'.'.join(other.path)} and {'.'.join(column.path)} would both be called {column.name}; "
                    f"ask for the whole record {column.path[0]} instead"
                )
        self.columns = tuple(found.values())

    @property
    def schema(self) -> pa.Schema:
        """Columns of the rows."""
        return pa.schema([column.field for column in self.columns])

    @cached_property
    def key(self) -> bytes:
        """The one Avro schema of all rows, as JSON text."""
        return json.dumps(avro_schema(self.schema, ROOT_RECORD), separators=(",", ":")).encode()

    @property
    def schema_id(self) -> str:
        """SHA-256 of :attr:`key`."""
        return hashlib.sha256(self.key).hexdigest()

    @property
    def has_images(self) -> bool:
        """Whether the images of the alerts have to be read."""
        return any(column.path[0] in self._form.images for column in self.columns)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Columns of table ``science`` that :meth:`rows` looks at; others may be missing."""
        roots = {column.path[0] for column in self.columns} | set(self._form.inputs)
        beside = (field.name for field in self._beside)
        return tuple(name for name in dict.fromkeys((*self._packet.columns, *beside)) if name in roots)

    def rows(self, night: str, science: pa.Table, stamps: pa.Table) -> pa.Table:
        """Give the rows of some alerts of one night.

        Parameters
        ----------
        night : str
            ``YYYYMMDD``.
        science : pyarrow.Table
            Rows of table ``science``, at least :attr:`inputs`.
        stamps : pyarrow.Table
            ``science``, ``template``, ``difference`` for each of these rows; null where there is no image.
        """
        fields = {f.name: f for f in (*self._packet.schema, *self._beside)}
        whole = pa.schema(
            [
                science.schema.field(n) if n in science.schema.names else fields[n].with_nullable(True)
                for n in self._packet.columns
            ]
        )
        packet = self._packet.rows(conform(science.select([n for n in whole.names if n in self.inputs]), whole), stamps)
        date = datetime.strptime(night, "%Y%m%d")
        values = {name: packet.column(name) for name in packet.column_names}
        values |= {f.name: science.column(f.name) for f in self._beside if f.name in science.column_names}
        values |= {name: pa.array([getattr(date, name)] * science.num_rows, pa.int32()) for name in DATE}
        values |= self._form.classes(science)
        columns = []
        for column in self.columns:
            value = values[column.path[0]]
            for name in column.path[1:]:
                value = pc.struct_field(value, name)
            columns.append(value)
        return pa.Table.from_arrays(columns, schema=self.schema)

    def encode(self, rows: pa.Table) -> pa.LargeBinaryArray:
        """Pack rows as schemaless Avro."""
        return encode_rows(rows)

    def _column(self, name: str) -> Column:
        root, *fields = name.split(".")
        record = self._known[self._form.record].type
        if root not in self._known and not fields and record.get_field_index(root) >= 0:
            root, fields = self._form.record, [root]  # as the archive names it
        if root not in self._known:
            raise ConfigError(f"no column is called {root!r}{similar(root, [*self._known, *_names(record)])}")
        field = self._known[root]
        if not fields:
            return Column(root, (root,), field)
        kind = field.type
        for depth, part in enumerate(fields):
            if not pa.types.is_struct(kind):
                raise ConfigError(f"{'.'.join([root, *fields[:depth]])} is no record; ask for it whole")
            if kind.get_field_index(part) < 0:
                raise ConfigError(f"{root} has no field {part!r}{similar(part, _names(kind))}")
            kind = kind.field(part).type
        shown = fields[-1] if root == self._form.record and len(fields) == 1 else "_".join((root, *fields))
        return Column(shown, (root, *fields), pa.field(shown, kind))


def _names(kind: pa.StructType) -> list[str]:
    return [field.name for field in kind]
