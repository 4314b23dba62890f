"""What a filter would have sent on past nights: yield, overlap, classes, samples and cost, from the lake.

The predicate is evaluated by the same plan as in the stream, over the same columns. The other filters are evaluated on
the alerts that it takes, which is all that an overlap needs.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.filters.plan import FilterSet
from fink_lib.filters.reading import read_values

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from fink_lib.filters.files import Filter
    from fink_lib.lake import Lake

THREADS = 2
COMPARED = 100_000
"""Alerts, at most, on which the other filters are evaluated."""
SAMPLES = 12
BATCH = 2000
TRIES = 5
"""Alerts, and repetitions, by which the cost is measured."""
CLASS_COLUMNS = ("finkclass", "finkclass2", "cdsxmatch", "tns")
"""Columns by which the taken alerts are counted, of those that the survey has."""


@dataclass(frozen=True)
class NightYield:
    """One night: its alerts, those that the filter takes, and their objects."""

    night: str
    alerts: int
    taken: int
    objects: int


@dataclass(frozen=True)
class Sample:
    """One alert that the filter takes."""

    alert_id: int
    object_id: str
    night: str


@dataclass(frozen=True)
class Backtest:
    """What a filter would have sent.

    Parameters
    ----------
    name, version, digest : str
        Of the filter; a record is good for exactly this predicate.
    survey : str
        Whose alerts.
    nights : tuple of NightYield
        In order.
    overlap : dict of str to int
        How many of the compared alerts each other filter takes too.
    compared : int
        Alerts that the other filters were evaluated on.
    classes : dict of str to dict of str to int
        By column, how many of the taken alerts have which value; ``null`` where there is none.
    samples : tuple of Sample
        A few of the taken alerts, the same at each call.
    evaluate_us_per_alert : float
        Time to evaluate the predicate (microseconds of one thread).
    seconds : float
        Time of the whole pass.
    """

    name: str
    version: str
    digest: str
    survey: str
    nights: tuple[NightYield, ...]
    overlap: dict[str, int]
    compared: int
    classes: dict[str, dict[str, int]]
    samples: tuple[Sample, ...]
    evaluate_us_per_alert: float
    seconds: float = field(compare=False)

    @property
    def alerts(self) -> int:
        """Alerts of all nights."""
        return sum(one.alerts for one in self.nights)

    @property
    def taken(self) -> int:
        """Alerts that the filter takes."""
        return sum(one.taken for one in self.nights)

    @property
    def share(self) -> float:
        """Share of the alerts that it takes; 0 if there are none."""
        return self.taken / self.alerts if self.alerts else 0.0

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return {**asdict(self), "alerts": self.alerts, "taken": self.taken, "share": self.share}


@dataclass(frozen=True)
class _File:
    """One file of ``science``."""

    path: str
    night: str
    filesystem: FileSystem


@dataclass
class _Hits:
    """What one file gave."""

    night: str
    alerts: int = 0
    ids: list[int] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    classes: dict[str, Counter[str]] = field(default_factory=dict)
    compared: int = 0
    overlap: Counter[str] = field(default_factory=Counter)


def parse_nights(text: str, known: Sequence[str]) -> list[str]:
    """Give the nights that a range names and the lake has.

    Parameters
    ----------
    text : str
        ``A``, or ``A..B`` with both ends; an end may be left out.
    known : sequence of str
        The nights of the lake.

    Raises
    ------
    ConfigError
        If the text is no range of nights, or there is no such night.
    """
    first, dots, last = text.partition("..")
    ends = [end for end in (first, last if dots else first) if end]
    if not ends or any(len(end) != 8 or not end.isdigit() for end in ends):
        raise ConfigError(f"nights are YYYYMMDD or YYYYMMDD..YYYYMMDD, not {text!r}")
    low, high = first or "00000000", (last or "99999999") if dots else first
    found = [night for night in sorted(known) if low <= night <= high]
    if not found:
        there = f"; it has {min(known)} to {max(known)}" if known else ""
        raise ConfigError(f"the lake has no science of the nights {text}{there}")
    return found


def backtest(
    lake: Lake, nights: Iterable[str], chosen: Filter, others: FilterSet, samples: int = SAMPLES, threads: int = THREADS
) -> Backtest:
    """Evaluate a filter over past nights.

    Parameters
    ----------
    lake : Lake
        Holds table ``science``.
    nights : iterable of str
        Which nights.
    chosen : Filter
        What to evaluate.
    others : FilterSet
        Filters to compare it with; one of its own name is left out.
    samples : int
        How many alerts to show.
    threads : int
        Files that are read at once.

    Returns
    -------
    Backtest
    """
    began_s = time.perf_counter()
    others = FilterSet(tuple(f for f in others.filters if f.name != chosen.name))
    files = list(_files(lake, nights))
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda file: _take(lake, file, chosen, others, COMPARED // len(files)), files))
    overlap: Counter[str] = Counter(dict.fromkeys(others.names, 0))
    for one in found:
        overlap.update(one.overlap)
    return Backtest(
        name=chosen.name,
        version=chosen.version,
        digest=chosen.digest,
        survey=lake.survey.name,
        nights=tuple(_by_night(found)),
        overlap=dict(overlap),
        compared=sum(one.compared for one in found),
        classes=_classes(found),
        samples=tuple(_samples(found, samples)),
        evaluate_us_per_alert=_cost(lake, files, chosen),
        seconds=round(time.perf_counter() - began_s, 3),
    )


def _files(lake: Lake, nights: Iterable[str]) -> Iterator[_File]:
    """Give the files of table ``science``."""
    for night in sorted(set(nights)):
        dataset = lake.dataset("science", [night])
        for path in sorted(fragment.path for fragment in dataset.get_fragments()):
            yield _File(path, night, dataset.filesystem)


def _take(lake: Lake, file: _File, chosen: Filter, others: FilterSet, most: int) -> _Hits:
    """Evaluate the filter over one file, then the others over what it takes, or evenly over `most` of that."""
    schema, survey = lake.schema("science"), lake.survey
    plan = FilterSet((chosen,))
    names = tuple(name for name in CLASS_COLUMNS if name in schema.names)
    hits = _Hits(file.night, classes={name: Counter() for name in names})
    with file.filesystem.open_input_file(file.path) as handle:
        parquet = pq.ParquetFile(handle)
        taken: list[tuple[int, pa.Array]] = []
        for group in range(parquet.num_row_groups):
            rows = read_values(parquet, group, plan.references, schema)
            places = pc.indices_nonzero(plan.evaluate(rows).column(chosen.name))
            hits.alerts += rows.num_rows
            if len(places):
                taken.append((group, places))
        step = -(-sum(len(places) for _, places in taken) // max(most, 1)) or 1
        compared = []
        for group, places in taken:
            extra = (survey.id_field, survey.object_field, *names)
            mine = read_values(parquet, group, others.references, schema, extra).take(places)
            hits.ids.extend(mine.column(survey.id_field).to_pylist())
            hits.objects.extend(mine.column(survey.object_field).to_pylist())
            for name in names:
                hits.classes[name].update(_count(mine.column(name)))
            compared.append(mine.take(pa.array(np.arange(0, mine.num_rows, step))))
    if compared and others.filters:
        rows = pa.concat_tables(compared, promote_options="permissive")
        hits.compared = rows.num_rows
        for name, column in zip(others.names, others.evaluate(rows).columns, strict=True):
            hits.overlap[name] = pc.sum(column).as_py()
    return hits


def _cost(lake: Lake, files: Iterable[_File], chosen: Filter) -> float:
    """Measure the filter on a batch as the stream has them: alerts of the first file, repeated; the best of a few."""
    plan = FilterSet((chosen,))
    for file in files:
        with file.filesystem.open_input_file(file.path) as handle:
            parquet = pq.ParquetFile(handle)
            for group in range(parquet.num_row_groups):
                rows = read_values(parquet, group, plan.references, lake.schema("science"))
                if rows.num_rows:
                    batch = rows.take(pa.array(np.arange(BATCH) % rows.num_rows))
                    return round(1e6 * min(_seconds(plan, batch) for _ in range(TRIES)) / BATCH, 3)
    return 0.0


def _seconds(plan: FilterSet, batch: pa.Table) -> float:
    began_s = time.thread_time()
    plan.evaluate(batch)
    return time.thread_time() - began_s


def _count(column: pa.ChunkedArray) -> Counter[str]:
    pairs = pc.value_counts(column).to_pylist()
    return Counter({"null" if pair["values"] is None else pair["values"]: pair["counts"] for pair in pairs})


def _by_night(found: Iterable[_Hits]) -> Iterator[NightYield]:
    nights: dict[str, list[_Hits]] = {}
    for one in found:
        nights.setdefault(one.night, []).append(one)
    for night, parts in sorted(nights.items()):
        objects = {name for part in parts for name in part.objects}
        yield NightYield(night, sum(part.alerts for part in parts), sum(len(part.ids) for part in parts), len(objects))


def _classes(found: Iterable[_Hits]) -> dict[str, dict[str, int]]:
    total: dict[str, Counter[str]] = {}
    for one in found:
        for name, counts in one.classes.items():
            total.setdefault(name, Counter()).update(counts)
    return {name: dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))) for name, counts in total.items()}


def _samples(found: Iterable[_Hits], number: int) -> list[Sample]:
    """Choose alerts by a hash of their ids: spread over the nights, one of each object, the same at each call."""
    every = [
        Sample(alert_id, object_id, one.night)
        for one in found
        for alert_id, object_id in zip(one.ids, one.objects, strict=True)
    ]
    order = np.argsort([hashlib.sha256(str(sample.alert_id).encode()).hexdigest() for sample in every])
    chosen: dict[str, Sample] = {}
    for place in order:
        if len(chosen) == number:
            break
        chosen.setdefault(every[place].object_id, every[place])
    return sorted(chosen.values(), key=lambda sample: (sample.night, sample.alert_id))
