"""What may go: old versions of the lake's files, and old logs of tasks. Never a row, never a night.

A file of the lake that a compaction or a correction has replaced stays for readers that are still at an older version:
a stream that is behind reads it by name. So nothing is removed from a table while a night that ended before the window
is neither archived nor empty, for then some stage may not have read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from deltalake.exceptions import DeltaError

from fink_lib.errors import TransientError
from fink_lib.lake.tables import TABLES
from fink_lib.nightly.nights import end_of_night, list_states

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

DONE = ("archived", "empty", "abandoned")
"""States of a night that nobody has to read any more."""


@dataclass(frozen=True)
class Removal:
    """What one part of the clean-up did.

    Parameters
    ----------
    what : str
        Table, or folder.
    files : int
        How many were removed, or would be.
    size_bytes : int
        What they took, as far as it is known.
    kept_for : str
        Why nothing was removed; empty otherwise.
    """

    what: str
    files: int = 0
    size_bytes: int = 0
    kept_for: str = ""


def clean(settings: Settings, lake: Lake, now: datetime, dry_run: bool, tell: Callable[[str], None]) -> list[Removal]:
    """Remove what is old.

    Parameters
    ----------
    settings : Settings
        Of the installation; section ``retention``.
    lake : Lake
        Of the survey.
    now : datetime
        The present time (UTC).
    dry_run : bool
        Only say what would be removed.
    tell : callable
        Takes lines for people.

    Returns
    -------
    list of Removal
        One for each table and folder.

    Raises
    ------
    TransientError
        If another writer got in the way; what was removed is removed.
    """
    keep = settings.retention
    waiting = unfinished_nights(lake, now - timedelta(days=keep.versions_days))
    done = []
    for table in TABLES:
        if waiting:
            done.append(Removal(table, kept_for=f"night {waiting[0]} is not archived"))
            continue
        done.append(vacuum(lake, table, keep.versions_days * 24, dry_run))
        tell(f"{table}: {done[-1].files} files")
    # Logs of services and streams are cut by their writers; those of tasks grow for ever.
    done.append(remove_old(settings.log_dir / "airflow", now - timedelta(days=keep.logs_days), dry_run))
    tell(f"logs of tasks: {done[-1].files} files")
    return done


def unfinished_nights(lake: Lake, before: datetime) -> list[str]:
    """List nights that ended before a time and that somebody may still have to read, oldest first.

    Parameters
    ----------
    lake : Lake
        Of the survey.
    before : datetime
        The time (UTC).
    """
    states = list_states(lake)
    known = sorted({*states, *lake.nights("raw"), *lake.nights("science")})
    return [
        night
        for night in known
        if end_of_night(night) < before and (night not in states or states[night].state not in DONE)
    ]


def vacuum(lake: Lake, table: str, older_than_h: int, dry_run: bool) -> Removal:
    """Remove the files of a table that no version within the window needs.

    Parameters
    ----------
    lake : Lake
        Of the survey.
    table : str
        Name of the table.
    older_than_h : int
        Length of the window, hours. Files that a writer has not committed yet are younger.
    dry_run : bool
        Only count them.
    """
    try:
        gone = lake.table(table).vacuum(older_than_h, dry_run=dry_run, enforce_retention_duration=False)
    except DeltaError as error:
        raise TransientError(f"another writer was at table {table} ({error}); the next run goes on") from error
    return Removal(table, len(gone))


def remove_old(folder: Path, before: datetime, dry_run: bool) -> Removal:
    """Remove files that nobody has written to since a time, and folders that are empty then.

    Parameters
    ----------
    folder : Path
        Where to look, in all depths; symbolic links are left alone.
    before : datetime
        The time (UTC).
    dry_run : bool
        Only count them.
    """
    files = size_bytes = 0
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before it
        if path.is_symlink():
            continue
        status = path.stat()
        if path.is_dir():
            if not dry_run and status.st_mtime < before.timestamp() and not any(path.iterdir()):
                path.rmdir()
        elif datetime.fromtimestamp(status.st_mtime, UTC) < before:
            files, size_bytes = files + 1, size_bytes + status.st_size
            if not dry_run:
                path.unlink(missing_ok=True)
    return Removal(folder.name, files, size_bytes)
