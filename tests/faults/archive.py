"""The archive as an independent witness reads it: bytes out of HBase, decoded cell by cell, compared with the lake.

The layout of a packed cell is taken from the archive's own registry and decoded here value by value, by other code
than the one that wrote it::

    schema id (4) | validity, one bit a leaf | fixed-width values | lengths (u32 each) | bytes of the others
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import happybase

from tests.faults.checker import say
from tests.faults.compare import same
from tests.faults.evidence import Row

REGISTRY = "fink.schema_registry"
PACKED = b"p:r"
FIXED = {"bool": ("<?", 1), "int32": ("<i", 4), "int64": ("<q", 8), "float": ("<f", 4), "double": ("<d", 8)}
NOT_ARCHIVED = {"candidate", "prv_candidates", "fp_hists", "ingest", "process", "night", "fink_versions"}
ROOT = ("objectId", "publisher", "candid", "schemavsn")
PROCESS = {"fink_broker_version": "broker_version", "fink_science_version": "science_version"}
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


def check_archive(science: Sequence[Row], archive: Archive) -> list[str]:
    """Check that each row of ``science`` is in the archive exactly once, under its key, with exactly its values.

    Parameters
    ----------
    science : sequence of dict
        Rows of the lake, of all nights that were archived.
    archive : Archive
        What the main table holds.

    Returns
    -------
    list of str
        One sentence for each thing that is wrong.
    """
    expected = {row_key(row): row for row in science}
    found = Counter(row.key for row in archive.rows)
    wrong: dict[str, list[str]] = defaultdict(list)
    for row in archive.rows:
        truth = expected.get(row.key)
        if truth is None:
            continue
        who = f"candid {truth['candid']}"
        packed = row.cells.get(PACKED, (b"", 0))[0]
        if packed[:4] not in archive.layouts:
            wrong["layout"].append(who)
            continue
        wanted = archived_values(truth)
        try:
            stored = unpack(packed, archive.layouts[packed[:4]])
        except (ValueError, struct.error) as error:
            wrong["torn"].append(f"{who} ({error})")
            continue
        differing = [name for name in wanted if name not in stored or not same(stored[name], wanted[name])]
        differing += [f"cell {name}" for name in _differing_cells(row, archive.layouts[packed[:4]], wanted)]
        if differing:
            wrong["values"].append(f"{who} ({', '.join(differing[:3])})")
        stamps = {stamp for _, stamp in row.cells.values()}
        late_ms = min(stamps) - round((truth["candidate"]["jd"] - 2440587.5) * 86_400_000)
        if len(stamps) != 1 or not 0 <= late_ms < LATEST_GENERATION:
            wrong["stamps"].append(who)
    return [
        *say(
            "archive: {n} alert(s) are missing: {who}",
            [_who(expected[key]) for key in sorted(expected.keys() - found.keys())],
        ),
        *say(
            "archive: {n} row(s) are no alert of science: {who}",
            [k.decode() for k in sorted(found.keys() - expected.keys())],
        ),
        *say("archive: {n} key(s) came twice: {who}", [key.decode() for key, times in found.items() if times > 1]),
        *say("archive: {n} row(s) have a layout that the registry does not know: {who}", wrong["layout"]),
        *say("archive: {n} packed cell(s) cannot be read: {who}", wrong["torn"]),
        *say("archive: {n} row(s) differ from science: {who}", wrong["values"]),
        *say("archive: {n} row(s) do not carry the alert's own time: {who}", wrong["stamps"]),
    ]


def row_key(row: Row) -> bytes:
    """Give the key of an alert in the main table: object, time to 1e-7 d, id in 19 digits."""
    name = row["objectId"].replace("%", "%25").replace("_", "%5F")
    return f"{name}_{row['candidate']['jd']:.7f}_{row['candid']:019d}".encode()


def archived_values(row: Row) -> Row:
    """Name the archive's columns of an alert and give their values, as the lake has them."""
    values = {f"i:{name}": row.get(name) for name in ROOT}
    values |= {f"i:{name}": (row["process"] or {}).get(field) for name, field in PROCESS.items()}
    values |= {f"i:{name}": value for name, value in row["candidate"].items() if name != "candid"}
    return values | {f"d:{name}": value for name, value in row.items() if name not in NOT_ARCHIVED and name not in ROOT}


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
    number = sum(1 for leaf in leaves if leaf == "map" or leaf in ("string", "binary"))
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
    else:
        yield "struct"
        for _, inner in kind["struct"]:
            yield from _leaves(inner)


def _build(kind: Any, valid: Iterator[bool], numbers: Iterator[Any], texts: Iterator[bytes]) -> Any:
    there = next(valid)
    if isinstance(kind, Mapping) and "struct" in kind:
        inner = {name: _build(part, valid, numbers, texts) for name, part in kind["struct"]}
        return inner if there else None
    if isinstance(kind, Mapping):
        text = next(texts)
        return dict(_entries(text, *kind["map"])) if there else None
    if kind in FIXED:
        number = next(numbers)
        return number if there else None
    text = next(texts)
    return _scalar(text, kind) if there else None


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


def _differing_cells(row: ArchiveRow, columns: Sequence[Row], wanted: Row) -> list[str]:
    """Name the cells beside the packed one that do not hold their column's value."""
    kinds = {column["name"]: column["type"] for column in columns}
    differing = []
    for name, (cell, _) in row.cells.items():
        column = name.decode()
        if name != PACKED and (wanted.get(column) is None or cell != _ordered(wanted[column], kinds[column])):
            differing.append(column)
    return differing


def _ordered(value: Any, kind: str) -> bytes:
    """Write a value so that the bytes sort as the values do: sign bit first, negative floats inverted."""
    if kind == "string":
        return str(value).encode()
    if kind == "bool":
        return bytes([value])
    if kind in ("int32", "int64"):
        bits = 32 if kind == "int32" else 64
        return int(value + (1 << (bits - 1))).to_bytes(bits // 8, "big")
    size = FIXED[kind][1]
    (raw,) = struct.unpack(f">{'I' if size == 4 else 'Q'}", struct.pack(">f" if size == 4 else ">d", value))
    top = 1 << (8 * size - 1)
    flipped = raw ^ (2 * top - 1) if math.copysign(1.0, value) < 0 else raw | top
    return int(flipped).to_bytes(size, "big")


def _who(row: Row) -> str:
    return f"candid {row['candid']}"
