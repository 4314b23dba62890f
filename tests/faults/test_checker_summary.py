"""The checker's second count of a night: right numbers pass, and each wrong one is named."""

from __future__ import annotations

import copy

import pytest

from tests.faults.evidence import Lake
from tests.faults.summary import check_summary, count_night

NIGHT = "20240312"


def science(fid, jd, field, finkclass):
    return {"candidate": {"fid": fid, "jd": jd, "field": field}, "finkclass": finkclass, "night": NIGHT}


@pytest.fixture
def lake():
    other = {"night": "20240313", "reason": "rb"}
    alerts = [science(1, 0.5, 7, "Unknown"), science(2, 0.5, 7, "Star"), science(2, 0.7, 8, None)]
    rejected = [{"night": NIGHT, "reason": "duplicate"}, {"night": NIGHT, "reason": "rb"}, other]
    sent = [{"night": NIGHT, "filter": "unknowns"}]
    return Lake([{"night": NIGHT}] * 5 + [other], [], [{"night": NIGHT}], alerts, rejected, sent, [], [])


@pytest.fixture
def told(lake):
    counts = count_night(lake, NIGHT)
    statistics = {f"{table}:{name}": n for table in ("basic", "class") for name, n in counts[table].items()}
    return [{**counts, "night": NIGHT}], statistics


def test_a_night_is_counted(lake):
    counts = count_night(lake, NIGHT)
    assert counts["basic"] == {
        "raw": 5,
        "sci": 3,
        "night": 20240312,
        "n_g": 1,
        "n_r": 2,
        "exposures": 2,
        "fields": 2,
        "rejected": 1,
        "duplicates": 1,
        "quarantined": 1,
    }
    assert counts["class"] | {"Unknown": 1, "Star": 1, "unavailable": 1} == counts["class"]
    assert sum(counts["class"].values()) == 3
    assert counts["filters"] == {"unknowns": 1}


def test_right_numbers_pass(lake, told):
    assert check_summary(lake, NIGHT, *told) == []


def test_wrong_numbers_in_the_lake_and_in_the_archive_are_named(lake, told):
    summaries, statistics = copy.deepcopy(told)
    summaries[0]["basic"]["sci"] = 4
    del statistics["class:Star"]
    assert check_summary(lake, NIGHT, summaries, statistics) == [
        f"night_summary: basic:sci of {NIGHT} is 4, the rows say 3",
        f"archive: basic:sci of {NIGHT} is 3, the summary says 4",
        f"archive: class:Star of {NIGHT} is None, the summary says 1",
    ]


def test_a_night_summarised_twice_or_never_is_named(lake, told):
    summaries, statistics = told
    assert check_summary(lake, NIGHT, summaries * 2, statistics) == [f"night_summary: night {NIGHT} has 2 rows"]
    assert check_summary(lake, NIGHT, [], statistics) == [f"night_summary: night {NIGHT} has 0 rows"]
