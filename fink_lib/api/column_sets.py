"""The columns of an answer about alerts: complete sets, whatever was found, and what they are made of.

``full`` is everything of an alert; ``index`` leaves out fields of the packet that few look at; ``light`` is what a map
or a list of places needs. Each has the columns that are computed on reading besides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from fink_lib.api.computed import COMPUTED
from fink_lib.api.evolution import EVOLUTION, NEEDS
from fink_lib.api.missing import STATUS_COLUMN
from fink_lib.archive.tables import archive_table
from fink_lib.surveys import Survey

Size = Literal["full", "index", "light"]

MAIN_TABLE = "ztf"
SOURCE_COLUMN = "v:source"
SEPARATION_COLUMN = "v:separation_degree"
ORDER = ("i:jd", "i:candid")
"""Alerts are sorted by these, newest first."""

_TABLES: Mapping[Size, str] = {"full": MAIN_TABLE, "index": "ztf.class", "light": "ztf.pixel128"}
"""A table of the archive that has each set."""


def served_columns(survey: Survey, size: Size) -> tuple[str, ...]:
    """Name the stored columns of a set, in order."""
    return tuple(column.name for column in archive_table(survey, _TABLES[size]).served)


def known_columns(survey: Survey, size: Size, evolution: bool = False) -> tuple[str, ...]:
    """Name every column of an answer, in order.

    Parameters
    ----------
    survey : Survey
        Whose alerts.
    size : Size
        Which set.
    evolution : bool
        Whether rates and colours are told too.
    """
    return (*served_columns(survey, size), SOURCE_COLUMN, *COMPUTED, *(EVOLUTION if evolution else ()))


def needed_columns(
    survey: Survey, size: Size, wanted: Collection[str] | None, evolution: bool = False
) -> set[str] | None:
    """Name the stored columns that have to be read for an answer; None means all.

    Parameters
    ----------
    survey : Survey
        Whose alerts.
    size : Size
        Which set they are chosen from.
    wanted : collection of str, optional
        Columns of the answer; the whole set without.
    evolution : bool
        Whether rates and colours belong to the set.
    """
    if wanted is None and size == "full":
        return None
    chosen = set(known_columns(survey, size, evolution) if wanted is None else wanted)
    made_of = {name for column in chosen if column in COMPUTED for name in COMPUTED[column].needs}
    if evolution and tells_evolution(wanted):
        made_of |= set(NEEDS)
    return {*ORDER, STATUS_COLUMN, *chosen, *made_of}


def tells_evolution(wanted: Collection[str] | None) -> bool:
    """Tell whether an answer holds a column that depends on the object's other alerts."""
    return wanted is None or any(name in EVOLUTION for name in wanted)
