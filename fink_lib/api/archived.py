"""Connections to the archive, shared by the threads that answer requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fink_lib.archive.hbase import HBase
from fink_lib.archive.reader import ArchiveReader
from fink_lib.config import HBaseSettings
from fink_lib.surveys import Survey

ATTEMPTS = 2
TIMEOUT_MS = 5_000
"""A client would rather hear that HBase is away than wait for it as long as the archive does."""
IDLE_S = 50.0
"""The Thrift server drops a connection that is idle for a minute."""


@dataclass
class ReaderPool:
    """Readers of one archive table; each is used by one thread at a time.

    Parameters
    ----------
    settings : HBaseSettings
        Where the Thrift server is.
    survey : Survey
        Whose archive.
    table : str
        Name of the table.
    """

    settings: HBaseSettings
    survey: Survey
    table: str
    _idle: list[tuple[float, HBase, ArchiveReader]] = field(default_factory=list, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @contextmanager
    def borrow(self) -> Iterator[tuple[HBase, ArchiveReader]]:
        """Lend a connection and the reader on it; their calls raise TransientError if HBase is away."""
        hbase, reader = self._take()
        try:
            yield hbase, reader
        except Exception:
            hbase.close()  # whatever went wrong, no half-read answer may wait on the wire
            raise
        with self._lock:
            self._idle.append((time.monotonic(), hbase, reader))

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, hbase, _ in idle:
            hbase.close()

    def _take(self) -> tuple[HBase, ArchiveReader]:
        with self._lock:
            # the newest first, so that a quiet API lets its connections grow old and drops them
            fresh = [entry for entry in self._idle if time.monotonic() - entry[0] < IDLE_S]
            stale = [entry for entry in self._idle if entry not in fresh]
            last = fresh.pop() if fresh else None
            self._idle = fresh
        for _, hbase, _ in stale:
            hbase.close()
        if last is not None:
            return last[1], last[2]
        hbase = HBase(self.settings, ATTEMPTS, TIMEOUT_MS)
        return hbase, ArchiveReader(hbase, self.survey, self.table)
