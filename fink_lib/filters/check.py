"""The sandbox: what a filter may say, and a message that points at the place where it says something else.

A predicate is one SQL expression over documented columns and the survey's shared terms. It is parsed with a real SQL
parser, every node of it must be on a list of allowed ones, and its types must agree. Nothing on the lists reads a file,
a table, a clock or a die, nothing makes a value longer than those it is given, and each node costs at most what sorting
the light curve costs, so a checked predicate can neither leave the alert nor run away.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from fink_lib.filters.agreement import agreed_type
from fink_lib.filters.grammar import (
    ALLOWED_FUNCTIONS,
    CAST_TYPES,
    COMPARISONS,
    FUNCTIONS,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_LIST_CALLS,
    MAX_TOKENS,
    MAX_WILDCARDS,
    NAMED_FUNCTIONS,
    OPERATORS,
    TRUSTED,
    TRUSTED_NAMED,
    calls_over_arrays,
    is_call_over_array,
    name_of,
)
from fink_lib.filters.nodes import count_arguments, flat_column, offset_of, text_of
from fink_lib.filters.predicate import Expression, FilterError, Predicate
from fink_lib.filters.terms import EXTRAGALACTIC, NO_TERMS, OF_TYPE, SIMBAD_FUNCTIONS, Terms, simbad_spellings
from fink_lib.filters.values import Reference, UnknownValueError, similar, type_of

_WORD = re.compile(r"\w+")

REMEMBERED = 512
"""Texts whose verdict is kept: parsing a set of filters takes seconds, and a verdict follows from the text alone."""

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of statements, which are refused in words anyway


@lru_cache(maxsize=REMEMBERED)
def check_predicate(text: str, schema: pa.Schema, source: str = "", terms: Terms = NO_TERMS) -> Predicate:
    """Check one predicate and bring it into canonical form.

    Parameters
    ----------
    text : str
        A file of SQL comments and exactly one expression.
    schema : pyarrow.Schema
        The documented columns.
    source : str
        Name of the file, for messages.
    terms : Terms
        Words that it may use beside the columns.

    Returns
    -------
    Predicate

    Raises
    ------
    FilterError
        If the text is anything but a boolean expression over known columns, terms and allowed functions.
    """
    checker = Checker(text, schema, source, terms)
    written = checker.parse()
    checked = checker.check(written, condition=True)
    sides = [list(part.flatten()) if isinstance(part, exp.And) else [part] for part in (written, checked.tree)]
    clauses = ((text_of(mine), theirs.sql(dialect="duckdb")) for mine, theirs in zip(*sides, strict=True))
    return Predicate(checked.sql, checked.references, tuple(clauses))


@lru_cache(maxsize=REMEMBERED)
def check_value(text: str, schema: pa.Schema, source: str = "", terms: Terms = NO_TERMS) -> Expression:
    """Check an expression that gives a number, by the rules of :func:`check_predicate`.

    Raises
    ------
    FilterError
        If it may not run, or gives anything but a number.
    """
    checker = Checker(text, schema, source, terms)
    tree = checker.parse()
    checked = checker.check(tree)
    if not any(is_kind(checked.kind) for is_kind in (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)):
        raise checker.refuse(f"this has to be a number, and it is {checked.kind}", tree)
    return checked


class Checker:
    """Checks expressions of one text.

    Parameters
    ----------
    text, source : str
        The text, and the name of its file for messages.
    schema : pyarrow.Schema
        The documented columns.
    terms : Terms
        Shared words.
    trusted : bool
        Whether the text is reviewed like code: the terms themselves.
    """

    def __init__(self, text: str, schema: pa.Schema, source: str, terms: Terms, trusted: bool = False) -> None:
        self.text = text
        self.schema = schema
        self.source = source
        self.terms = terms
        self.trusted = trusted
        self._types: dict[str, pa.DataType] = {}
        self._references: set[Reference] = set()
        self._meanings: dict[str, str] = {}

    def check(self, tree: exp.Expr, condition: bool = False) -> Expression:
        """Check a parsed expression and write it out over flat columns.

        Raises
        ------
        FilterError
            If it may not run; with `condition`, if it is not boolean either.
        """
        self._types, self._references, self._meanings = {}, set(), {}
        for node in list(tree.walk()):
            self.allow(node)
        flat = self.flatten(tree)
        if not self._types:
            raise self.refuse("the predicate reads no column of the alert", flat)
        kind = agreed_type(flat, self._types, self._meanings, condition, self.refuse)
        self.limit_cost(flat)
        whole = self.write_out(flat)
        for node in whole.walk():
            node.comments = None
        return Expression(whole, tuple(sorted(self._references)), kind, text_of(tree))

    def refuse(self, message: str, node: exp.Expr | None = None, offset: int | None = None) -> FilterError:
        """Build a refusal that points at a node, or at an offset of the text."""
        place = offset if offset is not None else offset_of(node) if node is not None else 0
        line = self.text.count("\n", 0, place) + 1
        column = place - (self.text.rfind("\n", 0, place) + 1) + 1
        lines = self.text.splitlines()
        return FilterError(message, line, column, self.source, lines[line - 1] if line <= len(lines) else "")

    def parse(self) -> exp.Expr:
        """Parse the text, which has to be one expression and small enough."""
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
            if node.to.this not in CAST_TYPES or node.to.expressions or node.args.get("format"):
                names = ", ".join(sorted(kind.value for kind in CAST_TYPES))
                raise self.refuse(f"a cast may only go to one of {names}", node)
        elif isinstance(node, exp.Like):
            pattern = node.expression
            if not (isinstance(pattern, exp.Literal) and pattern.is_string):
                raise self.refuse("the pattern of LIKE has to be a text in quotes", node)
            if pattern.name.count("%") > MAX_WILDCARDS:
                raise self.refuse(f"a pattern may hold at most {MAX_WILDCARDS} times %", pattern)
        elif isinstance(node, (*COMPARISONS, exp.Between, exp.In)) and any(
            isinstance(side, exp.Null) for side in node.iter_expressions()
        ):
            raise self.refuse("a comparison with NULL is never true; write IS NULL or IS NOT NULL", node)
        elif isinstance(node, exp.ArraySort) and count_arguments(self.text, offset_of(node)) > 1:
            raise self.refuse("list_sort and list_reverse_sort take one array and nothing else", node)
        elif isinstance(node, exp.Is) and not isinstance(node.expression, exp.Null | exp.Boolean):
            raise self.refuse("IS takes NULL, TRUE or FALSE", node)
        elif isinstance(node, exp.Anonymous):
            if name_of(node) in SIMBAD_FUNCTIONS and self.terms.label is not None:
                self._check_types(node)
            elif name_of(node) not in (*NAMED_FUNCTIONS, *(TRUSTED_NAMED if self.trusted else ())):
                raise self._unknown_function(name_of(node), node)
        elif self.trusted and isinstance(node, TRUSTED):
            return
        elif not isinstance(node, OPERATORS) and type(node) not in FUNCTIONS:
            if isinstance(node, exp.Func):
                raise self._unknown_function(node.sql_name().lower(), node)
            raise self.refuse(f"'{node.sql(dialect='duckdb')[:60]}' is not allowed in a filter", node)

    def _check_types(self, node: exp.Anonymous) -> None:
        """Refuse a SIMBAD type that does not exist."""
        if name_of(node) == EXTRAGALACTIC:
            if node.expressions:
                raise self.refuse(f"{EXTRAGALACTIC}() takes nothing", node)
            return
        if not node.expressions:
            raise self.refuse(f"{OF_TYPE} takes codes of SIMBAD types, for example {OF_TYPE}('AGN', 'QSO')", node)
        for code in node.expressions:
            if not (isinstance(code, exp.Literal) and code.is_string):
                raise self.refuse(f"{OF_TYPE} takes codes of SIMBAD types in quotes", node)
            if code.name not in simbad_spellings():
                near = similar(code.name, list(simbad_spellings()))
                raise self.refuse(f"SIMBAD has no type with the code '{code.name}'{near}", code)

    def _unknown_function(self, name: str, node: exp.Expr) -> FilterError:
        place = offset_of(node)
        written = _WORD.match(self.text, place)  # the parser has its own names for some functions
        if written and self.text[written.end() :].lstrip().startswith("("):
            name = written[0].lower()
        elif not any("start" in part.meta for part in node.walk()):  # and it does not note where a keyword is
            found = re.search(rf"\b{re.escape(name)}\b", self.text, re.IGNORECASE)
            place = found.start() if found else place
        allowed = ", ".join(ALLOWED_FUNCTIONS)
        return self.refuse(f"function '{name}' is not allowed; the allowed ones are {allowed}", offset=place)

    def flatten(self, tree: exp.Expr) -> exp.Expr:
        """Put one flat column in the place of each path, and note it."""
        holder = exp.Paren(this=tree.copy())
        for node in list(holder.walk()):
            if isinstance(node, exp.Bracket):
                self._flatten_key(node)
            elif isinstance(node, exp.Anonymous) and name_of(node) in SIMBAD_FUNCTIONS:
                node.replace(self._simbad(node))
        for node in list(holder.walk()):
            if isinstance(node, exp.Column) and not node.meta.get("flat"):
                path = tuple(part.name for part in node.parts)
                node.replace(self._term(path, node) or self._flat(Reference(path), node))
        flat = holder.this
        if not isinstance(flat, exp.Expr):
            raise self.refuse("there is no predicate")
        return flat

    def _flatten_key(self, node: exp.Bracket) -> None:
        inside, keys = node.this, node.expressions
        word = node.find(exp.Identifier)
        if self.trusted and word is not None and isinstance(word.parent, exp.Bracket):  # a part of a lambda's own word
            return
        if not isinstance(inside, exp.Column) or len(keys) != 1:
            raise self.refuse("square brackets go behind a column, with one key inside", node)
        if not (isinstance(keys[0], exp.Literal) and keys[0].is_string):
            raise self.refuse("the key in square brackets has to be a text in quotes; for lists use list_extract", node)
        path = tuple(part.name for part in inside.parts)
        node.replace(self._flat(Reference(path, keys[0].name), node))

    def _flat(self, reference: Reference, node: exp.Expr) -> exp.Column:
        try:
            kind = type_of(self.schema, reference, tuple(term.name for term in self.terms.words.values()))
        except UnknownValueError as error:
            raise self.refuse(str(error), node) from None
        self._note(reference, kind)
        return flat_column(reference.name, node)

    def _term(self, path: tuple[str, ...], node: exp.Expr) -> exp.Column | None:
        """Put a column in the place of a term; what it stands for comes in when the types have been checked."""
        term = self.terms.find(path[0]) if path[0] not in self.schema.names else None
        if term is None:
            return None
        if len(path) > 1:
            raise self.refuse(f"'{term.name}' is a term and has no fields", node)
        for reference in term.references:
            self._note(reference, type_of(self.schema, reference))
        self._meanings[term.name] = term.sql
        return flat_column(term.name, node)

    def _simbad(self, node: exp.Anonymous) -> exp.Column:
        codes = [code.name for code in node.expressions] if name_of(node) == OF_TYPE else None
        name = node.sql(dialect="duckdb").lower() if codes is None else f"{OF_TYPE}({', '.join(codes)})"
        for reference in (self.terms.label, self.terms.status):
            if reference is not None:
                self._note(reference, type_of(self.schema, reference))
        self._meanings[name] = self.terms.labelled(codes)
        return flat_column(name, node)

    def _note(self, reference: Reference, kind: pa.DataType) -> None:
        self._references.add(reference)
        self._types[reference.name] = kind

    def limit_cost(self, flat: exp.Expr) -> None:
        """Refuse the place at which a predicate, its terms written out, gets too long or calls too much."""
        calls, size = 0, len(self.text)
        meanings = {name: sqlglot.parse_one(sql, dialect="duckdb") for name, sql in self._meanings.items()}
        for node in flat.walk(bfs=False):
            if isinstance(node, exp.Column) and node.name in meanings:
                calls += calls_over_arrays(meanings[node.name])
                size += len(self._meanings[node.name])
            else:
                calls += is_call_over_array(node)
            if calls > MAX_LIST_CALLS:
                raise self.refuse(f"more than {MAX_LIST_CALLS} calls over arrays, those of the terms included", node)
            if size > MAX_CHARACTERS:
                raise self.refuse(f"more than {MAX_CHARACTERS} characters with its terms written out", node)

    def write_out(self, flat: exp.Expr) -> exp.Expr:
        """Put what the terms stand for in their places, each in brackets."""
        holder = exp.Paren(this=flat.copy())
        for node in list(holder.walk()):
            if isinstance(node, exp.Column) and node.name in self._meanings:
                node.replace(exp.Paren(this=sqlglot.parse_one(self._meanings[node.name], dialect="duckdb")))
        whole = holder.this
        if not isinstance(whole, exp.Expr):
            raise self.refuse("there is no predicate")
        return whole
