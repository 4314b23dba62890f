"""archive and verify_archive: the night into HBase, and the check of every row against the lake.

Tables are written by groups, each of them by one task and in one pass over the night.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fink_lib.archive.tables import ArchiveTable, archive_table, archive_tables, night_tables
from fink_lib.archive.verify import verify_tables
from fink_lib.archive.writer import write_tables
from fink_lib.nightly.resolvers import write_resolvers
from fink_lib.nightly.stage import NightContext, Verdict, keep_verdict, read_verdict


def tables(context: NightContext) -> Verdict:
    """List what the archive stage is mapped over: the groups of tables."""
    declared = archive_tables(context.survey)
    groups = list(dict.fromkeys(table.group for table in declared))
    return Verdict(True, f"{len(declared)} archive tables in {len(groups)} groups", {"tables": groups})


def archive(context: NightContext) -> Verdict:
    """Write the night into the table or the group named, or into all; a second time writes the same cells."""
    chosen = _chosen(context)
    names = [table.name for table in chosen]
    ids = _selected(context, chosen)
    progress = _alerts_line(context, "written")
    written = write_tables(context.settings, context.survey.name, names, context.night, ids, progress)
    told, details = [], {}
    for name, one in written.items():
        details[name] = {
            "rows": one.rows,
            "digest": f"{one.digest:032x}",
            "seconds": one.seconds,
            "generation": one.generation,
            "ghosts": one.ghosts,
        }
        if one.rows:
            told.append(f"{one.rows} in {name}")
    ghosts = sum(one.ghosts for one in written.values())
    message = f"rows of night {context.night}: {', '.join(told) or 'none'}"
    if ghosts:
        message += f"; {ghosts} rows of an earlier archive of the night removed"
    names_written = write_resolvers(context, [table for table in chosen if table.source == "catalogue"])
    if names_written:
        message += f"; {', '.join(f'{number} names in {name}' for name, number in names_written.items())}"
    return Verdict(True, message, {"tables": details, "names": names_written})


def verify_archive(context: NightContext) -> Verdict:
    """Compare every row of the night with the table or the group named, or with all, cell by cell."""
    chosen = [table for table in _chosen(context) if table.source == "night"]
    names = [table.name for table in chosen]
    progress = _alerts_line(context, "compared")
    ids = _selected(context, chosen)
    compared = verify_tables(context.settings, context.survey.name, names, context.night, ids, progress)
    science = context.lake.count("science", context.night)
    told, details = [], {}
    for name, found in compared.items():
        details[name] = {
            "rows": found.rows,
            "found": found.found,
            "lake_digest": f"{found.lake_digest:032x}",
            "archive_digest": f"{found.archive_digest:032x}",
            "missing": found.missing,
            "differing": found.differing,
            "science": science,
        }
        line = f"{name}: {found.sentence}"
        if not found.equal:
            told.append(line)
        # One verdict for each table: tables may be checked one by one, and publish asks for all.
        keep_verdict(replace(context, table=name), "verify_archive", Verdict(found.equal, line, details[name]))
    if not told:
        rows = sum(found.rows for found in compared.values())
        message = f"{rows} rows of {science} alerts are in {len(compared)} tables of the archive as the lake has them"
        return Verdict(True, message, {"tables": details})
    text = "; ".join(told) + "; run archive again, then verify_archive"
    return Verdict(False, text, {"tables": details}, "failed")


def unverified(context: NightContext) -> list[str]:
    """Name the tables whose last check did not pass or is older than the night's last row."""
    rows = context.lake.count("science", context.night)
    names = []
    for table in night_tables(context.survey):
        verdict = read_verdict(context, "verify_archive", table.name)
        if verdict is None or not verdict["ok"] or verdict.get("science") != rows:
            names.append(table.name)
    return names


def _chosen(context: NightContext) -> list[ArchiveTable]:
    declared = archive_tables(context.survey)
    if not context.table:
        return list(declared)
    group = [table for table in declared if table.group == context.table]
    return group or [archive_table(context.survey, context.table)]


def _selected(context: NightContext, chosen: Sequence[ArchiveTable]) -> dict[str, list[int]]:
    """Give the alerts that filters of the night choose, for the tables that hold such alerts."""
    names = {name for table in chosen for name in table.filters}
    if not names:
        return {}
    # Most tasks do without, and it takes a second to load.
    from fink_lib.filters import FilterSet, load_filters
    from fink_lib.filters.night import select_night

    filters = load_filters(context.survey, ["night"], home=context.settings.home)
    some = FilterSet(tuple(f for f in filters.filters if f.name in names))
    found = select_night(context.lake, context.night, some)
    return {name: [one.alert_id for one in alerts] for name, alerts in found.items()}


def _alerts_line(context: NightContext, verb: str) -> Callable[[int, int], None]:
    what = context.table or "archive"
    return lambda done, total: context.progress(f"{what}: {done} of {total} alerts {verb}")
