"""A night of twenty alerts that the streams have made with three small modules, and ways to make it again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.filters import FilterSet, load_filters
from fink_lib.lake import Lake, open_lake
from fink_lib.lake.lake import conform
from fink_lib.nightly import long_histories
from fink_lib.nightly.late import Sent
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.replay import compute, make, promote
from fink_lib.science import Runner, ScienceModule
from fink_lib.science.columns import Columns
from fink_lib.science.loading import find_class_rule
from fink_lib.streams.raw2science import enrich
from fink_lib.surveys import get_survey
from tests.night_rows import NIGHT
from tests.unit.science.alerts import alert, table
from tests.unit.science.toys import Toy

NOW = datetime(2024, 3, 13, 16, tzinfo=UTC)
ZTF = get_survey("ztf")
ALERTS = 20
TOPIC = f"ztf_{NIGHT}_programid1"
BATCH = "g1-000000000"


FILTERS = {"quasars": "finkclass = 'QSO'", "unknowns": "finkclass = 'Unknown'", "faint": "candidate.magpsf > 19"}


@cache
def live_filters() -> FilterSet:
    """Give three filters; checking the project's own takes a second."""
    with tempfile.TemporaryDirectory() as folder:
        for name, predicate in FILTERS.items():
            header = {"topic": f"fink_{name}_ztf", "title": name, "description": "x", "author": "x",
                      "contact": "x@example.org", "version": "1", "references": "none", "kinds": "live"}  # fmt: skip
            lines = [f"-- {key}: {text}" for key, text in header.items()]
            (Path(folder) / f"{name}.sql").write_text("\n".join([*lines, predicate, ""]))
        return load_filters(ZTF, folder=Path(folder))


def modules(
    label: str = "QSO", label_version: str = "1", factor: float = 2.0, version: str = "1"
) -> list[ScienceModule]:
    """Give three modules: a label for alerts at declinations above 10, a number, and one that reads that number.

    Parameters
    ----------
    label, label_version
        What the first says, and its version.
    factor, version
        Of the second one, for magnitudes above 19; below it is always 2.
    """

    def name(columns: Columns) -> dict[str, Any]:
        high = columns.floats("candidate.dec") > 10
        return {"cdsxmatch": pa.array([label if one else None for one in high], pa.string())}

    def number(columns: Columns) -> dict[str, Any]:
        magnitude = columns.floats("candidate.magpsf")
        return {"agn_score": np.where(magnitude > 19, factor, 2.0) * magnitude}

    def follower(columns: Columns) -> dict[str, Any]:
        return {"rf_kn_vs_nonkn": np.minimum(columns.floats("agn_score"), 39.0)}

    found = [
        Toy(name, "simbad", {"cdsxmatch": pa.string()}, inputs=("candidate.dec",)),
        Toy(number, "number", {"agn_score": pa.float64()}, inputs=("candidate.magpsf",)),
        Toy(follower, "follower", {"rf_kn_vs_nonkn": pa.float64()}, inputs=("agn_score",), requires=("number",)),
    ]
    for module, text in zip(found, (label_version, version, "1"), strict=True):
        object.__setattr__(module.declaration, "version", text)
    return list(found)


def runner(**changed: Any) -> Runner:
    """Give a runner of :func:`modules` and the class rule."""
    return Runner(ZTF, modules(**changed), find_class_rule(ZTF))


def raw_rows(lake: Lake, ids: list[int], first_offset: int = 0, **candidate: Any) -> pa.Table:
    """Give rows of ``raw``: alert n has magnitude 18 + n / 10 and declination n; every tenth one fails a cut."""
    alerts = table(
        [
            alert(n, **({"magpsf": 18 + n / 10, "dec": float(n), "nbad": 0 if n % 10 else 1, "rb": 0.9} | candidate))
            for n in ids
        ]
    )
    size = alerts.num_rows
    ingest = [
        {"topic": TOPIC, "partition": 0, "offset": first_offset + n, "batch": BATCH, "kafka_time": NOW}
        for n in range(size)
    ]
    schema = lake.schema("raw")
    for column, values in {"ingest": ingest, "night": [NIGHT] * size}.items():
        alerts = alerts.append_column(column, pa.array(values, schema.field(column).type))
    return conform(alerts, schema)


