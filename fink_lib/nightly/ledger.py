"""The ledger equation of a night: for each stage, what went in and what became of it.

* stream2raw: messages of the night = raw + quarantined,
* raw2science: raw = science + rejected + duplicates,
* distribution: rows of ``sent`` = messages in the output topics.

The numbers come from where things are (offsets in Kafka, rows in the lake), never from what a stage said it did. Only
for a reader without Kafka (`fink night ledger` on an archived night, the API) the stages' own ledger rows stand in for
Kafka's side, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.lake import open_lake
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.equations import (
    PLACE,
    Equation,
    distribution,
    offset_findings,
    raw2science,
    tally,
    with_findings,
)
from fink_lib.nightly.findings import with_batches
from fink_lib.nightly.offsets import OffsetReport, Place, by_place, compare_offsets
from fink_lib.nightly.stage import CORRECTIONS, HEAL, REPLAY, SELECT, WITHDRAWN, NightContext, verdict_path
from fink_lib.runtime.files import read_json

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake
    from fink_lib.nightly.kafka import KafkaView

SENDERS = ("distribution", HEAL, SELECT, "multimessenger")
"""Stages whose messages are in ``sent``."""

Offsets = npt.NDArray[np.int64]

NEAR_DAYS = 1
CLOCKS_APART = timedelta(minutes=10)
"""How far the clocks of a stream's host and of the producer of messages may differ."""


def night_ledger(
    settings: Settings,
    survey: str,
    night: str,
    kafka: bool = True,
    progress: Callable[[str], None] | None = None,
    archive: bool = False,
) -> dict[str, Any]:
    """Compute both sides of every equation of a night.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, night : str
        Which night.
    kafka : bool
        Ask Kafka itself; without, the stages' ledger rows stand in.
    progress : callable, optional
        Takes lines for people.
    archive : bool
        Compare the archive with the lake now, row by row; then it counts for ``closed`` too. Without, what the last
        check has found is told and counts for nothing: a night is reconciled before it is archived.

    Returns
    -------
    dict
        ``survey``, ``night``, ``closed``, ``stages`` (:meth:`Equation.to_json` of each), ``differences`` (sentences of
        those that do not close), ``archive`` (for each table of the archive what its last check found).

    Raises
    ------
    TransientError
        If Kafka is asked and does not answer.
    """
    lake = open_lake(settings, survey)
    raw = places(lake, "raw", [night])
    science = places(lake, "science", [night])
    quarantine = _columns(lake, "quarantine", [night], {name: pc.field(name) for name in (*PLACE, "reason")})
    rejected = _columns(lake, "rejected", [night], {name: pc.field(name) for name in (*PLACE, "reason", "alert_id")})
    sent = _columns(lake, "sent", [night], {name: pc.field(name) for name in (*PLACE, "filter", "alert_id")})
    view = _view(settings) if kafka else None
    equations = [
        _stream2raw(lake, night, raw, quarantine, view),
        raw2science(raw, science, rejected),
        _distribution(settings, lake, night, science, sent, view, progress or _quiet),
    ]
    equations = [
        with_findings(equation, [with_batches(lake, night, finding) for finding in equation.findings])
        for equation in equations
    ]
    if archive:
        check_archive(settings, lake, night, progress or _quiet)
    checks = archive_checks(settings, survey, night)
    wrong = [f"archive: {check['table']}: {check['sentence']}" for check in checks if archive and not check["equal"]]
    return {
        "survey": survey,
        "night": night,
        "closed": all(equation.closed for equation in equations) and not wrong,
        "stages": [equation.to_json() for equation in equations],
        "differences": [*(equation.sentence for equation in equations if not equation.closed), *wrong],
        "archive": checks,
    }


def check_archive(settings: Settings, lake: Lake, night: str, progress: Callable[[str], None]) -> None:
    """Compare each table of the archive with the lake, row by row; :func:`archive_checks` tells the result.

    Raises
    ------
    TransientError
        If HBase is away.
    """
    from fink_lib.nightly.archive import verify_archive  # HBase's client is not for those who do not ask

    verify_archive(NightContext(settings, lake.survey, lake, night, datetime.now(UTC), progress))


