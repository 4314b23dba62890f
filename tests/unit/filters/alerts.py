"""Rows of ``science`` made by hand: only what a filter reads, the rest null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from fink_lib.filters.files import documented_columns
from fink_lib.surveys import get_survey

JD = 2_460_381.7

COLUMNS = documented_columns(get_survey("ztf"))


def science_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give one row from dotted names; a key of a map is written ``fink_status.simbad``."""
    row: dict[str, Any] = {}
    for path, value in values.items():
        root, _, inner = path.partition(".")
        kind = COLUMNS.field(root).type
        if not inner:
            row[root] = value
        elif pa.types.is_map(kind):
            row.setdefault(root, []).append((inner, value))
        else:
            row.setdefault(root, {})[inner] = value
    return row


def science_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Give rows of dotted names as a table of all documented columns."""
    return pa.Table.from_pylist([science_row(row) for row in rows], schema=COLUMNS)


def entries(*points: Sequence[float | None]) -> list[dict[str, Any]]:
    """Give a history of (days before the alert, magnitude, band); without magnitude it is a limit, without band g."""
    return [
        {
            "jd": JD - float(point[0] or 0),
            "fid": int(point[2] or 1) if len(point) > 2 else 1,
            "magpsf": point[1],
            "sigmapsf": None if point[1] is None else 0.1,
        }
        for point in points
    ]
