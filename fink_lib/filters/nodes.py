"""Places and words of a parsed expression's nodes, as its author wrote them."""

from __future__ import annotations

import sqlglot
from sqlglot import exp


def count_arguments(text: str, offset: int) -> int:
    """Count the arguments of the call that begins at a place of the text; 1 if there is no call."""
    depth = number = 0
    for token in sqlglot.tokenize(text[offset:], dialect="duckdb")[1:]:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
        if depth <= 0:
            break
        number += token.text == "," and depth == 1
    return number + 1


def text_of(node: exp.Expr) -> str:
    """Write a node as one line of SQL."""
    return node.sql(dialect="duckdb", comments=False, normalize_functions="lower")


def offset_of(node: exp.Expr) -> int:
    """Find where a node begins: the first place in it, or around it if the parser noted none (of a bare number)."""
    place: exp.Expr | None = node
    while place is not None:
        places = [int(n.meta["start"]) for n in place.walk() if "start" in n.meta]
        if places:
            return min(places)
        place = place.parent
    return 0


def flat_column(name: str, node: exp.Expr) -> exp.Column:
    """Make a flat column for the place of a node."""
    flat = exp.column(exp.to_identifier(name, quoted=True))
    flat.meta.update({"flat": True, "start": offset_of(node)})
    return flat
