"""Features of light curves: worked by hand, and equal to the published ones."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from fink_lib.surveys.ztf_columns import LC_FEATURES
from tests.unit.science.alerts import alert, detection, limit, table
from tests.unit.science.only import runner_of
from tests.unit.science.reference import alerts_of, enriched_files, read_records
from tests.unit.science.toys import status_of, values

FAR = {"distnr": 5.0, "magnr": 18.0, "sigmagnr": 0.1}
NEAR = FAR | {"distnr": 1.5}
LINE = [detection(float(day), magpsf=18.0 + 0.5 * day, isdiffpos="t", **FAR) for day in (3, 2, 1)]


@pytest.fixture(scope="module")
def runner(science_settings: Settings) -> Runner:
    return runner_of(science_settings, "lc_features_g", "lc_features_r")


def features(runner: Runner, *alerts: dict[str, Any], band: str = "g") -> list[dict[str, Any] | None]:
    return values(runner.apply(table(list(alerts))).table, f"lc_features_{band}")


def test_a_straight_line_in_time(runner: Runner) -> None:
    (found,) = features(runner, alert(1, previous=LINE, **FAR))
    assert found is not None
    assert tuple(found) == LC_FEATURES
    # magnitudes 19.5, 19, 18.5, 18 with errors 0.1
    expected = {
        "mean": 18.75,
        "weighted_mean": 18.75,
        "median": 18.75,
        "amplitude": 0.75,
        "standard_deviation": math.sqrt(1.25 / 3),
        "percent_amplitude": 0.75,
        "median_absolute_deviation": 0.5,
        "beyond_1_std": 0.5,
        "linear_trend": -0.5,
        "linear_fit_slope": -0.5,
        "linear_fit_slope_sigma": 0.1 / math.sqrt(5),
        "maximum_slope": 0.5,
        "skew": 0.0,
        "chi2": 1.25 / 0.01 / 3,
        "mean_variance": math.sqrt(1.25 / 3) / 18.75,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_band_without_points_is_not_applicable_and_the_other_is(runner: Runner) -> None:
    result = runner.apply(table([alert(1, fid=2, **FAR)]))
    assert status_of(result.table, "lc_features_g") == ["not_applicable"]
    assert status_of(result.table, "lc_features_r") == ["ok"]
    assert values(result.table, "lc_features_g") == [None]


def test_what_one_point_cannot_say_is_null_and_not_nan(runner: Runner) -> None:
    (found,) = features(runner, alert(1, **FAR))
    assert found is not None
    assert found["mean"] == pytest.approx(18.0)
    missing = [name for name, value in found.items() if value is None]
    assert len(missing) == 18
    assert {"standard_deviation", "linear_trend", "skew"} <= set(missing)


@pytest.mark.parametrize("where", ["own", "previous", "other band", "i band"])
def test_one_point_on_a_reference_source_makes_all_magnitudes_apparent(runner: Runner, where: str) -> None:
    previous = [
        detection(2.0, **(NEAR if where == "previous" else FAR)),
        detection(1.5, fid=2, **(NEAR if where == "other band" else FAR)),
        detection(1.0, fid=3, **(NEAR if where == "i band" else FAR)),
    ]
    previous = [point | {"isdiffpos": "t"} for point in previous]
    (found,) = features(runner, alert(1, previous=previous, **(NEAR if where == "own" else FAR)))
    assert found is not None
    # two equal sources of 18 mag, each +- 0.1 mag
    assert found["mean"] == pytest.approx(18.0 - 2.5 * math.log10(2))


def test_a_limit_on_a_reference_source_does_not_count(runner: Runner) -> None:
    (found,) = features(runner, alert(1, previous=[limit(1.0, **NEAR)], **FAR))
    assert found is not None
    assert found["mean"] == pytest.approx(18.0)


def test_a_point_without_an_apparent_magnitude_is_left_out(runner: Runner) -> None:
    vanished = detection(1.0, magpsf=17.0, isdiffpos="f", **NEAR)
    no_reference = detection(2.0, isdiffpos="t", **NEAR | {"magnr": -999.0})
    faded = detection(3.0, magpsf=19.0, isdiffpos="f", **NEAR)
    (found,) = features(runner, alert(1, previous=[faded, no_reference, vanished], **NEAR))
    assert found is not None
    rest = -2.5 * math.log10(10**-7.2 - 10**-7.6)
    assert found["mean"] == pytest.approx((rest + 18.0 - 2.5 * math.log10(2)) / 2)


def test_a_distance_without_a_source_is_not_near(runner: Runner) -> None:
    (found,) = features(runner, alert(1, **NEAR | {"distnr": -999.0}))
    assert found is not None
    assert found["mean"] == pytest.approx(18.0)


def test_two_points_of_one_exposure_count_once_and_the_larger_id_wins(runner: Runner) -> None:
    twins = [detection(1.0, candid=7, magpsf=17.0, **FAR), detection(1.0, candid=8, magpsf=19.0, **FAR)]
    for previous in (twins, twins[::-1]):
        (found,) = features(runner, alert(1, previous=previous, **FAR))
        assert found is not None
        assert found["mean"] == pytest.approx(18.5)


def test_an_unusable_twin_does_not_hide_the_usable_point(runner: Runner) -> None:
    twins = [detection(1.0, candid=7, magpsf=17.0, **FAR), detection(1.0, candid=8, magpsf=19.0, sigmapsf=None, **FAR)]
    (found,) = features(runner, alert(1, previous=twins, **FAR))
    assert found is not None
    assert found["mean"] == pytest.approx(17.5)


def test_shuffling_the_history_changes_nothing(runner: Runner) -> None:
    previous = [
        detection(day / 4, fid=1 + day % 2, candid=day, magpsf=18 + math.sin(day), isdiffpos="t", **NEAR)
        for day in range(1, 25)
    ]
    straight = features(runner, alert(1, previous=previous, **NEAR))
    for seed in range(3):
        random.Random(seed).shuffle(previous)
        assert features(runner, alert(1, previous=previous, **NEAR)) == straight


def test_features_keep_the_contract(runner: Runner, varied_alerts: pa.Table) -> None:
    assert complaints(runner, "lc_features_g", varied_alerts) == []
    assert complaints(runner, "lc_features_r", varied_alerts) == []


COMPARED = ("client_ztf_part-3-305711_31", "regular_836b_9", "spicy_yso_26", "symbiotic_20")
"""Files of one extractor; the older ones were made with other rules."""

REPEATED = 2675307923715010010
"""Published without r features: two of its r points are of one exposure, which the older extractor refused."""


@pytest.mark.skipif(not enriched_files(), reason="the shared sample of enriched alerts is not installed")
def test_all_features_equal_the_published_ones(runner: Runner) -> None:
    compared = 0
    records = [one for path in enriched_files() if path.stem in COMPARED for one in read_records(path)]
    for band in ("g", "r"):
        ours = values(runner.apply(alerts_of(records)).table, f"lc_features_{band}")
        for record, found in zip(records, ours, strict=True):
            published = record[f"lc_features_{band}"]
            if published is None:
                assert found is None or record["candid"] == REPEATED
                continue
            compared += 1
            for name in LC_FEATURES:
                value = published[name]
                mine = found[name] if found else None
                if value is None or np.isnan(value):
                    assert mine is None
                else:
                    assert mine == pytest.approx(value, rel=1e-4, abs=1e-12), (record["candid"], band, name)
    assert compared == 168
