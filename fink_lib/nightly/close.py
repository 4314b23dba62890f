"""close_night: the survey has stopped, and the three streams have consumed everything of the night.

One call is one look. Nothing is measured by how long it has been quiet inside the broker: each stage is asked what it
has consumed, by offsets and by rows.

1. stream2raw: the offsets of its last committed batch have reached the end of the topics that may carry the night.
2. raw2science: every row of ``raw`` is a row of ``science`` or of ``rejected``.
3. distribution: its ledger has received every row of ``science``.
4. The survey: no message is younger than ``nightly.quiet_s``, by Kafka's own timestamps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from fink_lib.nightly.kafka import KafkaView, Place
from fink_lib.nightly.ledger import ledger_sums
from fink_lib.nightly.nights import end_of_night, night_state, rows_by_night, set_state
from fink_lib.nightly.stage import REPLAY, NightContext, Verdict, read_verdict
from fink_lib.streams.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

STAGE = "close_night"


@dataclass(frozen=True)
class NightRows:
    """How many rows of a night each table has, and how many science rows distribution has received."""

    raw: int
    quarantine: int
    science: int
    rejected: int
    distributed: int

    @property
    def received(self) -> int:
        """Messages of the night that the lake knows."""
        return self.raw + self.quarantine


def close_night(context: NightContext) -> Verdict:
    """Look once whether the night can be closed; ``details`` has ``closed``, ``why``, ``empty``."""
    view = KafkaView(context.settings.kafka)
    topics = _topics(context, view)
    mine = {topic: parts for topic, parts in topics.items() if _names(context, topic)}
    rows = night_rows(context.lake, context.night)
    begins, ends = view.begins(topics), view.ends(topics)
    records = sum(ends[place] - begins[place] for place in ends if place[0] in mine)
    present = night_state(context.lake, context.night)
    if records == 0 and rows.received == 0:
        return _without_data(context)
    behind = lag(begins, ends, consumed_offsets(context.settings, context.survey.name))
    newest = newest_message(context, view, mine)
    quiet = newest is None or context.now - newest >= timedelta(seconds=context.settings.nightly.quiet_s)
    why = unfinished(rows, behind, newest, quiet, context.settings.nightly.quiet_s)
    known = read_verdict(context, STAGE)
    settled = present is not None and present.state in ("closed", "held", "failed", "archived", "abandoned")
    if present is not None and settled:
        waiting = sum(number for (topic, _), number in behind.items() if topic in mine)
        late = rows.received - int((known or {}).get("received", 0)) + waiting
        if late == 0:
            return _closed(rows, f"night {context.night} stays {present.state}: nothing new has come")
        text = f"{late} messages came after the night was closed"
        set_state(context.lake, context.night, "closing", STAGE, text, context.now)
    if why:
        state = "closing" if quiet or settled else "live"
        details = {"closed": False, "why": why, "empty": False, "lag": sum(behind.values())}
        return Verdict(True, f"night {context.night} is not closed: {why}", details, state)
    verdict = _closed(rows, f"{rows.received} messages of night {context.night} are consumed by all streams")
    return Verdict(True, verdict.message, verdict.details, "closed")


def unfinished(rows: NightRows, behind: dict[Place, int], newest: datetime | None, quiet: bool, quiet_s: float) -> str:
    """Say what is not finished; empty if everything is.

    Parameters
    ----------
    rows : NightRows
        What the lake has of the night.
    behind : dict
        Records of each partition that stream2raw has not consumed.
    newest : datetime or None
        When the last message of the night came.
    quiet : bool
        Whether that is long enough ago.
    quiet_s : float
        How long is enough, seconds.
    """
    if any(behind.values()):
        (topic, partition), worst = max(behind.items(), key=lambda item: item[1])
        return f"stream2raw is {sum(behind.values())} messages behind, {worst} of them on {topic}[{partition}]"
    if rows.raw != rows.science + rows.rejected:
        return f"raw2science has made {rows.science + rows.rejected} of {rows.raw} rows of raw into science or rejected"
    if rows.distributed < rows.science:
        return f"distribution has received {rows.distributed} of {rows.science} science rows"
    if not quiet and newest is not None:
        return f"the last message came at {newest:%Y-%m-%d %H:%M:%S} UTC, less than {quiet_s:g} s ago"
    return ""


def lag(begins: dict[Place, int], ends: dict[Place, int], consumed: dict[Place, int]) -> dict[Place, int]:
    """Count for each partition the records that were not consumed."""
    return {place: max(0, end - max(begins[place], consumed.get(place, 0))) for place, end in ends.items()}


def consumed_offsets(settings: Settings, survey: str) -> dict[Place, int]:
    """Read from its checkpoint how far stream2raw has committed: the offset after the last record, by partition."""
    checkpoint = open_checkpoint(settings, survey, "stream2raw")
    commits = _batches(checkpoint.folder / "commits")
    offsets: dict[str, dict[str, int]] = {}
    if commits:
        lines = (checkpoint.folder / "offsets" / str(commits[-1])).read_text().splitlines()
        offsets = json.loads(lines[2])
    elif checkpoint.start.startswith("{"):
        offsets = json.loads(checkpoint.start)
    return {(topic, int(part)): offset for topic, parts in offsets.items() for part, offset in parts.items()}


def night_rows(lake: Lake, night: str) -> NightRows:
    """Count what the lake has of a night."""
    counts = {table: rows_by_night(lake, table).get(night, 0) for table in ("raw", "quarantine", "science", "rejected")}
    sums = ledger_sums(lake, night)
    # A promoted replay has shown the filters what it brought into science.
    distributed = sum(sums.get(stage, {}).get("received", 0) for stage in ("distribution", REPLAY))
    return NightRows(**counts, distributed=distributed)


def newest_message(context: NightContext, view: KafkaView, topics: dict[str, list[int]]) -> datetime | None:
    """Give the time of the night's last message: by its topics, and by rows that came from other topics."""
    found = [view.newest(topics)]
    rows = context.lake.dataset("raw", [context.night]).to_table(columns={"time": pc.field("ingest", "kafka_time")})
    found.append(pc.max(rows.column("time")).as_py())
    rows = context.lake.dataset("quarantine", [context.night]).to_table(["kafka_timestamp"])
    found.append(pc.max(rows.column("kafka_timestamp")).as_py())
    return max((stamp.astimezone(UTC) for stamp in found if stamp is not None), default=None)


