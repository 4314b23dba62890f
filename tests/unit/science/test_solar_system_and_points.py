"""Rules of ``roid`` and ``nalerthist``, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from fink_lib.science import Runner
from tests.unit.science.alerts import alert, detection, limit, table
from tests.unit.science.toys import status_of, values

HALF_HOUR = 30 / 1440
NEAR = {"ssdistnr": 4.9, "distpsnr1": 20.0}
TWO = [detection(HALF_HOUR - 1e-4)]
TWO_LATE = [detection(HALF_HOUR + 1e-4)]


@pytest.mark.parametrize(
    ("roid", "candidate", "previous"),
    [
        (0, {"ndethist": 5}, None),
        (1, {"ndethist": 1}, None),
        (2, {"ndethist": 1, "sgscore1": 0.75}, None),
        (2, {"ndethist": 2, "sgscore1": 0.75}, TWO),
        (1, {"ndethist": 1, "sgscore1": 0.77}, None),
        (1, {"ndethist": 1, "sgscore1": None}, None),
        (0, {"ndethist": 3, "sgscore1": 0.1}, None),
        (0, {"ndethist": 1, "distpsnr1": 4.9}, None),
        (1, {"ndethist": 1, "distpsnr1": 5.0}, None),
        (1, {"ndethist": 1, "distpsnr1": 0.0}, None),
        (1, {"ndethist": 1, "distpsnr1": -999.0}, None),
        (0, {"ndethist": 2, "sgscore1": 0.1}, TWO_LATE),
        (2, {"ndethist": 2, "sgscore1": 0.1}, [detection(3.0), limit(0.01)]),
        (0, {"ndethist": 2, "sgscore1": 0.1}, [detection(3.0), limit(0.1)]),
        (0, {"ndethist": 2, "sgscore1": 0.1}, None),
        (3, {"ndethist": 1, **NEAR}, None),
        (3, {"ndethist": 5, **NEAR}, [detection(day) for day in (1, 2, 3, 4)]),
        (0, {"ndethist": 5, **NEAR}, [detection(day) for day in (1, 2, 3, 4, 5)]),
        (0, {"ndethist": 6, **NEAR}, None),
        (0, {"ndethist": 5, **NEAR, "ssdistnr": 5.0}, None),
        (3, {"ndethist": 5, **NEAR, "ssdistnr": 0.0}, None),
        (0, {"ndethist": 5, **NEAR, "ssdistnr": -999.0}, None),
        (0, {"ndethist": 5, **NEAR, "ssdistnr": None}, None),
        (0, {"ndethist": 5, "ssdistnr": 3.0, "distpsnr1": 2.0}, None),
        (3, {"ndethist": 5, "ssdistnr": 2.0, "distpsnr1": 3.0}, None),
        (3, {"ndethist": 5, "ssdistnr": 2.0, "distpsnr1": -999.0}, None),
    ],
)
def test_roid(runner: Runner, roid: int, candidate: dict[str, Any], previous: list[dict[str, Any]] | None) -> None:
    result = runner.apply(table([alert(1, previous=previous, **candidate)]))
    assert values(result.table, "roid") == [roid]
    assert status_of(result.table, "roid") == ["ok"]


def test_roid_cannot_be_judged_without_the_number_of_detections(runner: Runner) -> None:
    result = runner.apply(table([alert(1, ndethist=None)]))
    assert values(result.table, "roid") == [None]
    assert status_of(result.table, "roid") == ["not_applicable"]


@pytest.mark.parametrize(
    ("points", "previous", "own"),
    [
        (1, None, {}),
        (1, [], {}),
        (3, [detection(1), limit(2), detection(3)], {}),
        (1, [detection(1, sigmapsf=None), detection(2, magpsf=float("nan"))], {}),
        (1, [detection(1)], {"magpsf": None}),
        (3, [detection(1), detection(1)], {}),
        (2, [detection(1, fid=3)], {}),
    ],
)
def test_nalerthist(runner: Runner, points: int, previous: list[dict[str, Any]] | None, own: dict[str, Any]) -> None:
    result = runner.apply(table([alert(1, previous=previous, **own)]))
    assert values(result.table, "nalerthist") == [points]
