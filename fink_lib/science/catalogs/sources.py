"""Where catalogues come from: data files of an installed package, a snapshot in the catalogue folder, or both.

A source is a table of positions and columns, a version, a digest and a coverage. Nothing is imported from the package:
its files are found through its metadata and read as data.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.science.catalogs.coverage import Coverage
from fink_lib.science.catalogs.reading import POSITION, Column, read_sources
from fink_lib.science.columns import one_chunk
from fink_lib.science.history import to_floats

PACKAGE = "fink-science"
PACKAGE_FOLDER = "fink_science/data/catalogs"

SNAPSHOT_KEYS = (b"fink_catalog", b"fink_version", b"fink_coverage")
"""Schema metadata of a snapshot: name, version, and JSON list of [ra, dec, radius] in degrees (absent: all sky)."""

Signature = tuple[object, ...]


@dataclass(frozen=True)
class SourceTable:
    """What a source holds.

    Parameters
    ----------
    table : pyarrow.Table
        ``ra``, ``dec`` (float64, ICRS deg) and the source's columns.
    version : str
        Version of the data.
    sha256 : str
        Digest of the file that it came from.
    coverage : list of [ra, dec, radius], optional
        Covered cones (deg); all sky if ``None``.
    """

    table: pa.Table
    version: str
    sha256: str
    coverage: list[list[float]] | None


class CatalogSource(Protocol):
    """A file that a catalogue is built from."""

    @property
    def name(self) -> str:
        """Name of the catalogue."""

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""

    def signature(self) -> Signature | None:
        """Give what changes when a file does (path, size, mtime of each); ``None`` if there is none."""

    def sha256(self) -> str:
        """Digest of the file."""

    def read(self) -> SourceTable:
        """Read the file; raises ConfigError if it is not what it should be."""

    def damaged(self) -> list[str]:
        """Give the files that are not as they were published."""


def file_sha256(path: Path) -> str:
    """Give the SHA-256 of a file's content (hex)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _signature(path: Path | None) -> Signature | None:
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (str(path), found.st_size, found.st_mtime_ns) if found else None


def _joined(digests: list[str]) -> str:
    """Give one digest of several."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


@dataclass(frozen=True)
class PackageSource:
    """Files that the installed package fink-science carries; more than one are parts of one table. All sky.

    Parameters
    ----------
    name : str
        Name of the catalogue.
    files : tuple of str
        Names of the files.
    columns : mapping of str to Column
        What to keep beside the position.
    """

    name: str
    files: tuple[str, ...]
    columns: Mapping[str, Column]

    @property
    def origin(self) -> str:
        """Package and files."""
        return f"package {PACKAGE}, {', '.join(self.files)}"

    def paths(self) -> list[Path]:
        """Where the files are installed; empty if the package is not."""
        try:
            package = distribution(PACKAGE)
        except PackageNotFoundError:
            return []
        return [Path(str(package.locate_file(f"{PACKAGE_FOLDER}/{file}"))) for file in self.files]

    def signature(self) -> Signature | None:
        """See :class:`CatalogSource`."""
        found = [_signature(path) for path in self.paths()]
        return tuple(found) if found and all(found) else None

    def sha256(self) -> str:
        """Digest from the package's own record, which saves reading the files; else of the files."""
        if self.signature() is None:
            raise ConfigError(f"{self.origin} is not installed; catalogue {self.name} cannot be built")
        recorded = self._recorded()
        pairs = zip(self.files, self.paths(), strict=True)
        return _joined([recorded.get(file) or file_sha256(path) for file, path in pairs])

    def damaged(self) -> list[str]:
        """Give the files whose content is not what the package's record says."""
        recorded = self._recorded()
        pairs = zip(self.files, self.paths(), strict=False)
        return [file for file, path in pairs if path.exists() and recorded.get(file, "") != file_sha256(path)]

    def _recorded(self) -> dict[str, str]:
        """Give the package's own digests of its files."""
        if not self.paths():
            return {}
        entries = {str(entry): entry.hash for entry in distribution(PACKAGE).files or ()}
        found = {}
        for file in self.files:
            digest = entries.get(f"{PACKAGE_FOLDER}/{file}")
            if digest is not None and digest.mode == "sha256":
                found[file] = base64.urlsafe_b64decode(digest.value + "=" * (-len(digest.value) % 4)).hex()
        return found

    def read(self) -> SourceTable:
        """See :class:`CatalogSource`."""
        digest = self.sha256()
        table = pa.concat_tables([read_sources(path, self.columns) for path in self.paths()])
        return SourceTable(table, f"{PACKAGE}-{distribution(PACKAGE).version}", digest, None)


