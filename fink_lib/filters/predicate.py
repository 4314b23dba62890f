"""What the sandbox gives: a predicate that may run, or a refusal that points at a place."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from fink_lib.errors import ConfigError
from fink_lib.filters.values import Reference


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
    clauses : tuple of (str, str)
        The conditions that its author joined with AND: each as it was written, and in canonical form.
    """

    sql: str
    references: tuple[Reference, ...]
    clauses: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Expression:
    """A checked expression: written out over flat columns, what it reads, its type, and what its author wrote."""

    tree: exp.Expr
    references: tuple[Reference, ...]
    kind: pa.DataType
    text: str

    @property
    def sql(self) -> str:
        """The expression as DuckDB runs it."""
        return self.tree.sql(dialect="duckdb")
