"""publish: the night leaves the chain; whoever waits for it finds one file in the outbox."""

from __future__ import annotations

from fink_lib.nightly.archive import unverified
from fink_lib.nightly.stage import NightContext, Verdict, read_verdict
from fink_lib.runtime.files import write_json


def publish(context: NightContext) -> Verdict:
    """Write the night's outbox entry and take it to ``archived``; the same night gives the same entry.

    Nothing is published whose archive was not verified, row for row, as it is in the lake now, and judged.
    """
    doubtful = unverified(context)
    if doubtful:
        text = f"table {', '.join(doubtful)} is not verified for night {context.night} as it is now"
        return Verdict(False, f"{text}; run archive and verify_archive first", {"unverified": doubtful}, "failed")
    summary = read_verdict(context, "summarise")
    if summary is None or not summary["ok"] or summary.get("sci") != context.lake.count("science", context.night):
        text = f"night {context.night} is not summarised as it is now; run summarise first"
        return Verdict(False, text, {}, "failed")
    judged = read_verdict(context, "validate_archive")
    if judged is None or not judged["ok"] or judged.get("sci") != summary["sci"]:
        text = (
            f"archive and summary of night {context.night} are not judged as they are now; run validate_archive first"
        )
        return Verdict(False, text, {}, "failed")
    entry = {
        "kind": "night_archived",
        "survey": context.survey.name,
        "night": context.night,
        "raw": summary["raw"],
        "science": summary["sci"],
        "files": summary["files"],
    }
    path = context.settings.home / "outbox" / context.survey.name / f"night-{context.night}.json"
    write_json(path, entry)
    return Verdict(
        True, f"night {context.night} is archived: {entry['science']} alerts", {"outbox": str(path)}, "archived"
    )
