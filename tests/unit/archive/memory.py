"""HBase in memory, as far as the archive uses it: versions, timestamps, and tombstones that hide what is not newer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from fink_lib.archive.hbase import HBase
from fink_lib.archive.rows import Row
from fink_lib.config import HBaseSettings


class KilledError(Exception):
    """The process died before a call."""


class MemoryHBase(HBase):
    """Keeps everything that was ever put, until it is compacted.

    Parameters
    ----------
    calls : int, optional
        How many writing calls are done before the process dies.
    """

    def __init__(self, calls: int | None = None) -> None:
        super().__init__(HBaseSettings())
        self.calls = calls
        self._puts: dict[str, dict[bytes, dict[bytes, dict[int, bytes]]]] = defaultdict(lambda: defaultdict(dict))
        self._tombs: dict[tuple[str, bytes, bytes], int] = {}

    def tables(self) -> list[str]:
        return list(self._puts)

    def ensure_table(self, table: str, families, splits=()) -> None:
        self._puts[table]

    def put(self, table: str, rows: Sequence[Row], batch_rows: int) -> None:
        for row in rows:
            self._live()
            for name, value in row.cells.items():
                self._puts[table][row.key].setdefault(name, {})[row.timestamp_ms] = value

    def delete(self, table: str, key: bytes, columns: Sequence[bytes], timestamp_ms: int) -> None:
        self.delete_cells(table, [(key, name, timestamp_ms) for name in columns])

    def delete_cells(self, table: str, cells: Sequence[tuple[bytes, bytes, int]]) -> None:
        for key, name, stamp in cells:
            self._live()
            self._tombs[table, key, name] = max(stamp, self._tombs.get((table, key, name), -1))

    def cells(self, table, keys, columns=None):
        found = {key: self._visible(table, key, columns) for key in keys}
        return {key: cells for key, cells in found.items() if cells}

    def scan(
        self, table, start, stop, columns=None, newest_first=False, batch_rows=0, filter_string=None
    ) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        for key in sorted((k for k in self._puts[table] if start <= k < stop), reverse=newest_first):
            cells = self._visible(table, key, None if columns == [b"p"] else columns)
            if cells:
                names = sorted(cells)[:1] if filter_string == "FirstKeyOnlyFilter()" else sorted(cells)
                yield key, {name: cells[name][0] for name in names}

    def everything(self, table: str) -> dict[bytes, dict[bytes, tuple[bytes, int]]]:
        """Give all that a reader can see."""
        return self.cells(table, list(self._puts[table]))

    def compact(self) -> None:
        """Forget what nobody can see, tombstones included: they hide nothing that is put afterwards."""
        for table, rows in self._puts.items():
            for key, cells in rows.items():
                visible = self._visible(table, key)
                for name in cells:
                    cells[name] = {visible[name][1]: visible[name][0]} if name in visible else {}
        self._tombs.clear()

    def _visible(self, table, key, columns=None) -> dict[bytes, tuple[bytes, int]]:
        visible = {}
        for name, versions in self._puts[table].get(key, {}).items():
            tomb = self._tombs.get((table, key, name), -1)
            newer = [stamp for stamp in versions if stamp > tomb]
            if newer and (columns is None or name in columns):
                visible[name] = versions[max(newer)], max(newer)
        return visible

    def _live(self) -> None:
        if self.calls is not None:
            self.calls -= 1
            if self.calls < 0:
                raise KilledError