def _topics(context: NightContext, view: KafkaView) -> dict[str, list[int]]:
    """Give the topics that may carry alerts of this night: its own, older ones, and those without a night.

    Topics of later nights are left out: they may be growing at this moment. Should one bring an alert of this night
    after all, the next look finds more rows than the last one and takes the night back to closing.
    """
    found = view.topics(context.survey.topic_pattern)
    nights = {topic: context.survey.night_of_topic(topic) for topic in found}
    return {topic: parts for topic, parts in found.items() if (nights[topic] or "") <= context.night}


def _names(context: NightContext, topic: str) -> bool:
    return context.survey.night_of_topic(topic) == context.night


def _without_data(context: NightContext) -> Verdict:
    over = context.now >= end_of_night(context.night) + timedelta(seconds=context.settings.nightly.quiet_s)
    if not over:
        why = "no message has come yet, and the night is not over"
        return Verdict(True, why, {"closed": False, "why": why, "empty": False}, "live")
    why = f"night {context.night} is over and brought no message"
    return Verdict(True, why, {"closed": True, "why": why, "empty": True, "received": 0}, "empty")


def _closed(rows: NightRows, why: str) -> Verdict:
    counts = {"raw": rows.raw, "quarantined": rows.quarantine, "science": rows.science, "rejected": rows.rejected}
    return Verdict(True, why, {"closed": True, "why": why, "empty": False, "received": rows.received, **counts})


def _batches(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit()) if folder.is_dir() else []
