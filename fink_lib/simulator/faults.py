"""Spoil a stream on purpose, so that what the broker does about it can be tested.

Each message gets at most one fault, drawn from a seeded generator.

==================  ==========================================================================================
kind                what happens
==================  ==========================================================================================
``duplicate``       the message is sent once more
``truncated``       its end is missing
``garbage``         random bytes instead
``empty``           no bytes
``unknown-schema``  the record behind an id that no registry knows
``schema-bump``     a newer packet version with fields that nobody knows yet; still a good alert
``missing-id``      the alert has no ``candid``
``nan-position``    the alert's ``ra`` is not a number
``out-of-order``    sent one visit later
``late``            sent after the last visit
``oversize``        padded to 20 MB
==================  ==========================================================================================

``burst:xN`` is no fault of a message: N visits come at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fink_lib.avro.messages import CONFLUENT_HEADER
from fink_lib.errors import ConfigError
from fink_lib.simulator.packets import Packet
from fink_lib.simulator.rewrite import datum_of, rewrite
from fink_lib.simulator.wire import Wire

KINDS = (
    "duplicate",
    "truncated",
    "garbage",
    "empty",
    "unknown-schema",
    "schema-bump",
    "missing-id",
    "nan-position",
    "out-of-order",
    "late",
    "oversize",
)
PLAIN = Wire()
UNREADABLE = "unreadable"
"""Marks a packet whose file was bad to begin with."""

UNKNOWN_SCHEMA_ID = 999_999
BUMPED_VERSION = "99.01"
OVERSIZE_BYTES = 20_000_000


@dataclass(frozen=True)
class FaultPlan:
    """Which faults, and how often.

    Parameters
    ----------
    fractions : mapping
        Kind to the share of messages that get it.
    burst : int
        Visits that come at once.
    """

    fractions: Mapping[str, float]
    burst: int = 1


@dataclass(frozen=True)
class Outgoing:
    """A message on its way, and the fault that it was given (empty if none)."""

    packet: Packet
    fault: str = ""


Visit = list[Outgoing]


def parse_faults(text: str) -> FaultPlan:
    """Read ``KIND:FRACTION[,KIND:FRACTION…]``.

    Raises
    ------
    ConfigError
        If a kind is not known or a fraction is none.
    """
    fractions: dict[str, float] = {}
    burst = 1
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, _, amount = item.partition(":")
        try:
            if kind == "burst":
                burst = int(amount.removeprefix("x"))
                if burst < 1:
                    raise ValueError(amount)
                continue
            fractions[kind] = float(amount)
        except ValueError:
            raise ConfigError(f"fault {item!r} is wrong; write KIND:FRACTION, or burst:xN") from None
        if kind not in KINDS or not 0.0 <= fractions[kind] <= 1.0:
            raise ConfigError(f"fault {item!r} is wrong; kinds are {', '.join(KINDS)}, fractions 0 to 1")
    if sum(fractions.values()) > 1.0:
        raise ConfigError("the fractions of all faults add up to more than 1; a message gets one fault at most")
    return FaultPlan(fractions, burst)


def spoil(visits: Iterable[list[Packet]], plan: FaultPlan, seed: int, wire: Wire = PLAIN) -> Iterator[Visit]:
    """Give the visits as they go out, with faults; the same packets, plan, seed and wire give the same bytes."""
    rng = np.random.Generator(np.random.PCG64(seed))
    next_visit: Visit = []
    at_the_end: Visit = []
    for packets in _bursts(visits, plan.burst):
        now: Visit = []
        delayed, next_visit = next_visit, []
        for packet in packets:
            if packet.alert_id is None:
                now.append(Outgoing(packet, UNREADABLE))
                continue
            match _draw(plan, rng):
                case "out-of-order":
                    next_visit.append(Outgoing(_framed(packet, wire), "out-of-order"))
                case "late":
                    at_the_end.append(Outgoing(_framed(packet, wire), "late"))
                case "duplicate":
                    framed = _framed(packet, wire)
                    now += (Outgoing(framed), Outgoing(framed, "duplicate"))
                case kind:
                    now.append(Outgoing(_spoiled(packet, kind, rng, wire), kind))
        yield now + delayed
    if next_visit or at_the_end:
        yield next_visit + at_the_end


def _bursts(visits: Iterable[list[Packet]], burst: int) -> Iterator[list[Packet]]:
    together: list[Packet] = []
    for number, visit in enumerate(visits, start=1):
        together += visit
        if number % burst == 0:
            yield together
            together = []
    if together:
        yield together


def _draw(plan: FaultPlan, rng: np.random.Generator) -> str:
    draw = rng.random()
    for kind, fraction in plan.fractions.items():
        if draw < fraction:
            return kind
        draw -= fraction
    return ""


def _framed(packet: Packet, wire: Wire) -> Packet:
    return replace(packet, value=wire.frame(packet.value))


def _spoiled(packet: Packet, kind: str, rng: np.random.Generator, wire: Wire) -> Packet:
    value = packet.value
    match kind:
        case "":
            value = wire.frame(value)
        case "truncated":
            value = wire.frame(value)
            value = value[: int(rng.integers(1, len(value)))]
        case "garbage":
            value = rng.bytes(int(rng.integers(1, 4096)))
        case "empty":
            value = b""
        case "unknown-schema":
            value = CONFLUENT_HEADER.pack(0, UNKNOWN_SCHEMA_ID) + datum_of(value)
        case "schema-bump":
            value = rewrite(value, _bump, _bump_schema)  # without its schema nobody could read it: a container always
        case "missing-id":
            value = rewrite(value, _drop_id, _allow_no_id)  # no schema without it would take it: a container always
        case "nan-position":
            value = wire.frame(rewrite(value, _lose_position))
        case "oversize":
            value = wire.frame(value)
            value += bytes(OVERSIZE_BYTES - len(value))
    return replace(packet, value=value)


def _bump(record: dict[str, Any]) -> None:
    record["schemavsn"] = BUMPED_VERSION
    record["simulated"] = "a field of tomorrow"


def _bump_schema(schema: dict[str, Any]) -> None:
    schema["fields"].insert(0, {"name": "simulated", "type": ["null", "string"], "default": None})
    if not any(field["name"] == "schemavsn" for field in schema["fields"]):
        schema["fields"].append({"name": "schemavsn", "type": "string"})


def _drop_id(record: dict[str, Any]) -> None:
    record["candid"] = None


def _allow_no_id(schema: dict[str, Any]) -> None:
    for field in schema["fields"]:
        if field["name"] == "candid":
            field["type"] = ["null", "long"]


def _lose_position(record: dict[str, Any]) -> None:
    record["candidate"]["ra"] = math.nan
