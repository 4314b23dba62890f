"""heal: alerts of a closed night that could not be computed in full are computed further, and users are told.

1. What an interrupted healing of the night still has to send is sent.
2. Rows that wait for a module that answers now are changed, in one commit.
3. Alerts that enter a filter only now are sent once, marked late; new values of alerts that were sent go out as
   corrections.
4. An archived night is taken back to ``closed``, and the stages from compact on run again.

Each step may be repeated. A night in which nothing can be healed is left as it is.
"""

from __future__ import annotations

from collections import Counter

from fink_lib.filters import load_filters
from fink_lib.nightly.healing import Merged, committed_number, merge_night
from fink_lib.nightly.late import Sent, healing_lock, send_healed
from fink_lib.nightly.nights import list_states, night_state, set_state, was_archived
from fink_lib.nightly.stage import AFTER_HEALING, HEAL, NightContext, Verdict, may_heal
from fink_lib.runtime.failpoints import failpoint
from fink_lib.science import build_runner
from fink_lib.science.healing import Healer


def heal(context: NightContext) -> Verdict:
    """Heal a night.

    Raises
    ------
    LockedError
        If another night is being healed: there is one producer for corrections.
    TransientError
        If Kafka is away; what was merged stays, and the same call sends what is left.
    """
    settings, lake, night = context.settings, context.lake, context.night
    patient = settings.model_copy(update={"services": settings.services.for_healing})
    filters = load_filters(context.survey, home=settings.home)
    with healing_lock(context):
        sent = send_healed(context, filters, committed_number(lake, night))
        healer = Healer(build_runner(context.survey, patient))
        merged = merge_night(context, healer, filters, lambda: _reopen(context))
        failpoint(settings, context.survey.name, HEAL, "heal_after_merge")
        if merged.number:
            sent += send_healed(context, filters, merged.number)
    details = {
        "number": merged.number,
        "waited": merged.waiting,
        "healed": merged.healed,
        "modules": dict(sorted(merged.answered.items())),
        "waiting": _waiting(merged),
        "late": sent.late,
        "corrections": sent.corrections,
    }
    present = night_state(lake, night)
    reopened = present is not None and (
        (present.state == "closed" and present.stage == HEAL)
        or (present.state == "failed" and present.stage in AFTER_HEALING and was_archived(lake, night))
    )
    return Verdict(True, _sentence(night, merged, sent), details, then=AFTER_HEALING if reopened else ())


def healable(context: NightContext) -> Verdict:
    """List the last nights, up to the one given, that may be healed; oldest first."""
    context.lake.ensure()
    number = context.settings.nightly.heal_nights
    states = list_states(context.lake)
    nights = [night for night, state in sorted(states.items()) if night <= context.night and may_heal(state)][-number:]
    return Verdict(True, f"{len(nights)} nights may be healed: {', '.join(nights) or 'none'}", {"nights": nights})


def _reopen(context: NightContext) -> None:
    """Say that what the archive holds of the night will not be what the lake holds."""
    present = night_state(context.lake, context.night)
    if present is not None and present.state == "archived":
        reason = "alerts are being healed; the archive follows"
        set_state(context.lake, context.night, "closed", HEAL, reason, context.now)


def _waiting(merged: Merged) -> dict[str, int]:
    """Count what is still waited for, by module."""
    left = Counter(merged.awaited)
    left.subtract(merged.answered)
    return dict(sorted((+left).items()))


def _sentence(night: str, merged: Merged, sent: Sent) -> str:
    if not merged.waiting:
        told = f"no alert of night {night} waits for anything"
    else:
        told = f"{merged.healed} of {merged.waiting} alerts of night {night} that waited are healed"
        if merged.answered:
            told += f" ({_words(dict(merged.answered))})"
        if left := _waiting(merged):
            told += f"; still waited for: {_words(left)}"
    if sent.late or sent.corrections:
        told += f"; {sent.late} messages sent late, {sent.corrections} corrections"
    return told


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
