"""Words that predicates share: an author writes ``EG AND age <= 90`` and the sandbox puts in what they stand for.

A term is one column of the query in ``sql/terms/<survey>.sql``. It is written out in every compiled predicate that
names it, so a predicate is complete in itself, and its digest changes when a word that it uses gets another meaning.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fink_lib.config import project_root

if TYPE_CHECKING:
    from fink_lib.filters.values import Reference

EXTRAGALACTIC = "simbad_extragalactic"
OF_TYPE = "simbad_type"
SIMBAD_FUNCTIONS = (EXTRAGALACTIC, OF_TYPE)
"""Functions over the alert's SIMBAD label; null where SIMBAD was not consulted, false where it has nothing."""


@dataclass(frozen=True)
class Term:
    """One shared word.

    Parameters
    ----------
    name : str
        As it is shown; authors may write it in any case.
    sql : str
        What it stands for, over flat columns.
    kind : pyarrow.DataType
        Its type.
    references : tuple of Reference
        Everything that it reads.
    text : str
        What it stands for, as its author wrote it.
    meaning : str
        For people.
    """

    name: str
    sql: str
    kind: pa.DataType
    references: tuple[Reference, ...]
    text: str
    meaning: str


@dataclass(frozen=True, eq=False)  # the same text gives the same object, so that checks can be remembered
class Terms:
    """All shared words of a survey.

    Parameters
    ----------
    words : mapping of str to Term
        By name in lower case.
    label, status : Reference, optional
        SIMBAD's label of the alert and the status of that match; without them there are no SIMBAD functions.
    """

    words: Mapping[str, Term] = field(default_factory=dict)
    label: Reference | None = None
    status: Reference | None = None

    def find(self, name: str) -> Term | None:
        """Give the term of this name."""
        return self.words.get(name.lower())

    def labelled(self, codes: Iterable[str] | None) -> str:
        """Write the condition that SIMBAD's label is one of some types; of the set EG if `codes` is None.

        The three spellings of a type (code, old label, new label) give one answer. A match without a label is null.
        """
        if self.label is None or self.status is None:
            raise ValueError("this survey has no SIMBAD label")
        types = simbad_spellings()
        chosen = [code for code, one in types.items() if one[0]] if codes is None else list(codes)
        names = ", ".join(_quote(name) for code in chosen for name in types[code][1])
        return (
            f"CASE {_identifier(self.status)} WHEN 'ok' THEN {_identifier(self.label)} IN ({names}) "
            "WHEN 'no_match' THEN FALSE END"
        )


NO_TERMS = Terms()


@cache
def simbad_spellings() -> dict[str, tuple[bool, tuple[str, ...]]]:
    """Give, by code, whether a SIMBAD type is in the set EG, and all its spellings.

    The table is the one that the science modules use.
    """
    with (project_root() / "fink_lib" / "science" / "data" / "simbad_types.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        names = (row["code"], row["old_label"], row["new_label"], *row["aliases"].split(";"))
        found[row["code"]] = (row["extragalactic"] == "1", tuple(dict.fromkeys(name for name in names if name)))
    return found


def terms_file(survey_name: str) -> Path:
    """Where the terms of a survey are."""
    return project_root() / "sql" / "terms" / f"{survey_name}.sql"


def _identifier(reference: Reference) -> str:
    return '"' + reference.name.replace('"', '""') + '"'


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
