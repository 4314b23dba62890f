"""Why: where an alert came from, what was made of it, by which versions, and where it went.

Everything is read from what the streams wrote down; nothing is computed again, but for one thing: whether the alert
passes each filter *as the filter is now*, clause by clause. What was sent, and by which version, is in table ``sent``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp

from fink_lib.filters import Filter, FilterSet, Predicate, load_filters
from fink_lib.lake.lookup import find_rows
from fink_lib.lake.tables import PARTITION

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake
    from fink_lib.science import Declaration
    from fink_lib.surveys import Survey

PLACE = ("topic", "partition", "offset")
STREAM_STAGES = ("stream2raw", "raw2science", "distribution")
RULE_COLUMNS = ("finkclass", "finkclass2", "finkclass_version")
RESOURCE_PREFIXES = ("catalog.", "service.", "model.")
HEAL = "heal"
LEAST_ID_BYTES = 6
"""Shorter ids than this (below 10^10) would be found in any payload by chance; no survey has them."""


@dataclass(frozen=True)
class Definitions:
    """What the installation would do with an alert now; explains what was written down.

    Parameters
    ----------
    modules : sequence of Declaration
        Of all science modules.
    class_rule : str
        The SQL of the class rule; empty if the survey has none.
    filters : sequence of Filter
        All live filters.
    """

    modules: Sequence[Declaration]
    class_rule: str
    filters: Sequence[Filter]


def load_definitions(settings: Settings, survey: Survey) -> Definitions:
    """Read the definitions of an installation."""
    # building the modules takes a second, and who only asks for a type does not need them
    from fink_lib.science.loading import find_class_rule, find_modules

    rule = find_class_rule(survey)
    return Definitions(
        modules=[module.declaration for module in find_modules(survey, settings)],
        class_rule=rule.sql if rule else "",
        filters=load_filters(survey, home=settings.home).filters,
    )


def trace(lake: Lake, alert_id: int, definitions: Definitions) -> dict[str, Any] | None:
    """Tell everything that is known about one alert.

    Parameters
    ----------
    lake : Lake
        The survey's lake; all nights are searched, by the statistics of its files.
    alert_id : int
        ``candid`` or ``diaSourceId``.
    definitions : Definitions
        Modules, class rule and filters.

    Returns
    -------
    dict or None
        JSON-ready (see ``docs/api.md``): ``outcome`` is ``science``, ``rejected``, ``waiting`` (received, and not yet
        looked at by raw2science) or ``quarantined``; None if no message with this id was ever received.
    """
    survey = lake.survey
    raw = find_rows(lake, "raw", survey.id_field, alert_id, [survey.object_field, "ingest", PARTITION])
    if raw.num_rows == 0:
        return _quarantined(lake, alert_id)
    science = find_rows(lake, "science", survey.id_field, alert_id)
    rejected = find_rows(lake, "rejected", "alert_id", alert_id).to_pylist()
    sent = find_rows(lake, "sent", "alert_id", alert_id).sort_by("sent_time").to_pylist()
    kept = science.slice(0, 1).to_pylist()[0] if science.num_rows else None
    received = _received(raw.to_pylist(), kept, rejected)
    batches = {("stream2raw", message["batch"]) for message in received}
    batches |= {("raw2science", row["batch"]) for row in rejected}
    healed = _healed(lake, alert_id)
    batches |= {(sender_of(row["batch"]), row["batch"]) for row in sent}
    batches |= {(HEAL, one["batch"]) for one in healed}
    story: dict[str, Any] = {
        "survey": survey.name,
        "alert_id": alert_id,
        "object_id": raw.column(survey.object_field)[0].as_py(),
        "night": raw.column(PARTITION)[0].as_py(),
        "outcome": "science" if kept else "rejected" if rejected else "waiting",
        "received": received,
        "images": find_rows(lake, "cutouts", "alert_id", alert_id, ["alert_id"]).num_rows > 0,
        "science": None,
        "healed": healed,
        "reclassified": _reclassified(lake, alert_id),
        "filters": _filters(definitions.filters, science.slice(0, 1), sent),
    }
    if kept:
        batches.add(("raw2science", kept["process"]["batch"]))
        story["science"] = _science(kept, definitions)
    story["batches"] = _batches(lake, batches)
    return story


# -- where it came from -------------------------------------------------------------------------------------------


def _received(
    raw: Iterable[Mapping[str, Any]], kept: Mapping[str, Any] | None, rejected: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Say of each received message with this id what became of it."""
    reasons = {tuple(row[name] for name in PLACE): row["reason"] for row in rejected}
    kept_place = tuple(kept["ingest"][name] for name in PLACE) if kept else None
    messages = []
    for row in sorted(raw, key=lambda row: (row["ingest"]["kafka_time"], *(row["ingest"][name] for name in PLACE))):
        ingest = row["ingest"]
        place = tuple(ingest[name] for name in PLACE)
        reason = reasons.get(place)
        message = {**_json(ingest), PARTITION: row[PARTITION]}
        if place == kept_place:
            message["fate"] = "science"
        elif reason == "duplicate":
            message["fate"] = "duplicate"
            message["duplicate_of"] = dict(zip(PLACE, kept_place, strict=True)) if kept_place else None
        elif reason:
            message["fate"] = f"rejected by cut {reason}"
        else:
            message["fate"] = "waiting for raw2science"
        messages.append(message)
    return messages


