"""What a predicate may be made of: the lists that the sandbox goes by, and its limits."""

from __future__ import annotations

from sqlglot import exp

from fink_lib.filters.terms import SIMBAD_FUNCTIONS

MAX_CHARACTERS = 20_000
MAX_TOKENS = 2_000
MAX_DEPTH = 60
MAX_WILDCARDS = 4
MAX_LIST_CALLS = 60
"""Calls over arrays of the light curve, those of the terms included: each costs some microseconds per alert."""

COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
LOGIC = (exp.And, exp.Or, exp.Not)
CONDITIONS = (*COMPARISONS, *LOGIC, exp.Between, exp.In, exp.Is, exp.Like)
OPERATORS: tuple[type[exp.Expr], ...] = (
    *COMPARISONS,
    *LOGIC,
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
FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Abs: "abs",
    exp.Acos: "acos",
    exp.ArrayContains: "list_contains",
    exp.ArrayDistinct: "list_distinct",
    exp.ArrayMax: "list_max",
    exp.ArrayMin: "list_min",
    exp.ArraySort: "list_sort",
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
NAMED_FUNCTIONS = (
    "list_avg",
    "list_count",
    "list_extract",
    "list_median",
    "list_position",
    "list_stddev_pop",
    "list_sum",
    "log10",
    "log2",
)
TRUSTED: tuple[type[exp.Expr], ...] = (exp.Array, exp.ArrayAppend, exp.ArrayFilter, exp.Lambda, exp.Transform)
TRUSTED_NAMED = ("list_slice", "list_zip", "row")
"""What only the terms may use, which are reviewed like code: a lambda in a lambda is not linear any more."""
CAST_TYPES = (
    exp.DataType.Type.BIGINT,
    exp.DataType.Type.BOOLEAN,
    exp.DataType.Type.DOUBLE,
    exp.DataType.Type.FLOAT,
    exp.DataType.Type.INT,
    exp.DataType.Type.TEXT,
    exp.DataType.Type.VARCHAR,
)
ALLOWED_FUNCTIONS = tuple(sorted((*FUNCTIONS.values(), "list_reverse_sort", *NAMED_FUNCTIONS, *SIMBAD_FUNCTIONS)))
"""Functions that a predicate may call: deterministic, without side effects, results no larger than their input."""

LIST_CALLS = (
    exp.ArrayAppend,
    exp.ArrayContains,
    exp.ArrayDistinct,
    exp.ArrayFilter,
    exp.ArrayMax,
    exp.ArrayMin,
    exp.ArraySort,
    exp.Transform,
)
"""Functions over an array that the parser knows; those that it does not know are called ``list_…``."""


def name_of(node: exp.Expr) -> str:
    """Name of a function that the parser does not know; empty for anything else."""
    return str(node.this).lower() if isinstance(node, exp.Anonymous) else ""


def is_call_over_array(node: exp.Expr) -> bool:
    """Tell whether a node is a call that goes through an array of the light curve."""
    return isinstance(node, LIST_CALLS) or name_of(node).startswith("list_")


def calls_over_arrays(tree: exp.Expr) -> int:
    """Count the calls that go through an array of the light curve."""
    return sum(is_call_over_array(node) for node in tree.walk())
