"""The class rule of ZTF over its whole decision table, against a second writing of it in Python."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fink_lib.errors import ConfigError
from fink_lib.science.classes import ClassRule, read_class_rule
from fink_lib.science.loading import find_class_rule
from fink_lib.surveys import get_survey


@pytest.fixture(scope="module")
def rule() -> ClassRule:
    found = find_class_rule(get_survey("ztf"))
    assert found is not None
    return found


BASE: dict[str, Any] = {
    "jd": 2_459_000.5,
    "jdstarthist": 2_459_000.5 - 1,
    "ndethist": 5,
    "drb": 0.9,
    "classtar": 0.9,
    "cdsxmatch": None,
    "simbad_status": "no_match",
    "roid": 0,
    "tracklet": None,
    "mulens": None,
    "rf_snia_vs_nonia": None,
    "rf_kn_vs_nonkn": None,
    "snn_snia_vs_nonia": None,
    "snn_sn_vs_all": None,
}

LABEL = {
    "star": {"cdsxmatch": "RRLyr", "simbad_status": "ok"},
    "Sy1": {"cdsxmatch": "Seyfert_1", "simbad_status": "ok"},
    "galaxy": {"cdsxmatch": "Galaxy", "simbad_status": "ok"},
    "unknown type": {"cdsxmatch": "Unknown", "simbad_status": "ok"},
    "transient": {"cdsxmatch": "Transient", "simbad_status": "ok"},
    "unlisted": {"cdsxmatch": "NotInTheTable", "simbad_status": "ok"},
    "no match": {"simbad_status": "no_match"},
    "unavailable": {"simbad_status": "unavailable"},
    "failed": {"simbad_status": "failed"},
    "no module": {"simbad_status": None},
}
HOSTS = ("Seyfert_1", "Galaxy", "Transient")

K = {"rf_kn_vs_nonkn": 0.9}
E = {"rf_snia_vs_nonia": 0.9, "snn_sn_vs_all": 0.9, "ndethist": 1}
S = {"snn_sn_vs_all": 0.9}
M = {"mulens": 0.5}


def evaluate(rule: ClassRule, rows: list[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    types = {path.rsplit(".", 1)[-1]: kind for path, kind in rule.input_types.items()} | {"simbad_status": pa.string()}
    schema = pa.schema(list(types.items()))
    found = rule.evaluate(pa.Table.from_pylist([BASE | row for row in rows], schema=schema))
    return list(zip(found["finkclass"].to_pylist(), found["finkclass2"].to_pylist(), strict=True))


def expected(row: dict[str, Any]) -> tuple[str | None, str | None]:
    """The table of the specification, once more."""

    def more(name: str, limit: float) -> bool:
        return row[name] is not None and row[name] > limit

    status, label = row["simbad_status"], row["cdsxmatch"]
    if status not in ("ok", "no_match"):
        return None, None
    host = status == "no_match" or label in HOSTS
    good = more("drb", 0.5) and more("classtar", 0.4)
    age = row["jd"] - row["jdstarthist"]
    not_mpc = row["roid"] is not None and row["roid"] != 3
    snn = more("snn_snia_vs_nonia", 0.5) or more("snn_sn_vs_all", 0.5)
    kilonova = more("rf_kn_vs_nonkn", 0.5) and good and age < 5 and row["ndethist"] < 20 and host and not_mpc
    early = snn and host and good and more("rf_snia_vs_nonia", 0.5) and row["ndethist"] <= 20
    supernova = snn and host and good and age <= 90 and row["ndethist"] > 1 and not_mpc
    lens = more("mulens", 0)
    labelled = status == "ok" and label not in ("Unknown", "Transient") and not label.startswith("Galaxy")
    rest = [
        (row["roid"] == 3, "Solar System MPC"),
        ((row["tracklet"] or "").startswith("TRCK_"), "Tracklet"),
        (row["roid"] == 2, "Solar System candidate"),
        (kilonova, "Kilonova candidate"),
        (early, "Early SN Ia candidate"),
        (supernova, "SN candidate"),
        (lens, "Microlensing candidate"),
        (True, "Unknown"),
    ]
    moving = (row["roid"] == 2) + (row["roid"] == 3)
    first = [(labelled, label), (lens + supernova + moving >= 2, "Ambiguous"), *rest]
    wins = labelled and not (label in HOSTS and (kilonova or early or supernova))
    second = [(wins, label), (lens + (early or supernova) + kilonova + moving >= 2, "Ambiguous"), *rest]
    return next(name for true, name in first if true), next(name for true, name in second if true)


def test_the_whole_decision_table(rule: ClassRule) -> None:
    rows = [
        BASE
        | label
        | {
            "roid": roid,
            "tracklet": tracklet,
            "mulens": mulens,
            "rf_kn_vs_nonkn": kilonova,
            "snn_sn_vs_all": supernova,
            "rf_snia_vs_nonia": early,
            "jdstarthist": BASE["jd"] - age,
            "drb": drb,
            "ndethist": detections,
        }
        for label, roid, tracklet, mulens, kilonova, supernova, early, age, drb, detections in product(
            LABEL.values(),
            (0, 1, 2, 3, None),
            (None, "", "TRCK_20200101_101010_00"),
            (None, 0.5),
            (None, 0.9),
            (None, 0.5, 0.9),
            (None, 0.9),
            (1.0, 90.0, 91.0),
            (0.9, None),
            (1, 20, 21),
        )
    ]
    found = evaluate(rule, rows)
    wrong = [(row, given) for row, given in zip(rows, found, strict=True) if given != expected(row)]
    assert wrong[:3] == []
    assert {name for pair in found for name in pair} >= {
        None,
        "Ambiguous",
        "Early SN Ia candidate",
        "Kilonova candidate",
        "Microlensing candidate",
        "NotInTheTable",
        "RRLyr",
        "SN candidate",
        "Seyfert_1",
        "Solar System MPC",
        "Solar System candidate",
        "Tracklet",
        "Unknown",
    }


@pytest.mark.parametrize(
    ("row", "classes"),
    [
        ({}, ("Unknown", "Unknown")),
        (LABEL["star"] | S, ("RRLyr", "RRLyr")),
        (LABEL["Sy1"] | S, ("Seyfert_1", "SN candidate")),
        (LABEL["Sy1"] | E, ("Seyfert_1", "Early SN Ia candidate")),
        (LABEL["Sy1"] | K, ("Seyfert_1", "Kilonova candidate")),
        (LABEL["Sy1"] | M, ("Seyfert_1", "Seyfert_1")),
        (LABEL["galaxy"] | S, ("SN candidate", "SN candidate")),
        (LABEL["galaxy"], ("Unknown", "Unknown")),
        (LABEL["unavailable"] | S | {"roid": 3}, (None, None)),
        (S | M, ("Ambiguous", "Ambiguous")),
        (K | S, ("Kilonova candidate", "Ambiguous")),
        (K | M, ("Kilonova candidate", "Ambiguous")),
        (E | S | {"ndethist": 5}, ("Early SN Ia candidate", "Early SN Ia candidate")),
        (M | {"roid": 3}, ("Ambiguous", "Ambiguous")),
        ({"roid": 3, "tracklet": "TRCK_1"}, ("Solar System MPC", "Solar System MPC")),
        ({"roid": 2, "tracklet": "TRCK_1"}, ("Tracklet", "Tracklet")),
        ({"tracklet": "TRCKX1"}, ("Unknown", "Unknown")),
        (S | {"roid": None}, ("Unknown", "Unknown")),
    ],
)
def test_rows_of_the_table(rule: ClassRule, row: dict[str, Any], classes: tuple[str | None, str | None]) -> None:
    assert evaluate(rule, [row]) == [classes]


def test_a_score_that_is_missing_names_no_class(rule: ClassRule) -> None:
    assert (
        evaluate(rule, [{"drb": None} | S, {"classtar": None} | S, {"jdstarthist": None} | S])
        == [("Unknown", "Unknown")] * 3
    )


def test_the_rule_carries_its_versions(rule: ClassRule) -> None:
    assert rule.versions == {"finkclass": "fink-1", "finkclass2": "2"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT 1", "needs a header"),
        ("-- inputs: candidate.nothing\n-- version finkclass: 1\nSELECT 1", "reads 'candidate.nothing'"),
    ],
)
def test_a_rule_file_that_is_not_complete_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "rule.sql"
    path.write_text(text)
    survey = get_survey("ztf")
    with pytest.raises(ConfigError, match=says):
        read_class_rule(path, (survey.alert_schema, survey.fink_schema))
