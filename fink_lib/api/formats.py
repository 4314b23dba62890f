"""Tables as JSON, CSV, VOTable, Parquet or Arrow.

Every format carries the same numbers: 32-bit floats are widened before they become text, so that the value that a
client reads is the value of the packet. Columns that are not finite are missing, in every format.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from fink_lib.api.problems import ApiError, ArgumentFault

ARROW_STREAM = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Format:
    """One output format: how a table is written, and the content type that clients expect."""

    media_type: str
    write: Callable[[pa.Table], bytes]
    takes_nan: bool = False
    """Whether it writes a number that is not finite as a missing one by itself."""


def find_format(name: str) -> Format:
    """Look up an output format.

    Raises
    ------
    ApiError
        If it is not one of :data:`FORMATS`.
    """
    if name in FORMATS:
        return FORMATS[name]
    text = f"Output format `{name[:100]}` is not supported. Choose among json, csv, votable, or parquet\n"
    raise ApiError("bad-format", text, (ArgumentFault("output-format", "not supported"),))


def write_json(table: pa.Table) -> bytes:
    """Write rows as a JSON list of records; ids stay whole numbers, missing values are null."""
    names = table.column_names
    # a 32-bit float is widened when it becomes a Python number
    columns = [_written(column).to_pylist() for column in table.columns]
    records = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return msgspec.json.encode(records)  # a number that is not finite becomes null


def write_csv(table: pa.Table) -> bytes:
    """Write rows as CSV with a header line; missing values are empty."""
    sink = io.BytesIO()
    pacsv.write_csv(_flat(_as_text_numbers(table)), sink)
    return sink.getvalue()


def write_parquet(table: pa.Table) -> bytes:
    """Write rows as Parquet, types as stored."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def write_arrow(table: pa.Table) -> bytes:
    """Write rows as an Arrow IPC stream, types as stored."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def write_votable(table: pa.Table) -> bytes:
    """Write rows as a VOTable 1.4 (one resource with one table); a missing value is an empty cell."""
    fields, columns = [], []
    for name, column in zip(table.column_names, _flat(table).columns, strict=True):
        column = _written(column)
        datatype, write = _votable_type(column.type)
        fields.append(f"<FIELD ID={quoteattr(_xml_id(name))} name={quoteattr(name)} {datatype}/>")
        columns.append(["<TD/>" if value is None else f"<TD>{write(value)}</TD>" for value in column.to_pylist()])
    rows = "".join(f"<TR>{''.join(row)}</TR>\n" for row in zip(*columns, strict=True))
    return "\n".join([_VOTABLE_HEAD, *fields, f"<DATA><TABLEDATA>\n{rows}</TABLEDATA></DATA>", _VOTABLE_TAIL]).encode()


_VOTABLE_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n<RESOURCE type="results">\n<TABLE>'
)
_VOTABLE_TAIL = "</TABLE>\n</RESOURCE>\n</VOTABLE>\n"
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def _votable_type(kind: pa.DataType) -> tuple[str, Callable[[Any], str]]:
    if pa.types.is_boolean(kind):
        return 'datatype="boolean"', lambda value: "true" if value else "false"
    if pa.types.is_floating(kind):
        return 'datatype="double"', repr
    if pa.types.is_integer(kind):
        return f'datatype="{"long" if kind.bit_width == 64 else "int"}"', str
    return 'datatype="unicodeChar" arraysize="*"', lambda value: escape(_NOT_XML.sub("\ufffd", str(value)))


def _xml_id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _as_text_numbers(table: pa.Table) -> pa.Table:
    columns = [_widen(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _flat(table: pa.Table) -> pa.Table:
    """Write lists (images) as JSON text, for formats that have one value to a cell."""
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pa.types.is_list(column.type):
            texts = [None if value is None else json.dumps(value) for value in column.to_pylist()]
            table = table.set_column(place, name, pa.array(texts, pa.string()))
    return table


def _widen(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.float64()) if pa.types.is_floating(column.type) else _written(column)


def _written(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write times as ISO text; everything else stays."""
    if pa.types.is_temporal(column.type):
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    return column


def without_nan(table: pa.Table) -> pa.Table:
    """Turn every value that is not a finite number into a missing one."""
    columns = []
    for column in table.columns:
        # the sum of finite numbers is finite, unless it overflows: then it costs another look and no more
        if pa.types.is_floating(column.type) and not math.isfinite(pc.sum(column, min_count=0).as_py()):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        columns.append(column)
    return pa.table(columns, names=table.column_names)


FORMATS: Mapping[str, Format] = {
    "json": Format("application/json", write_json, takes_nan=True),
    "csv": Format("application/csv", write_csv),
    "votable": Format("text/xml", write_votable),
    "parquet": Format("parquet", write_parquet),
    "arrow": Format(ARROW_STREAM, write_arrow),
}
"""Every output format by the name that clients use."""
