"""Tracklets of a night: science that needs all alerts of an exposure, merged into ``science`` when the night is over.

An alert in a tracklet is classified anew. What the stream said of it stays on record: table ``reclassified`` has a row
for each class that changed. Both tables follow from the alerts and from the versions alone, so doing it again changes
nothing, and a late alert that joins a trail is merged in the next time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.lake.patch import patch_rows
from fink_lib.lake.tables import PARTITION
from fink_lib.science.history import to_floats
from fink_lib.science.loading import find_class_rule
from fink_lib.science.photometry import difference_sign
from fink_lib.science.tracklets import NAME, VERSION, find_tracklets, is_trail_candidate

if TYPE_CHECKING:
    from fink_lib.lake import Lake
    from fink_lib.science.classes import ClassRule

COLUMN = "tracklet"
FIELDS = ("jd", "ra", "dec", "ssnamenr", "isdiffpos", "distnr", "magnr", "magpsf", "ndethist")
STATUS, VERSIONS, CLASS_VERSION = "fink_status", "fink_versions", "finkclass_version"


def link_night(lake: Lake, night: str) -> dict[str, Any]:
    """Find the tracklets of a night and bring ``science`` and ``reclassified`` up to date.

    Parameters
    ----------
    lake : Lake
        The survey's lake.
    night : str
        ``YYYYMMDD``.

    Returns
    -------
    dict
        ``tracklets``, ``alerts`` (in them), ``updated`` (rows of ``science`` written now) and ``reclassified`` (changes
        of class, for example ``{"Unknown -> Tracklet": 12}``); empty if the survey has no tracklets.

    Raises
    ------
    TransientError
        If other writers keep changing the night.
    """
    if COLUMN not in lake.survey.fink_schema.names:
        return {}
    found = linked_alerts(lake, night)
    rows = _concerned(lake, night, list(found))
    if rows.num_rows == 0:
        _record(lake, night, [])
        return {"tracklets": 0, "alerts": 0, "updated": 0, "reclassified": {}}
    ids = rows.column(lake.survey.id_field).to_pylist()
    names = pa.array([found.get(one) for one in ids], pa.string())
    rule = find_class_rule(lake.survey)
    live = _classes(rule, rows, pa.nulls(len(ids), pa.string()))
    classes = _classes(rule, rows, names)
    stale = np.array(
        [
            stored != name or dict(versions or ()).get(NAME) != (VERSION if name else None)
            for stored, versions, name in zip(
                rows.column(COLUMN).to_pylist(), rows.column(VERSIONS).to_pylist(), names.to_pylist(), strict=True
            )
        ]
    )
    values = _values(lake, rows, names, classes).filter(pa.array(stale))
    updated = patch_rows(lake, "science", night, lake.survey.id_field, values) if values.num_rows else 0
    changes = [
        {
            "alert_id": one,
            COLUMN: name,
            "column": column,
            "before": before,
            "after": after,
            "version": rule.versions[column] if rule else None,
            PARTITION: night,
        }
        for column in classes
        for one, name, before, after in zip(
            ids, names.to_pylist(), live[column].to_pylist(), classes[column].to_pylist(), strict=True
        )
        if before != after
    ]
    _record(lake, night, changes)
    return {
        "tracklets": len(set(found.values())),
        "alerts": len(found),
        "updated": updated,
        "reclassified": _tally(change for change in changes if change["column"] == "finkclass"),
    }


def linked_alerts(lake: Lake, night: str) -> dict[int, str]:
    """Give the alerts of a night that are in a tracklet, with its name."""
    rows = lake.dataset("science", [night]).to_table(
        columns={lake.survey.id_field: pc.field(lake.survey.id_field)}
        | {name: pc.field("candidate", name) for name in FIELDS},
        filter=pc.field("candidate", "ndethist") == 1,
    )
    columns = {name: rows.column(name).combine_chunks() for name in rows.column_names}
    numbers = {name: to_floats(columns[name]) for name in FIELDS if name not in ("ssnamenr", "isdiffpos")}
    chosen = is_trail_candidate(
        columns["ssnamenr"].to_numpy(zero_copy_only=False),
        numbers["ndethist"],
        difference_sign(columns["isdiffpos"]) > 0,
        numbers["distnr"],
        numbers["magnr"],
        numbers["magpsf"],
    )
    ids = columns[lake.survey.id_field].to_numpy()[chosen]
    names = find_tracklets(ids, *(numbers[name][chosen] for name in ("jd", "ra", "dec")))
    return {int(one): str(name) for one, name in zip(ids, names, strict=True) if name is not None}


def _concerned(lake: Lake, night: str, ids: list[int]) -> pa.Table:
    """Read the rows that are in a tracklet, or were said to be: inputs of the class rule, and what may change."""
    key = lake.survey.id_field
    rule = find_class_rule(lake.survey)
    paths = [key, COLUMN, STATUS, VERSIONS, *(rule.inputs if rule else ())]
    where = pc.field(key).isin(pa.array(ids, pa.int64())) | pc.field(COLUMN).is_valid()
    columns = {path: pc.field(*path.split(".")) for path in paths}
    return lake.dataset("science", [night]).to_table(columns=columns, filter=where).combine_chunks()


def _classes(rule: ClassRule | None, rows: pa.Table, tracklets: pa.Array) -> dict[str, pa.Array]:
    """Apply the class rule to stored rows as if they had these tracklets."""
    if rule is None:
        return {}
    inputs = {path.rsplit(".", 1)[-1]: tracklets if path == COLUMN else rows.column(path) for path in rule.inputs}
    statuses = rows.column(STATUS).combine_chunks()
    for module in rule.statuses:
        inputs[f"{module}_status"] = pc.map_lookup(statuses, pa.scalar(module), "first")
    return rule.evaluate(pa.table(inputs))


def _values(lake: Lake, rows: pa.Table, names: pa.Array, classes: dict[str, pa.Array]) -> pa.Table:
    """Give what the rows shall hold: tracklet, classes, and where these come from."""
    schema = lake.schema("science")
    told = {STATUS: ("ok", rows.column(STATUS)), VERSIONS: (VERSION, rows.column(VERSIONS))}
    maps = {
        column: pa.array(
            [
                _with(pairs, text if name else None)
                for pairs, name in zip(old.to_pylist(), names.to_pylist(), strict=True)
            ],
            schema.field(column).type,
        )
        for column, (text, old) in told.items()
    }
    rule = find_class_rule(lake.survey)
    version = next(iter(rule.versions.values())) if rule else None
    class_version = {CLASS_VERSION: pa.array([version] * rows.num_rows, pa.string())} if rule else {}
    key = lake.survey.id_field
    return pa.table({key: rows.column(key), COLUMN: names, **maps, **classes, **class_version})


def _with(pairs: list[tuple[str, str]] | None, text: str | None) -> list[tuple[str, str]]:
    """Give a map with the entry of the tracklets set, or without it."""
    others = [pair for pair in pairs or () if pair[0] != NAME]
    return sorted([*others, (NAME, text)]) if text else others


def _record(lake: Lake, night: str, changes: list[dict[str, Any]]) -> None:
    """Make ``reclassified`` say what it should of this night; a night that does is left alone."""
    schema = lake.schema("reclassified")
    order = [("alert_id", "ascending"), ("column", "ascending")]
    wanted = pa.Table.from_pylist(changes, schema=schema).sort_by(order)
    stored = lake.read("reclassified", [night]).select(schema.names).sort_by(order)
    if not stored.combine_chunks().equals(wanted.combine_chunks()):
        lake.replace_night("reclassified", night, wanted)


def _tally(changes: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for change in changes:
        told = f"{change['before']} -> {change['after']}"
        counts[told] = counts.get(told, 0) + 1
    return dict(sorted(counts.items()))
