"""Whether the types of an expression fit: the engine would only find out at run time, or convert in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import duckdb
import pyarrow as pa
from sqlglot import exp

from fink_lib.filters.engine import engine
from fink_lib.filters.grammar import COMPARISONS, CONDITIONS, LOGIC

Refuse = Callable[[str, exp.Expr], Exception]


def agreed_type(
    tree: exp.Expr, types: Mapping[str, pa.DataType], meanings: Mapping[str, str], condition: bool, refuse: Refuse
) -> pa.DataType:
    """Give the type of an expression over flat columns.

    Parameters
    ----------
    tree : sqlglot expression
        What to look at.
    types : mapping of str to pyarrow.DataType
        Type of each column that it reads, itself or in a term.
    meanings : mapping of str to str
        What each term that it names stands for.
    condition : bool
        Whether it has to be boolean.
    refuse : callable
        Makes the refusal from a message and the part that it is about.

    Raises
    ------
    FilterError
        What `refuse` gives: an expression without a type, or text compared with a number.
    """
    duck = engine()
    duck.register("alerts", pa.schema(list(types.items())).empty_table())
    terms = "".join(f', ({sql}) AS "{name}"' for name, sql in meanings.items())
    source = f"(SELECT *{terms} FROM alerts)"
    try:
        whole = _Agreement(duck, source, refuse)
        if whole.bind(tree) != "BOOLEAN" and condition:
            raise refuse("the predicate is not a condition: it has to be true or false", tree)
        whole.check(tree)
        kind: pa.DataType = duck.sql(f"SELECT {tree.sql(dialect='duckdb')} FROM {source}").to_arrow_table()[0].type
        return kind
    finally:
        duck.unregister("alerts")


class _Agreement:
    def __init__(self, duck: duckdb.DuckDBPyConnection, source: str, refuse: Refuse) -> None:
        self._duck = duck
        self._source = source
        self._refuse = refuse

    def check(self, tree: exp.Expr) -> None:
        """Look at every condition in an expression."""
        for node in tree.walk():
            if isinstance(node, LOGIC):
                for side in _sides(node):
                    if self.kind(side) not in ("BOOLEAN", "NULL"):
                        raise self._refuse(f"{node.key.upper()} joins conditions, and this is none", side)
            elif isinstance(node, (*COMPARISONS, exp.Between, exp.In)) and not node.find_ancestor(exp.Lambda):
                self._same_family(node)

    def kind(self, node: exp.Expr) -> str:
        """Give the type of an expression."""
        if isinstance(node, CONDITIONS):
            return "BOOLEAN"
        if isinstance(node, exp.Literal):
            return "VARCHAR" if node.is_string else "DOUBLE"
        return self.kind(node.this) if isinstance(node, exp.Paren) else self.bind(node)

    def bind(self, node: exp.Expr) -> str:
        """Ask the engine for a type; the smallest part that has none is where the fault is."""
        try:
            sql = node.sql(dialect="duckdb", comments=False)
            rows = self._duck.sql(f"DESCRIBE SELECT {sql} FROM {self._source}").fetchall()
        except duckdb.Error as error:
            for child in _sides(node):
                self.bind(child)
            cause = str(error).splitlines()[0].removeprefix("Binder Error: ")
            raise self._refuse(cause, node) from error
        return str(rows[0][1])

    def _same_family(self, node: exp.Expr) -> None:
        families: dict[str, exp.Expr] = {}
        for side in _sides(node):
            family = _family(self.kind(side))
            if family:
                families.setdefault(family, side)
        if len(families) > 1:
            first, second = list(families)[:2]
            raise self._refuse(f"{second} is compared with {first}", families[second])


def _sides(node: exp.Expr) -> Iterator[exp.Expr]:
    for child in node.iter_expressions():
        if not isinstance(child, exp.DataType | exp.Identifier):
            yield child


def _family(kind: str) -> str:
    if kind == "NULL":
        return ""
    if kind in ("VARCHAR", "BOOLEAN"):
        return {"VARCHAR": "text", "BOOLEAN": "a condition"}[kind]
    return "a list" if kind.endswith("[]") else "a number"
