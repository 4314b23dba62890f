"""What is known of the replay of a night: asked for what, how far it is, by what it was made.

One small file for each night, ``FINK_HOME/replays/<survey>/<night>.json``, replaced as a whole.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.lock import FileLock

if TYPE_CHECKING:
    from fink_lib.config import Settings

COMPUTING, COMPARED, PROMOTING, PROMOTED, DISCARDED = "computing", "compared", "promoting", "promoted", "discarded"
"""States of a replay. Only ``promoting`` keeps the night's other stages away."""

LOCK_WAIT_S = 2.0


@dataclass(frozen=True)
class Replay:
    """The replay of one night.

    Parameters
    ----------
    survey, night : str
        Which night.
    state : str
        One of the words above.
    name : str
        Of its tables.
    start : str
        From which table.
    pins : dict of str to str
        Versions that were asked for instead of the present ones.
    versions : dict of str to str
        By what it was made: as ``fink_versions`` has them.
    science_version : str
        Of the set of modules.
    began : str
        When (ISO 8601, UTC).
    base : int
        Number of the night's last healing or promotion when it began; it can be promoted as long as that is the last.
    number : int
        Of its promotion; 0 before.
    by : str
        Who promoted or discarded it.
    content : dict
        Rows and digest of each table that it made, when it was compared.
    """

    survey: str
    night: str
    state: str = COMPUTING
    name: str = ""
    start: str = "raw"
    pins: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    science_version: str = ""
    began: str = ""
    base: int = 0
    number: int = 0
    by: str = ""
    content: dict[str, dict[str, Any]] = field(default_factory=dict)

    def same_order(self, other: Replay) -> bool:
        """Tell whether two replays were asked for the same, by the same versions."""
        names = ("start", "pins", "versions", "science_version", "base")
        return all(getattr(self, name) == getattr(other, name) for name in names)


def read_replay(settings: Settings, survey: str, night: str) -> Replay | None:
    """Read what is known of a night's replay; None if there was none."""
    found = read_json(_path(settings, survey, night))
    return Replay(**found) if found else None


def keep_replay(settings: Settings, replay: Replay, **changed: Any) -> Replay:
    """Write down a replay with some fields changed, and give it."""
    replay = replace(replay, **changed)
    write_json(_path(settings, replay.survey, replay.night), asdict(replay))
    return replay


def list_replays(settings: Settings, survey: str) -> list[Replay]:
    """Give all replays, by night."""
    names = sorted(path.stem for path in _path(settings, survey, "x").parent.glob("*.json"))
    return [found for name in names if (found := read_replay(settings, survey, name))]


def replay_lock(settings: Settings, survey: str, night: str) -> FileLock:
    """Give the lock of the one process that works on a night's replay."""
    return FileLock(settings.run_dir(survey, "replay") / f"{night}.lock", wait_s=LOCK_WAIT_S)


def replay_dir(settings: Settings, survey: str, night: str) -> Path:
    """Folder of the report of what a replay would change."""
    return settings.report_dir(survey, night) / "replay"


def _path(settings: Settings, survey: str, night: str) -> Path:
    return settings.home / "replays" / survey / f"{night}.json"
