"""Account for batches that an earlier generation wrote and never entered into the ledger.

A stage that dies between its sinks and its ledger row meets the batch again and accounts for it then. If its checkpoint
is given up instead, nobody meets that batch again: the new generation skips its rows, and enters them here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from fink_lib.lake.tables import PARTITION
from fink_lib.streams.earlier import SOURCES
from fink_lib.streams.stage import LedgerRow, ledger_table

if TYPE_CHECKING:
    from fink_lib.streams.stage import StageContext

DUPLICATE = "duplicate"
KINDS = {"raw": "produced", "science": "produced", "quarantine": "quarantined"}


def close_books(context: StageContext, produced: str, aside: str) -> int:
    """Enter the batches of earlier generations that have rows and no ledger row.

    Parameters
    ----------
    context : StageContext
        The stage that begins; nothing is done in its first generation.
    produced : str
        The stage's main table.
    aside : str
        The table of the rows that did not get there: ``quarantine`` or ``rejected``.

    Returns
    -------
    int
        Number of batches entered.
    """
    if context.checkpoint.generation == 1:
        return 0
    lake, stage = context.lake, context.stage
    known = lake.read("ledger", columns=["batch"], where=pc.field("stage") == stage).column("batch").to_pylist()
    wanting: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for table in (produced, aside):
        for night, batch, kind, rows in _counts(context, table):
            if batch not in known and not batch.startswith(f"g{context.checkpoint.generation}-"):
                wanting[batch][night][kind] += rows
    for batch, nights in wanting.items():
        generation, batch_id = (int(part) for part in batch.removeprefix("g").split("-"))
        entries = [
            LedgerRow(
                night,
                sum(kinds.values()),
                produced=kinds["produced"],
                quarantined=kinds["quarantined"],
                rejected=kinds["rejected"],
                duplicates=kinds["duplicates"],
            )
            for night, kinds in sorted(nights.items())
        ]
        enter(context, generation, batch_id, entries)
    return len(wanting)


def enter(context: StageContext, generation: int, batch_id: int, rows: list[LedgerRow]) -> bool:
    """Enter a batch of an earlier generation into the ledger, unless it is there.

    Parameters
    ----------
    context : StageContext
        The stage that begins.
    generation, batch_id : int
        The batch.
    rows : list of LedgerRow
        What it did with each night.

    Returns
    -------
    bool
        False if the batch was entered before.
    """
    by = {"entered_by": f"g{context.checkpoint.generation}"}
    signed = [replace(row, details={**row.details, **by}) for row in rows]
    table = ledger_table(signed, context, generation, batch_id, 0.0)
    app_id = f"{context.survey.name}.{context.stage}.g{generation}"
    if context.lake.committed("ledger", app_id, batch_id):
        return False
    context.lake.append("ledger", table, app_id, batch_id)
    return True


def _counts(context: StageContext, table: str) -> list[tuple[str, str, str, int]]:
    """Count the rows of a table by night, batch, and the column of the ledger that they belong to."""
    _, batch = SOURCES[table]
    if table == "rejected":
        kind = pc.if_else(pc.field("reason") == DUPLICATE, "duplicates", "rejected")
    else:
        kind = pc.scalar(KINDS[table])
    columns = {PARTITION: pc.field(PARTITION), "batch": pc.field(*batch), "kind": kind}
    rows = context.lake.dataset(table).to_table(columns=columns)
    counted = rows.group_by([PARTITION, "batch", "kind"]).aggregate([([], "count_all")]).to_pylist()
    return [(row[PARTITION], row["batch"], row["kind"], row["count_all"]) for row in counted]
