"""Watchlists: places that somebody wants to hear of. Each change is a new version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from fink_lib.community import fields
from fink_lib.community.annotations import Writer
from fink_lib.community.drafts import VISIBILITIES
from fink_lib.community.refusals import RefusedError, refuse_argument
from fink_lib.community.store import Row, Store, Transaction, text_of
from fink_lib.filters import FilterError, check_predicate
from fink_lib.filters.files import documented_columns
from fink_lib.filters.grammar import MAX_CHARACTERS
from fink_lib.filters.places import Cone, Places, region_of
from fink_lib.surveys.base import Survey

MOST_PLACES = 10_000
MOST_CELLS = 50_000
MOST_RADIUS_ARCSEC = 18_000.0
MOST_WATCHLISTS = 100
"""Watchlists of one owner that are not deleted."""


@dataclass(frozen=True)
class Watchlist:
    """One version of one watchlist.

    Parameters
    ----------
    id, version : int
        Which.
    survey, owner : str
        Whose alerts, whose list.
    name, description, visibility : str
        As its owner says.
    places : Places
        What is watched.
    created : str
        When this version was (ISO, UTC).
    """

    id: int
    version: int
    survey: str
    owner: str
    name: str
    description: str
    visibility: str
    places: Places
    created: str


@dataclass(frozen=True)
class Wanted:
    """What a client asks for, checked."""

    name: str
    description: str
    visibility: str
    places: Places


def read_wanted(raw: Mapping[str, Any], survey: str = "ztf") -> Wanted:
    """Read a watchlist: ``cones``, ``objects``, ``moc``, any of them.

    Raises
    ------
    RefusedError
        For the first value that cannot be used.
    """
    visibility = fields.read_text("visibility", raw.get("visibility"), 20, default="private")
    if visibility not in VISIBILITIES:
        raise refuse_argument("visibility", f"must be one of {', '.join(VISIBILITIES)}")
    cones = tuple(_cone(number, one) for number, one in enumerate(_list(raw, "cones"), start=1))
    names = tuple(dict.fromkeys(fields.read_object_id("objects", one, survey) for one in _list(raw, "objects")))
    if len(cones) + len(names) > MOST_PLACES:
        raise RefusedError("too-large", f"a watchlist holds up to {MOST_PLACES} cones and objects", "cones")
    region = _region(raw.get("moc"))
    if not (cones or names or region):
        raise refuse_argument("cones", "or `objects` or `moc` must hold something to watch")
    return Wanted(
        fields.read_text("name", raw.get("name"), 120, required=True),
        fields.read_text("description", raw.get("description"), 2000),
        visibility,
        Places(cones, names, region),
    )


def create(store: Store, wanted: Wanted, writer: Writer, now: datetime, survey: str = "ztf") -> Watchlist:
    """Keep a new watchlist.

    Raises
    ------
    RefusedError
        If the owner has too many.
    """
    with store.transaction() as change:
        count = change.row("SELECT COUNT(*) AS n FROM watchlists WHERE owner = ? AND deleted IS NULL", writer.owner)
        if count is not None and count["n"] >= MOST_WATCHLISTS:
            raise RefusedError("conflict", f"you have {MOST_WATCHLISTS} watchlists; delete one first")
        number = change.add("watchlists", survey=survey, owner=writer.owner, created=text_of(now))
        _add(change, number, 1, wanted, writer, now)
    return find(store, number, writer)


def change(store: Store, number: int, wanted: Wanted, writer: Writer, now: datetime) -> Watchlist:
    """Keep the next version of a watchlist.

    Raises
    ------
    RefusedError
        If there is none, or it belongs to somebody else.
    """
    writer.insist(find(store, number, writer).owner, f"watchlist {number}")
    with store.transaction() as step:
        last = step.row("SELECT MAX(version) AS n FROM watchlist_versions WHERE watchlist = ?", number)
        _add(step, number, 1 + (last["n"] if last else 0), wanted, writer, now)
    return find(store, number, writer)


def delete(store: Store, number: int, writer: Writer, now: datetime) -> None:
    """Take a watchlist away; its versions stay in the store.

    Raises
    ------
    RefusedError
        If there is none, or it belongs to somebody else.
    """
    writer.insist(find(store, number, writer).owner, f"watchlist {number}")
    with store.transaction() as step:
        step.run("UPDATE watchlists SET deleted = ? WHERE id = ?", text_of(now), number)


def find(store: Store, number: int, reader: Writer | None) -> Watchlist:
    """Give the latest version of a watchlist.

    Raises
    ------
    RefusedError
        If there is none, or the reader may not see it: the two are not told apart.
    """
    row = store.row(f"{_LATEST} AND w.id = ?", number)
    if row is None or not _sees(reader, row):
        raise RefusedError("not-found", f"no watchlist {number} is there, or it is not yours to see", "id")
    return _watchlist(row)


def visible(store: Store, reader: Writer | None, survey: str = "ztf") -> list[Watchlist]:
    """Give the latest version of each watchlist that somebody may see, the newest first."""
    rows = store.rows(f"{_LATEST} AND w.survey = ? ORDER BY w.id DESC", survey)
    return [_watchlist(row) for row in rows if _sees(reader, row)]


_LATEST = """
SELECT w.id, w.survey, w.owner AS of, v.* FROM watchlists w JOIN watchlist_versions v ON v.watchlist = w.id
WHERE w.deleted IS NULL AND v.version = (SELECT MAX(version) FROM watchlist_versions WHERE watchlist = w.id)
"""


def predicate_of(watchlist: Watchlist, survey: Survey) -> str:
    """Give the condition of a filter that takes what a watchlist watches; empty if it is too much for a filter."""
    text = watchlist.places.predicate()
    if not text or len(text) > MAX_CHARACTERS:
        return ""
    try:
        check_predicate(text, documented_columns(survey))
    except FilterError:
        return ""
    return text


def _sees(reader: Writer | None, row: Row) -> bool:
    return row["visibility"] == "public" or (reader is not None and reader.may_change(row["of"]))


def _add(change: Transaction, number: int, version: int, wanted: Wanted, writer: Writer, now: datetime) -> None:
    change.add(
        "watchlist_versions", watchlist=number, version=version, name=wanted.name, description=wanted.description,
        visibility=wanted.visibility, content=json.dumps(asdict(wanted.places)), owner=writer.owner,
        token=writer.token, created=text_of(now),
    )  # fmt: skip


def _watchlist(row: Row) -> Watchlist:
    content = json.loads(row["content"])
    places = Places(
        tuple(Cone(**cone) for cone in content["cones"]),
        tuple(content["objects"]),
        tuple((begin, end) for begin, end in content["region"]),
    )
    return Watchlist(
        row["id"], row["version"], row["survey"], row["of"], row["name"], row["description"], row["visibility"],
        places, row["created"],
    )  # fmt: skip


def _list(raw: Mapping[str, Any], name: str) -> list[Any]:
    value = raw.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise refuse_argument(name, "must be a list")
    if len(value) > MOST_PLACES:
        raise RefusedError("too-large", f"`{name}` must not hold more than {MOST_PLACES} values", name)
    return value


def _cone(number: int, raw: Any) -> Cone:
    one = fields.read_fields("cones", raw)
    return Cone(
        fields.read_text("cones.name", one.get("name"), 80) or f"cone {number}",
        fields.read_number("cones.ra", one.get("ra"), 0, 360),
        fields.read_number("cones.dec", one.get("dec"), -90, 90),
        fields.read_number("cones.radius", one.get("radius"), 0.01, MOST_RADIUS_ARCSEC),
    )


def _region(raw: Any) -> tuple[tuple[int, int], ...]:
    if raw is None or raw == "" or raw == {}:
        return ()
    if not isinstance(raw, str | dict):
        raise refuse_argument("moc", "must be a text or an object of orders and cells")
    try:
        return region_of(raw, MOST_CELLS)
    except ValueError as error:
        raise refuse_argument("moc", f"is no coverage map: {error}") from None
