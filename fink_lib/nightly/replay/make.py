"""replay: a night is made again beside the live one and compared with it. Nothing that anybody reads changes.

1. The versions are fixed: those of now, or pinned ones.
2. The shadow's science rows are computed from ``raw``, or taken over from ``science``.
3. What needs the whole night follows, as in ``compact``: tracklets, and scores that look further back.
4. The shadow is compared with the live night; the report says what would change, in which alerts, and why.

A replay that was killed goes on where it was if the same is asked again; asked anew, it begins anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.filters import load_filters
from fink_lib.lake import open_lake
from fink_lib.lake.patch import files_of
from fink_lib.nightly.healing import committed_number
from fink_lib.nightly.long_histories import judge_night
from fink_lib.nightly.nights import check_night, night_state
from fink_lib.nightly.replay.compute import RAW, SCIENCE, STARTS, Job, compute
from fink_lib.nightly.replay.difference import Difference, compare
from fink_lib.nightly.replay.pins import check_pins, read_pins, versions_of, view_of
from fink_lib.nightly.replay.record import (
    COMPARED,
    COMPUTING,
    PROMOTING,
    Replay,
    keep_replay,
    read_replay,
    replay_dir,
    replay_lock,
)
from fink_lib.nightly.replay.report import write_report
from fink_lib.nightly.replay.shadow import ShadowLake, shadow_of
from fink_lib.nightly.tracklets import link_night
from fink_lib.runtime.failpoints import failpoint
from fink_lib.science import load_modules

if TYPE_CHECKING:
    from pathlib import Path

    from fink_lib.config import Settings
    from fink_lib.filters import FilterSet
    from fink_lib.lake import Lake
    from fink_lib.science.runner import Runner

OVER = ("closed", "held", "archived", "failed", "abandoned")
"""States of a night that can be made again: the streams have it in full."""


@dataclass(frozen=True)
class Workshop:
    """What a replay works with.

    Parameters
    ----------
    settings, view : Settings
        Of the installation; and under which modules find what is pinned.
    shadow : ShadowLake
        What it writes.
    runner : Runner
        The modules.
    filters : FilterSet
        The live filters of now.
    """

    settings: Settings
    view: Settings
    shadow: ShadowLake
    runner: Runner
    filters: FilterSet


def replay_night(
    settings: Settings,
    survey: str,
    night: str,
    start: str = RAW,
    pins: Sequence[str] = (),
    progress: Callable[[str], None] = lambda line: None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Make the shadow of a night and compare it.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, night : str
        Which night.
    start : str
        From which table: ``raw`` (cuts, duplicates and all science modules again) or ``science`` (what needs the whole
        night, and the filters).
    pins : sequence of str
        See :func:`fink_lib.nightly.replay.pins.read_pins`.
    progress : callable
        Takes lines for people.
    now : datetime, optional
        The present time (UTC); the clock's without.

    Returns
    -------
    dict
        What the report says (:func:`fink_lib.nightly.replay.difference.compare`), ``ok``, ``message``, and where the
        report is.

    Raises
    ------
    LockedError
        If somebody works on this night's replay.
    ConfigError
        If night, start or pins are wrong, or a promotion of this night is not finished.
    """
    check_night(night)
    if start not in STARTS:
        raise ConfigError(f"a replay starts from {' or '.join(STARTS)}, not from {start!r}")
    now = now or datetime.now(UTC)
    live = open_lake(settings, survey)
    live.ensure()
    _check_state(live, night)
    with replay_lock(settings, survey, night):
        before = read_replay(settings, survey, night)
        if before is not None and before.state == PROMOTING:
            raise ConfigError(f"night {night} is being promoted; finish that first: fink replay promote {night}")
        chosen = read_pins(pins, live, night)
        replay = Replay(survey, night, COMPUTING, uuid.uuid4().hex[:12], start, chosen, began=now.isoformat())
        shop = workshop(settings, replay)
        replay = dataclasses.replace(
            replay,
            versions=shop.runner.versions(),
            science_version=shop.runner.version,
            base=committed_number(live, night),
        )
        if before is not None and before.state == COMPUTING and before.same_order(replay):
            progress(f"replay: going on with what was begun at {before.began}")
            replay = before
            shop = dataclasses.replace(shop, shadow=shadow_of(live, night, before.name))
        else:
            if before is not None:
                shadow_of(live, night, before.name).discard()
            keep_replay(settings, replay)
        shop.shadow.ensure()
        replay, difference = bring_up_to_date(shop, replay, progress)
    return {
        "ok": True,
        "night": night,
        "message": sentence(night, difference.summary),
        "report": str(replay_dir(settings, survey, night) / "difference.html"),
        **difference.summary,
    }


