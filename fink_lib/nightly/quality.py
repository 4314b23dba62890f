"""The quality of a night in the lake: its numbers, what each rule said, and the numbers of the nights before.

Table ``quality`` has one row for each number of ``expectations/<survey>/numbers.sql`` (suite ``numbers``) and one for
each rule of each suite. A night is compared with the numbers of the last archived nights only: what was held or
abandoned never becomes the measure of what is usual.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.nights import list_states

if TYPE_CHECKING:
    from fink_lib.lake import Lake
    from fink_lib.nightly.judging import Finding

NUMBERS = "numbers"
"""The suite under which the numbers themselves are kept."""

PAST_NIGHTS = 30


def past_nights(lake: Lake, night: str, most: int = PAST_NIGHTS) -> list[str]:
    """List the last archived nights before a night, oldest first.

    Parameters
    ----------
    lake : Lake
        Of the survey.
    night : str
        ``YYYYMMDD``.
    most : int
        How many at most.
    """
    states = list_states(lake)
    return sorted(one for one, state in states.items() if one < night and state.state == "archived")[-most:]


def past_numbers(lake: Lake, nights: Collection[str]) -> pa.Table:
    """Read the numbers of past nights: ``night``, ``name``, ``value``."""
    columns = [PARTITION, "name", "value"]
    if not nights:
        return lake.schema("quality").empty_table().select(columns)
    return lake.read("quality", nights, columns, pc.field("suite") == NUMBERS)


def past_versions(lake: Lake, nights: Collection[str]) -> pa.Table:
    """Read which versions past nights were computed with: ``name``, ``version``."""
    known: set[tuple[str, str]] = set()
    if nights:
        for versions in lake.read("night_summary", nights, ["versions"]).column("versions").to_pylist():
            known |= {(name, version) for name, joined in versions or () for version in joined.split(";")}
    return pairs_table(sorted(known))


def pairs_table(pairs: Iterable[tuple[str, str]]) -> pa.Table:
    """Give pairs as a table with the columns ``name`` and ``version``."""
    rows = [{"name": name, "version": version} for name, version in pairs]
    return pa.Table.from_pylist(rows, schema=pa.schema([("name", pa.string()), ("version", pa.string())]))


def keep_quality(
    lake: Lake,
    night: str,
    suites: Collection[str],
    numbers: Mapping[str, float],
    findings: Iterable[Finding],
    now: datetime,
) -> None:
    """Replace what some suites said of a night; what other suites said stays.

    Parameters
    ----------
    lake : Lake
        Of the survey.
    night : str
        ``YYYYMMDD``.
    suites : collection of str
        The suites that were judged, and :data:`NUMBERS` if `numbers` are new.
    numbers : mapping of str to float
        The numbers of the night.
    findings : iterable of Finding
        What the suites said.
    now : datetime
        The present time (UTC).
    """
    schema = lake.schema("quality")
    rows: list[dict[str, Any]] = [{"suite": NUMBERS, "name": name, "value": value} for name, value in numbers.items()]
    rows += [
        {
            "suite": one.suite,
            "name": one.column,
            "value": one.value,
            "severity": one.severity,
            "outcome": one.outcome,
            "text": one.sentence if one.outcome == "failed" else one.needs if one.outcome == "not applied" else "",
        }
        for one in findings
    ]
    fresh = pa.Table.from_pylist([{**row, "computed": now, PARTITION: night} for row in rows], schema=schema)
    kept = lake.read("quality", [night], where=~pc.field("suite").isin(sorted(suites)))
    lake.replace_night("quality", night, pa.concat_tables([kept, fresh]))


def failed_rules(lake: Lake, night: str, severity: str = "critical") -> list[str]:
    """Name the rules (``suite.column``) of a severity that failed when the night was judged last."""
    failed = (pc.field("outcome") == "failed") & (pc.field("severity") == severity)
    rows = lake.read("quality", [night], ["suite", "name"], failed).to_pylist()
    return sorted({f"{row['suite']}.{row['name']}" for row in rows})
