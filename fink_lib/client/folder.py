"""A folder that collects messages of topics, each exactly once, however often the collecting is killed.

Messages come in ranges of offsets of one partition. The files of a range are written first, under names that tell the
range; then one line in ``.received`` says that the range is complete; only then its offsets are committed. What
a kill leaves without such a line is removed at the next start and comes again; what has a line is never taken twice,
even if the commit did not happen.

A topic that was deleted and made again under the same name is another one: names carry the topic's own id.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import pyarrow as pa

from fink_lib.client.files import ENDINGS, append_line, write_table
from fink_lib.runtime.files import read_json_lines
from fink_lib.runtime.lock import FileLock

JOURNAL = ".received"
LOCK = ".lock"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_NAME = re.compile(r"\.?([\w.-]+-[0-9a-f]{8}-p[0-9]{2,}-[0-9]{12}-[0-9]{12})(-[0-9]+)?\.(?:parquet|jsonl)(?:\.tmp)?")


@dataclass(frozen=True)
class Range:
    """Messages of one partition, from one offset to another one, both included.

    Parameters
    ----------
    topic : str
        Name of the topic.
    topic_id : str
        Tells it from another one of the same name.
    partition, first, last : int
        Where they are.
    """

    topic: str
    topic_id: str
    partition: int
    first: int
    last: int

    @property
    def stem(self) -> str:
        """Name of the range's files, without ending."""
        digits = hashlib.sha256(self.topic_id.encode()).hexdigest()[:8]
        return f"{self.topic}-{digits}-p{self.partition:02d}-{self.first:012d}-{self.last:012d}"


class Folder:
    """The folder, held by one process at a time.

    Parameters
    ----------
    path : Path
        Made if missing.

    Raises
    ------
    LockedError
        On entering, if another process writes into it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / LOCK)
        self._noting = threading.Lock()
        self._done: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
        self._rows: dict[tuple[str, str], int] = {}

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        complete = set()
        for line in read_json_lines(self.path / JOURNAL):
            rows = line.pop("rows")
            done = Range(**line)
            complete.add(done.stem)
            self._note(done, rows)
        self._remove_torn(complete)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def has(self, topic: str, topic_id: str, partition: int, offset: int) -> bool:
        """Tell whether a message is in the folder."""
        return any(first <= offset <= last for first, last in self._done.get((topic, topic_id, partition), ()))

    def missing(self, topic: str, topic_id: str, partition: int, low: int, high: int) -> list[tuple[int, int]]:
        """Give the offsets of a partition that are not in the folder yet.

        Parameters
        ----------
        topic, topic_id, partition
            The partition.
        low, high : int
            First offset, and the one behind the last.
        """
        return gaps(self._done.get((topic, topic_id, partition), ()), low, high)

    def rows(self, topic: str, topic_id: str) -> int:
        """Count the alerts of a topic that are in the folder."""
        return self._rows.get((topic, topic_id), 0)

    def add(self, done: Range, tables: Sequence[pa.Table], form: str, by: Sequence[str] = ()) -> None:
        """Write the alerts of a range, and note that it is complete.

        Parameters
        ----------
        done : Range
            All of its messages have been looked at; those that are not in `tables` were not wanted.
        tables : sequence of pyarrow.Table
            Its alerts, one table for each schema.
        form : str
            ``parquet`` or ``json``.
        by : sequence of str
            Columns whose values become folders (``name=value``), and leave the files.
        """
        for number, table in enumerate(tables):
            end = f"-{number}" if number else ""
            for place, part in parted(table, by):
                target = self.path / place
                target.mkdir(parents=True, exist_ok=True)
                write_table(target / f"{done.stem}{end}{ENDINGS[form]}", part, form)
        rows = sum(table.num_rows for table in tables)
        with self._noting:
            append_line(self.path / JOURNAL, {**asdict(done), "rows": rows})
            self._note(done, rows)

    def _note(self, done: Range, rows: int) -> None:
        self._done.setdefault((done.topic, done.topic_id, done.partition), []).append((done.first, done.last))
        topic = done.topic, done.topic_id
        self._rows[topic] = self._rows.get(topic, 0) + rows

    def _remove_torn(self, complete: set[str]) -> None:
        """Remove what a range left that was never completed; files under other names are not ours."""
        for path in self.path.rglob("*-p[0-9]*-*"):
            stem = _stem(path.name)
            if stem is not None and stem not in complete:
                path.unlink()


def _stem(name: str) -> str | None:
    """Give the range in a file's name, or None if the file is not ours."""
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def gaps(done: Iterable[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    """Give what ranges leave open between two offsets.

    Parameters
    ----------
    done : iterable of (int, int)
        First and last of each range, in any order.
    low, high : int
        First offset, and the one behind the last.

    Returns
    -------
    list of (int, int)
        First offset, and the one behind the last, of each gap.

    Examples
    --------
    >>> gaps([(0, 4), (10, 11)], 0, 20)
    [(5, 10), (12, 20)]
    """
    found, at = [], low
    for first, last in sorted(done):
        if first > at:
            found.append((at, min(first, high)))
        at = max(at, last + 1)
        if at >= high:
            break
    if at < high:
        found.append((at, high))
    return [(first, end) for first, end in found if first < end]


def parted(table: pa.Table, by: Sequence[str]) -> list[tuple[str, pa.Table]]:
    """Part a table by the values of columns, each part with its folder; the columns leave the table."""
    if not by:
        return [("", table)]
    rows_of: dict[str, list[int]] = {}
    for row, values in enumerate(table.select(list(by)).to_pylist()):
        rows_of.setdefault(folder_of(values), []).append(row)
    kept = table.drop_columns(list(by))
    return [(place, kept.take(pa.array(rows))) for place, rows in rows_of.items()]


def folder_of(values: Mapping[str, object]) -> str:
    """Name the folder of some values, as Hive does.

    Examples
    --------
    >>> folder_of({"year": "2026", "finkclass": "(SIMBAD) EB*/a"})
    'year=2026/finkclass=%28SIMBAD%29%20EB%2A%2Fa'
    """
    return "/".join(
        f"{name}={NULL_PARTITION if value is None else quote(str(value), safe='')}" for name, value in values.items()
    )
