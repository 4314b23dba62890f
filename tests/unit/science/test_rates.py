"""Slopes of light curves, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from tests.unit.science.alerts import alert, detection, limit, table
from tests.unit.science.only import runner_of
from tests.unit.science.toys import status_of, values

FAINT_REFERENCE = {"magnr": 30.0, "sigmagnr": 0.0, "isdiffpos": "t"}
"""Adds nothing to the source: the apparent magnitude is the difference magnitude to 1e-5 mag."""


@pytest.fixture(scope="module")
def runner(science_settings: Settings) -> Runner:
    return runner_of(science_settings, "kn_rate", "rise_rate", "r_linfit_r2")


def one(runner: Runner, column: str, previous: list[dict[str, Any]] | None, **candidate: Any) -> tuple[Any, str]:
    result = runner.apply(table([alert(1, previous=previous, **candidate)]))
    return values(result.table, column)[0], status_of(result.table, column)[0]


def fading(days_before: float, mag: float, **more: Any) -> dict[str, Any]:
    return detection(days_before, magpsf=mag, **FAINT_REFERENCE | more)


def test_a_fading_source_has_a_positive_rate(runner: Runner) -> None:
    rate, status = one(runner, "kn_rate", [fading(2, 18.0), fading(1, 18.5)], magpsf=19.0, **FAINT_REFERENCE)
    assert rate == pytest.approx(0.5, abs=1e-4)
    assert status == "ok"


def test_a_sharp_point_weighs_more(runner: Runner) -> None:
    previous = [fading(2, 18.0, sigmapsf=0.1), fading(1, 18.0, sigmapsf=0.1)]
    rate, _ = one(runner, "kn_rate", previous, magpsf=18.3, sigmapsf=0.2, **FAINT_REFERENCE)
    # weights 4, 4, 1 at t = 0, 1, 2: mean 2/3; slope = sum w (t - 2/3) m / sum w (t - 2/3)^2
    assert rate == pytest.approx((4 / 3 * 0.3) / 4, rel=1e-3)


def test_the_source_of_the_reference_image_counts(runner: Runner) -> None:
    both = {"magnr": 18.0, "sigmagnr": 0.1, "isdiffpos": "t"}
    rate, _ = one(runner, "kn_rate", [detection(1, magpsf=18.0, **both)], magpsf=20.0, **both)
    assert rate == pytest.approx(-2.5 * math.log10((10**-7.2 + 10**-8) / (2 * 10**-7.2)), rel=1e-6)


@pytest.mark.parametrize(
    "previous",
    [
        None,
        [fading(0.5, 18.0)],
        [fading(1, 21.001)],
        [fading(1, 18.0, fid=2)],
        [fading(1, 18.0, magnr=-999.0)],
        [limit(1.0)],
    ],
)
def test_a_fade_needs_two_bright_points_of_the_band_over_half_a_day(
    runner: Runner, previous: list[dict[str, Any]] | None
) -> None:
    assert one(runner, "kn_rate", previous, magpsf=18.5, **FAINT_REFERENCE) == (None, "not_applicable")


@pytest.mark.parametrize(
    ("rate", "previous"),
    [
        (0.0, None),
        (0.0, [detection(1, magpsf=17.0)]),
        (0.5, [detection(2, magpsf=19.0)]),
        (1.0, [detection(5, magpsf=20.0), detection(4, magpsf=19.0)]),
        (0.0, [detection(1, magpsf=19.0, fid=2)]),
        (2.0, [detection(3, magpsf=20.0, fid=2), detection(2.5, magpsf=18.0), detection(2, magpsf=18.0, fid=2)]),
        (6.0, [detection(0.1, magpsf=20.0)]),
        (0.0, [detection(0.019, magpsf=20.0)]),
        (6.0, [detection(0.021, magpsf=20.0)]),
        (0.0, [limit(1.0, diffmaglim=22.0)]),
        (1.0, [detection(1, magpsf=19.0, candid=5), detection(1, magpsf=22.0, candid=4)]),
    ],
)
def test_the_fastest_brightening(runner: Runner, rate: float, previous: list[dict[str, Any]] | None) -> None:
    found, status = one(runner, "rise_rate", previous, magpsf=18.0)
    assert found == pytest.approx(rate)
    assert status == "ok"


def test_how_straight_a_light_curve_is(runner: Runner) -> None:
    line = [detection(day, magpsf=18 + 0.1 * day, fid=2) for day in (4.0, 3.0, 2.0, 1.0)]
    straight, _ = one(runner, "r_linfit_r2", line, magpsf=18.0, fid=2)
    assert straight == pytest.approx(1.0, abs=1e-6)
    bumpy = [*line[:3], line[3] | {"magpsf": 19.0}]
    found, _ = one(runner, "r_linfit_r2", bumpy, magpsf=18.0, fid=2)
    expected = np.corrcoef([-4, -3, -2, -1, 0], [18.4, 18.3, 18.2, 19.0, 18.0])[0, 1] ** 2
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "previous",
    [
        [detection(day, magpsf=18 + day, fid=2) for day in (3.0, 2.0, 1.0)],
        [detection(day, magpsf=18 + day, fid=1) for day in (4.0, 3.0, 2.0, 1.0)],
        [detection(day, magpsf=18.0, fid=2) for day in (4.0, 3.0, 2.0, 1.0)],
        [detection(1.0, magpsf=19.0 + number, fid=2, candid=number) for number in range(4)],
    ],
)
def test_straightness_needs_five_points_that_differ(runner: Runner, previous: list[dict[str, Any]]) -> None:
    assert one(runner, "r_linfit_r2", previous, magpsf=18.0, fid=2) == (None, "not_applicable")


def test_slopes_keep_the_contract(runner: Runner, varied_alerts: pa.Table) -> None:
    for name in ("kn_rate", "rise_rate", "r_linfit_r2"):
        assert complaints(runner, name, varied_alerts) == []
