"""What becomes of each alert of a batch in raw2science: cut, duplicate, or science."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp

from fink_lib.lake.tables import PARTITION
from fink_lib.science.duck import select
from fink_lib.streams.seen import Origins, SeenIds, first_of_each, origin_of

ORDER_RECEIVED = [(name, "ascending") for name in ("kafka_time", "topic", "partition", "offset")]


@dataclass(frozen=True)
class Verdicts:
    """What becomes of each row of a batch.

    Parameters
    ----------
    rows : pyarrow.Table
        ``alert_id, night, topic, partition, offset, reason``; `reason` is null for a row that stays.
    """

    rows: pa.Table

    @property
    def staying(self) -> pa.Table:
        """Rows that become science."""
        return self.rows.filter(pc.is_null(self.rows.column("reason")))

    @property
    def leaving(self) -> pa.Table:
        """Rows that were cut or are duplicates."""
        return self.rows.filter(pc.is_valid(self.rows.column("reason")))


def decide(rows: pa.Table, seen: SeenIds) -> Verdicts:
    """Give each row its verdict: the first cut it fails, else duplicate, else it stays.

    Parameters
    ----------
    rows : pyarrow.Table
        ``alert_id, night, topic, partition, offset, kafka_time, cut`` of a batch.
    seen : SeenIds
        Ids that the nights have already; not changed here.

    Returns
    -------
    Verdicts
        In the order of `rows`.
    """
    reasons = np.array(rows.column("cut").to_pylist(), dtype=object)
    passing = np.flatnonzero(reasons == None)  # noqa: E711 - elementwise over objects
    ids = rows.column("alert_id").to_numpy()
    origins = origin_numbers(rows)
    nights = np.array(rows.column(PARTITION).to_pylist(), dtype=object)
    for night in sorted(set(nights[passing])):
        mine = passing[nights[passing] == night]
        received = pc.sort_indices(rows.take(pa.array(mine)), sort_keys=ORDER_RECEIVED).to_numpy().astype(np.int64)
        again = ~first_of_each(ids[mine], received)
        again |= seen.night(night).elsewhere(ids[mine], origins[mine])
        reasons[mine[again]] = "duplicate"
    kept = rows.select(["alert_id", PARTITION, "topic", "partition", "offset"])
    return Verdicts(kept.append_column("reason", pa.array(reasons.tolist(), pa.string())))


def first_cut(rows: pa.Table, cuts: Sequence[tuple[str, str]]) -> pa.Array:
    """Name the first cut that each alert fails; null if it passes all, and a null value fails.

    Parameters
    ----------
    rows : pyarrow.Table
        At least :func:`cut_columns`.
    cuts : sequence of (str, str)
        Name and SQL predicate of each cut.
    """
    if not cuts or not rows.num_rows:
        return pa.nulls(rows.num_rows, pa.string())
    arms = " ".join(f"WHEN NOT coalesce({predicate}, false) THEN '{name}'" for name, predicate in cuts)
    return select(f"SELECT CASE {arms} END AS cut FROM rows", rows=rows).column("cut").combine_chunks()


def cut_columns(cuts: Sequence[tuple[str, str]]) -> list[str]:
    """Give the columns, or fields of records, that the predicates of some cuts name, as dotted paths."""
    trees = [sqlglot.parse_one(predicate, dialect="duckdb") for _, predicate in cuts]
    return sorted(
        {".".join(part.name for part in column.parts) for tree in trees for column in tree.find_all(exp.Column)}
    )


def origin_numbers(rows: pa.Table) -> Origins:
    """Name the place in Kafka of each row (columns ``topic``, ``partition``, ``offset``)."""
    columns = (rows.column(name).to_pylist() for name in ("topic", "partition", "offset"))
    return np.array([origin_of(*place) for place in zip(*columns, strict=True)], np.uint64)
