"""All filters as one query: each alert is read once, and each filter adds one boolean column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from fink_lib.filters.engine import engine
from fink_lib.filters.values import extract

if TYPE_CHECKING:
    from fink_lib.filters.files import Filter
    from fink_lib.filters.values import Reference

ROUTE = "filters"
"""Name of the routing column: for each alert, the list of filters that take it."""


def run_query(sql: str, references: Iterable[Reference], table: pa.Table) -> pa.Table:
    """Run a query over table ``alerts`` of flat columns.

    Parameters
    ----------
    sql : str
        One SELECT of checked expressions.
    references : iterable of Reference
        Everything that they read.
    table : pyarrow.Table
        Their root columns.
    """
    flat = pa.table({reference.name: extract(table, reference) for reference in references})
    duck = engine()
    duck.register("alerts", flat)
    try:
        found: pa.Table = duck.sql(sql).to_arrow_table()
    finally:
        duck.unregister("alerts")
    return found


@dataclass(frozen=True)
class FilterSet:
    """A set of checked filters that run together, in the stream, over a night, or in an answer of the API.

    It can be pickled, so that a worker gets exactly the plan that the driver checked.

    Parameters
    ----------
    filters : tuple of Filter
        In the order of their names.
    """

    filters: tuple[Filter, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the filters, in order."""
        return tuple(f.name for f in self.filters)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the whole set; a change of any predicate or version changes it."""
        return hashlib.sha256("\n".join(f.digest for f in self.filters).encode()).hexdigest()

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Every value that some filter reads."""
        return tuple(sorted({r for f in self.filters for r in f.predicate.references}))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Root columns that have to be read for :meth:`evaluate`."""
        return tuple(sorted({reference.root for reference in self.references}))

    @cached_property
    def query(self) -> str:
        """The one query. An error in a row (a cast, an overflow) is null for that row, and null does not pass."""
        columns = (f'coalesce(TRY({f.predicate.sql}), false) AS "{f.name}"' for f in self.filters)
        return f"SELECT {', '.join(columns)} FROM alerts"

    def evaluate(self, table: pa.Table) -> pa.Table:
        """Tell for each alert which filters take it.

        Parameters
        ----------
        table : pyarrow.Table
            At least :attr:`columns`.

        Returns
        -------
        pyarrow.Table
            One boolean column without nulls for each filter, in the order of the rows.
        """
        return run_query(self.query, self.references, table) if self.filters else pa.table({})

    def route(self, table: pa.Table) -> pa.Array:
        """Give for each alert the names of the filters that take it, in order; an empty list if none does."""
        verdicts = self.evaluate(table)
        taken = [column.to_numpy(zero_copy_only=False) for column in verdicts.columns]
        names = [
            [name for name, column in zip(self.names, taken, strict=True) if column[row]]
            for row in range(table.num_rows)
        ]
        return pa.array(names, pa.list_(pa.string()))
