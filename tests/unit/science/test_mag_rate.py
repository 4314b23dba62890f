"""Rate of change of magnitude: against closed forms, a plain Monte Carlo, and the published values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from tests.unit.science.alerts import JD, alert, detection, limit, table
from tests.unit.science.only import runner_of
from tests.unit.science.reference import alerts_of, enriched_files, read_records
from tests.unit.science.toys import status_of, values

RATES = ("mag_rate", "sigma_rate", "lower_rate", "upper_rate")
POGSON = 2.5 / math.log(10)


@pytest.fixture(scope="module")
def runner(science_settings: Settings) -> Runner:
    return runner_of(science_settings, "mag_rate", "previous_entry", "first_detection")


def row(runner: Runner, previous: list[dict[str, Any]] | None, **candidate: Any) -> dict[str, Any]:
    found: dict[str, Any] = runner.apply(table([alert(1, previous=previous, **candidate)])).table.to_pylist()[0]
    return found


def rates(runner: Runner, previous: list[dict[str, Any]] | None, **candidate: Any) -> list[Any]:
    found = row(runner, previous, **candidate)
    return [found[name] for name in RATES]


def test_two_sharp_detections_give_the_difference_over_the_time(runner: Runner) -> None:
    found = rates(runner, [detection(2.0, magpsf=19.0, sigmapsf=0.01)], magpsf=18.0, sigmapsf=0.01)
    sigma = 0.01 * math.sqrt(2) / 2
    expected = [-0.5, sigma, -0.5 - 1.645 * sigma, -0.5 + 1.645 * sigma]
    assert found == pytest.approx(expected, abs=0.05 * sigma)


def test_above_a_limit_the_earlier_flux_is_anything_below_it(runner: Runner) -> None:
    found = rates(runner, [limit(0.5, diffmaglim=20.0)], magpsf=18.0, sigmapsf=0.001)
    # The earlier flux is u times the limit's, u uniform: the change is 2.5 log10(u) below the difference of magnitudes.
    expected = [-2 - POGSON, POGSON, -2 + 2.5 * math.log10(0.05), -2 + 2.5 * math.log10(0.95)]
    assert found == pytest.approx([value / 0.5 for value in expected], abs=0.3)


@pytest.mark.parametrize(("error", "previous"), [(0.2, 0.15), (0.25, 0.3), (0.2, None)])
def test_the_draws_have_the_distribution_of_a_plain_monte_carlo(
    runner: Runner, error: float, previous: float | None
) -> None:
    random = np.random.default_rng(5)
    own, before = 10**-7.2, 10**-7.6
    flux = random.normal(own, own * error / POGSON, 400_000)
    other = (
        random.uniform(0, before, 400_000)
        if previous is None
        else random.normal(before, before * previous / POGSON, 400_000)
    )
    both = (flux > 0) & (other > 0)
    change = -2.5 * np.log10(flux[both] / other[both]) / 2
    expected = [change.mean(), change.std(), *np.percentile(change, [5, 95])]
    entry = limit(2.0, diffmaglim=19.0) if previous is None else detection(2.0, magpsf=19.0, sigmapsf=previous)
    found = rates(runner, [entry], magpsf=18.0, sigmapsf=error)
    assert found == pytest.approx(expected, abs=0.15 * change.std())


def test_which_entry_is_the_previous_one(runner: Runner) -> None:
    previous = [
        detection(5.0, magpsf=19.0),
        limit(2.0),
        detection(1.0, fid=2),
        detection(0.0, magpsf=15.0, candid=-7),
    ]
    found = row(runner, previous)
    assert found["delta_time"] == pytest.approx(2.0)
    assert found["from_upper"] is True
    assert found["jd_first_real_det"] == JD - 5.0
    assert found["jdstarthist_dt"] == pytest.approx(5.0)


def test_an_entry_in_i_does_not_end_the_search(runner: Runner) -> None:
    with_i = row(runner, [detection(3.0, magpsf=19.0), detection(1.0, fid=3), limit(0.5, fid=3)])
    without = row(runner, [detection(3.0, magpsf=19.0)])
    assert with_i["delta_time"] == pytest.approx(3.0)
    assert [with_i[name] for name in RATES] == [without[name] for name in RATES]


@pytest.mark.parametrize("previous", [None, [], [detection(1.0, fid=2)], [detection(-1.0)]])
def test_without_an_earlier_entry_of_the_band_there_is_no_rate(
    runner: Runner, previous: list[dict[str, Any]] | None
) -> None:
    result = runner.apply(table([alert(1, previous=previous)]))
    for column in (*RATES, "delta_time", "from_upper"):
        assert values(result.table, column) == [None]
    assert status_of(result.table, "mag_rate") == ["not_applicable"]
    assert status_of(result.table, "previous_entry") == ["not_applicable"]
    assert status_of(result.table, "first_detection") == ["ok"]


def test_a_limit_without_a_value_gives_a_time_and_no_rate(runner: Runner) -> None:
    found = row(runner, [limit(1.0, diffmaglim=None)])
    assert found["mag_rate"] is None
    assert found["from_upper"] is True
    assert found["delta_time"] == pytest.approx(1.0)


def test_two_fluxes_that_may_well_be_negative_give_no_rate(runner: Runner) -> None:
    # Half of the draws of each flux are about 0 or less: a quarter of the pairs is left.
    assert rates(runner, [detection(1.0, sigmapsf=1e5)], sigmapsf=1e5) == [None] * 4
    assert rates(runner, [detection(1.0, sigmapsf=0.5)], sigmapsf=0.5) != [None] * 4


def test_a_very_faint_neighbour_in_the_batch_changes_nothing(runner: Runner) -> None:
    mine = alert(1, previous=[detection(1.0, magpsf=18.4, sigmapsf=0.2)], sigmapsf=0.2)
    faint = alert(2, previous=[detection(1.0, magpsf=30.0, sigmapsf=5.0)], magpsf=31.0, sigmapsf=9.0)
    alone = runner.apply(table([mine])).table
    beside = runner.apply(table([faint, mine, faint])).table
    for name in RATES:
        assert values(alone, name)[0] == values(beside, name)[1]


def test_the_draws_belong_to_the_alert(runner: Runner) -> None:
    previous = [detection(1.0, magpsf=18.4)]
    result = runner.apply(
        table([alert(1, previous=previous), alert(2, previous=previous), alert(1, previous=previous)])
    )
    first, second, again = values(result.table, "mag_rate")
    assert first == again
    assert first != second
    assert first == pytest.approx(second, abs=0.01)


def test_rates_keep_the_contract(runner: Runner, varied_alerts: pa.Table) -> None:
    for name in ("mag_rate", "previous_entry", "first_detection"):
        assert complaints(runner, name, varied_alerts) == []


COMPARED = ("client_ztf_part-3-305711_31", "regular_836b_9", "spicy_yso_26")


@pytest.mark.skipif(not enriched_files(), reason="the shared sample of enriched alerts is not installed")
def test_the_published_rates_are_met(runner: Runner) -> None:
    records = [one for path in enriched_files() if path.stem in COMPARED for one in read_records(path)]
    compared = sharp = 0
    for record, ours in zip(records, runner.apply(alerts_of(records)).table.to_pylist(), strict=True):
        assert ours["jd_first_real_det"] == pytest.approx(record["jd_first_real_det"], abs=1e-6)
        assert ours["jdstarthist_dt"] == pytest.approx(record["jdstarthist_dt"], abs=1e-6)
        if record["delta_time"] is None:
            continue
        compared += 1
        assert ours["delta_time"] == pytest.approx(record["delta_time"], abs=1e-6)
        assert ours["from_upper"] == record["from_upper"]
        sigma = record["sigma_rate"]
        if record["from_upper"]:
            assert abs(ours["mag_rate"] - record["mag_rate"]) <= 0.3 * sigma
            assert 0.95 <= ours["sigma_rate"] / sigma <= 1.05
            continue
        # The published draws of two detections are biased: each flux was shifted by the faintest of its batch.
        assert abs(ours["mag_rate"] - record["mag_rate"]) <= 2 * sigma
        own = record["candidate"]
        before = [one for one in record["prv_candidates"] if one["fid"] == own["fid"] and one["jd"] < own["jd"] - 1e-5]
        last = max(before, key=lambda one: one["jd"])
        if max(own["sigmapsf"], last["sigmapsf"]) < POGSON / 10:
            sharp += 1
            slope = (own["magpsf"] - last["magpsf"]) / ours["delta_time"]
            assert abs(ours["mag_rate"] - slope) <= 0.05 * ours["sigma_rate"]
    assert compared == 45
    assert sharp >= 3