def _quarantined(lake: Lake, alert_id: int) -> dict[str, Any] | None:
    """Look for the id in messages that could not become a row.

    Such a message has no decoded id, but all wire formats write the id as the same few bytes, so these are looked for.
    """
    written = zigzag(alert_id)
    if len(written) < LEAST_ID_BYTES:
        return None
    where = pc.match_substring(pc.field("payload"), pattern=written)
    where |= pc.match_substring(pc.field("detail"), pattern=str(alert_id))
    columns = [*PLACE, "kafka_timestamp", "wire_format", "schema_id", "reason", "detail", "sha256", "batch", PARTITION]
    rows = lake.read("quarantine", columns=columns, where=where).to_pylist()
    if not rows:
        return None
    return {
        "survey": lake.survey.name,
        "alert_id": alert_id,
        "object_id": None,
        "night": rows[0][PARTITION],
        "outcome": "quarantined",
        "quarantine": [_json(row) for row in rows],
        "batches": _batches(lake, {("stream2raw", row["batch"]) for row in rows}),
    }


def zigzag(number: int) -> bytes:
    """Write an integer as Avro does: zigzag, then seven bits a byte, least first.

    Examples
    --------
    >>> zigzag(-1).hex(), zigzag(64).hex()
    ('01', '8001')
    """
    rest = (number << 1) ^ (number >> 63)
    written = bytearray()
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*written, rest])


# -- what was made of it ------------------------------------------------------------------------------------------


def _science(row: Mapping[str, Any], definitions: Definitions) -> dict[str, Any]:
    status = dict(row["fink_status"] or ())
    versions = dict(row["fink_versions"] or ())
    separations = dict(row["xm_sep"] or ())
    process = row["process"]
    declared = {module.name: module for module in definitions.modules}
    modules = [
        {
            "name": name,
            "version": versions.get(name),
            "status": status[name],
            "inputs": _inputs(row, declared[name]) if name in declared else None,
            "outputs": {f.name: _json(row[f.name]) for f in declared[name].outputs} if name in declared else None,
            "separation_arcsec": separations.get(name),
        }
        for name in sorted(status)
    ]
    resources = {name: digest for name, digest in versions.items() if name.startswith(RESOURCE_PREFIXES)}
    return {
        "batch": process["batch"],
        "started": _json(process["started"]),
        "ended": _json(process["ended"]),
        "broker_version": process["broker_version"],
        "science_version": process["science_version"],
        "modules": modules,
        "resources": resources,
        "class": {
            **{name: row[name] for name in RULE_COLUMNS},
            "rule": class_rule_row(definitions.class_rule, row["finkclass"]),
        },
    }


def _inputs(row: Mapping[str, Any], module: Declaration) -> dict[str, Any]:
    """Give the single values that a module read; light curves and images are named, not copied."""
    values: dict[str, Any] = {}
    for path in module.inputs:
        value: Any = row
        for name in path.split("."):
            value = value.get(name, ...) if isinstance(value, Mapping) else ...
        values[path] = "(not copied)" if value is ... or isinstance(value, list | bytes) else _json(value)
    return values


def class_rule_row(sql: str, name: str | None) -> str | None:
    """Give the condition of the class rule that leads to a class.

    Parameters
    ----------
    sql : str
        A query whose column ``finkclass`` is a CASE with the name of a class, or a column, after each THEN.
    name : str or None
        The alert's class.

    Returns
    -------
    str or None
        The first condition that gives this name; for a name that no row spells out, the row that takes it from a
        column; ``otherwise`` for the ELSE. None if there is no rule or no class.
    """
    if not sql or name is None:
        return None
    for column in sqlglot.parse_one(sql, dialect="duckdb").expressions:
        if column.alias != "finkclass":
            continue
        taken_over = None
        for case in column.find_all(exp.Case):
            for arm in case.args["ifs"]:
                result = arm.args["true"]
                condition = f"{arm.this.sql(dialect='duckdb')}"
                if isinstance(result, exp.Literal) and result.this == name:
                    return condition
                if isinstance(result, exp.Column) and taken_over is None:
                    taken_over = f"{condition}: {result.sql(dialect='duckdb')}"
            otherwise = case.args.get("default")
            if isinstance(otherwise, exp.Literal) and otherwise.this == name:
                return "otherwise"
        return taken_over
    return None


