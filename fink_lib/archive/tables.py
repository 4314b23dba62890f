"""The tables of the archive. A new one is one declaration here: name, families, key, selection, columns.

A data table stores each row as one packed cell ``p:r`` with all stored columns, plus a cell of its own for each *hot*
column (what the server may select on). What a reader sees are *served* columns: names as ``family:name``, maps taken
apart as clients expect them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.codec import Layout
from fink_lib.archive.keys import IdPart, JdPart, RowKey, TextPart
from fink_lib.errors import ConfigError
from fink_lib.lake.tables import table_schema
from fink_lib.surveys import ztf_columns

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey

PACKED = b"p:r"
REGISTRY_TABLE = "fink.schema_registry"
STATISTICS_TABLE = "statistics_class"
UNIX_EPOCH_JD = 2440587.5
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Stored:
    """A column of the packed cell.

    Parameters
    ----------
    name : str
        ``family:name``.
    path : tuple of str
        Where a row of the lake's ``science`` has it: a column, or a field inside a struct.
    """

    name: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class Served:
    """A column as readers see it: a stored one, under its own or another name, or one key of a stored map."""

    name: str
    stored: str
    key: str | None = None


@dataclass(frozen=True)
class ArchiveTable:
    """One data table.

    Parameters
    ----------
    name : str
        As users of HBase see it, without the installation's prefix.
    survey : str
        Whose alerts it holds.
    families : tuple of str
        Column families, ``p`` included.
    key : RowKey
        Grammar of the row key, over names of stored columns.
    time : str
        Stored column that holds the alert's time (JD, UTC): gives the cell timestamp.
    selection : pyarrow.compute.Expression or None
        Which rows of the night's science belong into the table; all if None.
    stored : tuple of Stored
        Columns of the packed cell.
    hot : tuple of str
        Stored columns that have a cell of their own too.
    served : tuple of Served
        Columns that readers get, in order.
    """

    name: str
    survey: str
    families: tuple[str, ...]
    key: RowKey
    time: str
    selection: pc.Expression | None
    stored: tuple[Stored, ...]
    hot: tuple[str, ...]
    served: tuple[Served, ...]

    def layout(self, survey: Survey) -> Layout:
        """Give the layout of the packed cell, with the types of the lake."""
        science = table_schema("science", survey)
        return Layout(pa.schema([(column.name, _type_at(science, column.path)) for column in self.stored]))

    @property
    def lake_columns(self) -> tuple[str, ...]:
        """Root columns of ``science`` that a row is made of."""
        return tuple(dict.fromkeys(column.path[0] for column in self.stored))


def archive_tables(survey: Survey) -> tuple[ArchiveTable, ...]:
    """Give the data tables of a survey, in the order in which they are written."""
    if survey.name != "ztf":
        raise ConfigError(f"no archive tables are declared for survey {survey.name!r}; see fink_lib/archive/tables.py")
    return _ztf_tables(tuple(field.name for field in survey.alert_schema.field("candidate").type))


def archive_table(survey: Survey, name: str) -> ArchiveTable:
    """Give one data table by its name.

    Raises
    ------
    ConfigError
        If the survey has no such table.
    """
    for table in archive_tables(survey):
        if table.name == name:
            return table
    known = ", ".join(table.name for table in archive_tables(survey))
    raise ConfigError(f"survey {survey.name!r} has no archive table {name!r}; use one of: {known}")


@cache
def _ztf_tables(candidate_fields: tuple[str, ...]) -> tuple[ArchiveTable, ...]:
    columns = _ztf_stored(candidate_fields)
    return (
        ArchiveTable(
            name="ztf",
            survey="ztf",
            families=("i", "d", "p"),
            key=RowKey((TextPart("i:objectId"), JdPart("i:jd"), IdPart("i:candid"))),
            time="i:jd",
            selection=None,
            stored=columns,
            hot=_ztf_hot(),
            served=_ztf_served(candidate_fields),
        ),
    )


def _ztf_stored(candidate_fields: Sequence[str]) -> tuple[Stored, ...]:
    process = {"fink_broker_version": "broker_version", "fink_science_version": "science_version"}
    root = [
        Stored(f"i:{name}", ("process", process[name]) if name in process else (name,))
        for name in ztf_columns.ROOT_COLUMNS
    ]
    candidate = [Stored(f"i:{name}", ("candidate", name)) for name in candidate_fields if name != "candid"]
    # Versions of modules and catalogues are the same all night; the lake keeps them for each alert.
    added = [Stored(f"d:{f.name}", (f.name,)) for f in ztf_columns.FINK_SCHEMA if f.name != "fink_versions"]
    return (*root, *candidate, *added)


def _ztf_served(candidate_fields: Sequence[str]) -> tuple[Served, ...]:
    flattened = ztf_columns.FLATTENED_COLUMNS | ztf_columns.BLAZAR_COLUMNS
    maps = {source for source, _ in flattened.values()}
    served = []
    for name in ztf_columns.full_columns(list(candidate_fields)):
        leaf = name.partition(":")[2]
        if name.startswith("d:") and leaf in flattened:
            source, key = flattened[leaf]
            served.append(Served(name, f"d:{source}", key))
        else:
            served.append(Served(name, name))
    known = {column.name for column in served}
    served += [
        Served(f"d:{name}", f"d:{source}", key)
        for name, (source, key) in ztf_columns.BLAZAR_COLUMNS.items()
        if f"d:{name}" not in known
    ]
    served.append(Served("d:classification", "d:finkclass"))
    added = [column.name for column in _ztf_stored(()) if column.name.startswith("d:")]
    served += [Served(name, name) for name in added if name not in known and name.partition(":")[2] not in maps]
    return tuple(served)


def _ztf_hot() -> tuple[str, ...]:
    light = ztf_columns.light_columns()
    return tuple("d:finkclass" if name == "d:classification" else name for name in light)


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType:
    kind = schema.field(path[0]).type
    for name in path[1:]:
        kind = kind.field(name).type
    return kind
