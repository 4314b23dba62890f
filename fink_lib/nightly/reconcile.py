"""reconcile: the ledger equation of the night, from the sources of truth; one that does not close goes no further."""

from __future__ import annotations

from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.stage import NightContext, Verdict
from fink_lib.runtime.files import write_json


def reconcile(context: NightContext) -> Verdict:
    """Compute all equations and keep them in ``ledger.json`` of the night's reports."""
    ledger = night_ledger(context.settings, context.survey.name, context.night, progress=context.progress)
    write_json(context.report_dir / "ledger.json", ledger)
    details = {"closed": ledger["closed"], "ledger": ledger}
    if ledger["closed"]:
        return Verdict(True, f"the ledger of night {context.night} closes", details)
    return Verdict(
        False,
        f"the ledger of night {context.night} does not close: {'; '.join(ledger['differences'])}",
        details,
        "failed",
    )
