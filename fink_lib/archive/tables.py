"""What a table of the archive is, and which tables each survey has.

A data table stores a row as one packed cell ``p:r`` with all stored columns; HBase's price is the number of cells. What
a reader sees are *served* columns: names as ``family:name``, maps taken apart as clients expect them. The tables of a
survey are declarations in a file of their own, ``<survey>_tables.py``; a new table or column is one entry there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.codec import Layout
from fink_lib.archive.keys import RowKey
from fink_lib.errors import ConfigError
from fink_lib.lake.tables import table_schema

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey

FAMILY = "p"
PACKED = b"p:r"
REGISTRY_TABLE = "fink.schema_registry"
JOURNAL_TABLE = "fink.archived"
STATISTICS_TABLE = "statistics_class"
UNIX_EPOCH_JD = 2440587.5
DAY_MS = 86_400_000

Source = Literal["night", "catalogue", "users", "nothing"]
"""Where rows come from: the science of a night, a catalogue, users of the API; or nothing makes them yet."""


@dataclass(frozen=True)
class Stored:
    """A column of the packed cell.

    Parameters
    ----------
    name : str
        ``family:name``.
    path : tuple of str
        Where a row has it, as the lake or the table's ``prepare`` gives it: a column, or a field inside a struct.
    kind : pyarrow.DataType, optional
        Its type, if ``science`` has no such column.
    """

    name: str
    path: tuple[str, ...]
    kind: pa.DataType | None = None


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
    group : str
        Tables of a group are written by one task of the nightly chain.
    doc : str
        One line: what a row is.
    key : RowKey
        Grammar of the row key, over names of stored and extra columns.
    stored : tuple of Stored
        Columns of the packed cell.
    served : tuple of Served
        Columns that readers get, in order.
    source : str
        Where its rows come from.
    time : str
        Stored or extra column that holds the alert's time (JD, UTC): gives the cell timestamp. Empty if the writer
        gives one.
    extra : tuple of Stored
        Columns that the key is made of and that no reader gets.
    reads : tuple of str
        Fields of ``science`` that ``prepare`` and ``selection`` look at besides, dotted.
    prepare : callable, optional
        Adds columns to rows of ``science``, row by row (:mod:`fink_lib.archive.derived`).
    selection : pyarrow.compute.Expression, optional
        Which prepared rows belong into the table; all without.
    filters : tuple of str
        Filters of the night; if there are any, rows are the alerts that they choose.
    main : str
        If rows point to those of another table: its name. Readers get that table's columns, the stored ones are there
        to find and to list.
    stacked : bool
        Whether each alert has a cell of its own in its row, newest first: rows are objects then.
    points : bool
        Whether stored columns are lists: readers get a row for each entry.
    splits : tuple of str
        First keys of the regions but the first.
    """

    name: str
    survey: str
    group: str
    doc: str
    key: RowKey
    stored: tuple[Stored, ...]
    served: tuple[Served, ...]
    source: Source = "night"
    time: str = ""
    extra: tuple[Stored, ...] = ()
    reads: tuple[str, ...] = ()
    prepare: Callable[[pa.Table], pa.Table] | None = None
    selection: pc.Expression | None = None
    filters: tuple[str, ...] = ()
    main: str = ""
    stacked: bool = False
    points: bool = False
    splits: tuple[str, ...] = ()

    def layout(self, survey: Survey) -> Layout:
        """Give the layout of the packed cell, with the types of the lake."""
        science = table_schema("science", survey)
        return Layout(pa.schema([(c.name, c.kind or _type_at(science, c.path)) for c in self.stored]))

    @property
    def families(self) -> tuple[str, ...]:
        """Column families."""
        return (FAMILY,)

    @property
    def lake_paths(self) -> tuple[str, ...]:
        """Fields of ``science``, dotted, that a row is made of."""
        columns = [column for column in (*self.stored, *self.extra) if column.kind is None]
        return tuple(dict.fromkeys((*(".".join(column.path) for column in columns), *self.reads)))

    def column(self, name: str) -> Stored:
        """Find a stored or extra column."""
        return next(column for column in (*self.stored, *self.extra) if column.name == name)


def archive_tables(survey: Survey) -> tuple[ArchiveTable, ...]:
    """Give the data tables of a survey."""
    if survey.name != "ztf":
        raise ConfigError(f"no archive tables are declared for survey {survey.name!r}; see fink_lib/archive/tables.py")
    from fink_lib.archive.ztf_tables import ztf_tables

    if survey not in _FIELDS:  # whoever reads asks often, and Arrow makes the names anew each time
        _FIELDS[survey] = tuple(field.name for field in survey.alert_schema.field("candidate").type)
    return ztf_tables(_FIELDS[survey])


_FIELDS: WeakKeyDictionary[Survey, tuple[str, ...]] = WeakKeyDictionary()


def night_tables(survey: Survey) -> tuple[ArchiveTable, ...]:
    """Give the tables that a night is written into."""
    return tuple(table for table in archive_tables(survey) if table.source == "night")


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


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType:
    kind = schema.field(path[0]).type
    for name in path[1:]:
        kind = kind.field(name).type
    return kind
