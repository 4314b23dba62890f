"""Which alerts are taken: by class, by a filter as the stream runs it, by conditions in SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fink_lib.errors import ConfigError
from fink_lib.filters import FilterError, FilterSet, load_filters
from fink_lib.filters.night import select_night
from fink_lib.lake import Lake
from fink_lib.surveys import get_survey
from fink_lib.transfer.choice import Choice
from fink_lib.transfer.job import Selection
from fink_lib.transfer.source import Source
from tests.unit.filters.alerts import science_table
from tests.unit.filters.conftest import night_of
from tests.unit.filters.mixtures import mixtures
from tests.unit.transfer.nights import FIRST

ZTF = get_survey("ztf")


def choose(rows: pa.Table, **asked: Any) -> list[int]:
    """Give the places of the rows that are taken."""
    choice = Choice(Selection("ztf", FIRST, **asked), ZTF)
    return [place for place, taken in enumerate(choice.night(lambda _: [])(rows)) if taken]


@pytest.mark.parametrize("name", ["sn_candidates", "sso_ztf_candidates"])
def test_a_filter_takes_what_it_takes_in_the_stream(name: str) -> None:
    rows = science_table(mixtures(400, seed=5))
    rows = rows.set_column(rows.schema.get_field_index("candid"), "candid", pa.array(range(400), pa.int64()))
    route = load_filters(ZTF).route(rows).to_pylist()
    taken = [place for place, names in enumerate(route) if name in names]
    assert taken
    assert choose(rows, filter=name) == taken


def test_a_filter_that_ranks_looks_at_the_whole_night(lake: Lake) -> None:
    for first_id in (1, 1000):
        lake.append("science", night_of(lake, FIRST, first_id, 200))
    for f in load_filters(ZTF, ["night"]).filters:
        if f.name not in ("anomaly", "active_learning_best"):
            continue
        assert f.selection is not None
        wanted = {one.alert_id for one in select_night(lake, FIRST, FilterSet((f,)))[f.name]}
        source = Source(lake)
        pieces = source.pieces(Choice(Selection("ztf", FIRST, filter=f.name), ZTF), [FIRST], ["candid"], (0,), 50)
        assert sorted(i for piece in pieces for i in piece.rows.column("candid").to_pylist()) == sorted(wanted)


def test_all_conditions_have_to_be_true_and_null_is_not() -> None:
    rows = science_table([{"candid": i, "roid": i, "nalerthist": None if i == 3 else 5} for i in range(5)])
    assert choose(rows, where=("roid > 1",)) == [2, 3, 4]
    assert choose(rows, where=("roid > 1", "nalerthist = 5")) == [2, 4]
    assert choose(rows) == [0, 1, 2, 3, 4]


def test_a_class_is_the_brokers_a_transient_type_or_a_simbad_type_in_any_spelling() -> None:
    given = [("SN candidate", None), ("Sy1", "SN Ia"), ("Seyfert_1", None), ("Unknown", "SN Ia"), (None, None)]
    rows = science_table([{"candid": i, "finkclass": name, "tns": tns} for i, (name, tns) in enumerate(given)])
    assert choose(rows, classes=("SN candidate",)) == [0]
    assert choose(rows, classes=("(TNS) SN Ia",)) == [1, 3]
    assert choose(rows, classes=("(SIMBAD) Seyfert1",)) == [1, 2]
    assert choose(rows, classes=("SN candidate", "(TNS) SN Ia")) == [0, 1, 3]
    assert choose(rows, classes=("Fail",)) == [4]
    assert choose(rows, classes=("SN candidate",), where=("candid > 0",)) == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"filter": "sn_candidate"}, "did you mean 'sn_candidates'"),
        ({"classes": ("(CTA) Blazar low state",)}, "choose with a filter"),
        ({"where": ("roidd = 3",)}, "--where:1:1: unknown column 'roidd'"),
        ({"where": ("(SELECT 1) = 1",)}, "may not contain a query"),
        ({"where": ("roid = 3; DROP TABLE science",)}, "remove the semicolon"),
        ({"where": ("read_csv('/etc/passwd') = 1",)}, "not allowed"),
    ],
)
def test_what_cannot_be_chosen_by_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match="(?s)" + told.replace("(", r"\(").replace(")", r"\)")):
        Choice(Selection("ztf", FIRST, **asked), ZTF)


def test_a_refused_condition_points_at_its_place() -> None:
    with pytest.raises(FilterError) as refused:
        Choice(Selection("ztf", FIRST, where=("roid = 3 AND candidate.magpsff < 18",)), ZTF)
    assert (refused.value.line, refused.value.column) == (1, 14)


def test_another_condition_or_another_version_of_a_filter_is_another_choice(tmp_path: Path) -> None:
    def digest(**asked: Any) -> str:
        return Choice(Selection("ztf", FIRST, **asked), ZTF, tmp_path).digest

    assert digest(where=("roid = 3",)) == digest(where=("roid  =  3",)) != digest(where=("roid = 2",))
    assert len({digest(), digest(classes=("A",)), digest(classes=("B",)), digest(filter="sn_candidates")}) == 4
