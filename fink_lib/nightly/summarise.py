"""summarise: the numbers of the night, computed by SQL over the lake, for people, for the archive and for the API."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fink_lib.archive.hbase import HBase
from fink_lib.archive.statistics import write_statistics
from fink_lib.config import project_root
from fink_lib.errors import ConfigError
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.coverage import sky_coverage
from fink_lib.nightly.decisions import Decision, decisions, released_rules
from fink_lib.nightly.frames import NIGHT_SUITES
from fink_lib.nightly.rollup import write_rollups
from fink_lib.nightly.sql import open_night
from fink_lib.nightly.stage import NightContext, Verdict, read_verdict
from fink_lib.nightly.summary_files import write_reports

if TYPE_CHECKING:
    from fink_lib.lake import Lake

TABLES = ("basic", "class", "filters", "versions")
LEDGER_STAGE = "reconcile"


@dataclass(frozen=True)
class NightSummary:
    """All that is told of a night.

    Parameters
    ----------
    survey, night : str
        Whose night.
    tables : dict of str to dict
        ``basic``, ``class``, ``filters`` (counts), ``versions``, ``quality`` (how many rules passed, failed by
        severity, did not apply, were released), ``ledger`` (``<stage>.<side>`` to count), ``latency``
        (``<what>_s.p50`` and so on, seconds).
    fields, coverage, places : pyarrow.Table
        Fields and pixels by band; place, band and brightness of each science alert.
    warnings : list of str
        Sentences of the rules that failed.
    decided : list of Decision
        What people have decided about the night.
    """

    survey: str
    night: str
    tables: dict[str, dict[str, Any]]
    fields: pa.Table
    coverage: pa.Table
    places: pa.Table
    warnings: list[str]
    decided: list[Decision]

    def row(self, computed: datetime) -> dict[str, Any]:
        """Give the row of table ``night_summary``."""
        lists = {"fields": self.fields.to_pylist(), "coverage": self.coverage.to_pylist()}
        return {**self.tables, **lists, "computed": computed, PARTITION: self.night}

    def to_json(self) -> dict[str, Any]:
        """Give everything but the places, JSON-able."""
        told = [asdict(one) | {"time": one.time.isoformat(), "rules": list(one.rules)} for one in self.decided]
        return {
            "survey": self.survey,
            "night": self.night,
            **self.tables,
            "warnings": self.warnings,
            "decisions": told,
            "fields": self.fields.to_pylist(),
            "coverage": self.coverage.to_pylist(),
        }

    def statistics(self) -> dict[str, dict[str, int]]:
        """Give the counts that table ``statistics_class`` takes: whole numbers only."""
        latency, quality = self.tables["latency"], self.tables["quality"]
        times = {f"latency_{name[7:]}_ms": round(1000 * s) for name, s in latency.items() if name.startswith("sent_s.")}
        judged = {f"rules_{name}": number for name, number in quality.items()}
        messages = self.tables["ledger"].get("stream2raw.messages")
        sky = {"sky_pixels": len(set(self.coverage.column("pixel").to_pylist()))}
        more = {**times, **judged, **sky, **({} if messages is None else {"messages": messages})}
        return {"basic": {**more, **self.tables["basic"]}, "class": self.tables["class"]}


def summarise(context: NightContext) -> Verdict:
    """Write the night's summary into the lake, the archive and the reports; the same night gives the same numbers."""
    summary = summary_of_night(context)
    wrong = contradictions(summary.tables)
    if wrong:
        return Verdict(
            False, f"the summary of night {context.night} contradicts itself: {'; '.join(wrong)}", {}, "failed"
        )
    schema = context.lake.schema("night_summary")
    rows = pa.Table.from_pylist([summary.row(context.now)], schema=schema)
    context.lake.replace_night("night_summary", context.night, rows)
    with HBase(context.settings.hbase) as hbase:
        write_statistics(hbase, context.survey.name, context.night, summary.statistics())
    files = write_reports(context, summary)
    files += write_rollups(context)
    basic = summary.tables["basic"]
    return Verdict(
        True,
        f"night {context.night}: {basic['sci']} of {basic['raw']} alerts are science",
        {"raw": basic["raw"], "sci": basic["sci"], "files": files},
    )


def summary_of_night(context: NightContext) -> NightSummary:
    """Compute all that is told of a night."""
    lake, night = context.lake, context.night
    tables = compute(lake, night)
    session = open_night(lake, night)
    folder = project_root() / "sql" / "summaries" / lake.survey.name
    read = {
        name: session.sql((folder / f"{name}.sql").read_text()).to_arrow_table()
        for name in ("latency", "fields", "places")
    }
    session.close()
    latency = read["latency"].sort_by("name")
    decided = decisions(lake, night)
    judged = [row for row in lake.read("quality", [night]).to_pylist() if row["suite"] in NIGHT_SUITES]
    tables["quality"] = _judged(judged, released_rules(lake, night))
    tables["ledger"] = _ledger(read_verdict(context, LEDGER_STAGE))
    tables["latency"] = dict(zip(latency.column(0).to_pylist(), latency.column(1).to_pylist(), strict=True))
    failed = sorted(
        (row for row in judged if row["outcome"] == "failed"),
        key=lambda row: (("critical", "warning", "info").index(row["severity"]), row["suite"], row["name"]),
    )
    warnings = [f"{row['severity']}: {row['text']}" for row in failed]
    places = read["places"]
    return NightSummary(
        lake.survey.name, night, tables, read["fields"], sky_coverage(places), places, warnings, decided
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


def _judged(rows: list[dict[str, Any]], released: set[str]) -> dict[str, int]:
    """Count what the rules have said of the night."""
    counts = dict.fromkeys(("critical", "info", "not_applied", "passed", "released", "warning"), 0)
    for row in rows:
        if row["outcome"] == "failed":
            free = row["severity"] == "critical" and f"{row['suite']}.{row['name']}" in released
            counts["released" if free else row["severity"]] += 1
        else:
            counts["passed" if row["outcome"] == "passed" else "not_applied"] += 1
    return counts


def _ledger(verdict: dict[str, Any] | None) -> dict[str, int]:
    """Flatten both sides of each equation: ``stream2raw.messages``, ``stream2raw.raw`` and so on."""
    stages = ((verdict or {}).get("ledger") or {}).get("stages", [])
    sides = ((stage["stage"], {**stage["left"], **stage["right"]}) for stage in stages)
    return {f"{stage}.{name}": number for stage, counts in sides for name, number in sorted(counts.items())}
