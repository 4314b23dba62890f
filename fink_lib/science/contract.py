"""Whether a science module keeps the contract; what the test of every module calls.

A result must depend on the alert alone: the same alerts permuted, split, one by one and twice over must give the same
values, bit for bit. It must come without failures, and within the module's own time budget.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fink_lib.science.columns import CutoutReader
from fink_lib.science.declarations import STATUS_COLUMN
from fink_lib.science.runner import Runner, ScienceResult

SINGLES = 25
"""Alerts that are also computed one by one."""

SEED = 20200101
"""Of the permutation; any value does."""


def complaints(runner: Runner, name: str, alerts: pa.Table, cutouts: CutoutReader | None = None) -> list[str]:
    """Apply a module to the same alerts in several ways and say what is wrong.

    Parameters
    ----------
    runner : Runner
        Holds the module and those that it reads from.
    name : str
        The module.
    alerts : pyarrow.Table
        Real or synthetic alerts; the more unlike each other, the more the check is worth.
    cutouts : CutoutReader, optional
        Gives their images, to a module that declares them.

    Returns
    -------
    list of str
        Empty if all is well.
    """
    declaration = next(module.declaration for module in runner.modules if module.declaration.name == name)
    size = alerts.num_rows
    whole = runner.apply(alerts, cutouts)
    found = [f"module {name}: {text}" for text in whole.errors.get(name, ())]
    spent_ms = 1000 * whole.timings[name] / max(size, 1)
    if spent_ms > declaration.budget_ms:
        found.append(f"module {name} takes {spent_ms:.2f} ms per alert; its budget is {declaration.budget_ms} ms")

    columns = [*declaration.outputs.names]
    order = np.random.default_rng(SEED).permutation(size)
    middle = size // 3
    ways = {
        "permuted": (order, [runner.apply(alerts.take(pa.array(order)), cutouts)]),
        "split": (
            np.arange(size),
            [runner.apply(alerts.slice(0, middle), cutouts), runner.apply(alerts.slice(middle), cutouts)],
        ),
        "twice over": (np.tile(np.arange(size), 2), [runner.apply(pa.concat_tables([alerts, alerts]), cutouts)]),
        "one by one": (
            np.arange(min(size, SINGLES)),
            [runner.apply(alerts.slice(row, 1), cutouts) for row in range(min(size, SINGLES))],
        ),
    }
    for way, (rows, results) in ways.items():
        expected = _own(whole, name, columns).take(pa.array(rows))
        given = pa.concat_tables([_own(result, name, columns) for result in results])
        found += [
            f"module {name}, column {column}: another result when the alerts are {way}"
            for column in expected.column_names
            if not expected.column(column).equals(given.column(column))
        ]
    return found


def _own(result: ScienceResult, name: str, columns: list[str]) -> pa.Table:
    """Give the module's columns and its status."""
    words = [dict(row)[name] for row in result.table.column(STATUS_COLUMN).to_pylist()]
    return result.table.select(columns).append_column("status", pa.array(words, pa.string()))
