"""The summary of a night as files: JSON and CSV for programs, VOTable for astronomers' tools, a page for breakfast."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.votable import from_table
from astropy.io.votable.exceptions import VOTableSpecWarning
from astropy.io.votable.tree import Resource, VOTableFile
from astropy.table import Table

from fink_lib.nightly.figure import draw_summary
from fink_lib.nightly.night_page import night_page
from fink_lib.nightly.quality import past_nights
from fink_lib.runtime.files import write_json

if TYPE_CHECKING:
    from fink_lib.nightly.stage import NightContext
    from fink_lib.nightly.summarise import NightSummary

FILES = ("summary.json", "summary.csv", "summary.vot", "summary.html", "summary.png")


def write_reports(context: NightContext, summary: NightSummary) -> list[str]:
    """Write all files of a night into its folder of reports; the same summary gives the same bytes.

    Returns
    -------
    list of str
        Their paths.
    """
    folder = context.report_dir
    folder.mkdir(parents=True, exist_ok=True)
    before = classes_before(context)
    write_json(folder / "summary.json", summary.to_json())
    (folder / "summary.csv").write_text(csv_text(summary.night, summary.tables))
    lists = {"fields": summary.fields.to_pylist(), "coverage": summary.coverage.to_pylist()}
    write_votable(folder / "summary.vot", summary.tables, lists)
    (folder / "summary.html").write_text(night_page(summary, before))
    draw_summary(context.lake, context.night, summary.tables, folder / "summary.png")
    return [str(folder / name) for name in FILES]


def classes_before(context: NightContext) -> list[dict[str, int]]:
    """Read the classes of the last archived nights."""
    nights = past_nights(context.lake, context.night)
    if not nights:
        return []
    rows = context.lake.read("night_summary", nights, ["class"]).column("class").to_pylist()
    return [dict(one or ()) for one in rows]


def csv_text(night: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Give tables of names and values as one CSV: ``night,table,name,value``."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(("night", "table", "name", "value"))
    for table, values in tables.items():
        writer.writerows((night, table, name, value) for name, value in values.items())
    return sink.getvalue()


def write_votable(
    path: Path,
    tables: Mapping[str, Mapping[str, Any]],
    lists: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Write tables of names and values, and lists of rows, as one VOTable with a TABLE for each that has rows."""
    made = VOTableFile(version="1.4")
    resource = Resource()
    made.resources.append(resource)
    columns = {name: {"name": list(values), "value": list(values.values())} for name, values in tables.items()}
    columns |= {name: {key: [row[key] for row in rows] for key in rows[0]} for name, rows in lists.items() if rows}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VOTableSpecWarning)  # strings without a stated length are fine
        for name, found in columns.items():
            if not next(iter(found.values()), []):
                continue
            table = Table({key: _column(values) for key, values in found.items()})
            part = from_table(table).get_first_table()
            part.ID = part.name = name
            resource.tables.append(part)
        made.to_xml(str(path))


def _column(values: list[Any]) -> Any:
    """Give a column that VOTable knows: text, whole numbers with -1 for none, or numbers with NaN for none."""
    known = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in known):
        return np.array(["" if value is None else str(value) for value in values])
    if any(isinstance(value, float) for value in known):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array([-1 if value is None else value for value in values], np.int64)
