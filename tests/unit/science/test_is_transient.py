"""Each cut of ``is_transient`` on an alert that passes all others."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from tests.unit.science.alerts import JD, alert, detection, limit, table
from tests.unit.science.only import runner_of
from tests.unit.science.reference import alerts_of, enriched_files, read_records
from tests.unit.science.toys import status_of, values

PASSES = {
    "magpsf": 18.0,
    "ndethist": 5,
    "jdstarthist": JD - 10,
    "isdiffpos": "t",
    "rb": 0.9,
    "drb": 0.99,
    "magnr": 22.0,
    "distnr": 8.0,
    "neargaia": 40.0,
    "maggaia": 18.0,
    "neargaiabright": 80.0,
    "maggaiabright": 12.0,
    **{f"sgscore{rank}": 0.4 for rank in (1, 2, 3)},
    **{f"distpsnr{rank}": 10.0 for rank in (1, 2, 3)},
    **{f"s{band}mag{rank}": 20.0 for band in "griz" for rank in (1, 2, 3)},
}
SEEN = [detection(3.0, isdiffpos="t")]
OLD = {"jdstarthist": JD - 100}
VARIABLE = OLD | {"ndethist": 31, "distnr": 0.3, "magnr": 19.0}
TWICE = [detection(3.0, isdiffpos="t", magpsf=17.0), detection(4.0, isdiffpos="t")]


@pytest.fixture(scope="module")
def runner(science_settings: Settings) -> Runner:
    return runner_of(science_settings, "is_transient")


def judge(runner: Runner, previous: list[dict[str, Any]] | None, candidate: dict[str, Any]) -> tuple[Any, str]:
    result = runner.apply(table([alert(1, previous=previous, **PASSES | candidate)]))
    return values(result.table, "is_transient")[0], status_of(result.table, "is_transient")[0]


def test_a_clean_new_source_passes(runner: Runner) -> None:
    assert judge(runner, SEEN, {}) == (True, "ok")


@pytest.mark.parametrize(
    ("fails", "passes"),
    [
        ({"magpsf": 19.81}, {"magpsf": 19.79}),
        ({"isdiffpos": "f"}, {"isdiffpos": "1"}),
        ({"rb": 0.19}, {"rb": 0.21}),
        ({"drb": 0.79}, {"drb": 0.81}),
        ({"rb": 0.34, "neargaia": 0.9, "maggaia": 16.9}, {"rb": 0.36, "neargaia": 0.9, "maggaia": 16.9}),
        ({"rb": 0.44, "neargaia": 1.4, "maggaia": 15.4}, {"rb": 0.44, "neargaia": 1.6, "maggaia": 15.4}),
        (
            {"rb": 0.34, "distpsnr1": 0.9, "sgscore1": 0.5, "szmag1": 16.4},
            {"rb": 0.34, "distpsnr1": 0.9, "sgscore1": 0.5, "szmag1": 17.5},
        ),
        (
            {"rb": 0.44, "distpsnr1": 1.4, "sgscore1": 0.5, "szmag1": 14.9},
            {"rb": 0.44, "distpsnr1": 1.4, "sgscore1": 0.5, "szmag1": 15.1},
        ),
        (OLD | {"drb": 0.85, "distpsnr1": 2.9, "srmag1": 15.9}, {"drb": 0.85, "distpsnr1": 2.9, "srmag1": 15.9}),
        (
            OLD | {"drb": 0.94, "distpsnr1": 0.7, "srmag1": 17.4, "sgscore1": 0.1},
            OLD | {"drb": 0.96, "distpsnr1": 0.7, "srmag1": 17.4, "sgscore1": 0.1},
        ),
        ({"sgscore1": 0.77, "distpsnr1": 2.4}, {"sgscore1": 0.77, "distpsnr1": 2.6}),
        (
            {"sgscore1": 0.3, "distpsnr1": 0.9, "srmag1": 21.0, "simag1": 17.9},
            {"sgscore1": 0.3, "distpsnr1": 0.9, "srmag1": 21.0, "simag1": 18.1},
        ),
        ({"neargaiabright": 19.0, "maggaiabright": 11.9}, {"neargaiabright": 21.0, "maggaiabright": 11.9}),
        ({"distpsnr3": 19.0, "srmag3": 13.9, "sgscore3": 0.95}, {"distpsnr3": 21.0, "srmag3": 13.9, "sgscore3": 0.95}),
        ({"distpsnr1": 9.0, "szmag1": 13.9, "sgscore1": 0.95}, {"distpsnr1": 11.0, "szmag1": 13.9, "sgscore1": 0.95}),
        (
            {"neargaia": 0.3, "maggaia": 16.0, "jdstarthist": JD - 31},
            {"neargaia": 0.3, "maggaia": 16.0, "jdstarthist": JD - 29},
        ),
        (
            {"neargaia": 0.3, "maggaia": 18.0, "jdstarthist": JD - 301, "magpsf": 18.6},
            {"neargaia": 0.3, "maggaia": 18.0, "jdstarthist": JD - 301, "magpsf": 18.4},
        ),
        (
            OLD | {"sgscore1": 0.5, "distpsnr1": 0.4, "szmag1": 16.9, "srmag1": 19.0},
            OLD | {"sgscore1": 0.5, "distpsnr1": 0.6, "szmag1": 16.9, "srmag1": 19.0},
        ),
        ({"ndethist": 201}, {"ndethist": 200}),
    ],
)
def test_each_cut_decides_alone(runner: Runner, fails: dict[str, Any], passes: dict[str, Any]) -> None:
    assert judge(runner, SEEN, fails) == (False, "ok")
    assert judge(runner, SEEN, passes) == (True, "ok")


@pytest.mark.parametrize(
    ("transient", "previous", "candidate"),
    [
        (False, None, {}),
        (False, [limit(3.0)], {}),
        (False, [detection(3.0, isdiffpos="f")], {}),
        (False, [detection(0.019, isdiffpos="t")], {}),
        (True, [detection(0.021, isdiffpos="t")], {}),
        (False, [detection(0.7, isdiffpos="t", magpsf=19.0)], {}),
        (True, [detection(0.8, isdiffpos="t", magpsf=19.0)], {}),
        (True, [*SEEN, detection(0.7, isdiffpos="f", magpsf=19.0)], {}),
        (False, TWICE, VARIABLE),
        (True, TWICE[:1], VARIABLE),
        (False, TWICE[:1], VARIABLE | {"jdstarthist": JD - 361}),
        (True, TWICE, VARIABLE | {"ndethist": 30}),
        (False, TWICE, VARIABLE | {"magnr": 16.9}),
        (True, [one | {"magpsf": 18.2} for one in TWICE], VARIABLE),
        (False, TWICE[:1], OLD | {"distnr": 0.4, "magnr": 16.9}),
        (True, [TWICE[0] | {"fid": 2}], OLD | {"distnr": 0.4, "magnr": 16.9}),
    ],
)
def test_the_entries_before_decide(
    runner: Runner, transient: bool, previous: list[dict[str, Any]] | None, candidate: dict[str, Any]
) -> None:
    assert judge(runner, previous, candidate) == (transient, "ok")


def test_a_known_asteroid_is_no_transient(runner: Runner) -> None:
    assert judge(runner, SEEN, {"ssdistnr": 1.0}) == (False, "ok")


def test_a_negative_distance_means_that_nothing_is_near(runner: Runner) -> None:
    bright = {"neargaiabright": -999.0, "maggaiabright": -999.0}
    star = {"distpsnr1": -999.0, "srmag1": -999.0, "simag1": -999.0, "szmag1": -999.0, "sgscore1": 0.95}
    assert judge(runner, SEEN, bright) == (True, "ok")
    assert judge(runner, SEEN, star) == (True, "ok")


def test_what_is_missing_decides_nothing_unless_another_cut_does(runner: Runner) -> None:
    assert judge(runner, SEEN, {"drb": None}) == (None, "not_applicable")
    assert judge(runner, SEEN, {"drb": float("nan")}) == (None, "not_applicable")
    assert judge(runner, SEEN, {"drb": None, "ndethist": 201}) == (False, "ok")
    assert judge(runner, SEEN, {"isdiffpos": None}) == (None, "not_applicable")


def test_the_rule_keeps_the_contract(runner: Runner, varied_alerts: pa.Table) -> None:
    assert complaints(runner, "is_transient", varied_alerts) == []


@pytest.mark.skipif(not enriched_files(), reason="the shared sample of enriched alerts is not installed")
def test_all_published_answers_are_met(runner: Runner) -> None:
    (path,) = (one for one in enriched_files() if one.stem == "client_ztf_part-3-305711_31")
    records = read_records(path)
    published = [record["is_transient"] for record in records]
    assert (len(published), sum(published)) == (31, 9)
    assert values(runner.apply(alerts_of(records)).table, "is_transient") == published
