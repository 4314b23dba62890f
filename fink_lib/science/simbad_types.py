"""SIMBAD's object types under all their spellings, and which of them may host a supernova.

One row of ``data/simbad_types.csv`` is one type: its code, the label of the taxonomy until 2022, the label since, and
other spellings seen in alerts. Rules never test labels: they ask for the code, or for a property of the row, so the
three spellings of a type cannot give three answers.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

UNSPECIFIC = ("?", "ev")
"""Codes of objects of unknown nature and of transient events."""

TABLE = Path(__file__).parent / "data" / "simbad_types.csv"


@dataclass(frozen=True)
class SimbadType:
    """One object type.

    Parameters
    ----------
    code : str
        Short form (``Sy1``).
    label : str
        What SIMBAD calls it today; the old label or the code if it has no new one.
    spellings : tuple of str
        The code and every label that means it.
    extragalactic : bool
        Whether it belongs to the set EG: types beside which a transient may be extragalactic.
    """

    code: str
    label: str
    spellings: tuple[str, ...]
    extragalactic: bool


@cache
def simbad_types() -> tuple[SimbadType, ...]:
    """Give all types of the table."""
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    types = []
    for row in rows:
        names = [row["code"], row["old_label"], row["new_label"], *row["aliases"].split(";")]
        label = row["new_label"] or row["old_label"] or row["code"]
        spellings = tuple(dict.fromkeys(name for name in names if name))
        types.append(SimbadType(row["code"], label, spellings, row["extragalactic"] == "1"))
    return tuple(types)


@cache
def _by_spelling() -> dict[str, SimbadType]:
    return {name: one for one in simbad_types() for name in one.spellings}


def code_of(label: str) -> str | None:
    """Give the code of a label or code; ``None`` if the table does not have it.

    >>> code_of("Seyfert_1"), code_of("Seyfert1"), code_of("Sy1")
    ('Sy1', 'Sy1', 'Sy1')
    """
    found = _by_spelling().get(label)
    return found.code if found else None


def is_extragalactic(label: str) -> bool:
    """Tell whether a label or code belongs to the set EG.

    >>> is_extragalactic("BClG"), is_extragalactic("RRLyr")
    (True, False)
    """
    found = _by_spelling().get(label)
    return bool(found and found.extragalactic)


def sql_macros() -> dict[str, str]:
    """Give DuckDB macros over the table: name and ``CREATE MACRO`` statement.

    ``simbad_code(label)``
        The code of a label, null if the table does not have it.
    ``extragalactic(label)``
        Whether the label belongs to EG; null for null.
    ``unspecific(label)``
        Whether the label leaves open what the object is: the types unknown and transient. Null for null.
    ``eg(simbad_status, label)``
        True when SIMBAD knows nothing there or an EG type; null when SIMBAD was not consulted.
    """
    pairs = ", ".join(f"{_quote(name)}: {_quote(one.code)}" for one in simbad_types() for name in one.spellings)
    hosts = ", ".join(_quote(name) for one in simbad_types() if one.extragalactic for name in one.spellings)
    vague = ", ".join(_quote(name) for one in simbad_types() if one.code in UNSPECIFIC for name in one.spellings)
    return {
        "unspecific": f"CREATE OR REPLACE TEMP MACRO unspecific(label) AS label IN ({vague})",
        "simbad_code": f"CREATE OR REPLACE TEMP MACRO simbad_code(label) AS (MAP {{{pairs}}})[label]",
        "extragalactic": f"CREATE OR REPLACE TEMP MACRO extragalactic(label) AS label IN ({hosts})",
        "eg": (
            "CREATE OR REPLACE TEMP MACRO eg(simbad_status, label) AS "
            "CASE simbad_status WHEN 'no_match' THEN true WHEN 'ok' THEN extragalactic(label) END"
        ),
    }


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
