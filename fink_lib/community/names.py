"""Names and comments that people give to objects: what clients know as the table ``ztf.metadata``.

The first who names an object owns its entry; each change is a new row, and the latest counts.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from fink_lib.community import fields
from fink_lib.community.annotations import Writer
from fink_lib.community.refusals import RefusedError, refuse_argument
from fink_lib.community.store import Row, Store, text_of

_LATEST = "SELECT * FROM metadata WHERE id IN (SELECT MAX(id) FROM metadata GROUP BY object_id)"


@dataclass(frozen=True)
class Naming:
    """What is said of an object.

    Parameters
    ----------
    object_id : str
        Its name in the survey.
    internal_name : str
        The name that people give it, and `internal_name_encoded` the same without blanks, as in addresses.
    username : str
        As the person wants to be thanked.
    comments : str
        Anything else.
    """

    object_id: str
    internal_name: str
    internal_name_encoded: str
    username: str
    comments: str


def read_naming(object_id: Any, internal_name: Any, username: Any, comments: Any) -> Naming:
    """Read what a client sent.

    Raises
    ------
    RefusedError
        For the first value that cannot be used.
    """
    shown = " ".join(fields.read_text("internal_name", internal_name, 80, required=True).split())
    if re.search(r"[/\\?#%<>\"'&]", shown):
        raise refuse_argument("internal_name", "must not hold / \\ ? # % < > & or quotes")
    return Naming(
        object_id=fields.read_object_id("objectId", object_id),
        internal_name=shown,
        internal_name_encoded=shown.replace(" ", ""),
        username=fields.read_text("username", username, 80, required=True),
        comments=fields.read_text("comments", comments, 5000),
    )


def keep_naming(store: Store, naming: Naming, writer: Writer, now: datetime) -> None:
    """Keep a name.

    Raises
    ------
    RefusedError
        If the entry of the object belongs to somebody else, or another object has the name.
    """
    with store.transaction() as change:
        first = change.row("SELECT owner FROM metadata WHERE object_id = ? ORDER BY id LIMIT 1", naming.object_id)
        if first is not None:
            writer.insist(first["owner"], f"the entry of {naming.object_id}")
        other = change.row(
            f"SELECT object_id FROM ({_LATEST}) WHERE internal_name_encoded = ? AND object_id <> ?",
            naming.internal_name_encoded,
            naming.object_id,
        )
        if other is not None:
            raise RefusedError(
                "conflict", f"{other['object_id']} has the name {naming.internal_name} already", "internal_name"
            )
        change.add("metadata", **asdict(naming), owner=writer.owner, token=writer.token, created=text_of(now))


def find_namings(
    store: Store, object_id: str = "", internal_name: str = "", internal_name_encoded: str = "", history: bool = False
) -> list[dict[str, Any]]:
    """Give names, by object, by name, or by the name without blanks; all with nothing given.

    Parameters
    ----------
    store : Store
        Keeps them.
    object_id, internal_name, internal_name_encoded : str
        What to look for; empty for anything.
    history : bool
        What was said earlier too, the newest first.
    """
    where, values = ["1"], []
    for column, value in (
        ("object_id", object_id),
        ("internal_name", internal_name),
        ("internal_name_encoded", internal_name_encoded),
    ):
        if value:
            where.append(f"{column} = ?")
            values.append(value)
    source = "metadata" if history else f"({_LATEST})"
    query = f"SELECT * FROM {source} WHERE {' AND '.join(where)} ORDER BY object_id, id DESC LIMIT 10000"
    return [_told(row, history) for row in store.rows(query, *values)]


def portal_url(base: str, naming: Naming) -> str:
    """Give the address of an object's page under the name that it was given."""
    return f"{base.rstrip('/')}/{quote(naming.internal_name_encoded, safe='')}"


def _told(row: Row, history: bool) -> dict[str, Any]:
    names = ("internal_name", "internal_name_encoded", "comments", "username")
    told = {"i:objectId": row["object_id"], **{f"d:{name}": row[name] for name in names}}
    return {**told, "d:owner": row["owner"], "d:timestamp": row["created"]} if history else told
