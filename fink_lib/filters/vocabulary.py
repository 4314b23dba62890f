"""Reading the terms of a survey: the one query of ``sql/terms/<survey>.sql``, checked column by column."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from fink_lib.filters.check import Checker
from fink_lib.filters.predicate import FilterError
from fink_lib.filters.terms import Term, Terms, terms_file
from fink_lib.filters.values import Reference, UnknownValueError, type_of

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

_LABEL = re.compile(r"^-- simbad: (\w+(?:\.\w+)*)$", re.MULTILINE)
_STATUS = Reference(("fink_status",), "simbad")


def load_terms(survey_name: str, schema: pa.Schema, file: Path | None = None) -> Terms:
    """Read and check the terms of a survey; none if it has no file.

    Parameters
    ----------
    survey_name : str
        Which survey.
    schema : pyarrow.Schema
        Its documented columns.
    file : Path, optional
        Where the terms are; ``sql/terms/<survey>.sql`` if not given.

    Returns
    -------
    Terms

    Raises
    ------
    FilterError
        If the file is not one SELECT of named expressions, or one of them may not run.
    """
    place = file or terms_file(survey_name)
    if not place.exists():
        return Terms()
    return _read_terms(place.read_text(encoding="utf-8"), schema, str(place))


@lru_cache(maxsize=16)
def _read_terms(text: str, schema: pa.Schema, source: str) -> Terms:
    try:
        query = sqlglot.parse_one(text, dialect="duckdb")
    except SqlglotError as error:
        raise FilterError(f"this is not one SELECT: {str(error).splitlines()[0]}", source=source) from error
    if not isinstance(query, exp.Select):
        raise FilterError("the terms are the columns of one SELECT", source=source)
    terms = Terms(label=_label(text, schema, source), status=_STATUS)
    for column in query.expressions:
        terms = replace(terms, words={**terms.words, **_term(column, text, schema, source, terms)})
    return terms


def _term(column: exp.Expr, text: str, schema: pa.Schema, source: str, terms: Terms) -> dict[str, Term]:
    checker = Checker(text, schema, source, terms, trusted=True)
    if not isinstance(column, exp.Alias):
        raise checker.refuse("a term needs a name: write `expression AS name`", column)
    name = column.alias
    if name.lower() in {known.lower() for known in schema.names} or terms.find(name):
        raise checker.refuse(f"'{name}' is a column or a term already", column)
    comments = [line.strip() for node in column.walk() for line in node.comments or ()]
    if not comments:
        raise checker.refuse(f"say in a comment above the term what '{name}' means", column)
    checked = checker.check(column.this)
    return {name.lower(): Term(name, checked.sql, checked.kind, checked.references, checked.text, " ".join(comments))}


def _label(text: str, schema: pa.Schema, source: str) -> Reference | None:
    found = _LABEL.search(text)
    if found is None:
        return None
    reference = Reference(tuple(found[1].split(".")))
    try:
        type_of(schema, reference)
    except UnknownValueError as error:
        line = text.count("\n", 0, found.start()) + 1
        raise FilterError(str(error), line, 12, source, found[0]) from None
    return reference
