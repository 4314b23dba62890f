"""One SQLite file for everything that users bring.

Every change is one transaction that is on the disk when the caller goes on, several processes may write at once, and a
process that is killed leaves the file as it was before its transaction. That is what a few writes a second need; the
lake is made for batches of thousands of rows, and a row of HBase has neither transactions nor a history.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fink_lib.community.schema import MIGRATIONS
from fink_lib.errors import ConfigError, TransientError

BUSY_S = 10.0

Row = Mapping[str, Any]


class Store:
    """The file.

    Parameters
    ----------
    home : Path
        The installation.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "community" / "community.sqlite"
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def rows(self, query: str, *values: object) -> list[Row]:
        """Read.

        Parameters
        ----------
        query : str
            Fixed text with a ``?`` for each value.
        values : object
            What the marks stand for.

        Raises
        ------
        TransientError
            If other processes hold the file for too long.
        """
        with _translated(self.path):
            return [dict(row) for row in self._connection().execute(query, values)]

    def row(self, query: str, *values: object) -> Row | None:
        """Read one row; None if there is none."""
        found = self.rows(query, *values)
        return found[0] if found else None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Change: all of it, or nothing. Others wait until it is over, so what is read inside stays true.

        Raises
        ------
        TransientError
            If other processes hold the file for too long.
        """
        with _translated(self.path):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = connect(self.path, durable=True)
            _migrate(found, self.path)
            self._local.connection = found
            with self._lock:
                self._opened.append(found)
        return found


class Transaction:
    """What may be done inside :meth:`Store.transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def row(self, query: str, *values: object) -> Row | None:
        """Read one row; None if there is none."""
        found = self._connection.execute(query, values).fetchone()
        return None if found is None else dict(found)

    def rows(self, query: str, *values: object) -> list[Row]:
        """Read."""
        return [dict(row) for row in self._connection.execute(query, values)]

    def run(self, query: str, *values: object) -> int:
        """Change rows; gives how many."""
        return self._connection.execute(query, values).rowcount

    def add(self, table: str, **columns: object) -> int:
        """Add a row to a table of the schema; gives its number."""
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        cursor = self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))
        return int(cursor.lastrowid or 0)


def connect(path: Path, durable: bool) -> sqlite3.Connection:
    """Open a file for several processes; made, for its owner's eyes only, if it is not there.

    Parameters
    ----------
    path : Path
        The file.
    durable : bool
        Whether a change must survive a power cut. It survives the end of the process in any case.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    # a thread closes only its own; at the end of the process one thread closes all
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def text_of(now: datetime) -> str:
    """Write a time as the store keeps it: ISO, UTC, to the microsecond, so that texts sort as times do."""
    return now.astimezone(UTC).isoformat(timespec="microseconds")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the schema of this code, in one transaction, whoever comes first."""
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        present = _version(connection)
        if present > len(MIGRATIONS):
            raise ConfigError(f"{path} was written by a newer version of the broker; run that version, or a later one")
        for statements in MIGRATIONS[present:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise TransientError(
            f"{path} cannot be used now ({error}); try again, and look at the disk if it stays"
        ) from error
