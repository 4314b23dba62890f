"""reopenable: nights that were finished and have received alerts since; the chain goes over them once more."""

from __future__ import annotations

from dataclasses import replace

from fink_lib.nightly.nights import list_states, rows_by_night
from fink_lib.nightly.stage import NightContext, Verdict, read_verdict

FINISHED = ("archived", "empty")
"""Only of these does nobody look after late alerts: on any other night the chain is at work, or a person is."""

CLOSE = "close_night"


def reopenable(context: NightContext) -> Verdict:
    """List the finished nights that have more messages than when they were closed, with their number of messages."""
    context.lake.ensure()
    counts = [rows_by_night(context.lake, table) for table in ("raw", "quarantine")]
    found = []
    for night, state in sorted(list_states(context.lake).items()):
        received = sum(of_table.get(night, 0) for of_table in counts)
        verdict = read_verdict(replace(context, night=night), CLOSE)
        if state.state in FINISHED and verdict is not None and received > int(verdict.get("received", 0)):
            found.append({"night": night, "received": received})
    told = ", ".join(str(one["night"]) for one in found) or "none"
    return Verdict(True, f"{len(found)} finished nights have received alerts since: {told}", {"nights": found})
