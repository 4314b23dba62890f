"""A transfer job: what was asked for, how far it is, and the one file that says so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fink_lib.errors import ConfigError
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.lock import FileLock

SUBMITTED, RUNNING, DONE, FAILED, CANCELLED = "submitted", "running", "done", "failed", "cancelled"
STATES = (SUBMITTED, RUNNING, DONE, FAILED, CANCELLED)
ENDED = (DONE, FAILED, CANCELLED)

_ID = re.compile(r"^ftransfer_([a-z]+)_[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{1,6}$")


@dataclass(frozen=True)
class Selection:
    """Which alerts of past nights, and how much of each.

    Parameters
    ----------
    survey : str
        Whose alerts.
    nights : str
        ``A``, or ``A..B`` with both ends.
    classes : tuple of str
        Alerts of any of these; ``(TNS) X`` and ``(SIMBAD) X`` ask for a label. Empty: of all.
    filter : str
        Name of a filter that has to take them; empty for none.
    where : tuple of str
        Predicates that they have to fulfil as well.
    columns : tuple of str
        ``full``, ``medium`` or ``light``, or names of columns.
    """

    survey: str
    nights: str
    classes: tuple[str, ...] = ()
    filter: str = ""
    where: tuple[str, ...] = ()
    columns: tuple[str, ...] = ("full",)

    @property
    def words(self) -> str:
        """The selection as a person reads it."""
        parts = [f"nights {self.nights}", f"columns {','.join(self.columns)}"]
        parts += [f"class {' or '.join(self.classes)}"] if self.classes else []
        parts += [f"filter {self.filter}"] if self.filter else []
        parts += [f"where {condition}" for condition in self.where]
        return "; ".join(parts)


@dataclass(frozen=True)
class Plan:
    """What a selection came to when it was submitted; a run that finds anything else refuses.

    Parameters
    ----------
    science_version : int
        Version of table ``science`` that is read: later alerts, and healed ones, are not part of the job.
    nights : tuple of str
        Nights with alerts.
    expected : tuple of int
        Rows by partition of the data topic.
    digest : str
        Of the compiled predicates.
    schema_id : str
        Of the one schema of all rows.
    row_bytes : int
        Mean size of the first rows, packed.
    """

    science_version: int
    nights: tuple[str, ...]
    expected: tuple[int, ...]
    digest: str
    schema_id: str
    row_bytes: int

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(self.expected)

    @property
    def size_bytes(self) -> int:
        """Estimated size of all rows."""
        return self.rows * self.row_bytes


@dataclass(frozen=True)
class Job:
    """One job.

    Parameters
    ----------
    id : str
        Name of the data topic too.
    selection, plan
        What it is about.
    submitted, started, changed : str
        Times (ISO, UTC); empty if not yet. `changed` is that of the last change of anything here.
    parquet : str
        Folder of the files; empty if the rows go to a topic.
    state : str
        One of :data:`STATES`.
    sent : int
        Rows that are delivered.
    message : str
        One sentence: how it ended.
    topics_made : bool
        Whether its topics were complete at some time.
    topics_gone : str
        When they were deleted; empty while they live.
    """

    id: str
    selection: Selection
    plan: Plan
    submitted: str
    started: str = ""
    changed: str = ""
    parquet: str = ""
    state: str = SUBMITTED
    sent: int = 0
    message: str = ""
    topics_made: bool = False
    topics_gone: str = ""

    @property
    def topics(self) -> tuple[str, ...]:
        """Its topics, the data first; none if it writes files."""
        return () if self.parquet else (self.id, f"{self.id}_schema")

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain values, with the figures that people ask for."""
        told = asdict(self)
        return {**told, "topic": "" if self.parquet else self.id, "expected": self.plan.rows}


class JobStore:
    """The jobs of an installation: one file for each, replaced whole at every change.

    Only the process that holds a job's lock changes its file. Whoever wants it cancelled leaves a note beside it.

    Parameters
    ----------
    home : Path
        The installation.
    """

    def __init__(self, home: Path) -> None:
        self._root = home / "transfers"

    def create(self, selection: Selection, plan: Plan, now: datetime, parquet: str = "") -> Job:
        """Write a new job under a name that no other has."""
        microsecond = now.microsecond
        while True:
            job_id = f"ftransfer_{selection.survey}_{now:%Y-%m-%d}_{microsecond}"
            path = self._path(job_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.touch(exist_ok=False)
                break
            except FileExistsError:
                microsecond = (microsecond + 1) % 1_000_000
        return self.keep(Job(job_id, selection, plan, _text(now), parquet=parquet), now)

    def keep(self, job: Job, now: datetime, durable: bool = True, **changes: Any) -> Job:
        """Write a job with some changes, and give it back."""
        job = replace(job, changed=_text(now), **changes)
        write_json(self._path(job.id), asdict(job), durable)
        return job

    def find(self, job_id: str) -> Job:
        """Read a job.

        Raises
        ------
        ConfigError
            If there is none of that name.
        """
        told = read_json(self._path(job_id))
        if told is None:
            raise ConfigError(f"no transfer is called {job_id}; `fink transfer list` shows those that there are")
        return _job(told)

    def list(self, survey: str = "") -> list[Job]:
        """Give all jobs, the newest first."""
        found = [_job(told) for path in self._files(survey) if (told := read_json(path)) is not None]
        return sorted(found, key=lambda job: job.submitted, reverse=True)

    def lock(self, job_id: str, wait_s: float = 0.0) -> FileLock:
        """Give the lock of whoever works on a job."""
        return FileLock(self._path(job_id).with_suffix(".lock"), wait_s)

    def ask_to_cancel(self, job_id: str) -> None:
        """Leave the note that a job is to be cancelled; it stays until that is done."""
        self._note(job_id).touch()

    def cancel_asked(self, job_id: str) -> bool:
        """Tell whether somebody wants it cancelled."""
        return self._note(job_id).exists()

    def forget_cancel(self, job_id: str) -> None:
        """Take the note away."""
        self._note(job_id).unlink(missing_ok=True)

    def _note(self, job_id: str) -> Path:
        return self._path(job_id).with_suffix(".cancel")

    def _path(self, job_id: str) -> Path:
        found = _ID.match(job_id)
        if found is None:
            raise ConfigError(f"{job_id!r} is no transfer; its name is ftransfer_<survey>_<date>_<number>")
        return self._root / found[1] / f"{job_id}.json"

    def _files(self, survey: str) -> Iterator[Path]:
        yield from self._root.glob(f"{survey or '*'}/ftransfer_*.json")


def _job(told: dict[str, Any]) -> Job:
    selection = Selection(**_tuples(told["selection"], ("classes", "where", "columns")))
    plan = Plan(**_tuples(told["plan"], ("nights", "expected")))
    return Job(**{**told, "selection": selection, "plan": plan})


def _tuples(told: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {**told, **{name: tuple(told[name]) for name in names}}


def _text(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="seconds")
