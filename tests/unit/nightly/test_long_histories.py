"""Scores that look further back than a packet: merged when the night is over, from the same object's earlier nights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.errors import ConfigError
from fink_lib.lake import Lake
from fink_lib.nightly.long_histories import judge_night
from fink_lib.science import Runner
from fink_lib.science.classes import ClassRule
from fink_lib.science.models import ModelHandle
from fink_lib.science.modules.slsn import Superluminous
from fink_lib.surveys import get_survey
from tests.night_rows import NIGHT, replace, science_rows
from tests.unit.science.alerts import JD, table
from tests.unit.science.test_slsn import transient
from tests.unit.science.toys import Toy

MODEL = Superluminous(ModelHandle("slsn", Path("none")))
EARLIER, LONG_AGO = "20240112", "20220101"
RECENT = {1: [20.0, 15.0, 10.0], 2: [19.0, 9.0, 0.0]}
OLDER = {1: [60.0, 55.0, 50.0, 45.0], 2: [59.0, 54.0, 44.0]}
NOT_YET = [("is_transient", "ok"), ("roid", "ok"), ("slsn", "not_applicable")]
VERSIONS = sorted({"roid": "1", "slsn": Superluminous.declaration.version, **MODEL.resources}.items())
NAMES = ["ZTF20aaaaaaa", "ZTF20aaaaaab", "ZTF20aaaaaac"]


def rows(lake: Lake, night: str, packets: list[dict[str, Any]], first_id: int, **columns: Any) -> pa.Table:
    """Give rows of ``science`` with the light curves of some packets."""
    count = len(packets)
    alerts = table(packets)
    made = science_rows(lake, count, seed=3, night=night, first_id=first_id)
    for name in ("candidate", "prv_candidates"):
        made = made.set_column(made.schema.get_field_index(name), made.schema.field(name), alerts.column(name))
    fixed: dict[str, Any] = {
        "objectId": NAMES[:count],
        "is_transient": [True] * count,
        "slsn_score": [None] * count,
        "fink_status": [NOT_YET] * count,
        "fink_versions": [VERSIONS] * count,
    }
    return replace(made, **fixed | columns)


@pytest.fixture
def night(lake: Lake) -> Lake:
    """Three transients that are two months old; earlier nights know the first and the second."""
    recent = [transient(n, RECENT, jdstarthist=JD - 60) for n in range(3)]
    lake.append("science", rows(lake, NIGHT, recent, 1))
    lake.append("science", rows(lake, EARLIER, [transient(n, OLDER) for n in range(2)], 11))
    return lake


def found(lake: Lake) -> dict[int, tuple[Any, str]]:
    stored = lake.read("science", [NIGHT], ["candid", "slsn_score", "fink_status"]).to_pylist()
    return {row["candid"]: (row["slsn_score"], dict(row["fink_status"])["slsn"]) for row in stored}


def test_alerts_whose_object_has_earlier_nights_are_judged(night: Lake, settings: Settings) -> None:
    assert judge_night(night, NIGHT, settings) == {"slsn": {"asked": 3, "updated": 2}}
    after = found(night)
    assert after[1][1] == after[2][1] == "ok"
    assert 0 <= after[1][0] == after[2][0] <= 1
    assert after[3] == (None, "not_applicable")


def test_where_the_score_comes_from_is_on_the_alert(lake: Lake, settings: Settings) -> None:
    old = [("roid", "1"), ("model.slsn", "older"), ("slsn", "0")]
    recent = transient(1, RECENT, jdstarthist=JD - 60)
    lake.append("science", rows(lake, NIGHT, [recent], 1, fink_versions=[old]))
    lake.append("science", rows(lake, EARLIER, [transient(2, OLDER)], 11))
    judge_night(lake, NIGHT, settings)
    (row,) = lake.read("science", [NIGHT], ["fink_versions"]).to_pylist()
    assert row["fink_versions"] == VERSIONS


def test_again_it_changes_nothing(night: Lake, settings: Settings) -> None:
    judge_night(night, NIGHT, settings)
    version = night.table("science").version()
    told = judge_night(night, NIGHT, settings)
    assert told["slsn"]["updated"] == 0
    assert night.table("science").version() == version


def test_other_columns_and_other_nights_stay(night: Lake, settings: Settings) -> None:
    def rest() -> list[str]:
        stored = night.read("science").sort_by("candid").drop_columns(["slsn_score", "fink_status", "fink_versions"])
        return [repr(row) for row in stored.to_pylist()]

    before = rest()
    judge_night(night, NIGHT, settings)
    assert rest() == before
    assert {row["slsn_score"] for row in night.read("science", [EARLIER]).to_pylist()} == {None}


def test_a_later_night_and_one_too_long_ago_are_not_looked_at(lake: Lake, settings: Settings) -> None:
    lake.append("science", rows(lake, NIGHT, [transient(1, RECENT, jdstarthist=JD - 60)], 1))
    for place, other in enumerate((LONG_AGO, "20240313")):
        lake.append("science", rows(lake, other, [transient(9, OLDER)], 11 + place))
    assert judge_night(lake, NIGHT, settings) == {"slsn": {"asked": 1, "updated": 0}}


@pytest.mark.parametrize(
    "columns",
    [
        {"is_transient": [False]},
        {"is_transient": [None]},
        {"fink_status": [[("is_transient", "unavailable"), ("slsn", "unavailable")]]},
        {"fink_status": [[("roid", "ok")]]},
    ],
)
def test_alerts_that_it_does_not_apply_to_are_left_alone(
    lake: Lake, settings: Settings, columns: dict[str, Any]
) -> None:
    lake.append("science", rows(lake, NIGHT, [transient(1, RECENT, jdstarthist=JD - 60)], 1, **columns))
    lake.append("science", rows(lake, EARLIER, [transient(2, OLDER)], 11))
    assert judge_night(lake, NIGHT, settings) == {"slsn": {"asked": 0, "updated": 0}}


def test_a_night_without_alerts_is_nothing_to_do(lake: Lake, settings: Settings) -> None:
    assert judge_night(lake, NIGHT, settings) == {"slsn": {"asked": 0, "updated": 0}}


def test_nothing_in_the_stream_may_build_on_what_is_computed_anew() -> None:
    late = Toy(lambda columns: {}, name="late", outputs={"slsn_score": pa.float64()}, archive_d=30.0)
    reader = Toy(lambda columns: {}, name="reader", outputs={"mulens": pa.float64()}, requires=("late",))
    with pytest.raises(ConfigError, match="'late', which is computed anew after the night"):
        Runner(get_survey("ztf"), [late, reader])
    rule = ClassRule("SELECT slsn_score AS finkclass FROM alerts", ("slsn_score",), (), {"finkclass": "1"}, {})
    with pytest.raises(ConfigError, match="'slsn_score' of module late"):
        Runner(get_survey("ztf"), [late], rule)
