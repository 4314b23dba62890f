"""One run of the simulator: packets grouped into visits, spoiled if asked, sent in time, accounted for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fink_lib.simulator.copies import copies
from fink_lib.simulator.delivery import Delivery
from fink_lib.simulator.faults import FaultPlan, Visit, spoil
from fink_lib.simulator.pace import Clock, group_visits
from fink_lib.simulator.packets import Packet, PacketStore
from fink_lib.simulator.wire import Wire
from fink_lib.surveys import Survey

MOST_SHOWN = 10
Report = Callable[["VisitReport"], None]


@dataclass(frozen=True)
class VisitReport:
    """What is told about a visit once it was sent.

    Parameters
    ----------
    number : int
        From 1.
    time : float
        Of its first packet, in days.
    alerts : int
        Messages in it.
    rate_s : float
        Messages per second: acknowledged ones with the visit clock, else handed over.
    late_s : float
        How much after its due time it started.
    shown : tuple of str
        Values of the field asked for, each once, the first few.
    """

    number: int
    time: float
    alerts: int
    rate_s: float
    late_s: float
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What to send and how.

    Parameters
    ----------
    clock : Clock
        The pace.
    topic : str
        Topic of every message; that of each alert's night if empty.
    night : str
        Night to move alerts to, and that of packets that cannot be read; as they are if empty.
    default_night : str
        Night of packets that cannot be read when no other is given.
    per_visit, visits : int, optional
        Size of the run; by the alerts' own times, and all of it.
    copies : int
        Copies of each alert.
    first_copy : int
        Number of the first one; copy 0 is the alert itself.
    loop : bool
        Begin again, with new copies, until stopped.
    faults : FaultPlan
        What to spoil.
    seed : int
        Of the faults.
    display : tuple of str
        Path of a field to show per visit.
    wire : Wire
        The frame of the messages.
    """

    clock: Clock
    topic: str = ""
    night: str = ""
    default_night: str = ""
    per_visit: int | None = None
    visits: int | None = None
    copies: int = 1
    first_copy: int = 0
    loop: bool = False
    faults: FaultPlan = field(default_factory=lambda: FaultPlan({}))
    seed: int = 0
    display: tuple[str, ...] = ()
    wire: Wire = field(default_factory=Wire)


def run(packets: Iterable[Packet], survey: Survey, plan: Plan, delivery: Delivery, report: Report) -> bool:
    """Send packets as planned.

    Parameters
    ----------
    packets : iterable of Packet
        In order of time.
    survey : Survey
        Names the topic of a night.
    plan : Plan
        What to send and how.
    delivery : Delivery
        Where to.
    report : callable
        Called after each visit.

    Returns
    -------
    bool
        Whether every message was acknowledged.
    """
    if plan.copies == 1 and not plan.first_copy and not plan.night and not plan.loop:
        _send(packets, survey, plan, delivery, report)
        return delivery.finish()
    with PacketStore() as store:
        store.add(packets)
        if not plan.loop:
            _send(_copied(store, plan, plan.first_copy), survey, plan, delivery, report)
            return delivery.finish()
        with suppress(KeyboardInterrupt):  # the way to end a loop
            for passes in itertools.count():
                _send(_copied(store, plan, plan.first_copy + passes * plan.copies), survey, plan, delivery, report)
    return delivery.finish()


def _copied(store: Iterable[Packet], plan: Plan, first: int) -> Iterator[Packet]:
    with PacketStore() as copied:
        copied.add(copies(store, plan.copies, plan.night, first))
        yield from copied


def _send(packets: Iterable[Packet], survey: Survey, plan: Plan, delivery: Delivery, report: Report) -> None:
    visits = group_visits(packets, plan.per_visit, plan.visits)
    start_s = 0.0
    first_time: float | None = None
    before = delivery.sent
    for number, visit in enumerate(spoil(visits, plan.faults, plan.seed, plan.wire)):
        if not visit:
            continue
        when = visit[0].packet.time
        if first_time is None:
            first_time, start_s = when, time.monotonic()  # making copies took its time; nothing of it is caught up
        due_s = plan.clock.due_s(number, when - first_time, delivery.sent - before)
        delivery.wait(start_s + due_s - time.monotonic())
        begun_s = time.monotonic()
        for message in visit:
            if plan.clock.kind == "flat":
                delivery.wait(start_s + plan.clock.due_s(number, 0.0, delivery.sent - before) - time.monotonic())
            night = message.packet.night or plan.night or plan.default_night
            delivery.send(plan.topic or survey.input_topic(night), message)
        if plan.clock.kind == "visit":
            delivery.flush()
        took_s = max(time.monotonic() - begun_s, 1e-6)
        late_s = max(begun_s - start_s - due_s, 0.0)
        report(VisitReport(number + 1, when, len(visit), len(visit) / took_s, late_s, _shown(visit, plan)))


def _shown(visit: Visit, plan: Plan) -> tuple[str, ...]:
    if not plan.display:
        return ()
    shown: dict[str, None] = {}
    for message in visit:
        if message.packet.alert_id is None or message.fault not in ("", "duplicate", "late", "out-of-order"):
            continue
        value: Any = plan.wire.record(message.packet.value)
        for name in plan.display:
            value = value.get(name) if isinstance(value, dict) else None
        shown[str(value)] = None
    return tuple(shown)[:MOST_SHOWN]
