"""Table ``fink.archived``: which rows the archive holds of each night, so that a night made anew leaves none behind.

For each night and table there is a row with the *generation* of the night, and rows that list the addresses of the
cells of that generation, written before the cells themselves. A night whose rows are made of the same files by the same
declarations keeps its generation, and writing it again writes the same cells. If anything differs, the generation is
one higher, so that every cell is newer than the one it replaces; when all are written, what the generations before had
and this one has not is deleted, at its own time, and their lists go last. Whatever dies in between, the lists name at
least what is there.

A tombstone in HBase hides every later put at or below its time. A row that comes back in a later generation is newer.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.rows import Row
from fink_lib.archive.tables import JOURNAL_TABLE, PACKED

if TYPE_CHECKING:
    from fink_lib.archive.hbase import HBase

BEHIND = b"\t"
"""Between key and cell in an address; no key holds it."""
FAST = 1
GET_ROWS = 500


def open_generation(hbase: HBase, table: str, night: str, source: str) -> int:
    """Give the generation to write a night with.

    Parameters
    ----------
    hbase : HBase
        The connection.
    table, night : str
        What is written.
    source : str
        Digest of everything that the rows are made of.

    Returns
    -------
    int
        0 at first; one more than before if the source is another.
    """
    before = _head(hbase, table, night)
    if before is not None and before["source"] == source:
        return int(before["generation"])
    generation = 0 if before is None else int(before["generation"]) + 1
    _put_head(hbase, table, night, {"generation": generation, "source": source})
    return generation


def present_generation(hbase: HBase, table: str, night: str) -> int | None:
    """Give the generation of a night; None if it was never archived."""
    head = _head(hbase, table, night)
    return None if head is None else int(head["generation"])


def is_finished(hbase: HBase, table: str, night: str) -> bool:
    """Tell whether the present generation was written to its end; see :func:`finish_generation`."""
    head = _head(hbase, table, night)
    return head is not None and bool(head.get("finished"))


def finish_generation(hbase: HBase, table: str, night: str) -> None:
    """Remember that a generation needs no more work; for what is not verified row by row afterwards."""
    head = _head(hbase, table, night)
    if head is not None:
        _put_head(hbase, table, night, {**head, "finished": True})


def note(hbase: HBase, table: str, night: str, generation: int, place: str, rows: Iterable[Row]) -> None:
    """List cells that are about to be written.

    Parameters
    ----------
    hbase : HBase
        The connection.
    table, night : str
        What is written.
    generation : int
        Of the night.
    place : str
        Name of the part; the same part lists the same cells, however often it is written.
    rows : iterable of Row
        What will be written, one cell each.
    """
    lines = b"\n".join(_address(row.key, cell) for row in rows for cell in row.cells)
    if lines:
        key = _key(table, night, f"{generation:06d}", place)
        # One time for all: a part that was deleted is never written again, its generation has passed.
        hbase.put(JOURNAL_TABLE, [Row(key, {PACKED: zlib.compress(lines, FAST)}, 1)], batch_rows=1)


def clear_ghosts(hbase: HBase, table: str, night: str, generation: int) -> int:
    """Delete what earlier generations of a night have written and this one has not.

    Returns
    -------
    int
        How many cells.
    """
    old = [(key, cells) for key, cells in _parts(hbase, table, night) if _generation(key) < generation]
    if not old:
        return 0
    new = [cells for key, cells in _parts(hbase, table, night) if _generation(key) == generation]
    present = _addresses(new)
    cleared = 0
    for key, cells in old:
        listed = _addresses([cells])
        ghosts = listed.filter(pc.invert(pc.is_in(listed, present))).to_pylist()
        cleared += _delete(hbase, table, [_parted(ghost) for ghost in ghosts])
        # The list goes when nothing that it names alone is left.
        hbase.delete(JOURNAL_TABLE, key, [PACKED], 1)
    return cleared


def earlier_parts(hbase: HBase, table: str, night: str, generation: int) -> int:
    """Count the lists of earlier generations: while there are any, rows of theirs may be left."""
    return sum(1 for key, _ in _parts(hbase, table, night, lists=False) if _generation(key) != generation)


def _delete(hbase: HBase, table: str, addresses: list[tuple[bytes, bytes]]) -> int:
    """Delete cells at the time that each has; those that are gone already are passed over."""
    for start in range(0, len(addresses), GET_ROWS):
        part = addresses[start : start + GET_ROWS]
        found = hbase.cells(table, [key for key, _ in part], list({cell for _, cell in part}))
        there = [(key, cell, found[key][cell][1]) for key, cell in part if cell in found.get(key, {})]
        hbase.delete_cells(table, there)
    return len(addresses)


def _parts(hbase: HBase, table: str, night: str, lists: bool = True) -> Iterable[tuple[bytes, bytes]]:
    prefix = _key(table, night, "")
    only = None if lists else "KeyOnlyFilter()"
    for key, cells in hbase.scan(JOURNAL_TABLE, prefix, prefix + b"\xff", [PACKED], batch_rows=50, filter_string=only):
        yield key, cells[PACKED]


def _addresses(parts: Iterable[bytes]) -> pa.Array:
    return pa.array([line for part in parts for line in zlib.decompress(part).split(b"\n")], pa.binary())


def _head(hbase: HBase, table: str, night: str) -> dict[str, Any] | None:
    key = _key(table, night)
    found = hbase.rows(JOURNAL_TABLE, [key]).get(key)
    if found is None:
        return None
    head: dict[str, Any] = json.loads(found[0][PACKED])
    return head


def _put_head(hbase: HBase, table: str, night: str, head: dict[str, Any]) -> None:
    row = Row(_key(table, night), {PACKED: json.dumps(head).encode()}, head["generation"] + 1)
    hbase.put(JOURNAL_TABLE, [row], batch_rows=1)


def _key(*parts: str) -> bytes:
    return "/".join(parts).encode()


def _generation(key: bytes) -> int:
    return int(key.split(b"/")[2])


def _address(key: bytes, cell: bytes) -> bytes:
    return key if cell == PACKED else key + BEHIND + cell


def _parted(address: bytes) -> tuple[bytes, bytes]:
    key, _, cell = address.partition(BEHIND)
    return key, cell or PACKED
