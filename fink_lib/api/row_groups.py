"""Parts of Parquet files that were read a moment ago, kept in memory: files of the lake never change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

MOST_BYTES = 128 * 1024 * 1024

Key = tuple[str, int, tuple[str, ...]]
"""File, number of the part, columns."""


@dataclass
class RowGroups:
    """The parts that were used last, as many as fit.

    Parameters
    ----------
    most_bytes : int
        How much memory they may take.
    """

    most_bytes: int = MOST_BYTES
    _kept: OrderedDict[Key, pa.Table] = field(default_factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def get(self, key: Key, read: Callable[[], pa.Table]) -> pa.Table:
        """Give a part; it is read if it is not there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        part = read()
        with self._lock:
            if key not in self._kept and part.nbytes <= self.most_bytes:
                self._kept[key] = part
                self._bytes += part.nbytes
                while self._bytes > self.most_bytes:
                    _, oldest = self._kept.popitem(last=False)
                    self._bytes -= oldest.nbytes
        return part
