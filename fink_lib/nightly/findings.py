"""What is wrong with a night's ledger, down to the rows: the stage, the batches, the ids, the places in Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from fink_lib.lake import Lake

Place = tuple[str, int, int]
"""Topic, partition, offset."""

LISTED = 100
"""Places and ids that a finding lists; its count says how many there are."""

NAMED = 3
BATCHES = {
    "raw": ("ingest", "batch"),
    "science": ("process", "batch"),
    "rejected": ("batch",),
    "quarantine": ("batch",),
    "sent": ("batch",),
}
"""Where each table says which batch has written a row."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Parameters
    ----------
    text : str
        A sentence.
    count : int
        How many rows or messages it is about.
    tables : tuple of str
        Tables whose rows it is about; empty for messages that no table has.
    places : tuple of (str, int, int)
        Where in Kafka they are, or came from (the first few).
    ids : tuple of int
        The alerts, as far as they are known (the first few).
    batches : tuple of str
        The batches that wrote the rows, or read the messages.
    """

    text: str
    count: int
    tables: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    ids: tuple[int, ...] = ()
    batches: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The sentence with the batches."""
        if not self.batches:
            return self.text
        more = f" and {len(self.batches) - NAMED} more" if len(self.batches) > NAMED else ""
        word = "batch" if len(self.batches) == 1 else "batches"
        return f"{self.text} ({word} {', '.join(self.batches[:NAMED])}{more})"

    def to_json(self, stage: str) -> dict[str, Any]:
        """Give everything, JSON-able."""
        return {
            "stage": stage,
            "what": self.sentence,
            "count": self.count,
            "batches": list(self.batches),
            "ids": list(self.ids),
            "places": [f"{topic}[{partition}] {offset}" for topic, partition, offset in self.places],
        }


def about_rows(text: str, rows: pa.Table, *tables: str) -> Finding:
    """Make a finding of rows with a place and, if they have it, an ``alert_id``."""
    order = rows.sort_by([(name, "ascending") for name in ("topic", "partition", "offset")]).slice(0, LISTED)
    some = order.to_pylist()
    places = tuple((row["topic"], row["partition"], row["offset"]) for row in some)
    ids = tuple(row["alert_id"] for row in some if row.get("alert_id") is not None)
    return Finding(text, rows.num_rows, tables, places, ids)


def about_places(text: str, places: Iterable[Place], ids: Sequence[int] = (), *tables: str) -> Finding:
    """Make a finding of places."""
    found = sorted(places)
    return Finding(text, len(found), tables, tuple(found[:LISTED]), tuple(ids[:LISTED]))


def with_batches(lake: Lake, night: str, finding: Finding) -> Finding:
    """Look up the batches of a finding: those that wrote its rows, else those of stream2raw that read its messages."""
    if not finding.places or finding.batches:
        return finding
    wanted = set(finding.places)
    found: set[str] = set()
    for table in finding.tables:
        batch = BATCHES[table]
        place = ("ingest",) if table in ("raw", "science") else ()
        columns = {name: pc.field(*place, name) for name in ("topic", "partition", "offset")}
        offsets = pa.array(sorted({offset for _, _, offset in wanted}), pa.int64())
        rows = lake.dataset(table, [night]).to_table(
            columns={**columns, "batch": pc.field(*batch)}, filter=pc.field(*place, "offset").isin(offsets)
        )
        for row in rows.to_pylist():
            if row["batch"] is not None and (row["topic"], row["partition"], row["offset"]) in wanted:
                found.add(row["batch"])
    if not finding.tables:
        found = _readers(lake, wanted)
    return replace(finding, batches=tuple(sorted(found)))


def _readers(lake: Lake, places: set[Place]) -> set[str]:
    """Name the batches of stream2raw whose range of offsets holds a place."""
    found = set()
    rows = lake.read("ledger", columns=["batch", "details"], where=pc.field("stage") == "stream2raw").to_pylist()
    for row in rows:
        ranges: Mapping[str, Sequence[int]] = json.loads(row["details"] or "{}").get("offsets", {})
        for topic, partition, offset in places:
            edges = ranges.get(f"{topic}/{partition}")
            if edges and edges[0] <= offset <= edges[1]:
                found.add(row["batch"])
    return found
