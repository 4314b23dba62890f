"""``/api/v1/statistics``: the summary of each night, one row per night.

Columns: ``key:key``; ``basic:*``, counts of the night; ``class:*``, alerts per class. The set of columns is the same
whatever dates are asked for. A class that a night does not have counts 0; any other count that was not made is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from fink_lib.api.answer import Rows
from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Answer, Call, Endpoint
from fink_lib.api.problems import ApiError, ArgumentFault, missing_argument

BASIC = ("raw", "sci", "night", "n_g", "n_r", "exposures", "fields")
CLASSES = (
    "Ambiguous",
    "Early SN Ia candidate",
    "Kilonova candidate",
    "Microlensing candidate",
    "SN candidate",
    "Solar System MPC",
    "Solar System candidate",
    "Tracklet",
    "Unknown",
)


def statistics(call: Call) -> Answer:
    """Give the summaries of the nights asked for, oldest first."""
    if not call.given & {"date", "from", "to", "schema"}:
        raise missing_argument("date")
    prefix, first, last = _date_prefix(call["date"]), call["from"] or "", call["to"] or "99999999"
    lake = call.stores.lake
    table = lake.read("night_summary").sort_by("night")
    summaries = [
        (night, dict(basic or ()) | {"night": int(night)}, dict(classes or ()))
        for night, basic, classes in zip(
            *(table.column(name).to_pylist() for name in ("night", "basic", "class")), strict=True
        )
    ]
    basic_names = _names(BASIC, (basic for _, basic, _ in summaries))
    class_names = _names(CLASSES, (classes for _, _, classes in summaries))
    wanted = [row for row in summaries if row[0].startswith(prefix) and first <= row[0] <= last]
    columns: dict[str, pa.Array] = {
        "key:key": pa.array([f"{lake.survey.name}_{night}" for night, _, _ in wanted], pa.string())
    }
    for name in basic_names:
        columns[f"basic:{name}"] = pa.array([basic.get(name) for _, basic, _ in wanted], pa.int64())
    for name in class_names:
        columns[f"class:{name}"] = pa.array([classes.get(name, 0) for _, _, classes in wanted], pa.int64())
    if call["schema"]:
        return {"schema": {name: str(column.type) for name, column in columns.items()}}
    return Rows(pa.table(columns))


def _names(first: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    seen = {name for row in rows for name in row}
    return [*first, *sorted(seen - set(first))]


def _date_prefix(text: str) -> str:
    digits = text.replace("-", "")
    if re.fullmatch(r"([0-9]{4}((0[1-9]|1[0-2])([0-2][0-9]|3[01])?)?)?", digits):
        return digits
    reason = "must be YYYY, YYYYMM, YYYYMMDD or empty"
    raise ApiError("bad-argument", f"`date` {reason}.\n", (ArgumentFault("date", reason),))


ENDPOINTS = (
    Endpoint(
        "/api/v1/statistics",
        "Counts of each night: alerts, exposures, fields, alerts per class",
        statistics,
        (
            Argument(
                "date",
                "Nights whose date begins so: YYYY, YYYYMM or YYYYMMDD; empty for all.",
                default="",
                example="202511",
            ),
            Argument("from", "First night, YYYYMMDD.", "night", example="20251101"),
            Argument("to", "Last night, that night included.", "night", example="20251130"),
            Argument("schema", "True gives names and types of the columns instead.", "boolean", default=False),
        ),
        example=[{"key:key": "ztf_20251103", "basic:raw": 346644, "basic:sci": 201883, "class:Unknown": 113000}],
        compatible=True,
        tabular=True,
        tag="nights",
    ),
)