def stream(lake: Lake, raw: pa.Table, science: Runner, duplicates: tuple[int, ...] = ()) -> None:
    """Do what raw2science does with rows of ``raw``; those at `duplicates` (offsets) are copies."""
    bad = np.array([row["nbad"] != 0 for row in raw.column("candidate").to_pylist()])
    offsets = [row["offset"] for row in raw.column("ingest").to_pylist()]
    copies = np.isin(offsets, duplicates)
    stays = raw.filter(pa.array(~bad & ~copies))
    if stays.num_rows:
        rows, _ = enrich(lake, science, stays, [BATCH] * stays.num_rows, NOW)
        lake.append("science", rows)
    leaving = [
        {"alert_id": n, "topic": TOPIC, "partition": 0, "offset": offset, "batch": BATCH, "night": NIGHT}
        | {"reason": "nbad" if cut else "duplicate"}
        for n, offset, cut, copy in zip(raw.column("candid").to_pylist(), offsets, bad, copies, strict=True)
        if cut or copy
    ]
    if leaving:
        lake.append("rejected", pa.Table.from_pylist(leaving, schema=lake.schema("rejected")))


class Killed(BaseException):
    """Stands for the end of the process: nobody catches it, and nothing is written after it."""


@contextmanager
def dying_at(place: str) -> Iterator[None]:
    """Let this process "die" once at a failpoint."""
    passed: list[str] = []

    def point(settings: Any, survey: str, stage: str, name: str) -> None:
        if name == place and not passed:
            passed.append(name)
            raise Killed(name)

    with pytest.MonkeyPatch.context() as patch:
        for module in (compute, make, promote):
            patch.setattr(module, "failpoint", point)
        yield
    assert passed == [place], f"nothing passed {place}"


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture(scope="session")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a closed night of twenty alerts, once: two fail a cut, one came twice."""
    home = tmp_path_factory.mktemp("streamed")
    lake = open_lake(Settings(home=home), "ztf")
    lake.ensure()
    raw = pa.concat_tables([raw_rows(lake, list(range(1, ALERTS + 1))), raw_rows(lake, [3], first_offset=ALERTS)])
    lake.append("raw", raw.slice(0, 12))
    lake.append("raw", raw.slice(12))
    stream(lake, raw.slice(0, 8), runner())
    stream(lake, raw.slice(8), runner(), duplicates=(ALERTS,))
    set_state(lake, NIGHT, "closed", "close_night", "all is in", NOW)
    return home


@pytest.fixture(scope="session")
def relabelled(streamed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a replay of that night, once, that says something else of nine alerts."""
    home = tmp_path_factory.mktemp("relabelled")
    shutil.copytree(streamed, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        install(patch, label="Unknown", label_version="2")
        make.replay_night(Settings(home=home), "ztf", NIGHT, now=NOW)
    return home


@pytest.fixture
def lake(settings: Settings, streamed: Path) -> Lake:
    """Give the closed night in an installation of its own."""
    shutil.copytree(streamed, settings.home, dirs_exist_ok=True)
    return open_lake(settings, "ztf")


def install(patch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Let replays run with small modules and few filters."""
    made = runner(**changed)
    for place in (compute, make):
        patch.setattr(place, "load_modules", lambda survey, settings: made)
    patch.setattr(long_histories, "build_runner", lambda survey, settings: made)
    for place in (make, promote):
        patch.setattr(place, "load_filters", lambda survey, home: live_filters())


@pytest.fixture
def science(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let replays run with small modules; calling it changes them."""

    def change(**changed: Any) -> None:
        install(monkeypatch, **changed)

    change()
    return change


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the numbers whose changes are to be sent, and send nothing."""
    numbers: list[int] = []

    def send(context: Any, filters: Any, number: int) -> Sent:
        if number:
            numbers.append(number)
        return Sent()

    monkeypatch.setattr(promote, "send_healed", send)
    return numbers
