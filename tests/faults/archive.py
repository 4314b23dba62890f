"""The archive as an independent witness reads it: bytes out of HBase, decoded cell by cell, compared with the lake.

The layout of a packed cell is taken from the archive's own registry and decoded here value by value, by other code
than the one that wrote it::

    schema id (4) | validity, one bit a leaf | fixed-width values | lengths (u32 each) | bytes of the others
"""

from __future__ import annotations

import json
import struct
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import happybase

from tests.faults.archived import PACKED, expected_cells
from tests.faults.checker import say
from tests.faults.compare import same
from tests.faults.evidence import Row

REGISTRY = "fink.schema_registry"
FIXED = {"bool": ("<?", 1), "int32": ("<i", 4), "int64": ("<q", 8), "float": ("<f", 4), "double": ("<d", 8)}
LATEST_GENERATION = 1000
SCAN_ROWS = 500
TIMEOUT_MS = 60_000


@dataclass(frozen=True)
class ArchiveRow:
    """One row as HBase gives it: each cell with its timestamp (ms)."""

    key: bytes
    cells: dict[bytes, tuple[bytes, int]]


@dataclass(frozen=True)
class Archive:
    """One table, and the layouts that the registry knows for it by schema id."""

    rows: list[ArchiveRow]
    layouts: dict[bytes, list[Row]]

    @classmethod
    def read(cls, host: str, port: int, table: str = "ztf", prefix: str = "") -> Archive:
        """Scan a table from its first row to its last."""
        connection = happybase.Connection(host, port, timeout=TIMEOUT_MS)
        try:
            rows = [
                ArchiveRow(key, cells)
                for key, cells in connection.table(f"{prefix}{table}").scan(
                    batch_size=SCAN_ROWS, include_timestamp=True
                )
            ]
            layouts = {}
            for _, cells in connection.table(f"{prefix}{REGISTRY}").scan():
                entry = json.loads(cells[b"s:json"])
                if entry["table"] == table:
                    layouts[bytes.fromhex(entry["schema_id"])] = entry["columns"]
        finally:
            connection.close()
        return cls(rows, layouts)


def check_archive(
    science: Sequence[Row], archive: Archive, table: str = "ztf", chosen: Mapping[str, Collection[int]] | None = None
) -> list[str]:
    """Check that a table holds what it should of each row of ``science``, exactly once, and nothing else.

    Parameters
    ----------
    science : sequence of dict
        Rows of the lake, of all nights that were archived.
    archive : Archive
        What the table holds.
    table : str
        Which table.
    chosen : mapping of str to collection of int, optional
        Ids of the alerts that filters of the night have sent, by filter.

    Returns
    -------
    list of str
        One sentence for each thing that is wrong.
    """
    expected = {(cell.key, cell.name): cell for cell in expected_cells(table, science, chosen or {})}
    found = Counter((row.key, name) for row in archive.rows for name in row.cells)
    wrong: dict[str, list[str]] = defaultdict(list)
    for row in archive.rows:
        for name, (packed, stamp) in row.cells.items():
            truth = expected.get((row.key, name))
            if truth is None:
                continue
            who = f"candid {truth.candid}"
            if packed[:4] not in archive.layouts:
                wrong["layout"].append(who)
                continue
            try:
                stored = unpack(packed, archive.layouts[packed[:4]])
            except (ValueError, struct.error) as error:
                wrong["torn"].append(f"{who} ({error})")
                continue
            wanted = truth.values
            differing = [
                column for column in wanted if column not in stored or not same(stored[column], wanted[column])
            ]
            if differing:
                wrong["values"].append(f"{who} ({', '.join(differing[:3])})")
            if not 0 <= stamp - round((truth.jd - 2440587.5) * 86_400_000) < LATEST_GENERATION:
                wrong["stamps"].append(who)
    place = "archive" if table == "ztf" else f"archive table {table}"
    absent = sorted(expected.keys() - found.keys())
    foreign = sorted(found.keys() - expected.keys())
    return [
        *say(f"{place}: {{n}} alert(s) are missing: {{who}}", [f"candid {expected[one].candid}" for one in absent]),
        *say(f"{place}: {{n}} row(s) are no alert of science: {{who}}", [_place(*one) for one in foreign]),
        *say(f"{place}: {{n}} key(s) came twice: {{who}}", [_place(*one) for one, times in found.items() if times > 1]),
        *say(f"{place}: {{n}} row(s) have a layout that the registry does not know: {{who}}", wrong["layout"]),
        *say(f"{place}: {{n}} packed cell(s) cannot be read: {{who}}", wrong["torn"]),
        *say(f"{place}: {{n}} row(s) differ from science: {{who}}", wrong["values"]),
        *say(f"{place}: {{n}} row(s) do not carry the alert's own time: {{who}}", wrong["stamps"]),
    ]


