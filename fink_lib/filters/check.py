"""The sandbox: what a filter may say, and a message that points at the place where it says something else.

A predicate is one SQL expression over documented columns. It is parsed with a real SQL parser, every node of it must
be on a list of allowed ones, and its types must agree. Nothing on the lists reads a file, a table, a clock or a die,
and the cost of each node is at most linear in the size of the alert, so a checked predicate can neither leave the
alert nor run away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from fink_lib.errors import ConfigError
from fink_lib.filters.engine import engine
from fink_lib.filters.values import Reference, UnknownValueError, type_of

MAX_CHARACTERS = 20_000
MAX_TOKENS = 2_000
MAX_DEPTH = 60
MAX_WILDCARDS = 4

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_LOGIC = (exp.And, exp.Or, exp.Not)
_CONDITIONS = (*_COMPARISONS, *_LOGIC, exp.Between, exp.In, exp.Is, exp.Like)
_OPERATORS: tuple[type[exp.Expr], ...] = (
    *_COMPARISONS,
    *_LOGIC,
    exp.Add,
    exp.Between,
    exp.Boolean,
    exp.Bracket,
    exp.Case,
    exp.Cast,
    exp.Column,
    exp.DataType,
    exp.Div,
    exp.Identifier,
    exp.If,
    exp.In,
    exp.IntDiv,
    exp.Is,
    exp.Like,
    exp.Literal,
    exp.Mod,
    exp.Mul,
    exp.Neg,
    exp.Null,
    exp.Paren,
    exp.Sub,
    exp.TryCast,
)
_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Abs: "abs",
    exp.Acos: "acos",
    exp.ArrayContains: "list_contains",
    exp.ArrayMax: "list_max",
    exp.ArrayMin: "list_min",
    exp.Asin: "asin",
    exp.Atan: "atan",
    exp.Atan2: "atan2",
    exp.Ceil: "ceil",
    exp.Coalesce: "coalesce",
    exp.Contains: "contains",
    exp.Cos: "cos",
    exp.Degrees: "degrees",
    exp.EndsWith: "ends_with",
    exp.Exp: "exp",
    exp.Floor: "floor",
    exp.Greatest: "greatest",
    exp.Least: "least",
    exp.Length: "length",
    exp.Ln: "ln",
    exp.Log: "log",
    exp.Lower: "lower",
    exp.Nullif: "nullif",
    exp.Pow: "pow",
    exp.Radians: "radians",
    exp.Round: "round",
    exp.Sign: "sign",
    exp.Sin: "sin",
    exp.Sqrt: "sqrt",
    exp.StartsWith: "starts_with",
    exp.Tan: "tan",
    exp.Upper: "upper",
}
_NAMED_FUNCTIONS = ("list_avg", "list_extract", "list_median", "list_stddev_pop", "list_sum", "log10", "log2")
_CAST_TYPES = (
    exp.DataType.Type.BIGINT,
    exp.DataType.Type.BOOLEAN,
    exp.DataType.Type.DOUBLE,
    exp.DataType.Type.FLOAT,
    exp.DataType.Type.INT,
    exp.DataType.Type.TEXT,
    exp.DataType.Type.VARCHAR,
)
ALLOWED_FUNCTIONS = tuple(sorted((*_FUNCTIONS.values(), *_NAMED_FUNCTIONS)))
"""Functions that a predicate may call: deterministic, without side effects, at most linear in their input."""


class FilterError(ConfigError):
    """A filter that may not run.

    Parameters
    ----------
    message : str
        What is wrong, and what would be right.
    line, column : int
        Where, counted from 1.
    source : str
        Name of the file, if there is one.
    text : str
        The line at which it points.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1, source: str = "", text: str = "") -> None:
        super().__init__(f"{source}:{line}:{column}: {message}" if source else f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.text = text

    @property
    def excerpt(self) -> str:
        """The offending line with a mark below the place."""
        return f"{self.text}\n{' ' * (self.column - 1)}^"


@dataclass(frozen=True)
class Predicate:
    """A checked predicate.

    Parameters
    ----------
    sql : str
        The same predicate in canonical form over flat columns, as DuckDB runs it.
    references : tuple of Reference
        Everything that it reads, sorted.
    """

    sql: str
    references: tuple[Reference, ...]


def check_predicate(text: str, schema: pa.Schema, source: str = "") -> Predicate:
    """Check one predicate and bring it into canonical form.

    Parameters
    ----------
    text : str
        A file of SQL comments and exactly one expression.
    schema : pyarrow.Schema
        The documented columns.
    source : str
        Name of the file, for messages.

    Returns
    -------
    Predicate

    Raises
    ------
    FilterError
        If the text is anything but a boolean expression over known columns and allowed functions.
    """
    return _Checker(text, schema, source).run()


class _Checker:
    def __init__(self, text: str, schema: pa.Schema, source: str) -> None:
        self.text = text
        self.schema = schema
        self.source = source
        self.references: dict[Reference, pa.DataType] = {}

    def run(self) -> Predicate:
        tree = self.parse()
        for node in list(tree.walk()):
            self.allow(node)
        flat = self.flatten(tree)
        self.agree(flat)
        for node in flat.walk():
            node.comments = None
        return Predicate(flat.sql(dialect="duckdb"), tuple(sorted(self.references)))

    def refuse(self, message: str, node: exp.Expr | None = None, offset: int | None = None) -> FilterError:
        """Build a refusal that points at a node, or at an offset of the text."""
        place = offset if offset is not None else _offset(node) if node is not None else 0
        line = self.text.count("\n", 0, place) + 1
        column = place - (self.text.rfind("\n", 0, place) + 1) + 1
        lines = self.text.splitlines()
        return FilterError(message, line, column, self.source, lines[line - 1] if line <= len(lines) else "")

    def parse(self) -> exp.Expr:
        if len(self.text) > MAX_CHARACTERS:
            raise self.refuse(f"a filter has at most {MAX_CHARACTERS} characters")
        try:
            tokens = sqlglot.tokenize(self.text, dialect="duckdb")
        except TokenError as error:
            raise self.refuse("a quote or a comment is not closed", offset=self._unclosed()) from error
        if not tokens:
            raise self.refuse("there is no predicate", offset=len(self.text.rstrip()))
        if len(tokens) > MAX_TOKENS:
            raise self.refuse(f"a predicate has at most {MAX_TOKENS} words", offset=tokens[MAX_TOKENS].start)
        depth = 0
        for token in tokens:
            if token.text == ";":
                raise self.refuse("one expression and nothing else: remove the semicolon", offset=token.start)
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
            if depth > MAX_DEPTH:
                raise self.refuse(f"brackets may be {MAX_DEPTH} deep", offset=token.start)
        try:
            trees = sqlglot.parse(self.text, dialect="duckdb")
        except ParseError as error:
            first = error.errors[0] if error.errors else {}
            line, column = first.get("line") or 1, first.get("col") or 1
            lines = self.text.splitlines()
            highlight = first.get("highlight") or ""
            column = max(1, column - len(highlight) + 1)
            text = lines[line - 1] if line <= len(lines) else ""
            what = f" at '{highlight}'" if highlight else ""
            raise FilterError(f"this is not a complete expression{what}", line, column, self.source, text) from error
        except (SqlglotError, RecursionError) as error:
            raise self.refuse(f"this cannot be parsed: {type(error).__name__}") from error
        tree = trees[0] if len(trees) == 1 else None
        if tree is None:
            raise self.refuse("one expression and nothing else", offset=tokens[0].start)
        if not isinstance(tree, exp.Condition) or isinstance(tree, exp.Query):
            raise self.refuse(
                "write the condition alone, without SELECT ... WHERE or any other statement", offset=tokens[0].start
            )
        return tree

    def _unclosed(self) -> int:
        return max(self.text.rfind(mark) for mark in ("'", '"', "/*", "$$")) if self.text else 0

    def allow(self, node: exp.Expr) -> None:
        """Refuse a node that is on no list."""
        if isinstance(node, exp.Query | exp.Subquery):
            raise self.refuse("a filter may not contain a query", node)
        if isinstance(node, exp.Cast):
            if node.to.this not in _CAST_TYPES or node.to.expressions or node.args.get("format"):
                names = ", ".join(sorted(kind.value for kind in _CAST_TYPES))
                raise self.refuse(f"a cast may only go to one of {names}", node)
        elif isinstance(node, exp.Like):
            pattern = node.expression
            if not (isinstance(pattern, exp.Literal) and pattern.is_string):
                raise self.refuse("the pattern of LIKE has to be a text in quotes", node)
            if pattern.name.count("%") > MAX_WILDCARDS:
                raise self.refuse(f"a pattern may hold at most {MAX_WILDCARDS} times %", pattern)
        elif isinstance(node, _COMPARISONS) and (
            isinstance(node.this, exp.Null) or isinstance(node.expression, exp.Null)
        ):
            raise self.refuse("a comparison with NULL is never true; write IS NULL or IS NOT NULL", node)
        elif isinstance(node, exp.Is) and not isinstance(node.expression, exp.Null | exp.Boolean):
            raise self.refuse("IS takes NULL, TRUE or FALSE", node)
        elif isinstance(node, exp.Anonymous):
            if str(node.this).lower() not in _NAMED_FUNCTIONS:
                raise self._unknown_function(str(node.this).lower(), node)
        elif not isinstance(node, _OPERATORS) and type(node) not in _FUNCTIONS:
            if isinstance(node, exp.Func):
                raise self._unknown_function(node.sql_name().lower(), node)
            raise self.refuse(f"'{node.sql(dialect='duckdb')[:60]}' is not allowed in a filter", node)

    def _unknown_function(self, name: str, node: exp.Expr) -> FilterError:
        return self.refuse(
            f"function '{name}' is not allowed; the allowed ones are {', '.join(ALLOWED_FUNCTIONS)}", node
        )

    def flatten(self, tree: exp.Expr) -> exp.Expr:
        """Put one flat column in the place of each path, and note it."""
        holder = exp.Paren(this=tree.copy())
        for node in list(holder.walk()):
            if isinstance(node, exp.Bracket):
                self._flatten_key(node)
        for node in list(holder.walk()):
            if isinstance(node, exp.Column) and not node.meta.get("flat"):
                path = tuple(part.name for part in node.parts)
                node.replace(self._flat(Reference(path), node))
        flat = holder.this
        if not isinstance(flat, exp.Expr):
            raise self.refuse("there is no predicate")
        return flat

    def _flatten_key(self, node: exp.Bracket) -> None:
        inside, keys = node.this, node.expressions
        if not isinstance(inside, exp.Column) or len(keys) != 1:
            raise self.refuse("square brackets go behind a column, with one key inside", node)
        if not (isinstance(keys[0], exp.Literal) and keys[0].is_string):
            raise self.refuse("the key in square brackets has to be a text in quotes; for lists use list_extract", node)
        path = tuple(part.name for part in inside.parts)
        node.replace(self._flat(Reference(path, keys[0].name), node))

    def _flat(self, reference: Reference, node: exp.Expr) -> exp.Column:
        try:
            self.references[reference] = type_of(self.schema, reference)
        except UnknownValueError as error:
            raise self.refuse(str(error), node) from None
        flat = exp.column(exp.to_identifier(reference.name, quoted=True))
        flat.meta.update({"flat": True, "start": _offset(node)})
        return flat

    def agree(self, tree: exp.Expr) -> None:
        """Refuse what the engine would only meet at run time: types that do not fit each other."""
        empty = pa.schema([pa.field(r.name, kind) for r, kind in self.references.items()]).empty_table()
        if not self.references:
            raise self.refuse("the predicate reads no column of the alert", tree)
        duck = engine()
        duck.register("alerts", empty)
        try:
            if self._bind(duck, tree) != "BOOLEAN":
                raise self.refuse("the predicate is not a condition: it has to be true or false", tree)
            for node in tree.walk():
                if isinstance(node, _LOGIC):
                    for side in _sides(node):
                        if self._kind(duck, side) not in ("BOOLEAN", "NULL"):
                            raise self.refuse(f"{node.key.upper()} joins conditions, and this is none", side)
                elif isinstance(node, (*_COMPARISONS, exp.Between, exp.In)):
                    self._same_family(duck, node)
        finally:
            duck.unregister("alerts")

    def _kind(self, duck: duckdb.DuckDBPyConnection, node: exp.Expr) -> str:
        """Give the type of an expression."""
        if isinstance(node, _CONDITIONS):
            return "BOOLEAN"
        return self._kind(duck, node.this) if isinstance(node, exp.Paren) else self._bind(duck, node)

    def _bind(self, duck: duckdb.DuckDBPyConnection, node: exp.Expr) -> str:
        """Ask the engine for a type; the smallest part that has none is where the fault is."""
        try:
            rows = duck.sql(f"DESCRIBE SELECT {node.sql(dialect='duckdb', comments=False)} FROM alerts").fetchall()
        except duckdb.Error as error:
            for child in node.iter_expressions():
                if isinstance(child, exp.DataType | exp.Identifier):
                    continue
                self._bind(duck, child)
            cause = str(error).splitlines()[0].removeprefix("Binder Error: ")
            raise self.refuse(cause, node) from error
        return str(rows[0][1])

    def _same_family(self, duck: duckdb.DuckDBPyConnection, node: exp.Expr) -> None:
        families: dict[str, exp.Expr] = {}
        for side in _sides(node):
            family = _family(self._kind(duck, side))
            if family:
                families.setdefault(family, side)
        if len(families) > 1:
            first, second = list(families)[:2]
            raise self.refuse(f"{second} is compared with {first}", families[second])


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


def _offset(node: exp.Expr) -> int:
    """Find where a node begins: the first place in it, or around it if the parser noted none (of a bare number)."""
    place: exp.Expr | None = node
    while place is not None:
        places = [int(n.meta["start"]) for n in place.walk() if "start" in n.meta]
        if places:
            return min(places)
        place = place.parent
    return 0
