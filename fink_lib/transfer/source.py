"""The chosen alerts of past nights, in an order that never changes, a few at a time.

A job reads one version of table ``science``: files of the table are never changed in place, so the same version gives
the same rows in the same order however often it is read, whatever is compacted or healed meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyarrow.fs import FileSystem

from fink_lib.errors import ConfigError
from fink_lib.filters.reading import read_values
from fink_lib.filters.values import Reference
from fink_lib.lake import Lake
from fink_lib.lake.lake import conform
from fink_lib.lake.tables import PARTITION
from fink_lib.transfer.choice import Choice
from fink_lib.transfer.order import Ints, Places, left_to_send

TABLE = "science"


@dataclass(frozen=True)
class Piece:
    """Some chosen alerts of one file.

    Parameters
    ----------
    night : str
        ``YYYYMMDD``.
    file : int
        Which of the night's files, counted from 0.
    rows : pyarrow.Table
        Their columns of ``science``.
    partitions, offsets : numpy.ndarray
        Where each of them goes.
    """

    night: str
    file: int
    rows: pa.Table
    partitions: Ints
    offsets: Ints


class Source:
    """One version of table ``science``.

    Parameters
    ----------
    lake : Lake
        Holds the table.
    version : int, optional
        Which version; the newest without.

    Raises
    ------
    ConfigError
        If the lake does not have it any more.
    """

    def __init__(self, lake: Lake, version: int | None = None) -> None:
        self._lake = lake
        uri = lake.uri(TABLE)
        if version is None:
            table = lake.table(TABLE)
        else:
            try:
                table = DeltaTable(uri, version=version)
            except DeltaError as error:
                raise _gone(version) from error
        self.version = int(table.version())
        self._filesystem, self._base = FileSystem.from_uri(uri if "://" in uri else os.path.abspath(uri))
        self._files: dict[str, list[str]] = {}
        actions = pa.table(table.get_add_actions(flatten=True))
        if actions.num_rows:
            paths = actions.column("path").to_pylist()
            for path, night in zip(paths, actions.column(f"partition.{PARTITION}").to_pylist(), strict=True):
                self._files.setdefault(night, []).append(unquote(path))

    @property
    def nights(self) -> list[str]:
        """Nights that have alerts."""
        return sorted(self._files)

    def files(self, night: str) -> list[str]:
        """Files of a night, in order."""
        return sorted(self._files.get(night, ()))

    def values(self, night: str, references: tuple[Reference, ...]) -> Iterator[pa.Table]:
        """Give some values of all alerts of a night."""
        for path in self.files(night):
            with self._open(path) as parquet:
                for group in range(parquet.num_row_groups):
                    yield read_values(parquet, group, references, self._lake.schema(TABLE))

    def counts(self, choice: Choice, nights: Sequence[str], partitions: int) -> tuple[int, ...]:
        """Count the chosen alerts of some nights by partition, without reading more than the choice needs."""
        places = Places(partitions)
        for night in nights:
            takes = choice.night(partial(self.values, night))
            for path in self.files(night):
                with self._open(path) as parquet:
                    for group in range(parquet.num_row_groups):
                        seen = self._seen(parquet, group, choice)
                        places.give(_ids(self._lake, seen)[takes(seen)].tolist())
        return places.counts

    def pieces(
        self, choice: Choice, nights: Sequence[str], columns: Sequence[str], ends: Sequence[int], piece_rows: int
    ) -> Iterator[Piece]:
        """Read the chosen alerts of some nights.

        Parameters
        ----------
        choice : Choice
            Which alerts.
        nights : sequence of str
            In order.
        columns : sequence of str
            Columns of the table.
        ends : sequence of int
            Rows that each partition holds already; they are counted and not given.
        piece_rows : int
            Most rows of a piece.

        Yields
        ------
        Piece
            In the order of the job.
        """
        schema = self._lake.schema(TABLE)
        wanted = pa.schema([schema.field(name) for name in columns])
        places = Places(len(ends))
        for night in nights:
            takes = choice.night(partial(self.values, night))
            for number, path in enumerate(self.files(night)):
                with self._open(path) as parquet:
                    present = [name for name in columns if name in parquet.schema_arrow.names]
                    for group in range(parquet.num_row_groups):
                        seen = self._seen(parquet, group, choice)
                        chosen = np.flatnonzero(takes(seen))
                        partitions, offsets = places.give(_ids(self._lake, seen)[chosen].tolist())
                        left = left_to_send(partitions, offsets, ends)
                        chosen, partitions, offsets = chosen[left], partitions[left], offsets[left]
                        if not len(chosen):
                            continue
                        begin = 0
                        for part in parquet.iter_batches(piece_rows, row_groups=[group], columns=present):
                            inside = (chosen >= begin) & (chosen < begin + part.num_rows)
                            if inside.any():
                                rows = part.take(pa.array(chosen[inside] - begin))
                                table = conform(pa.Table.from_batches([rows]), wanted)
                                yield Piece(night, number, table, partitions[inside], offsets[inside])
                            begin += part.num_rows

    def _seen(self, parquet: pq.ParquetFile, group: int, choice: Choice) -> pa.Table:
        return read_values(parquet, group, choice.references, self._lake.schema(TABLE), choice.columns)

    @contextmanager
    def _open(self, path: str) -> Iterator[pq.ParquetFile]:
        try:
            handle = self._filesystem.open_input_file(f"{self._base}/{path}")
        except FileNotFoundError as error:
            raise _gone(self.version) from error
        with handle:
            yield pq.ParquetFile(handle)


def _ids(lake: Lake, seen: pa.Table) -> Ints:
    return np.asarray(seen.column(lake.survey.id_field).to_numpy(), np.int64)


def _gone(version: int) -> ConfigError:
    return ConfigError(
        f"the lake no longer holds version {version} of its alerts, which the transfer is about; submit it again"
    )
