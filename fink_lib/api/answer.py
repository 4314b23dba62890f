"""From rows to a response: choose columns, bound the number of rows, write the format, say in headers what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
from starlette.responses import Response

from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.formats import find_format, without_nan
from fink_lib.api.problems import ApiError, ArgumentFault

MAX_HEADER = 1_000
MAX_OFFSET = 100_000
ID_COLUMNS = ("i:candid",)

TABLE_ARGUMENTS = (
    Argument("columns", "Columns of the answer, separated by commas; all by default.", default="*"),
    Argument("output-format", "json, csv, votable, parquet or arrow.", default="json"),
    Argument("ids", "`string` gives ids as text, for programs without 64-bit integers.", "choice", False, "number",
             ("number", "string")),
    Argument("limit", f"Most rows of the answer, up to {MAX_ROWS}.", "integer", False, MAX_ROWS, (), 0, MAX_ROWS),
    Argument("offset", "Rows to skip first.", "integer", False, 0, least=0, most=MAX_OFFSET),
)  # fmt: skip
"""What every endpoint that answers with a table takes."""


@dataclass(frozen=True)
class Rows:
    """The rows that an endpoint found, before the client's choice of columns and format.

    Parameters
    ----------
    table : pyarrow.Table
        Complete column set, in the order of the answer.
    headers : mapping
        What else the client should know.
    total : int, optional
        How many rows there are, if the table holds only the first of them.
    known : sequence of str, optional
        Every column that could be asked for, in order, if the table holds only some.
    ignored : sequence of str
        Arguments that were given and changed nothing.
    always : sequence of str
        Columns that are part of the answer whatever the client chose.
    most : int
        Most rows of an answer, where they are large.
    """

    table: pa.Table
    headers: Mapping[str, str] = field(default_factory=dict)
    total: int | None = None
    known: Sequence[str] | None = None
    ignored: Sequence[str] = ()
    always: Sequence[str] = ()
    most: int = MAX_ROWS


def wanted_columns(columns: str) -> tuple[str, ...] | None:
    """Read the argument ``columns``: the names in order, or None for all."""
    names = tuple(dict.fromkeys(name.strip() for name in columns.split(",") if name.strip()))
    return None if not names or "*" in names else names


def table_response(rows: Rows, arguments: Mapping[str, Any]) -> Response:
    """Render rows as the client asked.

    Parameters
    ----------
    rows : Rows
        What was found.
    arguments : mapping
        Values of :data:`TABLE_ARGUMENTS`.

    Raises
    ------
    ApiError
        If the format is unknown, or if none of the columns is known.
    """
    form = find_format(arguments["output-format"])
    headers = dict(rows.headers)
    table, unknown = _choose(rows, wanted_columns(arguments["columns"]))
    if unknown:
        headers["Fink-Unknown-Columns"] = header_list(unknown)
    offset, limit = arguments["offset"], min(arguments["limit"], rows.most)
    total = table.num_rows if rows.total is None else rows.total
    if total > offset + limit:
        headers["Fink-Truncated"] = f"rows {offset + 1}-{offset + limit} of {total}; use limit and offset"
    table = table.slice(offset, limit)
    if not form.takes_nan:
        table = without_nan(table)
    if arguments["ids"] == "string":
        table = _ids_as_text(table)
    return Response(form.write(table), 200, headers, media_type=form.media_type)


def header_list(names: Sequence[str]) -> str:
    """Put names that a client sent into a header value: no line breaks, bounded."""
    return quote(", ".join(names)[:MAX_HEADER], safe=":,._- *()/+", errors="replace")


def _choose(rows: Rows, wanted: tuple[str, ...] | None) -> tuple[pa.Table, list[str]]:
    known = rows.table.column_names if rows.known is None else rows.known
    if wanted is None:
        return rows.table.select(known), []
    found = [name for name in wanted if name in known]
    unknown = [name for name in wanted if name not in known]
    if not found:
        text = f"None of the columns is known: {', '.join(unknown)[:MAX_HEADER]}\n"
        raise ApiError("unknown-columns", text, (ArgumentFault("columns", "none is known"),))
    return rows.table.select([*found, *(name for name in rows.always if name not in found)]), unknown


def _ids_as_text(table: pa.Table) -> pa.Table:
    for name in ID_COLUMNS:
        if name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, pc.cast(table.column(name), pa.string()))
    return table
