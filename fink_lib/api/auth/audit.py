"""The log of writes: who did what, when, from where, with what outcome. One JSON object a line, only ever appended.

A request that may pass has two lines: ``asked`` before anything is done, and its outcome. If a process is killed
between them, the first line alone says what to look after.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fink_lib.runtime.files import append_json_line, read_json_lines

MOST_CHARACTERS = 300


class Audit:
    """The log of an installation: one file a month.

    Parameters
    ----------
    home : Path
        The installation.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "community" / "audit"

    def note(self, now: datetime, outcome: str, request: str = "", **what: str | int) -> str:
        """Append a line.

        Parameters
        ----------
        now : datetime
            The present time.
        outcome : str
            ``asked``, ``done``, ``refused`` or ``failed``.
        request : str
            Ties the lines of one request together; a new one if not given.
        what : str or int
            Owner, token, address, operation, path, status, reason: whatever is known. Long texts are cut.

        Returns
        -------
        str
            The name of the request.
        """
        request = request or secrets.token_hex(6)
        told = {name: value[:MOST_CHARACTERS] if isinstance(value, str) else value for name, value in what.items()}
        now = now.astimezone(UTC)
        line = {"time": now.isoformat(timespec="milliseconds"), "request": request, "outcome": outcome, **told}
        append_json_line(self._folder / f"{now:%Y-%m}.jsonl", line)
        return request

    def lines(self) -> list[dict[str, Any]]:
        """Give all lines, the oldest first."""
        return [line for file in sorted(self._folder.glob("*.jsonl")) for line in read_json_lines(file)]