def archive_checks(settings: Settings, survey: str, night: str) -> list[dict[str, Any]]:
    """Read what the last check of each table of the archive against the lake has found.

    Returns
    -------
    list of dict
        ``table``, ``rows`` (that the lake says), ``found`` (in HBase), ``equal``, ``sentence``; empty before the night
        was archived.
    """
    folder = verdict_path(settings, survey, night, "verify_archive").parent
    return [
        {
            "table": path.name.removeprefix("verify_archive.").removesuffix(".json"),
            "rows": verdict.get("rows", 0),
            "found": verdict.get("found", 0),
            "equal": bool(verdict["ok"]),
            "missing": verdict.get("missing", []),
            "differing": verdict.get("differing", []),
            "sentence": verdict["message"],
        }
        for path in sorted(folder.glob("verify_archive.*.json"))
        if (verdict := read_json(path))
    ]


def places(lake: Lake, table: str, nights: Sequence[str] | None, topics: Sequence[str] | None = None) -> pa.Table:
    """Read where the rows of ``raw`` or ``science`` came from: ``topic, partition, offset, alert_id, night``."""
    columns = {name: pc.field("ingest", name) for name in PLACE}
    columns |= {"alert_id": pc.field(lake.survey.id_field), PARTITION: pc.field(PARTITION)}
    where = pc.field("ingest", "topic").isin(list(topics)) if topics is not None else None
    return _columns(lake, table, nights, columns, where)


def ledger_sums(lake: Lake, night: str) -> dict[str, dict[str, int]]:
    """Sum the stages' own ledger rows of a night: stage to counts; a batch that was written twice counts once."""
    names = ("received", "produced", "quarantined", "rejected", "duplicates", "sent")
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for row in lake.read("ledger", [night]).sort_by("finished").to_pylist():
        latest[row["stage"], row["batch"]] = row
    sums: dict[str, dict[str, int]] = {}
    for (stage, _), row in latest.items():
        counts = sums.setdefault(stage, dict.fromkeys(names, 0))
        for name in names:
            counts[name] += row[name] or 0
    return sums


def _stream2raw(lake: Lake, night: str, raw: pa.Table, quarantine: pa.Table, view: KafkaView | None) -> Equation:
    right = {"raw": raw.num_rows, "quarantined": quarantine.num_rows}
    details: dict[str, Any] = {"quarantined_by_reason": tally(quarantine.column("reason"))}
    if view is None:
        received = ledger_sums(lake, night).get("stream2raw", {}).get("received", 0)
        return Equation("stream2raw", {"messages": received}, right, [], "ledger", details)
    mine = pa.concat_tables([raw.select(PLACE), quarantine.select(PLACE)])
    scope = topics_of_night(lake, night, mine, view)
    names = sorted({*scope, *mine.column("topic").unique().to_pylist()})
    begins, ends = view.begins(scope), view.ends(scope)
    # Nearly always the rows of a topic lie in its own night and those beside it; all nights are read only if not.
    for nights in (nights_beside(lake, night), None):
        everything = all_places(lake, names, nights)
        rows = by_place(everything)
        # A topic may be growing: rows newer than the first look at its end are beyond it only at the second.
        report = compare_offsets(begins, ends, view.ends(scope), rows)
        if not report.missing:
            break
    # An offset can be without a record (a transaction marker): only Kafka can tell.
    report = replace(report, missing=view.holding(report.missing))
    missing = sum(len(offsets) for offsets in report.missing.values())
    beyond = sum(len(offsets) for offsets in report.beyond.values())
    known = sum(len(np.unique(offsets)) for offsets in rows.values())
    others = everything.num_rows - mine.num_rows
    details |= {"topics": names, "other_nights": others, "expired": report.expired}
    details["partitions"] = _partitions(raw, quarantine, rows, report, begins, ends)
    # Every message of the topics is missing, or in a row of this night, or in a row of another.
    messages = known - beyond + missing - others
    findings = offset_findings(report)
    faults = [finding.text for finding in findings]
    return Equation("stream2raw", {"messages": messages}, right, faults, "kafka", details, findings)


def _partitions(
    raw: pa.Table,
    quarantine: pa.Table,
    known: Mapping[Place, Offsets],
    report: OffsetReport,
    begins: Mapping[Place, int],
    ends: Mapping[Place, int],
) -> list[dict[str, Any]]:
    """Say of each partition what Kafka has of it, and where its messages are."""
    mine = {"raw": by_place(raw), "quarantined": by_place(quarantine)}
    told = []
    for place in sorted({*begins, *known}):
        counts = {name: len(found.get(place, ())) for name, found in mine.items()}
        rows = len(known.get(place, ()))
        told.append(
            {
                "topic": place[0],
                "partition": place[1],
                "first": begins.get(place),
                "end": ends.get(place),
                **counts,
                "other_nights": rows - sum(counts.values()),
                "missing": len(report.missing.get(place, ())),
                "doubled": len(report.doubled.get(place, ())),
            }
        )
    return told


