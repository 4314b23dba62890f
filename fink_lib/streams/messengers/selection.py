"""Which pairs of alert and trigger go to which topic: predicates in ``sql/multimessenger``, as filters are data.

A file has the header of a filter and one predicate over the columns of a pair
(:data:`fink_lib.science.multimessenger.coincidence.PAIRS`); its topic has no survey in its name.
"""

from __future__ import annotations

import re

import pyarrow as pa

from fink_lib.config import project_root
from fink_lib.filters import Filter, FilterError, FilterSet, check_predicate
from fink_lib.science.multimessenger.coincidence import CLASS_IS_EXTRAGALACTIC, PAIRS

COLUMNS = PAIRS.append(pa.field(CLASS_IS_EXTRAGALACTIC, pa.bool_()))
"""What a predicate may name."""

_ENTRY = re.compile(r"^-- (\w+): (.*)$")


def load_selections(survey_name: str) -> FilterSet:
    """Read and check every predicate.

    Parameters
    ----------
    survey_name : str
        Whose alerts they choose from.

    Returns
    -------
    FilterSet
        ``grb_bronze``, ``grb_gold``, ``grb_silver``, ``gw_bronze``.

    Raises
    ------
    FilterError
        If a file may not run.
    """
    found = []
    for file in sorted((project_root() / "sql" / "multimessenger").glob("*.sql")):
        text = file.read_text(encoding="utf-8")
        header = {entry[1]: entry[2] for entry in map(_ENTRY.match, text.splitlines()) if entry}
        if header.get("topic") != f"fink_{file.stem}" or "version" not in header:
            raise FilterError(f"the header needs 'topic: fink_{file.stem}' and a version", source=str(file))
        predicate = check_predicate(text, COLUMNS, str(file))
        found.append(Filter(file.stem, survey_name, header, text, predicate))
    return FilterSet(tuple(found))


def topic_of(name: str, prefix: str) -> str:
    """Name of a selection's topic under a prefix (``fink``, or ``ftest`` for a replay)."""
    return f"{prefix}_{name}"
