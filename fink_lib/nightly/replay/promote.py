"""promote: a replay takes the place of its night; discard: it is thrown away.

The night switches for readers with one commit, that of ``science``. Everything else follows from it and is made up for
by the next call if the process dies: ``rejected`` and ``reclassified``, the ledger, late messages and corrections (as
after a healing, of which a promotion is one kind: it has the night's next number). Until all that is done the record of
the replay says *promoting*, and no other stage works on the night. Then reconcile and the stages from compact on run
again.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib import __version__
from fink_lib.filters import load_filters
from fink_lib.lake.lake import conform
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.healing import committed_number, next_number, writer_of
from fink_lib.nightly.late import Sent, healing_lock, send_healed
from fink_lib.nightly.nights import night_state, set_state, was_archived
from fink_lib.nightly.replay.make import bring_up_to_date, live_files, read_alerts, sentence, view_dir, workshop
from fink_lib.nightly.replay.record import (
    COMPARED,
    DISCARDED,
    PROMOTED,
    PROMOTING,
    Replay,
    keep_replay,
    read_replay,
    replay_lock,
)
from fink_lib.nightly.replay.shadow import ShadowLake, shadow_of
from fink_lib.nightly.replay.switch import switch_rejected, switch_science
from fink_lib.nightly.stage import AFTER_HEALING, REPLAY, WITHDRAWN, NightContext, Verdict
from fink_lib.runtime.failpoints import failpoint

if TYPE_CHECKING:
    from fink_lib.config import Settings


AFTER_PROMOTION = ("reconcile", *AFTER_HEALING)
"""What brings the night up to date: its ledger has to close anew before anything is archived."""


def promote(context: NightContext) -> Verdict:
    """Let the replay of a night stand for it.

    Raises
    ------
    LockedError
        If somebody works on the replay, or sends corrections.
    TransientError
        If Kafka is away, or other writers keep committing; the same call goes on.
    """
    settings, survey, night = context.settings, context.survey.name, context.night
    with replay_lock(settings, survey, night), healing_lock(context):
        replay = read_replay(settings, survey, night)
        if replay is not None and replay.state == PROMOTED:
            return Verdict(True, f"the replay of night {night} is promoted", _details(replay), then=_then(context))
        if replay is None or replay.state not in (COMPARED, PROMOTING):
            state = replay.state if replay else "not there"
            return Verdict(False, f"the replay of night {night} is {state}; make one first: fink replay {night}")
        filters = load_filters(context.survey, home=settings.home)
        sent = Sent()
        shadow = shadow_of(context.lake, night, replay.name)
        if replay.state == COMPARED:
            if committed_number(context.lake, night) != replay.base:
                text = f"night {night} was healed since its replay was made; make it again: fink replay {night}"
                return Verdict(False, text)
            sent = send_healed(context, filters, replay.base)  # what an interrupted healing still owes
            replay = _decided(context, replay)
        _switch(context, replay, shadow)
        failpoint(settings, survey, REPLAY, "promote_before_sent")
        sent += send_healed(context, filters, replay.number)
        failpoint(settings, survey, REPLAY, "promote_before_end")
        replay = keep_replay(settings, replay, state=PROMOTED)
        _clear(settings, replay, shadow)
    words = f"the replay of night {night} stands for it now: generation {replay.number}"
    if sent.late or sent.corrections:
        words += f"; {sent.late} messages sent late, {sent.corrections} corrections"
    return Verdict(True, words, _details(replay, sent), then=_then(context))


def discard(context: NightContext) -> Verdict:
    """Throw the replay of a night away; the live night was never touched."""
    settings, survey, night = context.settings, context.survey.name, context.night
    with replay_lock(settings, survey, night):
        replay = read_replay(settings, survey, night)
        if replay is None or replay.state in (PROMOTED, DISCARDED):
            return Verdict(True, f"night {night} has no replay to discard")
        if replay.state == PROMOTING and committed_number(context.lake, night) >= replay.number:
            return Verdict(False, f"night {night} is switched already; finish it: fink replay promote {night}")
        _open_again(context, replay)
        keep_replay(settings, replay, state=DISCARDED)
        _clear(settings, replay, shadow_of(context.lake, night, replay.name))
    return Verdict(True, f"the replay of night {night} is discarded; the night is as it was")


def _decided(context: NightContext, replay: Replay) -> Replay:
    """Write down what will change, and that it will."""
    settings, lake, night = context.settings, context.lake, context.night
    if live_files(lake, night) != replay.content["live_files"]["digest"]:
        context.progress(f"replay: night {night} has changed since the comparison; comparing again")
        shop = workshop(settings, replay)
        if shop.runner.versions() == replay.versions:
            replay, difference = bring_up_to_date(shop, replay, context.progress)
            context.progress(sentence(night, difference.summary))
    writer = writer_of(lake, night)
    number = next_number(lake, night)
    healed = _healed(context, read_alerts(settings, replay), number)
    lake.append("healed", healed, writer, number)
    present = night_state(lake, night)
    if present is not None and present.state in ("archived", "held", "failed"):
        set_state(lake, night, "closed", REPLAY, _reason(replay), context.now)
    failpoint(settings, replay.survey, REPLAY, "promote_before_record")
    return keep_replay(settings, replay, state=PROMOTING, number=number)


def _reason(replay: Replay) -> str:
    return f"replay {replay.name} takes the night's place; the archive follows"


def _open_again(context: NightContext, replay: Replay) -> None:
    """Give the night the state back that a promotion which ended here has taken from it."""
    rows = context.lake.read("nights", [context.night]).sort_by("time").to_pylist()
    if len(rows) > 1 and (rows[-1]["state"], rows[-1]["reason"]) == ("closed", _reason(replay)):
        before = rows[-2]
        set_state(
            context.lake, context.night, before["state"], before["stage"], before["reason"], context.now, before["by"]
        )


def _switch(context: NightContext, replay: Replay, shadow: ShadowLake) -> None:
    """Let the shadow's tables stand for the live ones; each step may be repeated."""
    settings, lake, night = context.settings, context.lake, context.night

    def point(name: str) -> None:
        failpoint(settings, replay.survey, REPLAY, name)

    point("promote_before_switch")
    switched = switch_science(shadow, (writer_of(lake, night), replay.number), lambda: point("promote_in_switch"))
    point("promote_after_switch")
    switch_rejected(shadow)
    point("promote_after_rejected")
    lake.replace_night("reclassified", night, shadow.read("reclassified", [night]))
    _enter(context, replay, shadow)
    if switched:
        context.progress(f"replay: night {night} is switched; readers see generation {replay.number}")