def topics_of_night(lake: Lake, night: str, rows: pa.Table, view: KafkaView) -> dict[str, list[int]]:
    """Give the input topics that carry a night: by their name, or because rows of the night came from them."""
    seen = set(rows.column("topic").unique().to_pylist())
    return {
        topic: partitions
        for topic, partitions in view.topics(lake.survey.topic_pattern).items()
        if topic in seen or lake.survey.night_of_topic(topic) == night
    }


def nights_beside(lake: Lake, night: str) -> list[str]:
    """Give the nights around one, itself included, as far as they have rows."""
    middle = datetime.strptime(night, "%Y%m%d")
    near = {(middle + timedelta(days=days)).strftime("%Y%m%d") for days in range(-NEAR_DAYS, NEAR_DAYS + 1)}
    return sorted(near & {*lake.nights("raw"), *lake.nights("quarantine")})


def all_places(lake: Lake, topics: Sequence[str], nights: Sequence[str] | None) -> pa.Table:
    """Read the places of all rows that came from some topics, of some nights or (None) of all."""
    raw = places(lake, "raw", nights, topics).select(PLACE)
    where = pc.field("topic").isin(list(topics))
    quarantine = _columns(lake, "quarantine", nights, {name: pc.field(name) for name in PLACE}, where)
    return pa.concat_tables([raw, quarantine])


def _distribution(
    settings: Settings,
    lake: Lake,
    night: str,
    science: pa.Table,
    sent: pa.Table,
    view: KafkaView | None,
    progress: Callable[[str], None],
) -> Equation:
    from fink_lib.nightly.kafka import OutputMessages

    sums = ledger_sums(lake, night)
    books = sums.get("distribution", {})
    # Alerts that a promoted replay brought into science were shown to the filters by the promotion.
    received = books.get("received", 0) + sums.get(REPLAY, {}).get("received", 0)
    faults = []
    if received < science.num_rows:
        faults.append(f"distribution has received {received} of {science.num_rows} science rows")
    if view is None:
        right = {"messages": sum(sums.get(stage, {}).get("sent", 0) for stage in SENDERS)}
        details = {"by_filter": tally(sent.column("filter"))}
        return Equation("distribution", {"sent": sent.num_rows}, right, faults, "ledger", details)
    since = first_ingested(lake, night)
    messages = OutputMessages()
    if since is not None:
        # Corrections repeat what was sent: an alert may have several, and no row of `sent`.
        pattern = f"^{settings.streams.substream_prefix}_(?!{CORRECTIONS}_).+_{lake.survey.name}$"
        named = sent.column("topic").unique().to_pylist()
        messages = view.sent(pattern, named, since - CLOCKS_APART, night, progress)
    equation = distribution(sent, messages, science, withdrawn_ids(lake, night))
    details = {**equation.details, "by_filter": tally(sent.column("filter"))}
    return replace(equation, faults=[*faults, *equation.faults], details=details)


def withdrawn_ids(lake: Lake, night: str) -> set[int]:
    """Give the alerts that were science, and may have been sent, until a promoted replay rejected them."""
    rows = lake.read("healed", [night], ["alert_id", "modules"]).to_pylist()
    return {row["alert_id"] for row in rows if row["modules"] == [WITHDRAWN]}


def first_ingested(lake: Lake, night: str) -> datetime | None:
    """Give the time at which the broker met the first alert of a night (UTC)."""
    rows = _columns(lake, "raw", [night], {"ingested": pc.field("ingest", "ingested")})
    first: datetime | None = pc.min(rows.column("ingested")).as_py()
    return first


def _view(settings: Settings) -> KafkaView:
    from fink_lib.nightly.kafka import KafkaView

    return KafkaView(settings.kafka)


def _columns(
    lake: Lake,
    table: str,
    nights: Sequence[str] | None,
    columns: dict[str, pc.Expression],
    where: pc.Expression | None = None,
) -> pa.Table:
    return lake.dataset(table, nights).to_table(columns=columns, filter=where)


def _quiet(line: str) -> None:
    """Say nothing."""
