"""The shadow of a night: tables of its own for what a replay makes, the live tables for everything else.

Code that works on a lake works on a shadow without knowing it. What it writes goes below ``<lake>/replay``; a
table that a replay does not make can be read through the shadow and not written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.dataset as ds
from deltalake import DeltaTable
from pyarrow.fs import FileSystem, FileType

from fink_lib.errors import ConfigError
from fink_lib.lake.lake import Lake, NewFile, as_uri
from fink_lib.lake.tables import PARTITION

if TYPE_CHECKING:
    import pyarrow as pa

MADE = ("science", "rejected", "reclassified")
"""Tables that a replay makes."""

FOLDER = "replay"


@dataclass(frozen=True)
class ShadowLake(Lake):
    """A lake in which one night is the one that a replay makes.

    Parameters
    ----------
    live : Lake
        The lake that everybody reads.
    night : str
        The night that is made again (``YYYYMMDD``).
    """

    live: Lake
    night: str

    def uri(self, table: str) -> str:
        """Address of a table: that of the shadow for those that a replay makes."""
        return super().uri(table) if table in MADE else self.live.uri(table)

    def ensure(self) -> None:
        """Create the shadow's tables; harmless when they are there."""
        for table in MADE:
            uri = self.uri(table)
            if "://" not in uri:
                Path(uri).mkdir(parents=True, exist_ok=True)
            DeltaTable.create(uri, self.schema(table), mode="ignore", partition_by=[PARTITION])

    def commit(self, table: str, files: Iterable[NewFile], app_id: str, version: int) -> bool:
        """Commit to a table that a replay makes.

        Raises
        ------
        ConfigError
            If the table is one of the live lake.
        """
        if table not in MADE:
            raise ConfigError(f"a replay of night {self.night} does not write table {table}")
        return super().commit(table, list(files), app_id, version)

    def dataset(self, table: str, nights: Iterable[str] | None = None) -> ds.Dataset:
        """Open a table: its own rows of the night, the live rows of any other."""
        if table not in MADE:
            return self.live.dataset(table, nights)
        chosen = set(self.nights(table) if nights is None else nights)
        parts = [super().dataset(table, [self.night])] if self.night in chosen else []
        if others := chosen - {self.night}:
            parts.append(self.live.dataset(table, others))
        if not parts:
            return super().dataset(table, [])
        return parts[0] if len(parts) == 1 else ds.UnionDataset(self.schema(table), parts)

    def nights(self, table: str) -> list[str]:
        """Nights that have rows, as if the replay were promoted."""
        if table not in MADE:
            return self.live.nights(table)
        return sorted({*super().nights(table), *(night for night in self.live.nights(table) if night != self.night)})

    def discard(self) -> None:
        """Remove the shadow's tables; harmless if there are none."""
        filesystem, root = FileSystem.from_uri(as_uri(self.root))
        if filesystem.get_file_info(root).type == FileType.NotFound:
            return
        if "://" in self.root:
            filesystem.delete_dir(root)
        else:
            shutil.rmtree(self.root)


def shadow_of(live: Lake, night: str, name: str) -> ShadowLake:
    """Give a shadow of a night; nothing is created.

    Parameters
    ----------
    live : Lake
        The lake that everybody reads.
    night : str
        ``YYYYMMDD``.
    name : str
        Of this replay. No two have the same: a process may hold tables open under their address.
    """
    return ShadowLake(f"{live.root}/{FOLDER}/{live.survey.name}-{night}-{name}", live.survey, live, night)


def rows_of(lake: Lake, table: str, columns: dict[str, pa.Expression], night: str) -> pa.Table:
    """Read computed columns of a night."""
    return lake.dataset(table, [night]).to_table(columns=columns)