def _healed(context: NightContext, alerts: pa.Table, number: int) -> pa.Table:
    """Give the rows of table ``healed``: which alerts change, by whom, and what they enter."""
    what = alerts.column("what")
    gone = pc.equal(what, "removed")
    modules = [
        [WITHDRAWN] if away else names
        for away, names in zip(gone.to_pylist(), alerts.column("modules").to_pylist(), strict=True)
    ]
    size = alerts.num_rows
    table = pa.table(
        {
            "alert_id": alerts.column("alert_id"),
            "number": pa.array([number] * size, pa.int64()),
            "modules": pa.array(modules, pa.list_(pa.string())),
            "enters": alerts.column("enters"),
            "time": pa.array([context.now] * size, context.lake.schema("healed").field("time").type),
            PARTITION: pa.array([context.night] * size, pa.string()),
        }
    )
    return conform(table, context.lake.schema("healed"))


def _enter(context: NightContext, replay: Replay, shadow: ShadowLake) -> None:
    """Enter the promotion into the ledger: ``received`` are alerts that the filters had never seen."""
    lake, night = context.lake, context.night
    what = read_alerts(context.settings, replay).column("what")
    rejected = shadow.read("rejected", [night], ["reason"]).column("reason")
    duplicates = pc.sum(pc.equal(rejected, "duplicate")).as_py() or 0
    row: dict[str, Any] = {
        "stage": REPLAY,
        "batch": f"{REPLAY}-{night}-{replay.number}",
        "generation": replay.number,
        "batch_id": 0,
        "received": pc.sum(pc.equal(what, "added")).as_py() or 0,
        "produced": shadow.count("science", night),
        "rejected": len(rejected) - duplicates,
        "duplicates": duplicates,
        "sent": 0,
        "details": json.dumps({"start": replay.start, "pins": replay.pins, "versions": replay.versions}),
        "seconds": 0.0,
        "finished": context.now,
        "code_version": __version__,
        PARTITION: night,
    }
    table = pa.Table.from_pylist([row], schema=lake.schema("ledger"))
    lake.append("ledger", table, f"{replay.survey}.{REPLAY}.{night}", replay.number)


def _then(context: NightContext) -> tuple[str, ...]:
    """Give the stages that have to follow: a night that was archived or stopped is brought up to date."""
    present = night_state(context.lake, context.night)
    if present is None:
        return ()
    waits = present.state == "closed" and present.stage == REPLAY
    broke = present.state == "failed" and present.stage in AFTER_HEALING and was_archived(context.lake, context.night)
    return AFTER_PROMOTION if waits or broke else ()


def _clear(settings: Settings, replay: Replay, shadow: ShadowLake) -> None:
    """Remove what a replay needed."""
    shadow.discard()
    shutil.rmtree(view_dir(settings, replay.survey, replay.night), ignore_errors=True)


def _details(replay: Replay, sent: Sent | None = None) -> dict[str, Any]:
    told = sent or Sent()
    return {
        "generation": replay.number,
        "start": replay.start,
        "pins": replay.pins,
        "late": told.late,
        "corrections": told.corrections,
    }
