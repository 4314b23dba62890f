"""Answers of services, kept on disk: a place that was asked for once is not asked for again.

One SQLite file, shared by all processes of an installation. An answer is the complete list of a service's sources
around one HEALPix cell, the empty list included. It belongs to one edition of the service's data; when a new edition is
written, the answers of the others are dropped.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)

Rows = list[list[Any]]
"""Sources around one cell: right ascension, declination, then the columns of the service."""

BUSY_S = 5.0

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    service TEXT NOT NULL, edition TEXT NOT NULL, cell INTEGER NOT NULL, sources TEXT NOT NULL,
    PRIMARY KEY (service, edition, cell)
) WITHOUT ROWID
"""


class AnswerCache:
    """The file. If it cannot be used the services are asked again: a cache may save calls, never lose an answer.

    Parameters
    ----------
    path : Path
        The file; made when the first answer comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, service: str, edition: str, cells: Sequence[int]) -> dict[int, Rows]:
        """Give the answers that are known.

        Parameters
        ----------
        service, edition : str
            Whose, and of which edition of its data.
        cells : sequence of int
            What is wanted.

        Returns
        -------
        dict
            Cell to sources; cells that were not asked for yet are absent.
        """
        if not cells or not self.path.exists():
            return {}
        query = (
            "SELECT cell, sources FROM answers "
            "WHERE service = ? AND edition = ? AND cell IN (SELECT value FROM json_each(?))"
        )
        try:
            with self._session() as session:
                found = session.execute(query, (service, edition, json.dumps(list(cells)))).fetchall()
            return {cell: json.loads(sources) for cell, sources in found}
        except (sqlite3.Error, ValueError) as error:
            LOG.warning("the answers of services in %s cannot be read: %s", self.path, error)
            return {}

    def write(self, service: str, edition: str, answers: Mapping[int, Rows]) -> None:
        """Keep answers, and drop those of other editions of this service."""
        if not answers:
            return
        rows = [(service, edition, cell, json.dumps(sources, allow_nan=False)) for cell, sources in answers.items()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._session() as session:
                session.execute("DELETE FROM answers WHERE service = ? AND edition <> ?", (service, edition))
                session.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            LOG.warning("the answers of services in %s cannot be written: %s", self.path, error)

    @contextmanager
    def _session(self) -> Iterator[sqlite3.Connection]:
        # A connection for each use: the stream's workers are forked, and SQLite must not be carried across.
        with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as session, session:
            session.execute("PRAGMA journal_mode = WAL")
            session.execute("PRAGMA synchronous = NORMAL")
            session.execute(_TABLE)
            yield session
