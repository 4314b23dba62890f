"""The equations of the ledger, as pure functions of rows: both sides, and a sentence for each thing that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.nightly.findings import Finding, about_places, about_rows
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
        JSON-able: reasons, counts per partition, topic and filter.
    findings : list of Finding
        The same as `faults`, with places, ids and batches, where there are any.
    """

    stage: str
    left: dict[str, int]
    right: dict[str, int]
    faults: list[str] = field(default_factory=list)
    source: str = "lake"
    details: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

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
            "findings": [finding.to_json(self.stage) for finding in self.findings],
            "sentence": self.sentence,
            "details": self.details,
        }


def with_findings(equation: Equation, findings: Sequence[Finding]) -> Equation:
    """Give an equation whose faults are told with what was looked up about them since."""
    told = {old.text: new.sentence for old, new in zip(equation.findings, findings, strict=True)}
    return replace(equation, faults=[told.get(fault, fault) for fault in equation.faults], findings=list(findings))


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
    made = pa.concat_tables([rows.select([*PLACE, "alert_id"]) for rows in (science, rejected)])
    findings = []
    lost = raw.join(ends, list(PLACE), join_type="left anti")
    if lost.num_rows:
        text = f"{lost.num_rows} rows of raw became nothing: {_some_alerts(lost)}"
        findings.append(about_rows(text, lost, "raw"))
    foreign = made.join(raw.select(PLACE), list(PLACE), join_type="left anti")
    if foreign.num_rows:
        text = f"{foreign.num_rows} rows of science or rejected have no row in raw"
        findings.append(about_rows(text, foreign, "science", "rejected"))
    twice = _repeated(ends, PLACE)
    if twice:
        rows = made.join(_more_than_once(ends, PLACE), list(PLACE), join_type="left semi")
        findings.append(about_rows(f"{twice} rows of raw became more than one row", rows, "science", "rejected"))
    again = science.num_rows - pc.count_distinct(science.column("alert_id")).as_py()
    if again:
        rows = science.join(_more_than_once(science, ["alert_id"]), ["alert_id"], join_type="left semi")
        findings.append(about_rows(f"science holds {again} alerts more than once", rows, "science"))
    return Equation(
        "raw2science",
        {"raw": raw.num_rows},
        {
            "science": science.num_rows,
            "rejected": rejected.num_rows - duplicates,
            "duplicates": duplicates,
        },
        [finding.text for finding in findings],
        details={"rejected_by_reason": reasons},
        findings=findings,
    )


def offset_faults(report: OffsetReport) -> list[str]:
    """Say what is wrong between Kafka's offsets and the lake's rows."""
    return [finding.text for finding in offset_findings(report)]


def offset_findings(report: OffsetReport) -> list[Finding]:
    """Name the offsets that are wrong between Kafka and the lake's rows."""
    told = []
    rows = ("raw", "quarantine")
    for what, found, tables in (
        ("messages are in neither raw nor quarantine", report.missing, ()),
        ("offsets are in more than one row", report.doubled, rows),
        ("offsets of rows do not exist in Kafka (was a topic deleted and made anew?)", report.beyond, rows),
    ):
        places = [(*place, int(offset)) for place, offsets in found.items() for offset in offsets]
        if places:
            told.append(about_places(f"{len(places)} {what}: {in_words(found)}", places, (), *tables))
    return told


def distribution(
    sent: pa.Table, messages: OutputMessages, science: pa.Table, withdrawn: Collection[int] = ()
) -> Equation:
    """Compare the rows of ``sent`` with the messages in the topics.

    Parameters
    ----------
    sent : pyarrow.Table
        ``topic, partition, offset, alert_id, filter`` of the night's rows.
    messages : OutputMessages
        What a reader of committed data finds.
    science : pyarrow.Table
        ``alert_id`` of the night's science rows.
    withdrawn : collection of int
        Alerts that were science when they were sent, and that a promoted replay has rejected.
    """
    rows = {
        (row["topic"], row["partition"], row["offset"]): row["alert_id"]
        for row in sent.select([*PLACE, "alert_id"]).to_pylist()
    }
    # A row whose message retention has removed cannot be checked; it counts on both sides.
    expired = sum(1 for topic, partition, offset in rows if offset < messages.begin.get((topic, partition), offset + 1))
    findings = []
    unsent = [place for place in messages.places if place not in rows]
    if unsent:
        ids = [messages.places[place] for place in sorted(unsent)]
        found = about_places(f"{len(unsent)} messages are not in sent: {_some_places(unsent)}", unsent, ids)
        batches = {messages.batches[place] for place in unsent if place in messages.batches}
        findings.append(replace(found, batches=tuple(sorted(batches))))
    lost = [
        place
        for place in rows
        if place not in messages.places and place[2] >= messages.begin.get(place[:2], place[2] + 1)
    ]
    if lost:
        ids = [rows[place] for place in sorted(lost)]
        text = f"{len(lost)} rows of sent have no message: {_some_places(lost)}"
        findings.append(about_places(text, lost, ids, "sent"))
    pairs = Counter((topic, alert) for (topic, _, _), alert in messages.places.items())
    repeats = pairs.total() - len(pairs)
    if repeats:
        twice = [(place, alert) for place, alert in messages.places.items() if pairs[place[0], alert] > 1]
        ids = sorted({alert for _, alert in twice})
        text = f"{repeats} messages repeat an alert of their topic"
        findings.append(about_places(text, [place for place, _ in twice], ids, "sent"))
    foreign = set(messages.places.values()) - set(science.column("alert_id").to_pylist()) - set(withdrawn)
    if foreign:
        text = f"{len(foreign)} alerts in the topics are not in science: {sorted(foreign)[:NAMED]}"
        places = [place for place, alert in messages.places.items() if alert in foreign]
        findings.append(about_places(text, places, sorted(foreign), "sent"))
    topics = sorted({place[0] for place in (*rows, *messages.places)})
    return Equation(
        "distribution",
        {"sent": sent.num_rows},
        {"messages": len(messages.places), **({"expired": expired} if expired else {})},
        [finding.text for finding in findings],
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
        findings,
    )


def tally(column: pa.ChunkedArray) -> dict[str, int]:
    """Count the values of a column; null counts as ``unknown``."""
    counts = {item["values"] or "unknown": item["counts"] for item in column.value_counts().to_pylist()}
    return dict(sorted(counts.items()))


def _more_than_once(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    counted = rows.group_by(list(names)).aggregate([([], "count_all")])
    return counted.filter(pc.greater(counted.column("count_all"), 1)).select(list(names))


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
