"""archive and verify_archive: the night into HBase, table by table, and the check of every row against the lake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fink_lib.archive.tables import archive_table, archive_tables
from fink_lib.archive.verify import verify_night
from fink_lib.archive.writer import write_night
from fink_lib.nightly.stage import NightContext, Verdict, keep_verdict, read_verdict


def tables(context: NightContext) -> Verdict:
    """List the tables that the archive stage is mapped over."""
    names = [table.name for table in archive_tables(context.survey)]
    return Verdict(True, f"{len(names)} archive tables", {"tables": names})


def archive(context: NightContext) -> Verdict:
    """Write the night into the table named, or into each; a second time writes the same cells."""
    told, details = [], {}
    for table in _chosen(context):
        written = write_night(
            context.settings, context.survey.name, table, context.night, progress=_rows_line(context, table, "written")
        )
        rate = written.rows / max(written.seconds, 1e-9)
        told.append(f"{written.rows} rows of night {context.night} are in {table} ({rate:.0f} rows/s)")
        details[table] = {"rows": written.rows, "digest": f"{written.digest:032x}", "seconds": written.seconds}
    return Verdict(True, "; ".join(told), {"tables": details})


def verify_archive(context: NightContext) -> Verdict:
    """Compare every row of the night with the table named, or with each, cell by cell."""
    told, details, good = [], {}, True
    for table in _chosen(context):
        found = verify_night(
            context.settings, context.survey.name, table, context.night, progress=_rows_line(context, table, "compared")
        )
        details[table] = {
            "rows": found.rows,
            "found": found.found,
            "lake_digest": f"{found.lake_digest:032x}",
            "archive_digest": f"{found.archive_digest:032x}",
            "missing": found.missing,
            "differing": found.differing,
        }
        told.append(f"{table}: {found.sentence}")
        good = good and found.equal
        # One verdict for each table too: tables may be checked one by one, and publish asks for all.
        keep_verdict(replace(context, table=table), "verify_archive", Verdict(found.equal, told[-1], details[table]))
    if good:
        return Verdict(True, "; ".join(told), {"tables": details})
    text = "; ".join(told) + "; run archive again, then verify_archive"
    return Verdict(False, text, {"tables": details}, "failed")


def unverified(context: NightContext) -> list[str]:
    """Name the tables whose last check did not pass or is older than the night's last row."""
    rows = context.lake.count("science", context.night)
    names = []
    for table in archive_tables(context.survey):
        verdict = read_verdict(context, "verify_archive", table.name)
        if verdict is None or not verdict["ok"] or (table.selection is None and verdict["rows"] != rows):
            names.append(table.name)
    return names


def _chosen(context: NightContext) -> list[str]:
    if context.table:
        return [archive_table(context.survey, context.table).name]
    return [table.name for table in archive_tables(context.survey)]


def _rows_line(context: NightContext, table: str, verb: str) -> Callable[[int, int], None]:
    return lambda done, total: context.progress(f"{table}: {done} of {total} rows {verb}")
