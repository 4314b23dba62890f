"""Which pairs of alert and trigger go to which topic."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fink_lib.science.multimessenger.coincidence import CLASS_IS_EXTRAGALACTIC, PAIRS
from fink_lib.science.simbad_types import is_extragalactic
from fink_lib.streams.messengers.selection import COLUMNS, load_selections, topic_of
from tests.unit.science.reference import ENRICHED

GOLD = {
    "observatory": "Fermi",
    "rb": 0.95,
    "fink_class": "Unknown",
    CLASS_IS_EXTRAGALACTIC: False,
    "grb_proba": 1e-8,
    "grb_loc_error": 300.0,
    "rate": -0.31,
}


def taken(**change: Any) -> set[str]:
    """Give the selections that take a pair; `change` replaces values of one that is gold."""
    row = pa.Table.from_pylist([GOLD | change], schema=COLUMNS)
    verdicts = load_selections("ztf").evaluate(row)
    return {name for name in verdicts.column_names if verdicts[name][0].as_py()}


BRONZE, SILVER = {"grb_bronze"}, {"grb_bronze", "grb_silver"}
ALL = {"grb_bronze", "grb_silver", "grb_gold"}


@pytest.mark.parametrize(
    ("change", "selections"),
    [
        ({}, ALL),
        ({"rate": 0.31}, ALL),
        ({"rate": 0.3}, SILVER),
        ({"rate": None}, SILVER),
        ({"grb_loc_error": 300.1}, SILVER),
        ({"rb": 0.89}, SILVER),
        ({"rb": 0.7}, SILVER),
        ({"rb": 0.69}, set()),
        ({"rb": None}, set()),
        ({"grb_proba": 5.8e-7}, BRONZE),
        ({"grb_proba": 5.7e-7}, ALL),
        ({"grb_proba": None}, BRONZE),
        ({"observatory": "SWIFT"}, ALL),
        ({"observatory": "INTEGRAL"}, ALL),
        ({"observatory": "IceCube"}, set()),
        ({"observatory": "LVK"}, {"gw_bronze"}),
        ({"observatory": "LVK", "grb_proba": 0.9, "rb": 0.7}, {"gw_bronze"}),
        ({"observatory": "LVK", "rb": 0.69}, set()),
        ({"observatory": "LVK", "fink_class": "RRLyr"}, set()),
        ({"fink_class": "SN candidate"}, ALL),
        ({"fink_class": "Early SN Ia candidate"}, ALL),
        ({"fink_class": "Kilonova candidate"}, ALL),
        ({"fink_class": "Ambiguous"}, ALL),
        ({"fink_class": "Solar System candidate"}, set()),
        ({"fink_class": "Tracklet"}, set()),
        ({"fink_class": "Seyfert_1", CLASS_IS_EXTRAGALACTIC: True}, ALL),
        ({"fink_class": None, CLASS_IS_EXTRAGALACTIC: None}, set()),
    ],
)
def test_who_gets_a_pair(change: dict[str, Any], selections: set[str]) -> None:
    assert taken(**change) == selections


def test_topics_have_no_survey_in_their_names() -> None:
    assert [topic_of(name, "fink") for name in load_selections("ztf").names] == [
        "fink_grb_bronze",
        "fink_grb_gold",
        "fink_grb_silver",
        "fink_gw_bronze",
    ]


@pytest.mark.skipif(not ENRICHED.exists(), reason="the shared sample of pairs is not installed")
def test_real_pairs_are_chosen_as_published() -> None:
    """Bronze, silver and gold have 4, 2 and 1 of the 18 published pairs."""
    pairs = pq.read_table(ENRICHED / "grb_join_18.parquet").select(PAIRS.names)
    labels = [is_extragalactic(name) for name in pairs.column("fink_class").to_pylist()]
    pairs = pairs.append_column(CLASS_IS_EXTRAGALACTIC, pa.array(labels)).cast(COLUMNS)
    verdicts = load_selections("ztf").evaluate(pairs)
    found = {
        name: sorted(
            zip(*(pairs.filter(verdicts[name])[c].to_pylist() for c in ("candid", "grb_loc_error")), strict=True)
        )
        for name in verdicts.column_names
    }
    gold = (975188141815015075, 199.2859962040481)
    silver = (975188145615015017, 1546.998)
    assert found == {
        "grb_gold": [gold],
        "grb_silver": [gold, silver],
        "grb_bronze": [gold, (975188143615015225, 360.0), (975188145615015017, 360.0), silver],
        "gw_bronze": [],
    }
