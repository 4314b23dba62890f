"""``/api/v1/statistics``: the summary of each night, one row per night; or their sums, one row per month or year.

Columns: ``key:key``; ``basic:*``, counts of the night; ``class:*``, alerts per class. Sums have ``filters:*``, messages
per filter, and ``quality:*``, outcomes of rules, too. The set of columns is the same whatever dates are asked for. A
class or a filter that a night or a period does not have counts 0; any other count that was not made is missing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import pyarrow as pa

from fink_lib.api.answer import Rows
from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Answer, Call, Endpoint
from fink_lib.api.problems import ApiError, ArgumentFault, missing_argument
from fink_lib.nightly.periods import COLUMNS, DIGITS, PARTS, sum_nights

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
FIRST_OF_PERIODS = {
    "basic": ("nights", *(name for name in BASIC if name != "night"), "sky_pixels"),
    "class": CLASSES,
}
ZERO_IF_ABSENT = ("class", "filters")
"""Parts in which a name that was not counted has none."""

OF_NIGHTS = ("night", "basic", "class")
"""What an answer by nights needs of table ``night_summary``."""

Counted = tuple[str, Mapping[str, Mapping[str, int]]]
"""A night or a period, and the counts of each part."""


def statistics(call: Call) -> Answer:
    """Give the summaries of the nights asked for, or their sums, oldest first."""
    if not call.given & {"date", "from", "to", "schema"}:
        raise missing_argument("date")
    prefix, first, last = _date_prefix(call["date"]), call["from"] or "", call["to"] or "99999999"
    lake, period = call.stores.lake, call["period"]
    table = lake.read("night_summary", columns=OF_NIGHTS if period == "night" else COLUMNS).sort_by("night")
    nights = table.column("night").to_pylist()
    wanted = table.filter(pa.array([n.startswith(prefix) and first <= n <= last for n in nights], pa.bool_()))
    if period == "night":
        names = {"basic": _names(table, "basic", BASIC), "class": _names(table, "class", CLASSES)}
        rows = _by_night(wanted)
    else:
        names = {part: _names(table, part, FIRST_OF_PERIODS.get(part, ()), {"night"}) for part in PARTS}
        rows = list(sum_nights(wanted, period).items())
    columns: dict[str, pa.Array] = {
        "key:key": pa.array([f"{lake.survey.name}_{label}" for label, _ in rows], pa.string())
    }
    for part, counted in names.items():
        absent = 0 if part in ZERO_IF_ABSENT else None
        for name in counted:
            columns[f"{part}:{name}"] = pa.array([counts[part].get(name, absent) for _, counts in rows], pa.int64())
    if call["schema"]:
        return {"schema": {name: str(column.type) for name, column in columns.items()}}
    return Rows(pa.table(columns))


def _by_night(table: pa.Table) -> list[Counted]:
    return [
        (
            row["night"],
            {"basic": dict(row["basic"] or ()) | {"night": int(row["night"])}, "class": dict(row["class"] or ())},
        )
        for row in table.to_pylist()
    ]


def _names(table: pa.Table, part: str, first: tuple[str, ...], without: Collection[str] = ()) -> list[str]:
    """Give the names of a part: some first, then the others that any night has counted."""
    seen = {name for counts in table.column(part).to_pylist() for name, _ in counts or ()}
    return [*first, *sorted(seen - set(first) - set(without))]


def _date_prefix(text: str) -> str:
    digits = text.replace("-", "")
    if re.fullmatch(r"([0-9]{4}((0[1-9]|1[0-2])([0-2][0-9]|3[01])?)?)?", digits):
        return digits
    reason = "must be YYYY, YYYYMM, YYYYMMDD or empty"
    raise ApiError("bad-argument", f"`date` {reason}.\n", (ArgumentFault("date", reason),))


ENDPOINTS = (
    Endpoint(
        "/api/v1/statistics",
        "Counts of each night, month or year: alerts, exposures, fields, alerts per class",
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
            Argument(
                "period",
                "night: a row for each of these nights; month or year: their sums, a row for each month or year.",
                "choice",
                default="night",
                choices=("night", *DIGITS),
                example="month",
            ),
            Argument("schema", "True gives names and types of the columns instead.", "boolean", default=False),
        ),
        example=[
            {
                "key:key": "ztf_202511",
                "basic:nights": 24,
                "basic:raw": 7012450,
                "basic:sci": 4108722,
                "basic:fields": 611,
                "class:Unknown": 2301040,
                "filters:sso_fink_candidates": 5127,
            }
        ],
        compatible=True,
        tabular=True,
        tag="nights",
    ),
)
