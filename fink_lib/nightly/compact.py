"""compact: science that needs the whole night; few large files instead of many; and, if there is room, cutouts by id.

Tracklets (:mod:`fink_lib.nightly.tracklets`) and the scores that look further back than a packet
(:mod:`fink_lib.nightly.long_histories`) are merged into ``science`` first. The streams go on meanwhile. An
optimise commit is marked as one that changes no data, so that readers of the tables as streams see nothing of it, and
appends never conflict with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltalake import CommitProperties, WriterProperties
from deltalake.exceptions import CommitFailedError

from fink_lib.errors import TransientError
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.long_histories import judge_night
from fink_lib.nightly.stage import NightContext, Verdict
from fink_lib.nightly.tracklets import link_night

if TYPE_CHECKING:
    from fink_lib.lake import Lake

TABLES = ("raw", "science", "cutouts", "quarantine", "rejected", "gcn", "sent", "ledger", "nights")
TARGET_BYTES = 256 * 1024 * 1024
SORTED_BYTES = 512 * 1024**2
SORT_MEMORY_BYTES = 2 * 1024**3
ROW_GROUP_ROWS = {"cutouts": 64, "raw": 2000, "science": 2000}
COMMIT_RETRIES = 50


def compact(context: NightContext) -> Verdict:
    """Merge the night's tracklets and long histories; then compact the files of every table that grows in small pieces.

    A night to which all this was done is left alone.
    """
    linked = link_night(context.lake, context.night)
    judged = judge_night(context.lake, context.night, context.settings)
    merged: dict[str, dict[str, int]] = {}
    for table in TABLES:
        before = files_of_night(context.lake, table, context.night)
        if len(before) < 2:
            continue
        context.progress(f"{table}: {len(before)} files")
        metrics = optimize(context.lake, table, context.night, sum(before.values()))
        if metrics["numFilesRemoved"]:
            merged[table] = {"before": metrics["numFilesRemoved"], "after": metrics["numFilesAdded"]}
    told = ", ".join(f"{table} {files['before']} -> {files['after']}" for table, files in merged.items())
    message = f"files of night {context.night}: {told or 'compact already'}"
    if linked.get("tracklets"):
        message += f"; {linked['tracklets']} tracklets of {linked['alerts']} alerts, {linked['updated']} rows updated"
    for module, counts in judged.items():
        if counts["asked"]:
            message += f"; {module} with earlier nights: {counts['asked']} alerts, {counts['updated']} rows updated"
    return Verdict(True, message, {"files": merged, "tracklets": linked, "long_histories": judged})


def files_of_night(lake: Lake, table: str, night: str) -> dict[str, int]:
    """Give the files of a night with their sizes (bytes)."""
    actions = lake.table(table).get_add_actions(flatten=True)
    names = actions.schema.names
    if f"partition.{PARTITION}" not in names:
        return {}
    rows = zip(
        *(actions.column(names.index(name)).to_pylist() for name in ("path", f"partition.{PARTITION}", "size_bytes")),
        strict=True,
    )
    return {path: size for path, of_night, size in rows if of_night == night}


def optimize(lake: Lake, table: str, night: str, size_bytes: int) -> dict[str, Any]:
    """Rewrite the files of one night; the rows stay the same.

    Raises
    ------
    TransientError
        If another rewrite of the night got there first.
    """
    delta = lake.table(table)
    options: dict[str, Any] = {
        "partition_filters": [(PARTITION, "=", night)],
        "target_size": TARGET_BYTES,
        "max_concurrent_tasks": 1,
        "writer_properties": WriterProperties(
            max_row_group_size=ROW_GROUP_ROWS.get(table, 100_000),
            compression="UNCOMPRESSED" if table == "cutouts" else "ZSTD",
        ),
        "commit_properties": CommitProperties(max_commit_retries=COMMIT_RETRIES),
    }
    try:
        # Sorting takes nearly four times the night's bytes in memory. A larger night keeps each
        # batch together, so that a cutout is found by its batch; that takes the memory of some row groups.
        if table == "cutouts" and size_bytes < SORTED_BYTES:
            return delta.optimize.z_order(["alert_id"], max_spill_size=SORT_MEMORY_BYTES, **options)
        return delta.optimize.compact(**options)
    except CommitFailedError as error:
        raise TransientError(f"another writer rewrote night {night} of {table} meanwhile: {error}") from error
