"""validate and validate_archive: the two gates of the chain.

1. SQL beside each suite reduces the whole night to one row of numbers, or to a sample of rows.
2. Great Expectations judges them by the suite's rules; each rule has a reason and a severity.
3. The Data Docs of the night show every rule with what was seen; the lake keeps it, and the night's numbers, for the
   nights to come.

``validate`` judges what the streams have made, before anything is selected or archived: a critical failure holds the
night for a person. ``validate_archive`` judges what the chain itself has made, before it is published: a critical
failure there is a fault of ours and fails the night. Warnings pass and are told.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from fink_lib.archive.hbase import HBase
from fink_lib.archive.statistics import read_statistics
from fink_lib.nightly.archive import unverified
from fink_lib.nightly.decisions import released_rules
from fink_lib.nightly.frames import ARCHIVE_SUITES, NIGHT_SUITES, frames_of_archive, frames_of_night, suite_folder
from fink_lib.nightly.judging import Finding, judge
from fink_lib.nightly.quality import NUMBERS, keep_quality
from fink_lib.nightly.rules_page import write_rules_page
from fink_lib.nightly.stage import NightContext, Verdict, read_verdict, verdict_path

if TYPE_CHECKING:
    from pathlib import Path

TOLD_FAILURES = 3
VERIFY = "verify_archive"


def validate(context: NightContext) -> Verdict:
    """Judge the night by the suites of what the streams have made; hold it if a critical rule fails."""
    folder = suite_folder(context.survey.name)
    context.progress(f"judging {', '.join(NIGHT_SUITES)}")
    frames, numbers = frames_of_night(context.lake, context.night, folder, installed_versions(context), NIGHT_SUITES)
    docs = context.report_dir / "data_docs"
    findings = judge(frames, folder, docs, context.night)
    keep_quality(context.lake, context.night, (*NIGHT_SUITES, NUMBERS), numbers, findings, context.now)
    verdict = gate_verdict(context.night, findings, docs, released_rules(context.lake, context.night))
    write_rules_page(docs, context.survey.name, context.night, findings, verdict.message)
    return verdict


def gate_verdict(night: str, findings: Sequence[Finding], docs: Path, released: Collection[str] = ()) -> Verdict:
    """Decide about a night by what the rules have found.

    Parameters
    ----------
    night : str
        ``YYYYMMDD``.
    findings : sequence of Finding
        Worst first.
    docs : Path
        The folder of the Data Docs.
    released : collection of str
        Rules (``suite.column``) that a person has released for this night.
    """
    failed = [one for one in findings if one.outcome == "failed"]
    critical = [one for one in failed if one.severity == "critical" and one.name not in released]
    details = _details(findings, docs) | {"held": bool(critical), "critical": len(critical)}
    details["released"] = sorted({one.name for one in failed if one.severity == "critical"} & set(released))
    if critical:
        told = "; ".join(one.sentence for one in critical[:TOLD_FAILURES])
        more = f"; and {len(critical) - TOLD_FAILURES} more" if len(critical) > TOLD_FAILURES else ""
        return Verdict(False, f"night {night} is held: {told}{more}", details, "held")
    return Verdict(True, f"night {night}: {_passed(findings, details['released'])}", details)


def validate_archive(context: NightContext) -> Verdict:
    """Judge the archive and the summary of the night."""
    folder = suite_folder(context.survey.name)
    context.progress(f"judging {', '.join(ARCHIVE_SUITES)}")
    with HBase(context.settings.hbase) as hbase:
        statistics = read_statistics(hbase, context.survey.name, context.night)
    frames = frames_of_archive(context.lake, context.night, folder, verified_tables(context), statistics)
    docs = context.report_dir / "data_docs_archive"
    findings = judge(frames, folder, docs, context.night)
    keep_quality(context.lake, context.night, ARCHIVE_SUITES, {}, findings, context.now)
    verdict = archive_verdict(context.night, findings, docs)
    write_rules_page(docs, context.survey.name, context.night, findings, verdict.message)
    return replace(verdict, details=verdict.details | {"sci": context.lake.count("science", context.night)})


def archive_verdict(night: str, findings: Sequence[Finding], docs: Path) -> Verdict:
    """Decide about a night's archive by what the rules have found."""
    critical = [one for one in findings if one.outcome == "failed" and one.severity == "critical"]
    details = _details(findings, docs) | {"critical": len(critical)}
    if critical:
        told = "; ".join(one.sentence for one in critical[:TOLD_FAILURES])
        step = "run archive, verify_archive and summarise again"
        return Verdict(False, f"archive and summary of night {night} are not right: {told}; {step}", details, "failed")
    return Verdict(True, f"archive and summary of night {night}: {_passed(findings)}", details)


def verified_tables(context: NightContext) -> list[dict[str, Any]]:
    """Give for each archive table what its last check has found, or nulls if it was never checked."""
    doubtful = unverified(context)
    folder = verdict_path(context.settings, context.survey.name, context.night, VERIFY).parent
    checked = {path.name.removeprefix(f"{VERIFY}.").removesuffix(".json") for path in folder.glob(f"{VERIFY}.*.json")}
    checked -= {"json"}  # the verdict about all tables has no name between the dots
    rows = []
    for table in sorted({*checked, *doubtful}):
        verdict = read_verdict(context, VERIFY, table) or {}
        row: dict[str, Any] = {"table_name": table, "current": table not in doubtful}
        row |= {name: verdict.get(name) for name in ("rows", "found", "lake_digest", "archive_digest")}
        differing = verdict.get("differing") or 0
        row["differing"] = differing if isinstance(differing, int) else len(differing)
        rows.append(row)
    return rows


def installed_versions(context: NightContext) -> dict[str, str]:
    """Give the version of every module, class rule and model that is installed now."""
    from fink_lib.science import build_runner  # opens the models; only this stage needs them

    versions = build_runner(context.survey, context.settings).versions()
    return {name: version for name, version in versions.items() if not name.startswith("catalog.")}


def _passed(findings: Sequence[Finding], released: Sequence[str] = ()) -> str:
    failed = [one for one in findings if one.outcome == "failed"]
    skipped = sum(one.outcome == "not applied" for one in findings)
    told = f"{len(findings) - len(failed) - skipped} of {len(findings)} rules hold"
    if released:
        told += f", {', '.join(released)} were released by a person"
    warnings = sum(one.severity == "warning" for one in failed)
    told += f", {warnings} warnings" if warnings else ""
    return told + (f"; {skipped} rules do not apply to a night like this" if skipped else "")


def _details(findings: Sequence[Finding], docs: Path) -> dict[str, Any]:
    return {
        "rules": len(findings),
        "failures": [asdict(one) | {"sentence": one.sentence} for one in findings if one.outcome == "failed"],
        "not_applied": [{"rule": one.name, "needs": one.needs} for one in findings if one.outcome == "not applied"],
        "warnings": sum(one.outcome == "failed" and one.severity == "warning" for one in findings),
        "data_docs": str(docs / "index.html"),
    }
