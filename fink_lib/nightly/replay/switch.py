"""Putting the rows of a shadow in the place of a night's live rows, while streams may be appending to that night.

All files of the night go and the new ones come in one commit, which fails if anything was committed since the look at
the table. Rows that a stream has appended since the shadow was made are in no file of the shadow: they are written
anew beside its rows, as the stream made them. Then the commit is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction
from pyarrow.fs import FileSystem

from fink_lib.errors import TransientError
from fink_lib.lake.lake import as_uri, file_stats
from fink_lib.lake.lookup import open_file
from fink_lib.lake.patch import COMMIT_ATTEMPTS, files_of, removal
from fink_lib.lake.tables import PARTITION, STATS_COLUMNS
from fink_lib.nightly.ledger import places
from fink_lib.nightly.replay.compute import PLACE, placed, places_of
from fink_lib.streams.seen import Origins
from fink_lib.streams.verdicts import origin_numbers

if TYPE_CHECKING:
    from fink_lib.nightly.replay.shadow import ShadowLake

COPY_BYTES = 16 * 1024**2
DUPLICATE = "duplicate"


def switch_science(shadow: ShadowLake, transaction: tuple[str, int], before_commit: Callable[[], object]) -> bool:
    """Let the shadow's science rows stand for the night's: from this commit on readers see the replay.

    A late alert whose id the shadow has from another place is entered as a duplicate, as the stream would do.

    Parameters
    ----------
    shadow : ShadowLake
        What the replay made.
    transaction : (str, int)
        Writer and number; if the table holds them already nothing is done.
    before_commit : callable
        Called before each try.

    Returns
    -------
    bool
        Whether something was committed.

    Raises
    ------
    TransientError
        If other processes commit to the table all the time.
    """
    if shadow.live.committed("science", *transaction):
        return False
    key = shadow.survey.id_field
    made = places(shadow, "science", [shadow.night]).column("alert_id").to_numpy()

    def late(rows: pa.Table) -> pa.Table:
        again = np.isin(rows.column(key).to_numpy(), made)
        if again.any():
            _enter_duplicates(shadow, rows.filter(pa.array(again)))
        return rows.filter(pa.array(~again))

    _switch(shadow, "science", late, transaction, before_commit)
    return True


def switch_rejected(shadow: ShadowLake) -> None:
    """Let the shadow's rejected rows stand for the night's; doing it again changes nothing.

    Raises
    ------
    TransientError
        If other processes commit to the table all the time.
    """
    _switch(shadow, "rejected", lambda rows: rows, None, lambda: None)


def _switch(
    shadow: ShadowLake,
    table: str,
    late: Callable[[pa.Table], pa.Table],
    transaction: tuple[str, int] | None,
    before_commit: Callable[[], object],
) -> None:
    live, night = shadow.live, shadow.night
    added = [_brought(shadow, table, path) for path in files_of(shadow, table, night)]
    known = np.sort(places_of(shadow))
    late_of: dict[str, list[AddAction]] = {}
    for _ in range(COMMIT_ATTEMPTS):
        delta = live.table(table)
        there = _files(delta, night)
        for path in there.keys() - late_of.keys():
            rows = _late(live.uri(table), live.schema(table), path, known)
            late_of[path] = _written(shadow, table, late(rows)) if rows.num_rows else []
        comes = [*added, *(action for path in sorted(there) for action in late_of[path])]
        goes = [removal(there[path]) for path in sorted(there) if path not in {action.path for action in comes}]
        comes = [action for action in comes if action.path not in there]
        if not comes and not goes:
            return
        before_commit()
        properties = CommitProperties(
            max_commit_retries=0, app_transactions=[Transaction(*transaction)] if transaction else None
        )
        try:
            delta.create_write_transaction(
                [*goes, *comes],
                mode="append",
                schema=live.schema(table),
                partition_by=[PARTITION],
                commit_properties=properties,
            )
            return
        except CommitFailedError as error:
            last = error
    raise TransientError(f"other writers kept committing to {table} of {live.survey.name}: {last}") from last


def _files(delta: Any, night: str) -> dict[str, dict[str, Any]]:
    actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
    return {action["path"]: action for action in actions if action[f"partition.{PARTITION}"] == night}


def _late(uri: str, schema: pa.Schema, path: str, known: Origins) -> pa.Table:
    """Read the rows of a live file whose places the shadow does not have: seldom more than a few."""
    body = pa.schema([field for field in schema if field.name != PARTITION])
    fragment = open_file(uri, path)
    nested = "ingest" in body.names
    found = fragment.to_table(schema=body, columns=["ingest"] if nested else list(PLACE))
    if nested:
        ingest = found.column("ingest").combine_chunks()
        found = pa.table({name: ingest.field(name) for name in PLACE})
    hits = np.flatnonzero(placed(known, origin_numbers(found)) < 0)
    if not len(hits):
        return body.empty_table()
    return fragment.to_table(schema=body).take(pa.array(hits))


def _enter_duplicates(shadow: ShadowLake, rows: pa.Table) -> None:
    """Enter late copies of alerts that the shadow has into its ``rejected``; each once, by its place."""
    ingest = rows.column("ingest").combine_chunks()
    entered = pa.table(
        {
            "alert_id": rows.column(shadow.survey.id_field),
            **{name: ingest.field(name) for name in PLACE},
            "reason": [DUPLICATE] * rows.num_rows,
            "batch": rows.column("process").combine_chunks().field("batch"),
            PARTITION: [shadow.night] * rows.num_rows,
        }
    )
    done = origin_numbers(shadow.read("rejected", [shadow.night], PLACE))
    shadow.append("rejected", entered.filter(pa.array(~np.isin(origin_numbers(entered), done))))


def _written(shadow: ShadowLake, table: str, rows: pa.Table) -> list[AddAction]:
    """Write late rows anew into the live folder; nobody sees them before the commit."""
    if not rows.num_rows:
        return []
    night = pa.array([shadow.night] * rows.num_rows, pa.string())
    files = shadow.live.write_files(table, rows.append_column(PARTITION, night))
    return [AddAction(file.path, file.bytes, {PARTITION: file.night}, _now_ms(), True, file.stats) for file in files]


def _brought(shadow: ShadowLake, table: str, path: str) -> AddAction:
    """Copy a file of the shadow into the live folder, under its own name: once more gives the same file."""
    (source, base), (target, place) = (FileSystem.from_uri(as_uri(lake.uri(table))) for lake in (shadow, shadow.live))
    target.create_dir(f"{place}/{PARTITION}={shadow.night}", recursive=True)
    with source.open_input_stream(f"{base}/{path}") as reader, target.open_output_stream(f"{place}/{path}") as writer:
        while chunk := reader.read(COPY_BYTES):
            writer.write(chunk)
    tracked = [name for name in STATS_COLUMNS if name in shadow.schema(table).names]
    with source.open_input_file(f"{base}/{path}") as handle:
        parquet = pq.ParquetFile(handle)
        stats = file_stats(parquet.read(columns=tracked))
    size = target.get_file_info(f"{place}/{path}").size
    return AddAction(path, size, {PARTITION: shadow.night}, _now_ms(), True, stats)


def _now_ms() -> int:
    return int(time.time() * 1000)
