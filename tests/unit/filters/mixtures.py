"""Alerts close to the limits of all filters at once."""

from __future__ import annotations

import numpy as np

from tests.unit.filters.ztf_cases import REFUSED, TAKEN, Values


def mixtures(number: int, seed: int) -> list[Values]:
    """Mix the values of all cases: alerts that pass many filters, and ones that just fail."""
    random = np.random.default_rng(seed)
    changes = [change for clauses in REFUSED.values() for _, group in clauses for change in group]
    taken = list(TAKEN.values())
    rows = []
    for _ in range(number):
        row: Values = {}
        for place in random.integers(len(taken), size=3):
            row |= taken[place]
        for place in random.integers(len(changes), size=random.integers(3)):
            row |= changes[place]
        for name in random.choice(list(row), size=random.integers(3)):
            row[name] = None
        rows.append(row)
    return rows
