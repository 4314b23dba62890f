"""Writing snapshots: catalogues that the broker did not come with, as one Parquet file each in the catalogue folder.

A snapshot says what it is in its schema metadata: name, version, covered sky, and where it was made from. It is written
beside its place and renamed, so that a stream which picks it up never sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.science.catalogs.coverage import Cone, Coverage
from fink_lib.science.catalogs.known import KNOWN, KnownCatalog
from fink_lib.science.catalogs.reading import POSITION, read_sources
from fink_lib.science.catalogs.sources import file_sha256
from fink_lib.science.kept import keep_file


def write_snapshot(
    name: str,
    table: pa.Table,
    folder: Path,
    origin: str,
    version: str = "",
    coverage: Sequence[Cone] | None = None,
    replace: bool = False,
    edition: str = "rows",
) -> Path:
    """Write the snapshot of a catalogue.

    Parameters
    ----------
    name : str
        The catalogue.
    table : pyarrow.Table
        ``ra``, ``dec`` (ICRS, deg) and the catalogue's columns.
    folder : Path
        The installation's catalogue folder.
    origin : str
        What it was made from, for people.
    version : str
        Version of the data; `edition` and a digest of the rows if not given, so the same rows give the same version.
    coverage : sequence of (ra_deg, dec_deg, radius_deg), optional
        Covered cones; all sky if not given.
    replace : bool
        Whether the snapshot of a synthetic sky may be overwritten.
    edition : str
        How a version that is made here begins.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If the catalogue is unknown, the coverage makes no sense, or a snapshot of a synthetic sky is there.
    """
    columns = {**POSITION, **_known(name).columns}
    Coverage(coverage)
    path = folder / f"{name}.parquet"
    if path.exists() and not replace and _is_synthetic(path):
        raise ConfigError(f"{path} is of a synthetic sky; give --replace to lose it, or use another FINK_HOME")
    table = pa.table({column: table.column(column).cast(kind.kind) for column, kind in columns.items()})
    table = table.sort_by([(column, "ascending") for column in dict.fromkeys(("dec", *columns))])
    meta = {
        "fink_catalog": name,
        "fink_version": version or f"{edition}-{_digest(table)}",
        "fink_origin": origin,
    }
    if coverage is not None:
        meta["fink_coverage"] = json.dumps(sorted(set(coverage)))
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part{os.getpid()}")
    try:
        pq.write_table(table.replace_schema_metadata(meta), part)
        if path.exists():
            keep_file(path, name, file_sha256(path))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def snapshot_from_file(
    name: str,
    file: Path,
    folder: Path,
    chosen: Mapping[str, str] | None = None,
    version: str = "",
    coverage: Sequence[Cone] | None = None,
    replace: bool = False,
) -> Path:
    """Make a snapshot from a catalogue in another format (see :func:`write_snapshot`).

    Parameters
    ----------
    file : Path
        FITS, CSV, Parquet or VOTable.
    chosen : mapping of str to str, optional
        Column to its name in the file, where that is none of the usual ones; ``ra`` and ``dec`` too.
    version : str
        The file's digest if not given.

    Raises
    ------
    ConfigError
        If the file is not there, cannot be read or lacks a column.
    """
    columns = _known(name).columns
    if not file.is_file():
        raise ConfigError(f"there is no file {file}")
    table = read_sources(file, columns, chosen)
    version = version or f"{file.stem}-{file_sha256(file)[:12]}"
    return write_snapshot(name, table, folder, f"file {file.name}", version, coverage, replace)


def _digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()[:12]


def _known(name: str) -> KnownCatalog:
    if name not in KNOWN:
        raise ConfigError(f"no catalogue is called {name}; there are: {', '.join(KNOWN)}")
    return KNOWN[name]


def _is_synthetic(path: Path) -> bool:
    try:
        meta = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(meta.get(b"fink_synthetic") == b"1")
