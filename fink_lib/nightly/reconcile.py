"""reconcile: the ledger equation of the night, from the sources of truth; one that does not close goes no further.

A sender of the night that died between its commit and table ``sent`` leaves messages that nobody has recorded, and the
sender itself might be kept from coming back by the very equation that they spoil. So what such a one has left is
written down here, and the equation computed again.
"""

from __future__ import annotations

from typing import Any

from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.ledger_page import ledger_page
from fink_lib.nightly.stage import NightContext, Verdict
from fink_lib.runtime.files import write_json


def reconcile(context: NightContext) -> Verdict:
    """Compute all equations and keep them in ``ledger.json`` and ``ledger.html`` of the night's reports."""
    ledger = _ledger(context)
    if not ledger["closed"] and (found := _settle(context)):
        context.progress(f"{found} messages of a stage that died are recorded now")
        ledger = _ledger(context)
    write_json(context.report_dir / "ledger.json", ledger)
    (context.report_dir / "ledger.html").write_text(ledger_page(ledger), encoding="utf-8")
    details = {"closed": ledger["closed"], "ledger": ledger}
    if ledger["closed"]:
        return Verdict(True, f"the ledger of night {context.night} closes", details)
    return Verdict(
        False,
        f"the ledger of night {context.night} does not close: {'; '.join(ledger['differences'])}",
        details,
        "failed",
    )


def _ledger(context: NightContext) -> dict[str, Any]:
    return night_ledger(context.settings, context.survey.name, context.night, progress=context.progress)


def _settle(context: NightContext) -> int:
    """Record what selections and healings have sent and could not write down."""
    from fink_lib.nightly import late, select  # nearly every night closes without them

    return late.settle(context) + select.settle(context)
