"""Checkpoints of a stream: their generations, and the look before the start.

A checkpoint is a folder ``g<N>``. Batch numbers begin at 0 in each generation, so the generation is part of every
name under which a batch is remembered (Delta transactions, Kafka markers, ledger rows): a checkpoint that was reset
under its old name would lose data in silence, since its first batches would look like replays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fink_lib.errors import ConfigError
from fink_lib.runtime.files import read_json, write_json

if TYPE_CHECKING:
    from fink_lib.config import Settings

RUNBOOK = "docs/operations.md, 'A checkpoint is damaged'"


def batch_key(generation: int, batch_id: int) -> str:
    """Name a batch, uniquely over all generations; the names sort by time."""
    return f"g{generation}-{batch_id:09d}"


@dataclass(frozen=True)
class Checkpoint:
    """One generation of a stage's checkpoint.

    Parameters
    ----------
    folder : Path
        ``checkpoints/<survey>/<stage>/g<N>``.
    generation : int
        N, from 1.
    start : str
        Where this generation begins (Kafka: JSON of offsets; Delta: a table version); empty means at the beginning.
    """

    folder: Path
    generation: int
    start: str = ""

    def key(self, batch_id: int) -> str:
        """Name of a batch, unique over all generations; sorts by time."""
        return batch_key(self.generation, batch_id)


def open_checkpoint(settings: Settings, survey: str, stage: str) -> Checkpoint:
    """Find the newest generation of a stage's checkpoint, the first one if there is none, and check it.

    Raises
    ------
    ConfigError
        If Spark would go on silently, or fail obscurely, from what is on the disk.
    """
    parent = settings.checkpoint_dir(survey, stage)
    numbers = sorted(int(p.name[1:]) for p in parent.glob("g*") if p.is_dir() and p.name[1:].isdigit())
    generation = numbers[-1] if numbers else 1
    folder = parent / f"g{generation}"
    folder.mkdir(parents=True, exist_ok=True)
    note = read_json(parent / f"g{generation}.json") or {}
    check(folder)
    return Checkpoint(folder, generation, str(note.get("start", "")))


def new_generation(settings: Settings, survey: str, stage: str, start: str) -> Checkpoint:
    """Begin a new generation at `start`; the old one stays on the disk for a person to look at."""
    now = open_checkpoint(settings, survey, stage)
    parent = now.folder.parent
    write_json(parent / f"g{now.generation + 1}.json", {"start": start, "after": now.generation})
    (parent / f"g{now.generation + 1}").mkdir()
    return Checkpoint(parent / f"g{now.generation + 1}", now.generation + 1, start)


def check(folder: Path) -> None:
    """Refuse a checkpoint that is not whole.

    Spark 4.0 starts under a new query id when ``metadata`` is gone and reports a torn offsets file in words that help
    nobody; both are caught here, before a session is started.

    Raises
    ------
    ConfigError
        Naming what is missing and the page to read.
    """
    offsets, commits = _batches(folder / "offsets"), _batches(folder / "commits")
    if not offsets and not commits:
        return
    if not (folder / "metadata").exists():
        raise ConfigError(f"checkpoint {folder} has batches but no metadata file; see {RUNBOOK}")
    if commits and (not offsets or commits[-1] > offsets[-1]):
        raise ConfigError(f"checkpoint {folder} has commits beyond its offsets; see {RUNBOOK}")
    last = folder / "offsets" / str(offsets[-1])
    lines = last.read_text(errors="replace").splitlines()
    try:
        if lines[0] != "v1":
            raise ValueError(f"version line {lines[0]!r}")
        for line in lines[1:]:
            if line != "-":
                json.loads(line)
        if len(lines) < 3:
            raise ValueError(f"{len(lines)} lines")
    except (ValueError, IndexError) as error:
        raise ConfigError(f"offsets file {last} is torn ({error}); see {RUNBOOK}") from error


def _batches(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())
