"""What a replay would change: counts, digests, and for each alert which columns, by whom, and why."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.nightly.equations import tally
from fink_lib.nightly.replay.causes import WAITING, Givers
from fink_lib.nightly.replay.content import SAID_BY, Content, content_columns, content_of, differing, prints_of
from fink_lib.nightly.replay.shadow import MADE
from fink_lib.science.columns import one_chunk
from fink_lib.science.declarations import SEPARATION_COLUMN, STATUS_COLUMN, VERSIONS_COLUMN

if TYPE_CHECKING:
    from fink_lib.filters import FilterSet
    from fink_lib.nightly.replay.shadow import ShadowLake
    from fink_lib.science.runner import Runner

ROWS = 2000
NAMED = 1000
CLASS = "finkclass"
QUALITY_CUTS = "quality_cuts"

ALERTS = pa.schema(
    [
        ("alert_id", pa.int64()),
        ("object_id", pa.string()),
        ("what", pa.string()),
        ("columns", pa.list_(pa.string())),
        ("modules", pa.list_(pa.string())),
        ("why", pa.list_(pa.string())),
        ("class_before", pa.string()),
        ("class_after", pa.string()),
        ("enters", pa.list_(pa.string())),
        ("leaves", pa.list_(pa.string())),
    ]
)
"""One row for each alert that a replay changes; ``what`` is changed, added (to science), removed (from it) or sent."""

Sent = Mapping[int, set[str]]


@dataclass(frozen=True)
class Difference:
    """What a replay would change.

    Parameters
    ----------
    summary : dict
        JSON-able, for people: see :func:`compare`.
    alerts : pyarrow.Table
        Columns of :data:`ALERTS`, by rising id.
    """

    summary: dict[str, Any]
    alerts: pa.Table


def compare(
    shadow: ShadowLake, runner: Runner, filters: FilterSet, sent: Sent | None, progress: Callable[[str], None]
) -> Difference:
    """Compare the shadow of a night with the live night.

    Parameters
    ----------
    shadow : ShadowLake
        What the replay made.
    runner : Runner
        The modules that made it.
    filters : FilterSet
        The live filters of now.
    sent : mapping, optional
        By alert the filters that it was sent for: what a filter takes now and has not sent is then told of every
        alert. Without, only of alerts whose values have changed.
    progress : callable
        Takes lines for people.

    Returns
    -------
    Difference
        ``summary`` has ``tables`` (rows and digest of each, live and shadow), ``rejected`` (rows by reason, live and
        shadow), ``alerts`` (numbers ``changed``, ``added``, ``removed``, ``same``, ``by_other_versions``), ``columns``
        and ``modules`` (with the number of alerts; modules with their causes), ``classes``, ``enters`` and ``leaves``
        (by filter), ``versions`` (those that differ), and ``first``: the first alerts of the whole list.
    """
    live, night = shadow.live, shadow.night
    before, after = prints_of(live, night), prints_of(shadow, night)
    common, mine, theirs = np.intersect1d(before.ids, after.ids, assume_unique=False, return_indices=True)
    other_values = before.values[mine] != after.values[theirs]
    other_whole = before.whole[mine] != after.whole[theirs]
    changed = common[other_values]
    added, removed = np.setdiff1d(after.ids, before.ids), np.setdiff1d(before.ids, after.ids)
    progress(f"replay: {len(changed)} alerts changed, {len(added)} added, {len(removed)} removed")
    teller = _Teller(shadow, Givers(runner), filters, sent)
    rows = itertools.chain(teller.shadow_rows(changed, added), teller.removed_rows(removed))
    parts = [ALERTS.empty_table()]
    while some := list(itertools.islice(rows, ROWS)):
        parts.append(pa.Table.from_pylist(some, schema=ALERTS))
    alerts = pa.concat_tables(parts).sort_by("alert_id").combine_chunks()
    summary = {
        "tables": {
            table: _sides(before.content, after.content)
            if table == "science"
            else _sides(content_of(live, table, night), content_of(shadow, table, night))
            for table in MADE
        },
        "rejected": {
            name: tally(lake.read("rejected", [night], ["reason"]).column("reason"))
            for name, lake in (("live", live), ("shadow", shadow))
        },
        "alerts": {
            "changed": len(changed),
            "added": len(added),
            "removed": len(removed),
            "same": int((~other_whole).sum()),
            "by_other_versions": int((other_whole & ~other_values).sum()),
        },
        "columns": _counts(alerts, "columns"),
        "modules": teller.modules(),
        "classes": _moves(alerts),
        "enters": _counts(alerts, "enters"),
        "leaves": _counts(alerts, "leaves"),
        "first": alerts.slice(0, NAMED).to_pylist(),
    }
    return Difference(summary, alerts)


class _Teller:
    """Tells what has become of single alerts."""

    def __init__(self, shadow: ShadowLake, givers: Givers, filters: FilterSet, sent: Sent | None) -> None:
        self._shadow, self._givers, self._filters, self._sent = shadow, givers, filters, sent
        self._key = shadow.survey.id_field
        self._object = shadow.survey.object_field
        self._columns = content_columns(shadow, "science")
        self._causes: dict[str, Counter[str]] = defaultdict(Counter)

    def modules(self) -> dict[str, Any]:
        """Count the alerts in which each giver's output has changed, and why."""
        return {
            name: {"alerts": causes.total(), "why": dict(causes.most_common())}
            for name, causes in sorted(self._causes.items())
        }

    def shadow_rows(self, changed: npt.NDArray[np.int64], added: npt.NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        """Tell of the alerts that the shadow has."""
        night = self._shadow.night
        batches = self._shadow.dataset("science", [night]).to_batches(
            columns=self._columns, batch_size=ROWS, batch_readahead=1
        )
        for batch in batches:
            rows = pa.Table.from_batches([batch])
            ids = rows.column(self._key).to_numpy()
            here = np.flatnonzero(np.isin(ids, changed))
            if len(here):
                yield from self._changed(rows.take(pa.array(here)))
            here = np.flatnonzero(np.isin(ids, added))
            if len(here):
                yield from self._moved(rows.take(pa.array(here)), "added")
            if self._sent is not None:
                others = np.flatnonzero(~np.isin(ids, changed) & ~np.isin(ids, added))
                yield from self._due(rows.take(pa.array(others)))

    def removed_rows(self, removed: npt.NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        """Tell of the alerts that only the live night has."""
        for start in range(0, len(removed), ROWS):
            yield from self._moved(self._live(removed[start : start + ROWS]), "removed")

    def _live(self, ids: npt.NDArray[np.int64]) -> pa.Table:
        key = pc.field(self._key)
        near = (key >= int(ids.min())) & (key <= int(ids.max())) & key.isin(pa.array(ids))
        live = self._shadow.live.dataset("science", [self._shadow.night])
        return live.to_table(columns=self._columns, filter=near)

    def _changed(self, after: pa.Table) -> Iterator[dict[str, Any]]:
        after = after.sort_by(self._key)
        ids = after.column(self._key).to_numpy()
        before = self._live(ids).sort_by(self._key)
        compared = [name for name in self._columns if name not in SAID_BY]
        differ = {name: differing(before.column(name), after.column(name)) for name in compared}
        differ = {name: rows for name, rows in differ.items() if rows.any()}
        told = [self._maps(before), self._maps(after)]
        classes = [_class(before), _class(after)]
        took = self._took(before, ids)
        takes = self._filters.route(after).to_pylist()
        objects = after.column(self._object).to_pylist()
        for row, alert_id in enumerate(ids.tolist()):
            columns = [name for name, rows in differ.items() if rows[row]]
            one, other = (side[row] for side in told)
            statuses, separations = (_keys(one[name], other[name]) for name in (STATUS_COLUMN, SEPARATION_COLUMN))
            givers = self._givers.of(columns, statuses, separations)
            waited = {name for side in (one, other) for name, word in side[STATUS_COLUMN].items() if word == WAITING}
            why = self._givers.causes(givers, one[VERSIONS_COLUMN], other[VERSIONS_COLUMN], waited)
            for name, cause in why.items():
                self._causes[name][cause] += 1
            yield {
                "alert_id": alert_id,
                "object_id": objects[row],
                "what": "changed",
                "columns": columns,
                "modules": givers,
                "why": [f"{name}: {cause}" for name, cause in why.items()],
                "class_before": classes[0][row],
                "class_after": classes[1][row],
                "enters": sorted(set(takes[row]) - took[row]),
                "leaves": sorted(took[row] - set(takes[row])),
            }

    def _moved(self, rows: pa.Table, what: str) -> Iterator[dict[str, Any]]:
        """Tell of alerts that one of the two sides alone has: the quality cuts say something else of them."""
        takes = self._filters.route(rows).to_pylist()
        classes = _class(rows)
        for row, (alert_id, name) in enumerate(
            zip(rows.column(self._key).to_pylist(), rows.column(self._object).to_pylist(), strict=True)
        ):
            self._causes[QUALITY_CUTS][what] += 1
            yield {
                "alert_id": alert_id,
                "object_id": name,
                "what": what,
                "columns": [],
                "modules": [QUALITY_CUTS],
                "why": [f"{QUALITY_CUTS}: {what}"],
                "class_before": classes[row] if what == "removed" else None,
                "class_after": classes[row] if what == "added" else None,
                "enters": takes[row] if what == "added" else [],
                "leaves": takes[row] if what == "removed" else [],
            }

    def _due(self, rows: pa.Table) -> Iterator[dict[str, Any]]:
        """Tell of alerts whose values are the same and that a filter of now takes and has not sent."""
        ids = rows.column(self._key).to_numpy()
        took = self._took(rows, ids)
        for row, names in enumerate(self._filters.route(rows).to_pylist() if rows.num_rows else []):
            enters = sorted(set(names) - took[row])
            if enters:
                yield {
                    "alert_id": int(ids[row]),
                    "object_id": rows.column(self._object)[row].as_py(),
                    "what": "sent",
                    "columns": [],
                    "modules": [],
                    "why": [],
                    "enters": enters,
                    "leaves": [],
                }

    def _took(self, rows: pa.Table, ids: npt.NDArray[np.int64]) -> list[set[str]]:
        if self._sent is not None:
            return [self._sent.get(alert_id, set()) for alert_id in ids.tolist()]
        return [set(names) for names in self._filters.route(rows).to_pylist()]

    def _maps(self, rows: pa.Table) -> list[dict[str, dict[str, Any]]]:
        names = (STATUS_COLUMN, SEPARATION_COLUMN, VERSIONS_COLUMN)
        columns = {
            name: rows.column(name).to_pylist() if name in rows.column_names else [None] * rows.num_rows
            for name in names
        }
        return [{name: dict(columns[name][row] or ()) for name in names} for row in range(rows.num_rows)]


def _class(rows: pa.Table) -> list[str | None]:
    found: list[str | None] = rows.column(CLASS).to_pylist() if CLASS in rows.column_names else [None] * rows.num_rows
    return found


def _keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


def _sides(live: Content, shadow: Content) -> dict[str, Any]:
    return {"live": asdict(live), "shadow": asdict(shadow), "equal": live == shadow}


def _counts(alerts: pa.Table, column: str) -> dict[str, int]:
    values = one_chunk(alerts.column(column)).flatten()
    return dict(Counter(values.to_pylist()).most_common())


def _moves(alerts: pa.Table) -> dict[str, int]:
    pairs = zip(alerts.column("class_before").to_pylist(), alerts.column("class_after").to_pylist(), strict=True)
    return dict(Counter(f"{one} -> {other}" for one, other in pairs if one != other).most_common())