def sender_of(batch: str) -> str:
    """Tell which stage sent the messages of a batch, by its name.

    >>> [sender_of(batch) for batch in ("g1-000000003", "mm-000000000", "select-20240312-000000")]
    ['distribution', 'multimessenger', 'select']
    """
    return {"heal": HEAL, "select": "select", "mm": "multimessenger"}.get(batch.split("-", 1)[0], "distribution")


def _reclassified(lake: Lake, alert_id: int) -> list[dict[str, Any]]:
    """Say what the stream had called the alert, where the night's tracklets changed it."""
    names = ("column", "before", "after", "tracklet", "version")
    rows = find_rows(lake, "reclassified", "alert_id", alert_id, [*names]).sort_by("column").to_pylist()
    return [{name: row[name] for name in names} for row in rows]


def _healed(lake: Lake, alert_id: int) -> list[dict[str, Any]]:
    """Give each healing that has changed the alert; one that broke off before it changed anything has no books."""
    told = []
    for row in find_rows(lake, "healed", "alert_id", alert_id).sort_by("number").to_pylist():
        batch = f"{HEAL}-{row[PARTITION]}-{row['number']}"
        if find_rows(lake, "ledger", "batch", batch, ["batch"]).num_rows:
            told.append({"batch": batch, **{name: _json(row[name]) for name in ("time", "modules", "enters")}})
    return told


# -- where it went ------------------------------------------------------------------------------------------------


def _filters(filters: Sequence[Filter], science: pa.Table, sent: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    messages: dict[str, list[dict[str, Any]]] = {}
    for row in sent:
        message = {name: _json(row[name]) for name in (*PLACE, "sent_time", "filter_version", "late", "batch")}
        messages.setdefault(row["filter"], []).append(message)
    told = []
    for one in filters:
        clauses = _clauses(one, science) if science.num_rows else []
        told.append(
            {
                "name": one.name,
                "version": one.version,
                "passes": all(clause["true"] for clause in clauses) if clauses else None,
                "clauses": clauses,
                "sent": messages.pop(one.name, []),
            }
        )
    # filters that are gone by now, and topics that belong to no filter
    told += [
        {"name": name, "version": None, "passes": None, "clauses": [], "sent": rows}
        for name, rows in sorted(messages.items())
    ]
    return told


def _clauses(one: Filter, science: pa.Table) -> list[dict[str, Any]]:
    """Evaluate each condition that a filter joins with AND, by the same plan as the filter itself."""
    # a clause reads some of what the whole reads, so the whole's references serve
    plan = FilterSet(
        tuple(
            dataclasses.replace(one, name=f"clause_{place}", predicate=Predicate(compiled, one.predicate.references))
            for place, (_, compiled) in enumerate(one.predicate.clauses)
        )
    )
    verdicts = plan.evaluate(science)
    return [
        {"sql": written, "true": verdicts.column(place)[0].as_py()}
        for place, (written, _) in enumerate(one.predicate.clauses)
    ]


# -- who did it ---------------------------------------------------------------------------------------------------


def _batches(lake: Lake, batches: Iterable[tuple[str, str | None]]) -> list[dict[str, Any]]:
    """Give the ledger's entry of each batch that touched the alert."""
    entries = []
    for stage, batch in sorted((stage, batch) for stage, batch in batches if batch):
        rows = find_rows(lake, "ledger", "batch", batch).filter(pc.field("stage") == stage).sort_by("finished")
        for row in rows.to_pylist()[-1:]:
            names = ("stage", "batch", "epoch", "code_version", "seconds", "finished")
            entries.append({name: _json(row[name]) for name in names})
    order = {stage: place for place, stage in enumerate(STREAM_STAGES)}
    return sorted(entries, key=lambda entry: (order.get(entry["stage"], len(order)), entry["batch"]))


def _json(value: Any) -> Any:
    """Make a value of the lake ready for JSON: times as ISO text, maps as objects, NaN as null."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in value.items()}
    if isinstance(value, list):
        pairs = bool(value) and all(isinstance(item, tuple) for item in value)
        return {name: _json(item) for name, item in value} if pairs else [_json(item) for item in value]
    return value
