"""Healing the rows of a night: finding those that can be computed further, and changing them in one commit.

First a look at few columns of the rows that wait tells which files gain anything. These are written anew, row group by
row group; table ``healed`` gets a row for each alert that will change; then the new files stand for the old ones. If
the process dies on the way nothing has changed, and the rows of ``healed`` under its number mean nothing: a number
counts once ``science`` has been committed under it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from fink_lib.lake.lake import conform
from fink_lib.lake.patch import files_of, rewriter, swap_files, write_anew
from fink_lib.lake.tables import PARTITION
from fink_lib.runtime.failpoints import failpoint
from fink_lib.science.columns import one_chunk
from fink_lib.science.declarations import STATUS_COLUMN
from fink_lib.science.healing import Healed, Healer
from fink_lib.streams.stamps import cutout_reader

if TYPE_CHECKING:
    from fink_lib.filters import FilterSet
    from fink_lib.lake import Lake
    from fink_lib.nightly.stage import NightContext

INGEST = "ingest"


@dataclass
class Merged:
    """What became of a night.

    Parameters
    ----------
    number : int
        Of the healing that was committed; 0 if there was nothing to change.
    waiting, healed : int
        Alerts that waited, and those of them that have new values now.
    awaited, answered : Counter
        Alerts by the module that they waited for, before; and by the one that has answered.
    entering : int
        Alerts that a filter takes now and did not take before.
    """

    number: int = 0
    waiting: int = 0
    healed: int = 0
    awaited: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    entering: int = 0


def writer_of(lake: Lake, night: str) -> str:
    """Name the writer whose commits to ``healed`` and ``science`` are the healings of a night."""
    return rewriter(lake, night)


def committed_number(lake: Lake, night: str) -> int:
    """Give the number of the night's last healing; 0 if there was none."""
    return lake.table("science").transaction_version(writer_of(lake, night)) or 0


def next_number(lake: Lake, night: str) -> int:
    """Give the number of the next healing or promotion: above those that were committed, and those that broke off."""
    begun = lake.table("healed").transaction_version(writer_of(lake, night)) or 0
    return 1 + max(begun, committed_number(lake, night))


def merge_night(
    context: NightContext, healer: Healer, filters: FilterSet, before_commit: Callable[[], object]
) -> Merged:
    """Heal what can be healed.

    Parameters
    ----------
    context : NightContext
        The night.
    healer : Healer
        The modules of now.
    filters : FilterSet
        Tell which alerts enter a topic.
    before_commit : callable
        Called just before the rows change; not if none does.

    Returns
    -------
    Merged

    Raises
    ------
    TransientError
        If somebody else rewrites the night meanwhile.
    """
    lake, night = context.lake, context.night
    merged = Merged()
    gaining = _gaining_files(context, healer, merged)
    if not gaining:
        return merged
    records: list[pa.Table] = []

    def change(rows: pa.Table) -> pa.Table:
        waits = np.flatnonzero(healer.waiting(one_chunk(rows.column(STATUS_COLUMN))))
        if not len(waits):
            return rows
        part = rows.take(pa.array(waits))
        placed = part.append_column(PARTITION, pa.array([night] * len(waits), pa.string()))
        healed = healer.heal(part, cutout_reader(lake, placed))
        if not healed.changed.any():
            return rows
        records.append(_record(context, filters, part, healed))
        place = np.arange(rows.num_rows)
        place[waits] = rows.num_rows + np.arange(len(waits))
        return pa.concat_tables([rows, healed.rows]).combine_chunks().take(pa.array(place))

    replacements = []
    for path in gaining:
        before = len(records)
        replacement = write_anew(lake, "science", path, change)
        if len(records) > before:
            replacements.append(replacement)
        done = sum(record.num_rows for record in records)
        context.progress(f"healing: {len(replacements)} of {len(gaining)} files written anew, {done} alerts healed")
    if not records:
        return merged
    everything = pa.concat_tables(records)
    writer = writer_of(lake, night)
    number = next_number(lake, night)
    numbers = pa.array([number] * everything.num_rows, pa.int64())
    lake.append("healed", everything.append_column("number", numbers), writer, number)
    before_commit()
    failpoint(context.settings, context.survey.name, "heal", "heal_before_merge")
    swap_files(lake, "science", replacements, (writer, number))
    merged.number = number
    merged.healed = everything.num_rows
    merged.answered = Counter(one_chunk(everything.column("modules")).flatten().to_pylist())
    merged.entering = sum(1 for names in everything.column("enters").to_pylist() if names)
    return merged


def _gaining_files(context: NightContext, healer: Healer, merged: Merged) -> list[str]:
    """Name the files in which a module answers now that did not; count what waits."""
    lake = context.lake
    uri = lake.uri("science")
    filesystem, base = FileSystem.from_uri(uri if "://" in uri else os.path.abspath(uri))
    paths = files_of(lake, "science", context.night)
    gaining = []
    for path in paths:
        gains = False
        with filesystem.open_input_file(f"{base}/{path}") as handle:
            parquet = pq.ParquetFile(handle)
            for group in range(parquet.num_row_groups):
                statuses = one_chunk(parquet.read_row_group(group, [STATUS_COLUMN]).column(0))
                waits = np.flatnonzero(healer.waiting(statuses))
                awaited = healer.awaited(statuses)
                merged.waiting += len(waits)
                merged.awaited += awaited
                if len(waits) and not gains:
                    rows = _read(lake, parquet, group, healer.columns(awaited)).take(pa.array(waits))
                    nights = pa.array([context.night] * len(waits), pa.string())
                    cutouts = (
                        cutout_reader(lake, rows.append_column(PARTITION, nights))
                        if INGEST in rows.column_names
                        else None
                    )
                    gains = bool(healer.answering(rows, cutouts).any())
        if gains:
            gaining.append(path)
    context.progress(f"healing: {merged.waiting} alerts wait; {len(gaining)} of {len(paths)} files gain something")
    return gaining


def _read(lake: Lake, parquet: pq.ParquetFile, group: int, paths: Collection[str]) -> pa.Table:
    """Read some columns or fields of a row group; a column that the file is too old to have is null."""
    rows = parquet.read_row_group(group, list(paths))
    for root in sorted({path.split(".", 1)[0] for path in paths} - set(rows.column_names)):
        rows = rows.append_column(root, pa.nulls(rows.num_rows, lake.schema("science").field(root).type))
    return rows


def _record(context: NightContext, filters: FilterSet, before: pa.Table, healed: Healed) -> pa.Table:
    """Give the rows of table ``healed``, but for their number."""
    rows = pa.array(np.flatnonzero(healed.changed))
    took, takes = (filters.route(table.take(rows)).to_pylist() for table in (before, healed.rows))
    enters = [[name for name in new if name not in old] for new, old in zip(takes, took, strict=True)]
    ids = healed.rows.column(context.survey.id_field).take(rows)
    size = len(ids)
    table = pa.table(
        {
            "alert_id": ids,
            "modules": pa.array(healed.modules, pa.list_(pa.string())),
            "enters": pa.array(enters, pa.list_(pa.string())),
            "time": [context.now] * size,
            PARTITION: [context.night] * size,
        }
    )
    return conform(table, context.lake.schema("healed")).drop_columns(["number"])
