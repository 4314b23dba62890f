"""summarise: the numbers of the night, computed by SQL over the lake, for people, for the archive and for the API."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fink_lib.archive.hbase import HBase
from fink_lib.archive.statistics import write_statistics
from fink_lib.config import project_root
from fink_lib.errors import ConfigError
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.figure import draw_summary
from fink_lib.nightly.sql import open_night
from fink_lib.nightly.stage import NightContext, Verdict
from fink_lib.runtime.files import write_json

if TYPE_CHECKING:
    from fink_lib.lake import Lake

TABLES = ("basic", "class", "filters", "versions")


def summarise(context: NightContext) -> Verdict:
    """Write the night's summary into the lake, the archive and the reports; the same night gives the same numbers."""
    tables = compute(context.lake, context.night)
    wrong = contradictions(tables)
    if wrong:
        return Verdict(
            False, f"the summary of night {context.night} contradicts itself: {'; '.join(wrong)}", {}, "failed"
        )
    row = {**tables, "computed": context.now, PARTITION: context.night}
    schema = context.lake.schema("night_summary")
    context.lake.replace_night("night_summary", context.night, pa.Table.from_pylist([row], schema=schema))
    with HBase(context.settings.hbase) as hbase:
        write_statistics(hbase, context.survey.name, context.night, tables)
    files = _write_reports(context, tables)
    basic = tables["basic"]
    return Verdict(
        True,
        f"night {context.night}: {basic['sci']} of {basic['raw']} alerts are science",
        {"raw": basic["raw"], "sci": basic["sci"], "files": files},
    )


def compute(lake: Lake, night: str) -> dict[str, dict[str, Any]]:
    """Run the survey's summary files over a night.

    Returns
    -------
    dict
        For each of :data:`TABLES`, name to number (or version).

    Raises
    ------
    ConfigError
        If the survey lacks a summary file.
    """
    folder = project_root() / "sql" / "summaries" / lake.survey.name
    session = open_night(lake, night)
    tables = {}
    for name in TABLES:
        file = folder / f"{name}.sql"
        if not file.exists():
            raise ConfigError(f"{file} is missing; every survey needs the summaries {', '.join(TABLES)}")
        tables[name] = dict(sorted(session.execute(file.read_text()).fetchall()))
    session.close()
    return tables


def contradictions(tables: dict[str, dict[str, Any]]) -> list[str]:
    """Check the sums that hold for every night."""
    basic, classes = tables["basic"], tables["class"]
    told = []
    if basic["raw"] != basic["sci"] + basic["rejected"] + basic["duplicates"]:
        told.append(
            f"raw {basic['raw']} is not sci {basic['sci']} + rejected {basic['rejected']} "
            f"+ duplicates {basic['duplicates']}"
        )
    total = sum(number for name, number in classes.items() if not name.startswith("simbad_"))
    if total != basic["sci"]:
        told.append(f"the classes sum to {total}, not to sci {basic['sci']}")
    return told


def _write_reports(context: NightContext, tables: dict[str, dict[str, Any]]) -> list[str]:
    folder = context.report_dir
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "summary.json", {"survey": context.survey.name, "night": context.night, **tables})
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(("night", "table", "name", "value"))
    for table in TABLES:
        writer.writerows((context.night, table, name, value) for name, value in tables[table].items())
    (folder / "summary.csv").write_text(sink.getvalue())
    draw_summary(context.lake, context.night, tables, folder / "summary.png")
    return [str(folder / name) for name in ("summary.json", "summary.csv", "summary.png")]
