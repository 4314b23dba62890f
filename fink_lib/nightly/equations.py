"""The equations of the ledger, as pure functions of rows: both sides, and a sentence for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.nightly.offsets import OffsetReport, in_words

if TYPE_CHECKING:
    from fink_lib.nightly.kafka import OutputMessages

NAMED = 5
PLACE = ("topic", "partition", "offset")
"""Columns that say where in Kafka a row came from."""


@dataclass(frozen=True)
class Equation:
    """One stage's equation.

    Parameters
    ----------
    stage : str
        Name of the streaming stage.
    left, right : dict of str to int
        What went in, what came out; both sides sum to the same if the equation closes.
    faults : list of str
        One sentence for each thing that is wrong; sums can agree and single alerts still be lost and doubled.
    source : str
        ``kafka`` or ``ledger``: who speaks for Kafka's side, for the stages that have one; else ``lake``.
    details : dict
        JSON-able: reasons, counts per topic.
    """

    stage: str
    left: dict[str, int]
    right: dict[str, int]
    faults: list[str] = field(default_factory=list)
    source: str = "lake"
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def difference(self) -> int:
        """Left side minus right side."""
        return sum(self.left.values()) - sum(self.right.values())

    @property
    def closed(self) -> bool:
        """Whether both sides agree and nothing else is wrong."""
        return self.difference == 0 and not self.faults

    @property
    def sentence(self) -> str:
        """The equation for a person, with what is wrong."""
        sign = "=" if self.difference == 0 else "is not"
        told = f"{self.stage}: {_sum_in_words(self.left)} {sign} {_sum_in_words(self.right)}"
        if self.difference:
            told += f" (difference {self.difference:+d})"
        return "; ".join([told, *self.faults])

    def to_json(self) -> dict[str, Any]:
        """Give everything, JSON-able."""
        return {
            "stage": self.stage,
            "left": self.left,
            "right": self.right,
            "difference": self.difference,
            "closed": self.closed,
            "source": self.source,
            "faults": self.faults,
            "sentence": self.sentence,
            "details": self.details,
        }


def raw2science(raw: pa.Table, science: pa.Table, rejected: pa.Table) -> Equation:
    """Compare ``raw`` with what became of it, row by row.

    Parameters
    ----------
    raw, science : pyarrow.Table
        ``topic, partition, offset, alert_id`` of the night's rows.
    rejected : pyarrow.Table
        The same and ``reason``.
    """
    reasons = tally(rejected.column("reason"))
    duplicates = reasons.pop("duplicate", 0)
    ends = pa.concat_tables([science.select(PLACE), rejected.select(PLACE)])
    faults = []
    lost = raw.join(ends, list(PLACE), join_type="left anti")
    if lost.num_rows:
        faults.append(f"{lost.num_rows} rows of raw became nothing: {_some_alerts(lost)}")
    foreign = ends.join(raw.select(PLACE), list(PLACE), join_type="left anti")
    if foreign.num_rows:
        faults.append(f"{foreign.num_rows} rows of science or rejected have no row in raw")
    twice = _repeated(ends, PLACE)
    if twice:
        faults.append(f"{twice} rows of raw became more than one row")
    again = science.num_rows - pc.count_distinct(science.column("alert_id")).as_py()
    if again:
        faults.append(f"science holds {again} alerts more than once")
    return Equation(
        "raw2science",
        {"raw": raw.num_rows},
        {
            "science": science.num_rows,
            "rejected": rejected.num_rows - duplicates,
            "duplicates": duplicates,
        },
        faults,
        details={"rejected_by_reason": reasons},
    )


def offset_faults(report: OffsetReport) -> list[str]:
    """Say what is wrong between Kafka's offsets and the lake's rows."""
    told = []
    for what, found in (
        ("messages are in neither raw nor quarantine", report.missing),
        ("offsets are in more than one row", report.doubled),
        ("offsets of rows do not exist in Kafka (was a topic deleted and made anew?)", report.beyond),
    ):
        number = sum(len(offsets) for offsets in found.values())
        if number:
            told.append(f"{number} {what}: {in_words(found)}")
    return told


def distribution(sent: pa.Table, messages: OutputMessages, science: pa.Table) -> Equation:
    """Compare the rows of ``sent`` with the messages in the topics.

    Parameters
    ----------
    sent : pyarrow.Table
        ``topic, partition, offset, alert_id, filter`` of the night's rows.
    messages : OutputMessages
        What a reader of committed data finds.
    science : pyarrow.Table
        ``alert_id`` of the night's science rows.
    """
    rows = {
        (row["topic"], row["partition"], row["offset"]): row["alert_id"]
        for row in sent.select([*PLACE, "alert_id"]).to_pylist()
    }
    # A row whose message retention has removed cannot be checked; it counts on both sides.
    expired = sum(1 for topic, partition, offset in rows if offset < messages.begin.get((topic, partition), offset + 1))
    faults = []
    unsent = [place for place in messages.places if place not in rows]
    if unsent:
        faults.append(f"{len(unsent)} messages are not in sent: {_some_places(unsent)}")
    lost = [
        place
        for place in rows
        if place not in messages.places and place[2] >= messages.begin.get(place[:2], place[2] + 1)
    ]
    if lost:
        faults.append(f"{len(lost)} rows of sent have no message: {_some_places(lost)}")
    pairs = [(topic, alert) for (topic, _, _), alert in messages.places.items()]
    if len(set(pairs)) < len(pairs):
        faults.append(f"{len(pairs) - len(set(pairs))} messages repeat an alert of their topic")
    foreign = set(messages.places.values()) - set(science.column("alert_id").to_pylist())
    if foreign:
        faults.append(f"{len(foreign)} alerts in the topics are not in science: {sorted(foreign)[:NAMED]}")
    topics = sorted({place[0] for place in (*rows, *messages.places)})
    return Equation(
        "distribution",
        {"sent": sent.num_rows},
        {"messages": len(messages.places), **({"expired": expired} if expired else {})},
        faults,
        "kafka",
        {
            "by_topic": {
                topic: {
                    "sent": sum(1 for place in rows if place[0] == topic),
                    "messages": sum(1 for place in messages.places if place[0] == topic),
                }
                for topic in topics
            }
        },
    )


def tally(column: pa.ChunkedArray) -> dict[str, int]:
    """Count the values of a column; null counts as ``unknown``."""
    counts = {item["values"] or "unknown": item["counts"] for item in column.value_counts().to_pylist()}
    return dict(sorted(counts.items()))


def _repeated(rows: pa.Table, names: Sequence[str]) -> int:
    return int(rows.num_rows - rows.group_by(list(names)).aggregate([]).num_rows)


def _some_alerts(rows: pa.Table) -> str:
    some = rows.sort_by([(name, "ascending") for name in PLACE]).slice(0, NAMED).to_pylist()
    told = ", ".join(f"{row['alert_id']} ({row['topic']}[{row['partition']}] {row['offset']})" for row in some)
    return told + (" and more" if rows.num_rows > NAMED else "")


def _some_places(found: Sequence[tuple[str, int, int]]) -> str:
    told = ", ".join(f"{topic}[{partition}] {offset}" for topic, partition, offset in sorted(found)[:NAMED])
    return told + (" and more" if len(found) > NAMED else "")


def _sum_in_words(side: Mapping[str, int]) -> str:
    return " + ".join(f"{number} {name}" for name, number in side.items())
