"""The names by which objects are sought: of the Transient Name Server, of known asteroids and comets.

A catalogue is written once for each snapshot of it, names that a new snapshot lacks are removed. Names of the Solar
System are those of the night's alerts, and stay: a row is made of its own name alone, so every night writes it alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.hbase import HBase
from fink_lib.archive.journal import clear_ghosts, finish_generation, is_finished, note, open_generation
from fink_lib.archive.rows import pack_given
from fink_lib.archive.writer import put_rows

if TYPE_CHECKING:
    from fink_lib.archive.tables import ArchiveTable
    from fink_lib.nightly.stage import NightContext

TNS_TABLE, SSO_TABLE = "ztf.tns_resolver", "ztf.sso_resolver"
SNAPSHOT = "snapshot"
"""Stands for a night in the journal."""
PART_ROWS = 20_000
_TEXT, _REAL = pa.string(), pa.float64()
_SPELLINGS = {
    "fullname": (_TEXT, ("fullname", "name_prefix+name", "name")),
    "type": (_TEXT, ("type", "Obj. Type")),
    "redshift": (_REAL, ("redshift",)),
    "internalname": (_TEXT, ("internalname", "internal_names")),
    "discoverydate": (_TEXT, ("discoverydate",)),
}
"""Columns of a snapshot of the Transient Name Server, and how it may spell them."""
_DESIGNATION = re.compile(r"^(\d{4})([A-Z]{1,2}\d*)$")


def write_resolvers(context: NightContext, tables: Sequence[ArchiveTable]) -> dict[str, int]:
    """Write the names that the project has a source for, into tables that are there.

    Parameters
    ----------
    context : NightContext
        The night.
    tables : sequence of ArchiveTable
        Which of the tables of names to write.

    Returns
    -------
    dict of str to int
        Rows written by table; a catalogue that has not changed since the last time writes none.

    Raises
    ------
    TransientError
        If HBase stays away.
    ConfigError
        If a snapshot cannot be read.
    """
    names = {table.name: table for table in tables}
    written = {}
    with HBase(context.settings.hbase) as hbase:
        if TNS_TABLE in names:
            written[TNS_TABLE] = _write_tns(context, hbase, names[TNS_TABLE])
        if SSO_TABLE in names:
            rows = asteroid_names(_asteroids(context))
            written[SSO_TABLE] = put_rows(hbase, context.survey, SSO_TABLE, rows, timestamp_ms=1)
    return {name: number for name, number in written.items() if number}


def _write_tns(context: NightContext, hbase: HBase, table: ArchiveTable) -> int:
    path = context.settings.catalog_dir / "tns.parquet"
    if not path.exists():
        return 0
    layout = table.layout(context.survey)
    generation = open_generation(hbase, table.name, SNAPSHOT, f"{_sha256(path)}:{layout.schema_id.hex()}")
    if is_finished(hbase, table.name, SNAPSHOT):
        return 0
    # A later snapshot has a later time: the generation is all the time that these rows have.
    rows = pack_given(table, layout, transient_names(read_transients(path)), generation + 1)
    for number, start in enumerate(range(0, len(rows), PART_ROWS)):
        part = rows[start : start + PART_ROWS]
        note(hbase, table.name, SNAPSHOT, generation, f"{number:06d}", part)
        hbase.put(table.name, part, context.settings.nightly.archive_batch_rows)
    clear_ghosts(hbase, table.name, SNAPSHOT, generation)
    finish_generation(hbase, table.name, SNAPSHOT)
    return len(rows)


def read_transients(path: Path) -> pa.Table:
    """Read a list of the Transient Name Server's objects, of which any column but the position may be missing."""
    # Most nights have no new list, and reading one takes a second to load.
    from fink_lib.science.catalogs.reading import Column, read_sources

    columns = {name: Column(kind, spellings, required=False) for name, (kind, spellings) in _SPELLINGS.items()}
    return read_sources(path, columns).rename_columns({"dec": "declination"})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def transient_names(objects: pa.Table) -> pa.Table:
    """Give a row for each name of each object of the Transient Name Server.

    Parameters
    ----------
    objects : pyarrow.Table
        ``fullname``, ``ra``, ``declination`` (deg), ``type``, ``redshift``, ``internalname`` (several of them separated
        by commas), ``discoverydate``.

    Returns
    -------
    pyarrow.Table
        The same, ``by`` (``fullname`` or ``internalname``) and ``sought``, the name itself; objects without a name are
        left out.
    """
    places: list[int] = []
    by: list[str] = []
    sought: list[str] = []
    pairs = zip(objects.column("fullname").to_pylist(), objects.column("internalname").to_pylist(), strict=True)
    for place, (fullname, internal) in enumerate(pairs):
        if not fullname:
            continue
        others = {name for text in (internal or "").split(",") if (name := text.strip())}
        for kind, name in (("fullname", fullname), *(("internalname", name) for name in sorted(others))):
            places.append(place)
            by.append(kind)
            sought.append(name)
    rows = objects.take(pa.array(places, pa.int64()))
    columns = {f"d:{name}": rows.column(name) for name in rows.column_names if name != "dec"}
    return pa.table(columns | {"by": pa.array(by, _TEXT), "sought": pa.array(sought, _TEXT)})


def asteroid_names(ssnamenr: Sequence[str]) -> pa.Table:
    """Give a row for each way to write the names that ZTF's packets give to known asteroids and comets.

    Parameters
    ----------
    ssnamenr : sequence of str
        As in the packets: a number, or a designation without its blank.

    Returns
    -------
    pyarrow.Table
        ``sought``, ``i:ssnamenr``, ``i:name`` (null for a number), ``i:number`` (null for a designation).
    """
    rows = []
    for text in sorted(set(ssnamenr)):
        spaced = _DESIGNATION.sub(r"\1 \2", text)
        number = int(text) if text.isdigit() else None
        for sought in sorted({text, spaced}):
            name = None if number is not None else spaced
            rows.append({"sought": sought, "i:ssnamenr": text, "i:name": name, "i:number": number})
    kinds = [("sought", _TEXT), ("i:ssnamenr", _TEXT), ("i:name", _TEXT), ("i:number", pa.int64())]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def _asteroids(context: NightContext) -> list[str]:
    """Give the names of known asteroids and comets that the night's alerts have."""
    rows = context.lake.dataset("science", [context.night]).to_table(
        columns={"name": pc.field("candidate", "ssnamenr")}, filter=pc.field("roid") == 3
    )
    return [name for name in pc.unique(rows.column("name")).to_pylist() if name and name != "null"]
