"""Where catalogues come from: data files of an installed package, or a snapshot in the catalogue folder.

A source is a table of positions and columns, a version, a digest and a coverage. Nothing is imported from the package:
its files are found through its metadata and read as data.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fink_lib.config import Settings
from fink_lib.errors import ConfigError

PACKAGE = "fink-science"
PACKAGE_FOLDER = "fink_science/data/catalogs"

SNAPSHOT_KEYS = (b"fink_catalog", b"fink_version", b"fink_coverage")
"""Schema metadata of a snapshot: name, version, and JSON list of [ra, dec, radius] in degrees (absent: all sky)."""

Signature = tuple[str, int, int]


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
        """Give what changes when the file does (path, size, mtime); ``None`` if there is no file."""

    def sha256(self) -> str:
        """Digest of the file."""

    def read(self) -> SourceTable:
        """Read the file; raises ConfigError if it is not what it should be."""


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


@dataclass(frozen=True)
class PackageSource:
    """A Parquet file that the installed package fink-science carries.

    Parameters
    ----------
    name : str
        Name of the catalogue.
    file : str
        Name of the file.
    ra, dec : str
        Its position columns (ICRS deg).
    columns : dict of str to str
        Other columns to keep: name in the file to name in the catalogue. Text is stripped of blanks.
    """

    name: str
    file: str
    ra: str
    dec: str
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Package and file."""
        return f"package {PACKAGE}, {self.file}"

    def path(self) -> Path | None:
        """Where the file is installed, if it is."""
        try:
            return Path(str(distribution(PACKAGE).locate_file(f"{PACKAGE_FOLDER}/{self.file}")))
        except PackageNotFoundError:
            return None

    def signature(self) -> Signature | None:
        """See :class:`CatalogSource`."""
        return _signature(self.path())

    def sha256(self) -> str:
        """Digest from the package's own record, which saves reading the file; else of the file."""
        wanted = f"{PACKAGE_FOLDER}/{self.file}"
        for entry in distribution(PACKAGE).files or ():
            if str(entry) == wanted and entry.hash is not None and entry.hash.mode == "sha256":
                text = entry.hash.value
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
        path = self.path()
        if path is None:
            raise ConfigError(f"package {PACKAGE} is not installed; catalogue {self.name} cannot be built")
        return file_sha256(path)

    def read(self) -> SourceTable:
        """See :class:`CatalogSource`."""
        path = self.path()
        if path is None or not path.exists():
            raise ConfigError(f"{self.origin} is not installed; catalogue {self.name} cannot be built")
        found = pq.read_table(path, columns=[self.ra, self.dec, *self.columns])
        table = {"ra": found.column(self.ra), "dec": found.column(self.dec)}
        for theirs, ours in self.columns.items():
            column = found.column(theirs)
            table[ours] = pc.utf8_trim_whitespace(column) if pa.types.is_string(column.type) else column
        return SourceTable(pa.table(table), f"{PACKAGE}-{distribution(PACKAGE).version}", self.sha256(), None)


@dataclass(frozen=True)
class SnapshotSource:
    """A Parquet file in the catalogue folder, with its name, version and coverage in the schema metadata.

    Parameters
    ----------
    name : str
        Name of the catalogue.
    file : Path
        The snapshot; need not exist.
    columns : tuple of str
        Columns that it must have beside ``ra`` and ``dec``.
    """

    name: str
    file: Path
    columns: tuple[str, ...]

    @property
    def origin(self) -> str:
        """The file."""
        return f"snapshot {self.file.name}"

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
        missing = {"ra", "dec", *self.columns} - set(table.column_names)
        if missing:
            raise ConfigError(f"{self.file} lacks columns {sorted(missing)}; write the snapshot again")
        meta = table.schema.metadata or {}
        name = meta.get(b"fink_catalog", b"").decode()
        if name != self.name:
            raise ConfigError(f"{self.file} says that it is catalogue {name!r}, not {self.name!r}")
        try:
            coverage = json.loads(meta[b"fink_coverage"]) if b"fink_coverage" in meta else None
        except ValueError as error:
            raise ConfigError(f"{self.file}: fink_coverage is not JSON ({error})") from error
        version = meta.get(b"fink_version", b"unversioned").decode()
        digest = hashlib.sha256(content).hexdigest()
        return SourceTable(table.select(["ra", "dec", *self.columns]), version, digest, coverage)


def known_sources(settings: Settings) -> tuple[CatalogSource, ...]:
    """Give the source of every catalogue that the broker can use.

    Parameters
    ----------
    settings : Settings
        Where snapshots are.
    """
    return (
        PackageSource("gcvs", "gcvs.parquet", "ra", "dec", {"VarType": "type"}),
        PackageSource("vsx", "vsx.parquet", "RAJ2000", "DEJ2000", {"VType": "type"}),
        SnapshotSource("simbad", settings.catalog_dir / "simbad.parquet", ("name", "main_type")),
    )