@dataclass(frozen=True)
class SnapshotSource:
    """A Parquet file in the catalogue folder, with its name, version and coverage in the schema metadata.

    Parameters
    ----------
    name : str
        Name of the catalogue.
    file : Path
        The snapshot; need not exist.
    columns : mapping of str to Column
        Columns beside ``ra`` and ``dec``; those that are not required are null if the file lacks them.
    """

    name: str
    file: Path
    columns: Mapping[str, Column]

    @property
    def origin(self) -> str:
        """The file, and what it was made from."""
        made_from = self._meta().get(b"fink_origin", b"").decode()
        return f"snapshot {self.file.name}" + (f" of {made_from}" if made_from else "")

    def _meta(self) -> Mapping[bytes, bytes]:
        try:
            return pq.read_schema(self.file).metadata or {}
        except (OSError, pa.ArrowInvalid):
            return {}

    def damaged(self) -> list[str]:
        """Nothing: a snapshot is what its digest says, whatever that is."""
        return []

    def signature(self) -> Signature | None:
        """See :class:`CatalogSource`."""
        return _signature(self.file)

    def sha256(self) -> str:
        """See :class:`CatalogSource`."""
        return file_sha256(self.file)

    def read(self) -> SourceTable:
        """See :class:`CatalogSource`."""
        try:
            content = self.file.read_bytes()
            table = pq.read_table(pa.BufferReader(content))
        except (OSError, pa.ArrowInvalid) as error:
            raise ConfigError(f"{self.file} cannot be read ({error}); write the snapshot again") from error
        wanted = {**POSITION, **self.columns}
        missing = {name for name, column in wanted.items() if column.required} - set(table.column_names)
        if missing:
            raise ConfigError(f"{self.file} lacks columns {sorted(missing)}; write the snapshot again")
        meta = table.schema.metadata or {}
        name = meta.get(b"fink_catalog", b"").decode()
        if name != self.name:
            raise ConfigError(f"{self.file} says that it is catalogue {name!r}, not {self.name!r}")
        try:
            coverage = json.loads(meta[b"fink_coverage"]) if b"fink_coverage" in meta else None
            arrays = {
                name: table.column(name).cast(column.kind)
                if name in table.column_names
                else pa.nulls(table.num_rows, column.kind)
                for name, column in wanted.items()
            }
        except (ValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ConfigError(f"{self.file} is not a snapshot of {self.name} ({error}); write it again") from error
        version = meta.get(b"fink_version", b"unversioned").decode()
        return SourceTable(pa.table(arrays), version, hashlib.sha256(content).hexdigest(), coverage)


@dataclass(frozen=True)
class LayeredSource:
    """A snapshot where it looks, a package's files elsewhere.

    A snapshot of a piece of sky, or of the places of some alerts, is newer than the package, but knows nothing of the
    rest. Without a snapshot this is the package, with one of the whole sky it is the snapshot.

    Parameters
    ----------
    snapshot : SnapshotSource
        What counts where it has coverage.
    package : PackageSource
        What counts elsewhere.
    """

    snapshot: SnapshotSource
    package: PackageSource

    @property
    def name(self) -> str:
        """Name of the catalogue."""
        return self.package.name

    @property
    def origin(self) -> str:
        """Both."""
        there = self.snapshot.signature() is not None
        return f"{self.snapshot.origin}, else {self.package.origin}" if there else self.package.origin

    def signature(self) -> Signature | None:
        """See :class:`CatalogSource`."""
        found = (self.snapshot.signature(), self.package.signature())
        return None if found == (None, None) else found

    def sha256(self) -> str:
        """See :class:`CatalogSource`."""
        there = [source for source in (self.snapshot, self.package) if source.signature() is not None]
        return _joined([source.sha256() for source in there])

    def damaged(self) -> list[str]:
        """See :class:`CatalogSource`."""
        return self.package.damaged()

    def read(self) -> SourceTable:
        """See :class:`CatalogSource`."""
        if self.snapshot.signature() is None:
            return self.package.read()
        over = self.snapshot.read()
        if self.package.signature() is None:
            return over
        if over.coverage is None:
            return SourceTable(over.table, over.version, _joined([over.sha256, self.package.sha256()]), None)
        base = self.package.read()
        place = [to_floats(one_chunk(base.table.column(axis))) for axis in ("ra", "dec")]
        outside = ~Coverage(over.coverage).contains(*place)
        table = pa.concat_tables([base.table.filter(pa.array(outside)), over.table])
        digest = _joined([over.sha256, base.sha256])
        return SourceTable(table, f"{base.version}+{over.version}", digest, None)
