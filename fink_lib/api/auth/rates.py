"""How often: one bucket for each token and each address, shared by all processes of the API.

A bucket holds as many requests as are allowed in a minute and fills at that pace. The file may be lost without harm:
whoever finds none has a full bucket.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from fink_lib.community.store import connect
from fink_lib.errors import TransientError

FORGET_S = 3600.0
SWEEP_EVERY = 500

_TABLE = (
    "CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, level REAL NOT NULL, at REAL NOT NULL) WITHOUT ROWID"
)


def drawn(level: float, elapsed_s: float, per_min: int) -> tuple[float, float]:
    """Take one request out of a bucket.

    Parameters
    ----------
    level : float
        What it held, in requests.
    elapsed_s : float
        Time since then, seconds; a clock that went back counts as none.
    per_min : int
        Size of the bucket, and requests that it gains in a minute.

    Returns
    -------
    level : float
        What it holds now.
    wait_s : float
        0 if the request may pass; else the time until one may.
    """
    level = min(float(per_min), level + max(elapsed_s, 0.0) * per_min / 60)
    if level >= 1:
        return level - 1, 0.0
    return level, (1 - level) * 60 / per_min


class Rates:
    """The buckets of an installation.

    Parameters
    ----------
    home : Path
        The installation.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "community" / "rates.sqlite"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._taken = 0

    def take(self, name: str, per_min: int, now_s: float) -> float:
        """Take one request out of a bucket.

        Parameters
        ----------
        name : str
            Whose.
        per_min : int
            Requests in a minute; 0 for any number.
        now_s : float
            The present time (Unix, seconds).

        Returns
        -------
        float
            0 if the request may pass; else how long to wait, in seconds.
        """
        if not per_min:
            return 0.0
        with self._lock:
            try:
                return self._take(self._opened(), name, per_min, now_s)
            except sqlite3.OperationalError as error:
                raise TransientError(f"{self._path} cannot be used now ({error})") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _take(self, file: sqlite3.Connection, name: str, per_min: int, now_s: float) -> float:
        file.execute("BEGIN IMMEDIATE")
        try:
            row = file.execute("SELECT level, at FROM buckets WHERE name = ?", (name,)).fetchone()
            before, at = (per_min, now_s) if row is None else (row["level"], row["at"])
            level, wait_s = drawn(before, now_s - at, per_min)
            file.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (name, level, now_s))
            self._taken += 1
            if self._taken % SWEEP_EVERY == 0:
                file.execute("DELETE FROM buckets WHERE at < ?", (now_s - FORGET_S,))
        except BaseException:
            file.execute("ROLLBACK")
            raise
        file.execute("COMMIT")
        return wait_s

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path, durable=False)
            self._connection.execute(_TABLE)
        return self._connection
