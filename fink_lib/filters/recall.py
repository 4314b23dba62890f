"""What filters find of objects that were injected: recall and purity, over alerts and over objects.

The truth is what ``fink simulate --synthetic --truth`` writes: one row for each alert, with the kind of its object. A
filter says in its header which kinds it is meant for. Filters are evaluated as in the stream, and those of the night as
at the end of a night, by the same plans over table ``science``.

* recall: of the alerts (objects) of these kinds that are in ``science``, the part that the filter takes,
* purity: of the alerts (objects) that it takes, the part that is of these kinds.

An object counts as taken with its first alert that is. Alerts that the truth does not know are left out of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.filters.night import NightSelection
from fink_lib.filters.plan import FilterSet
from fink_lib.filters.reading import read_values

if TYPE_CHECKING:
    from fink_lib.lake import Lake

Ids = npt.NDArray[np.int64]

TRUTH = {"candid": pa.int64(), "objectId": pa.string(), "kind": pa.string(), "night": pa.string()}
"""Columns of the truth that are needed."""


@dataclass(frozen=True)
class Count:
    """Alerts, and the objects that they are of."""

    alerts: int = 0
    objects: int = 0


@dataclass(frozen=True)
class Score:
    """How a filter did.

    Parameters
    ----------
    name : str
        Of the filter.
    kinds : tuple of str
        Where it runs: ``live``, ``night``.
    targets : tuple of str
        Kinds of objects that it is meant for; if none, there is neither recall nor purity.
    injected : Count
        What there is of these kinds in the truth.
    wanted : Count
        Those of them that are in ``science``: the rest failed a quality cut.
    taken : Count
        What the filter takes of what the truth knows.
    found : Count
        Those of them that are of its kinds.
    foreign : int
        Alerts that it takes and the truth does not know.
    composition : dict of str to int
        Alerts that it takes, by what they really are; the most frequent first.
    """

    name: str
    kinds: tuple[str, ...]
    targets: tuple[str, ...]
    injected: Count
    wanted: Count
    taken: Count
    found: Count
    foreign: int
    composition: dict[str, int]

    @property
    def recall(self) -> dict[str, float | None]:
        """Part of what was wanted that it takes; None where nothing was wanted."""
        return _parts(self.found, self.wanted)

    @property
    def purity(self) -> dict[str, float | None]:
        """Part of what it takes that was wanted; None where it takes nothing, or was meant for nothing."""
        return _parts(self.found, self.taken if self.targets else Count())

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return {**asdict(self), "recall": self.recall, "purity": self.purity}


@dataclass(frozen=True)
class Taken:
    """Ids of the alerts of some nights, and of those that each filter takes."""

    seen: Ids
    by_filter: Mapping[str, Ids]


def read_truth(paths: Sequence[Path]) -> pa.Table:
    """Read what was injected.

    Raises
    ------
    ConfigError
        If a file cannot be read or lacks a column.
    """
    parts = []
    for path in paths:
        try:
            table = pq.read_table(path, columns=list(TRUTH))
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(
                f"{path} is no truth ({error}); make one with `fink simulate --synthetic --truth`"
            ) from error
        if missing := sorted(set(TRUTH) - set(table.column_names)):
            raise ConfigError(f"{path} has no column {', '.join(missing)}; make it anew with `fink simulate --truth`")
        parts.append(table.select(list(TRUTH)).cast(pa.schema(list(TRUTH.items()))))
    return pa.concat_tables(parts)


def take_nights(lake: Lake, nights: Iterable[str], filters: FilterSet) -> Taken:
    """Evaluate filters over nights of table ``science``.

    Parameters
    ----------
    lake : Lake
        Holds the table.
    nights : iterable of str
        Which nights; a filter of the night chooses from each of them by itself.
    filters : FilterSet
        Of any kind. One that runs in both places is evaluated as in the stream.
    """
    survey, schema = lake.survey, lake.schema("science")
    live = FilterSet(tuple(f for f in filters.filters if "live" in f.kinds))
    late = FilterSet(tuple(f for f in filters.filters if "live" not in f.kinds))
    seen: list[Ids] = []
    taken: dict[str, list[Ids]] = {name: [] for name in filters.names}
    for night in sorted(set(nights)):
        selection = NightSelection(late, survey.id_field, survey.object_field)
        wanted = (*live.references, *selection.references)
        dataset = lake.dataset("science", [night])
        for path in sorted(fragment.path for fragment in dataset.get_fragments()):
            with dataset.filesystem.open_input_file(path) as handle:
                parquet = pq.ParquetFile(handle)
                for group in range(parquet.num_row_groups):
                    rows = read_values(parquet, group, wanted, schema)
                    ids = _ids(rows.column(survey.id_field))
                    seen.append(ids)
                    for name, verdict in zip(live.names, live.evaluate(rows).columns, strict=True):
                        taken[name].append(ids[verdict.to_numpy()])
                    selection.feed(rows)
        for name, chosen in selection.chosen().items():
            taken[name].append(np.array([one.alert_id for one in chosen], np.int64))
    return Taken(_joined(seen), {name: _joined(parts) for name, parts in taken.items()})


def score(truth: pa.Table, taken: Taken, filters: FilterSet) -> list[Score]:
    """Compare what filters take with what was injected.

    Parameters
    ----------
    truth : pyarrow.Table
        Columns of :data:`TRUTH`; the nights that were looked at.
    taken : Taken
        What there is, and what each filter takes.
    filters : FilterSet
        Say what they are meant for.

    Returns
    -------
    list of Score
        In the order of the filters.

    Raises
    ------
    ConfigError
        If the truth and the nights have no alert in common.
    """
    ids = _ids(truth.column("candid"))
    objects = np.unique(np.array(truth.column("objectId").to_pylist(), object), return_inverse=True)[1]
    kinds = np.array(truth.column("kind").to_pylist(), object)
    there = np.isin(ids, taken.seen)
    if not there.any():
        raise ConfigError("no alert of the truth is in table science of these nights; is it the truth of these nights?")

    def count(chosen: npt.NDArray[np.bool_]) -> Count:
        return Count(int(chosen.sum()), len(np.unique(objects[chosen])))

    scores = []
    for f in filters.filters:
        mine = taken.by_filter[f.name]
        its_kind, takes = np.isin(kinds, np.array(f.targets, object)), np.isin(ids, mine)
        scores.append(
            Score(
                name=f.name,
                kinds=f.kinds,
                targets=f.targets,
                injected=count(its_kind),
                wanted=count(its_kind & there),
                taken=count(takes),
                found=count(its_kind & takes),
                foreign=len(mine) - int(takes.sum()),
                composition=dict(Counter(kinds[takes].tolist()).most_common()),
            )
        )
    return scores


def of_nights(truth: pa.Table, nights: Iterable[str]) -> pa.Table:
    """Give the truth of some nights."""
    return truth.filter(pc.is_in(truth.column("night"), pa.array(sorted(set(nights)), pa.string())))


def _parts(found: Count, whole: Count) -> dict[str, float | None]:
    return {
        "alerts": found.alerts / whole.alerts if whole.alerts else None,
        "objects": found.objects / whole.objects if whole.objects else None,
    }


def _ids(column: pa.ChunkedArray) -> Ids:
    return np.asarray(column.to_numpy(), np.int64)


def _joined(parts: Sequence[Ids]) -> Ids:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
