"""Annotations: what annotators say about objects, in the shape that Lasair gave them.

A topic is one annotator, and belongs to whoever wrote in it first. The latest annotation of (topic, object) counts; the
earlier ones stay as its history. The topic ``community`` is everybody's: there the latest of (person, object) counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from fink_lib.community import fields
from fink_lib.community.refusals import RefusedError, refuse_argument
from fink_lib.community.store import Row, Store, Transaction, text_of

COMMUNITY = "community"
MOST_AT_ONCE = 1000
MOST_CLASSDICT = 20_000
FIELDS = ("topic", "objectId", "classification", "version", "explanation", "classdict", "url", "source", "citation")
"""What a client sends; everything else in an object is ignored, as Lasair's clients expect."""


class Writer(Protocol):
    """Who writes."""

    @property
    def owner(self) -> str:
        """Name of the person."""

    @property
    def token(self) -> str:
        """Public part of the token."""

    def may_change(self, owner: str) -> bool:
        """Tell whether what somebody owns may be changed."""

    def insist(self, owner: str, what: str) -> None:
        """Refuse if it may not."""


@dataclass(frozen=True)
class Annotation:
    """One annotation as it is kept.

    Parameters
    ----------
    topic, object_id, classification, version, explanation, url : str
        As Lasair has them.
    classdict : dict
        Anything that the annotator wants to say in numbers: scores by class.
    source : str
        Who or what says so: a program, a telescope, a person.
    citation : str
        What to cite: a DOI, a bibcode, a report.
    """

    topic: str
    object_id: str
    classification: str
    version: str
    explanation: str
    classdict: dict[str, Any]
    url: str
    source: str
    citation: str


def read_annotations(body: Any, survey: str = "ztf") -> list[Annotation]:
    """Read a body: one annotation, or a list of them.

    Raises
    ------
    RefusedError
        For the first value that cannot be used; of a list, none is taken then.
    """
    items = body if isinstance(body, list) else [body]
    if not items:
        raise refuse_argument("body", "must hold at least one annotation")
    if len(items) > MOST_AT_ONCE:
        raise RefusedError("too-large", f"a request must not hold more than {MOST_AT_ONCE} annotations")
    return [_read(fields.read_fields("annotation", item), survey) for item in items]


def _read(raw: Mapping[str, Any], survey: str) -> Annotation:
    return Annotation(
        topic=fields.read_name("topic", raw.get("topic")),
        object_id=fields.read_object_id("objectId", raw.get("objectId"), survey),
        classification=fields.read_text("classification", raw.get("classification"), 80, required=True),
        version=fields.read_text("version", raw.get("version"), 80, default="0.1"),
        explanation=fields.read_text("explanation", raw.get("explanation"), 10_000),
        classdict=fields.read_object("classdict", raw.get("classdict"), MOST_CLASSDICT),
        url=fields.read_url("url", raw.get("url")),
        source=fields.read_text("source", raw.get("source"), 200),
        citation=fields.read_text("citation", raw.get("citation"), 300),
    )


def add_annotations(
    store: Store, annotations: Sequence[Annotation], writer: Writer, now: datetime, survey: str = "ztf"
) -> int:
    """Keep annotations: all of them, or none. What says exactly what its topic said last is not kept again.

    Parameters
    ----------
    store : Store
        Keeps them.
    annotations : sequence of Annotation
        What is said.
    writer : Writer
        Who says it.
    now : datetime
        The present time.
    survey : str
        Whose objects.

    Returns
    -------
    int
        How many are new.

    Raises
    ------
    RefusedError
        If a topic belongs to somebody else.
    """
    new = 0
    with store.transaction() as change:
        for topic in sorted({one.topic for one in annotations} - {COMMUNITY}):
            _claim(change, survey, topic, writer, now)
        for one in annotations:
            row = _columns(one, survey, writer)
            query = (
                "SELECT * FROM annotations WHERE survey = ? AND object_id = ? AND topic = ? "
                "AND (topic <> ? OR owner = ?) ORDER BY id DESC LIMIT 1"
            )
            last = change.row(query, survey, one.object_id, one.topic, COMMUNITY, writer.owner)
            if last is not None and all(last[name] == row[name] for name in row if name != "token"):
                continue
            change.add("annotations", **row, created=text_of(now))
            new += 1
    return new


def list_annotations(
    store: Store,
    survey: str = "ztf",
    objects: Sequence[str] = (),
    topic: str = "",
    history: bool = False,
    most: int = 10_000,
    offset: int = 0,
) -> list[dict[str, Any]]:
    """Give annotations, the newest first.

    Parameters
    ----------
    store : Store
        Keeps them.
    survey : str
        Whose objects.
    objects : sequence of str
        Of these objects; of all without.
    topic : str
        Of this annotator; of all without.
    history : bool
        The superseded ones too; each says whether it is the latest.
    most, offset : int
        How many, and how many to leave out before.
    """
    where, values = ["survey = ?"], [survey]
    if objects:
        where.append("object_id IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(list(objects)))
    if topic:
        where.append("topic = ?")
        values.append(topic)
    chosen = f"SELECT * FROM annotations WHERE {' AND '.join(where)}"
    ranked = (
        "SELECT *, ROW_NUMBER() OVER (PARTITION BY object_id, topic, "
        f"CASE topic WHEN '{COMMUNITY}' THEN owner END ORDER BY id DESC) = 1 AS latest FROM ({chosen})"
    )
    only = "" if history else "WHERE latest"
    query = f"SELECT * FROM ({ranked}) {only} ORDER BY id DESC LIMIT ? OFFSET ?"
    return [_told(row) for row in store.rows(query, *values, most, offset)]


def votes(store: Store, object_id: str, survey: str = "ztf") -> list[dict[str, Any]]:
    """Give the latest annotations of one object in the order of time, for :func:`find_consensus`."""
    return list_annotations(store, survey, [object_id])[::-1]


def _claim(change: Transaction, survey: str, topic: str, writer: Writer, now: datetime) -> None:
    row = change.row("SELECT owner FROM annotators WHERE survey = ? AND topic = ?", survey, topic)
    if row is None:
        change.add("annotators", survey=survey, topic=topic, owner=writer.owner, created=text_of(now))
    else:
        writer.insist(row["owner"], f"the topic {topic}")


def _columns(one: Annotation, survey: str, writer: Writer) -> dict[str, str]:
    return {
        "survey": survey,
        "topic": one.topic,
        "object_id": one.object_id,
        "classification": one.classification,
        "version": one.version,
        "explanation": one.explanation,
        "classdict": json.dumps(one.classdict, sort_keys=True),
        "url": one.url,
        "source": one.source,
        "citation": one.citation,
        "owner": writer.owner,
        "token": writer.token,
    }


def _told(row: Row) -> dict[str, Any]:
    return {
        "annotationID": row["id"],
        "topic": row["topic"],
        "objectId": row["object_id"],
        "classification": row["classification"],
        "version": row["version"],
        "explanation": row["explanation"],
        "classdict": json.loads(row["classdict"]),
        "url": row["url"],
        "source": row["source"],
        "citation": row["citation"],
        "owner": row["owner"],
        "timestamp": row["created"],
        "latest": bool(row["latest"]),
    }
