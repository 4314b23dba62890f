"""Building catalogues once per machine, and opening them in every process.

Built catalogues are in ``<catalog_dir>/built/<name>/<key>``; the key follows from the source's digest and the format,
so a new source gets a new folder and processes that still map the old one are not disturbed. A build takes a file lock,
works in a temporary folder and renames it, so that no process ever sees half a catalogue.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from fink_lib.errors import ConfigError
from fink_lib.science.catalogs.catalog import (
    DIRECTIONS_FILE,
    FORMAT,
    INDEX_FILE,
    META_FILE,
    SOURCES_FILE,
    Catalog,
    healpix_index,
)
from fink_lib.science.catalogs.coverage import Coverage
from fink_lib.science.catalogs.sources import CatalogSource, Signature, SourceTable, file_sha256
from fink_lib.science.coordinates import unit_vectors
from fink_lib.science.history import to_floats

LOG = logging.getLogger(__name__)


def built_folder(source: CatalogSource, catalog_dir: Path) -> Path:
    """Give the folder that holds, or will hold, the catalogue of a source as it is now."""
    return _folder(source.name, source.sha256(), catalog_dir)


def _folder(name: str, sha256: str, catalog_dir: Path) -> Path:
    key = hashlib.sha256(f"{FORMAT}:{sha256}".encode()).hexdigest()[:16]
    return catalog_dir / "built" / name / key


def open_catalog(source: CatalogSource, catalog_dir: Path) -> Catalog | None:
    """Open a catalogue, building it first if no process has.

    Parameters
    ----------
    source : CatalogSource
        Where it comes from.
    catalog_dir : Path
        The installation's catalogue folder.

    Returns
    -------
    Catalog or None
        ``None`` if the source has no file.

    Raises
    ------
    ConfigError
        If the source or the built catalogue is not usable.
    """
    if source.signature() is None:
        return None
    folder = built_folder(source, catalog_dir)
    if not (folder / META_FILE).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.parent / "build.lock"):
            if not (folder / META_FILE).exists():
                content = source.read()
                # The file may have been replaced since its digest was taken: the folder follows what was read.
                folder = _folder(source.name, content.sha256, catalog_dir)
                if not (folder / META_FILE).exists():
                    shutil.rmtree(folder, ignore_errors=True)
                    build(source.name, content, folder)
    return Catalog(folder)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(name: str, content: SourceTable, folder: Path) -> None:
    """Write a catalogue.

    Sources without a usable position are dropped and counted. Rows are sorted by HEALPix number, then position, then
    content, so that the same sources in any order give the same catalogue.

    Parameters
    ----------
    name : str
        Name of the catalogue.
    content : SourceTable
        What goes in.
    folder : Path
        Where it goes; must not exist.

    Raises
    ------
    ConfigError
        If the coverage is not usable.
    """
    Coverage(content.coverage)
    table = content.table.combine_chunks()
    ra = to_floats(_array(table, "ra"))
    dec = to_floats(_array(table, "dec"))
    usable = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    rows = np.flatnonzero(usable)
    ra, dec, table = np.mod(ra[rows], 360.0), dec[rows], table.take(pa.array(rows))
    index = healpix_index(ra, dec) if len(rows) else np.zeros(0, dtype=np.int64)
    keys = [_array(table, column) for column in table.column_names if column not in ("ra", "dec")]
    ranks = [pa.compute.rank(key, tiebreaker="dense").to_numpy() for key in reversed(keys)]
    order = np.lexsort((*ranks, dec, ra, index))
    columns = {"ra": pa.array(ra), "dec": pa.array(dec)}
    columns |= {column: _array(table, column) for column in table.column_names if column not in columns}
    sources = pa.table(columns).take(pa.array(order))

    work = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        np.save(work / INDEX_FILE, index[order])
        np.save(work / DIRECTIONS_FILE, unit_vectors(ra, dec)[order])
        with pa.OSFile(str(work / SOURCES_FILE), "wb") as sink, pa.ipc.new_file(sink, sources.schema) as writer:
            writer.write_table(sources.combine_chunks())
        meta = {
            "format": FORMAT,
            "name": name,
            "version": content.version,
            "source_sha256": content.sha256,
            "rows": len(rows),
            "dropped": int((~usable).sum()),
            "coverage": content.coverage,
            "files": {file: file_sha256(work / file) for file in (INDEX_FILE, DIRECTIONS_FILE, SOURCES_FILE)},
        }
        (work / META_FILE).write_text(json.dumps(meta, indent=1) + "\n")
        for file in work.iterdir():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    LOG.info("catalogue %s built: %d sources, %d without a position", name, len(rows), int((~usable).sum()))


def _array(table: pa.Table, column: str) -> pa.Array:
    found = table.column(column).combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def damaged_files(catalog: Catalog) -> list[str]:
    """Give the files of a built catalogue that are not as they were built."""
    return [name for name, digest in catalog.files.items() if file_sha256(catalog.folder / name) != digest]


class CatalogHandle:
    """A catalogue that follows its source: a new snapshot is picked up at the next batch.

    Parameters
    ----------
    source : CatalogSource
        Where it comes from.
    catalog_dir : Path
        The installation's catalogue folder.
    """

    def __init__(self, source: CatalogSource, catalog_dir: Path) -> None:
        self.source = source
        self._catalog_dir = catalog_dir
        self._signature: Signature | None = None
        self._catalog: Catalog | None = None

    def current(self) -> Catalog | None:
        """Give the catalogue as it is now; ``None`` if there is none that can be used (logged once per change)."""
        signature = self.source.signature()
        if signature != self._signature:
            self._signature = signature
            try:
                self._catalog = open_catalog(self.source, self._catalog_dir)
            except (ConfigError, OSError) as error:
                self._catalog = None
                LOG.error("catalogue %s is not available: %s", self.source.name, error)
        return self._catalog
