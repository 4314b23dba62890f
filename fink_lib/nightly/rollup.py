"""Months and years: the sums of their nights' summaries, as JSON, CSV and VOTable beside the reports of the nights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fink_lib.nightly.periods import COLUMNS, DIGITS, PARTS, sum_nights
from fink_lib.nightly.summary_files import csv_text, write_votable
from fink_lib.runtime.files import write_json

if TYPE_CHECKING:
    from fink_lib.lake import Lake
    from fink_lib.nightly.stage import NightContext

PER_NIGHT = ("raw", "sci", "quarantined", "rejected", "duplicates", "exposures")


def rollup(lake: Lake, period: str) -> dict[str, Any]:
    """Add the summaries of a month or a year.

    Parameters
    ----------
    lake : Lake
        Of the survey.
    period : str
        ``YYYYMM`` or ``YYYY``.

    Returns
    -------
    dict
        ``survey``, ``period``, ``basic`` (with ``nights``, and ``fields`` and ``sky_pixels`` that were seen at all),
        ``class``, ``filters``, ``quality``; and ``nights``: the main counts of each night, oldest first.
    """
    nights = [night for night in lake.nights("night_summary") if night.startswith(period)]
    rows = lake.read("night_summary", nights, COLUMNS).sort_by("night")
    kind = next(kind for kind, digits in DIGITS.items() if digits == len(period))
    parts = sum_nights(rows, kind).get(period) or {part: {} for part in PARTS}
    listed = [
        {"night": night, **{name: dict(basic or ()).get(name) for name in PER_NIGHT}}
        for night, basic in zip(*(rows.column(name).to_pylist() for name in ("night", "basic")), strict=True)
    ]
    return {"survey": lake.survey.name, "period": period, **parts, "nights": listed}


def write_rollups(context: NightContext) -> list[str]:
    """Write the month and the year of a night anew; the same nights give the same bytes.

    Returns
    -------
    list of str
        Paths of the files: ``reports/<survey>/months/YYYYMM.*`` and ``reports/<survey>/years/YYYY.*``.
    """
    root = context.report_dir.parent
    paths: list[Path] = []
    for folder, period in (("months", context.night[:6]), ("years", context.night[:4])):
        told = rollup(context.lake, period)
        base = root / folder / period
        base.parent.mkdir(parents=True, exist_ok=True)
        tables = {part: told[part] for part in PARTS}
        write_json(base.with_suffix(".json"), told)
        base.with_suffix(".csv").write_text(csv_text(period, tables))
        write_votable(base.with_suffix(".vot"), tables, {"nights": told["nights"]})
        paths += [base.with_suffix(ending) for ending in (".json", ".csv", ".vot")]
    return [str(path) for path in paths]