def workshop(settings: Settings, replay: Replay) -> Workshop:
    """Give what a replay works with.

    Raises
    ------
    ConfigError
        If the installation does not have what is pinned.
    """
    live = open_lake(settings, replay.survey)
    view = view_of(settings, replay.pins, view_dir(settings, replay.survey, replay.night))
    runner = load_modules(replay.survey, view)
    check_pins(replay.pins, runner.versions())
    filters = load_filters(live.survey, home=settings.home)
    return Workshop(settings, view, shadow_of(live, replay.night, replay.name), runner, filters)


def view_dir(settings: Settings, survey: str, night: str) -> Path:
    """Give the folder in which pinned catalogues and models stand in their usual places."""
    return settings.home / "replays" / survey / f"{night}.view"


def bring_up_to_date(shop: Workshop, replay: Replay, progress: Callable[[str], None]) -> tuple[Replay, Difference]:
    """Compute what is left, compare, and write the report.

    Parameters
    ----------
    shop : Workshop
        Surroundings; the shadow's tables are there.
    replay : Replay
        What was asked for.
    progress : callable
        Takes lines for people.
    """
    settings, shadow, night = shop.settings, shop.shadow, replay.night
    job = Job(shop.view, replay.survey, night, replay.name, replay.start, datetime.fromisoformat(replay.began))
    compute(shadow, job, settings.nightly.archive_workers, progress)
    failpoint(settings, replay.survey, "replay", "replay_before_night")
    link_night(shadow, night)
    judge_night(shadow, night, shop.view)
    failpoint(settings, replay.survey, "replay", "replay_before_compare")
    looked_at = live_files(shadow.live, night)
    sent = sent_of(shadow.live, night, shop) if replay.start == SCIENCE else None
    difference = compare(shadow, shop.runner, shop.filters, sent, progress)
    made = {table: sides["shadow"] for table, sides in difference.summary["tables"].items()}
    difference.summary.update(_order(replay, versions_of(shadow.live, night)))
    write_report(replay_dir(settings, replay.survey, night), difference)
    failpoint(settings, replay.survey, "replay", "replay_before_record")
    return keep_replay(
        settings, replay, state=COMPARED, content={**made, "live_files": {"digest": looked_at}}
    ), difference


def read_alerts(settings: Settings, replay: Replay) -> Any:
    """Read the whole list of alerts of the last comparison."""
    return pq.read_table(replay_dir(settings, replay.survey, replay.night) / "alerts.parquet")


def live_files(live: Lake, night: str) -> str:
    """Give a digest that changes whenever a commit changes the night's science or rejected rows."""
    names = [name for table in ("science", "rejected") for name in files_of(live, table, night)]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def sent_of(live: Lake, night: str, shop: Workshop) -> dict[int, set[str]]:
    """Give by alert the filters that it was sent for, under the installation's prefix."""
    prefix = f"{shop.settings.streams.substream_prefix}_"
    found: dict[int, set[str]] = defaultdict(set)
    for row in live.read("sent", [night], ["alert_id", "filter", "topic"]).to_pylist():
        if row["topic"].startswith(prefix):
            found[row["alert_id"]].add(row["filter"])
    return found


def sentence(night: str, summary: dict[str, Any]) -> str:
    """Say in one sentence what a replay would change."""
    alerts, science = summary["alerts"], summary["tables"]["science"]
    if science["equal"]:
        told = f"the replay of night {night} equals the live night: {science['live']['rows']} alerts"
    else:
        told = (
            f"the replay of night {night} changes {alerts['changed']} alerts, adds {alerts['added']}, "
            f"removes {alerts['removed']}; {alerts['same'] + alerts['by_other_versions']} stay"
        )
    entering = sum(summary["enters"].values())
    return told + (f"; {entering} messages would be sent late" if entering else "")


def _order(replay: Replay, live: dict[str, list[str]]) -> dict[str, Any]:
    """Give what was asked for, and the versions that differ from those of the live night."""
    names = sorted({*live, *replay.versions})
    return {
        "night": replay.night,
        "survey": replay.survey,
        "start": replay.start,
        "pins": replay.pins,
        "began": replay.began,
        "versions": {
            name: {"live": live.get(name, []), "shadow": replay.versions.get(name)}
            for name in names
            if live.get(name, []) != [replay.versions.get(name)]
        },
    }


def _check_state(live: Lake, night: str) -> None:
    present = night_state(live, night)
    if present is None or present.state not in OVER:
        state = present.state if present else "live"
        raise ConfigError(f"night {night} is {state}; only a night that is over and has alerts is made again")