def unpack(cell: bytes, columns: Sequence[Row]) -> Row:
    """Decode one packed cell with the columns that the registry gives for its schema id."""
    leaves = [leaf for column in columns for leaf in _leaves(column["type"])]
    place = 4 + (len(leaves) + 7) // 8
    bits = cell[4:place]
    valid = iter([bool(bits[i // 8] >> (i % 8) & 1) for i in range(len(leaves))])
    fixed = []
    for leaf in leaves:
        if leaf in FIXED:
            code, width = FIXED[leaf]
            fixed.append(struct.unpack_from(code, cell, place)[0])
            place += width
    number = sum(1 for leaf in leaves if leaf in ("map", "list", "string", "binary"))
    lengths = struct.unpack_from(f"<{number}I", cell, place)
    place += 4 * number
    pieces = []
    for length in lengths:
        pieces.append(cell[place : place + length])
        place += length
    if place != len(cell):
        raise ValueError(f"a packed cell has {len(cell)} bytes, its layout says {place}")
    numbers, texts = iter(fixed), iter(pieces)
    return {column["name"]: _build(column["type"], valid, numbers, texts) for column in columns}


def _leaves(kind: Any) -> Iterator[str]:
    if isinstance(kind, str):
        yield kind
    elif "map" in kind:
        yield "map"
    elif "list" in kind:
        yield "list"
    else:
        yield "struct"
        for _, inner in kind["struct"]:
            yield from _leaves(inner)


def _build(kind: Any, valid: Iterator[bool], numbers: Iterator[Any], texts: Iterator[bytes]) -> Any:
    there = next(valid)
    if isinstance(kind, Mapping) and "struct" in kind:
        inner = {name: _build(part, valid, numbers, texts) for name, part in kind["struct"]}
        return inner if there else None
    if isinstance(kind, Mapping) and "list" in kind:
        text = next(texts)
        return list(_items(text, kind["list"])) if there else None
    if isinstance(kind, Mapping):
        text = next(texts)
        return dict(_entries(text, *kind["map"])) if there else None
    if kind in FIXED:
        number = next(numbers)
        return number if there else None
    text = next(texts)
    return _scalar(text, kind) if there else None


def _items(text: bytes, kind: str) -> Iterator[Any]:
    place = 0
    while place < len(text):
        there = text[place]
        place += 1
        size = FIXED[kind][1] if kind in FIXED else struct.unpack_from("<I", text, place)[0]
        place += 0 if kind in FIXED else 4
        if place + size > len(text):
            raise ValueError("an entry of a list ends behind the list")
        yield _scalar(text[place : place + size], kind) if there else None
        place += size


def _entries(text: bytes, key_kind: str, value_kind: str) -> Iterator[tuple[Any, Any]]:
    place = 0

    def take() -> bytes:
        nonlocal place
        (size,) = struct.unpack_from("<I", text, place)
        place += 4 + size
        if place > len(text):
            raise ValueError("an entry of a map ends behind the map")
        return text[place - size : place]

    while place < len(text):
        key = take()
        there = text[place]
        place += 1
        value = take()
        yield _scalar(key, key_kind), _scalar(value, value_kind) if there else None


def _scalar(text: bytes, kind: str) -> Any:
    if kind in FIXED:
        return struct.unpack(FIXED[kind][0], text)[0]
    return text.decode() if kind == "string" else text


def _place(key: bytes, name: bytes) -> str:
    return key.decode() if name == PACKED else f"{key.decode()} {name.decode()}"
