"""Tables about objects that a survey has names for: no positions, one row per name.

A table is one Parquet file ``<catalog_dir>/<name>.parquet`` that says in its schema metadata what it is. It is written
beside its place and renamed, and a running stream takes up a new one at the next batch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.science.catalogs.sources import Signature, file_sha256

LOG = logging.getLogger(__name__)

KEY = "ZTF_name"
"""Column that names the object."""


@dataclass(frozen=True)
class KnownTable:
    """What one table holds.

    Parameters
    ----------
    title : str
        What it is, for people.
    schema : pyarrow.Schema
        Its columns, the key among them.
    convert : callable
        Makes a table of `schema` from one as it is published.
    """

    title: str
    schema: pa.Schema
    convert: Callable[[pa.Table], pa.Table]


def _blazars(published: pa.Table) -> pa.Table:
    medians = published.column("medians").combine_chunks()
    columns = {name: published.column(name) for name in (KEY, "low_threshold", "high_threshold")}
    return pa.table(
        columns | {"median_g_jy": pc.struct_field(medians, "1"), "median_r_jy": pc.struct_field(medians, "2")}
    )


def _release(published: pa.Table) -> pa.Table:
    return published.select([KEY, "jd", "standard_flux"])


TABLES: Mapping[str, KnownTable] = {
    "ctao_blazars": KnownTable(
        "blazars that CTAO follows: median fluxes and thresholds of their states, from ZTF's data releases",
        pa.schema(
            [
                (KEY, pa.string()),
                ("median_g_jy", pa.float64()),
                ("median_r_jy", pa.float64()),
                ("low_threshold", pa.float64()),
                ("high_threshold", pa.float64()),
            ]
        ),
        _blazars,
    ),
    "blazar_light_curves": KnownTable(
        "standardised light curves of these blazars in a data release of ZTF",
        pa.schema([(KEY, pa.string()), ("jd", pa.list_(pa.float64())), ("standard_flux", pa.list_(pa.float64()))]),
        _release,
    ),
}
"""By name."""


def table_from_file(name: str, file: Path, folder: Path, version: str = "") -> Path:
    """Make a table from the file in which it is published.

    Parameters
    ----------
    name : str
        A key of :data:`TABLES`.
    file : Path
        Parquet.
    folder : Path
        The installation's catalogue folder.
    version : str
        The file's name and digest if not given.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If the table is unknown, or the file is not there or lacks a column.
    """
    if name not in TABLES:
        raise ConfigError(f"no table is called {name}; there are: {', '.join(TABLES)}")
    known = TABLES[name]
    try:
        table = known.convert(pq.read_table(file)).select(known.schema.names).cast(known.schema)
    except (OSError, KeyError, ValueError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{file} is not the table {name} ({error})") from error
    meta = {
        "fink_table": name,
        "fink_version": version or f"{file.stem}-{file_sha256(file)[:12]}",
        "fink_origin": f"file {file.name}",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    part = path.with_suffix(f".part{os.getpid()}")
    try:
        pq.write_table(table.sort_by(KEY).replace_schema_metadata(meta), part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


@dataclass(frozen=True)
class Table:
    """A table in memory.

    Parameters
    ----------
    rows : pyarrow.Table
        Columns of its schema.
    version, sha256 : str
        Of the file.
    """

    rows: pa.Table
    version: str
    sha256: str

    @property
    def provenance(self) -> str:
        """Version and digest, as stored with every alert."""
        return f"{self.version}@sha256:{self.sha256[:16]}"

    def find(self, names: pa.Array) -> pa.Array:
        """Give the row of each name; null where the table does not have it."""
        return pc.index_in(names, value_set=self.rows.column(KEY).combine_chunks())


class TableHandle:
    """A table that follows its file.

    Parameters
    ----------
    name : str
        A key of :data:`TABLES`.
    catalog_dir : Path
        The installation's catalogue folder.
    """

    def __init__(self, name: str, catalog_dir: Path) -> None:
        self.name = name
        self._path = catalog_dir / f"{name}.parquet"
        self._signature: Signature | None = None
        self._table: Table | None = None

    @property
    def resources(self) -> Mapping[str, str]:
        """Key and value for ``fink_versions``; empty without a table."""
        table = self.current()
        return {f"catalog.{self.name}": table.provenance} if table else {}

    def current(self) -> Table | None:
        """Give the table as it is now; ``None`` if there is none that can be used (logged once per change)."""
        try:
            found = self._path.stat()
        except OSError:
            self._signature = self._table = None
            return None
        signature = (str(self._path), found.st_size, found.st_mtime_ns)
        if signature != self._signature:
            self._signature = signature
            try:
                self._table = self._read()
            except ConfigError as error:
                self._table = None
                LOG.error("table %s is not available: %s", self.name, error)
        return self._table

    def _read(self) -> Table:
        try:
            table = pq.read_table(self._path)
            meta = table.schema.metadata or {}
            if meta.get(b"fink_table", b"").decode() != self.name:
                raise ConfigError(f"{self._path} does not say that it is table {self.name!r}; build it again")
            rows = table.select(TABLES[self.name].schema.names).cast(TABLES[self.name].schema).combine_chunks()
        except (OSError, KeyError, ValueError, pa.ArrowInvalid) as error:
            raise ConfigError(f"{self._path} cannot be read ({error}); build it again") from error
        return Table(rows, meta.get(b"fink_version", b"unversioned").decode(), file_sha256(self._path))
