"""Light curves averaged per night, and sigmoids fitted to them: by hand, and without regard to other alerts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fink_lib.science.models import LightCurves, fluxcal
from fink_lib.science.models.nights import WIDTH, average_nights
from fink_lib.science.models.sigmoid import fit_sigmoids

JD = 2_459_000.7


def curves_of(*alerts: list[tuple[float, int, float, float, float]]) -> LightCurves:
    """Give light curves of (days, band, magnitude, error, sign); NaN magnitudes are limits."""
    points = [point for one in alerts for point in one]
    columns = np.array(points, dtype=np.float64).reshape(-1, 5)
    return LightCurves(
        np.concatenate(([0], np.cumsum([len(one) for one in alerts]))).astype(np.int64),
        JD + columns[:, 0],
        columns[:, 1].astype(np.int64),
        {"magpsf": columns[:, 2], "sigmapsf": columns[:, 3], "sign": columns[:, 4]},
        {},
    )


def test_a_night_is_averaged_by_its_errors_and_bands_are_kept_apart() -> None:
    nights = average_nights(
        curves_of([(0.0, 1, 17.5, 0.1, 1), (0.05, 1, 17.5, 0.2, 1), (0.1, 2, 20.0, 0.1, 1), (2.0, 1, 17.5, 0.1, -1)])
    )
    assert nights.count.tolist() == [2]
    assert nights.flux[0, 0].tolist() == pytest.approx([10_000.0, 1000.0])
    assert nights.error[0, 0, 0] == pytest.approx(921.034 / np.sqrt(1.25), rel=1e-5)
    # weights 4 to 1
    assert nights.time_jd[0, 0, 0] - JD == pytest.approx(0.01, abs=1e-6)
    assert nights.flux[0, 1, 0] == pytest.approx(-10_000.0)
    assert np.isnan(nights.flux[0, 1, 1])
    assert np.isnan(nights.flux[0, 2:]).all()


def test_limits_and_the_i_band_are_no_points() -> None:
    nights = average_nights(curves_of([(0.0, 1, np.nan, np.nan, -1), (1.0, 3, 17.0, 0.1, 1), (2.0, 2, 17.0, 0.1, 1)]))
    assert nights.count.tolist() == [1]
    assert not np.isnan(nights.flux[0, 0, 1])


def test_of_more_nights_than_there_is_room_for_the_latest_are_kept() -> None:
    long = [(float(day), 1, 15.0 + 0.01 * day, 0.1, 1.0) for day in range(WIDTH + 8)]
    nights = average_nights(curves_of(long, long[-1:]))
    assert nights.count.tolist() == [WIDTH, 1]
    first, last = fluxcal(np.array([15.08, 15.0 + 0.01 * (WIDTH + 7)]), np.full(2, 0.1), np.ones(2))[0]
    assert nights.flux[0, 0, 0] == pytest.approx(first)
    assert nights.flux[0, -1, 0] == pytest.approx(last) == nights.flux[1, 0, 0]


def sigmoid(time: Any, rate: float, middle: float, ceiling: float) -> Any:
    return ceiling / (1.0 + np.exp(-rate * (time - middle)))


@pytest.mark.parametrize(
    ("rate", "middle", "ceiling"), [(0.25, -8.0, 4000.0), (0.6, -12.0, 90_000.0), (0.15, -5.0, 900.0)]
)
def test_a_well_sampled_sigmoid_is_recovered(rate: float, middle: float, ceiling: float) -> None:
    time = np.arange(-20.0, 0.5, 1.0)[None, :]
    flux = sigmoid(time, rate, middle, ceiling)
    found = fit_sigmoids(time, flux, 0.005 * ceiling * np.ones_like(time), np.ones(time.shape, dtype=bool))
    assert found.rate_per_d[0] == pytest.approx(rate, rel=0.03)
    assert found.middle_d[0] == pytest.approx(middle, abs=0.3)
    assert found.ceiling[0] == pytest.approx(ceiling, rel=0.05)
    assert found.chi2[0] < 0.1


def test_two_points_stay_near_what_rises_look_like() -> None:
    time, flux = np.array([[-3.0, 0.0]]), np.array([[500.0, 1000.0]])
    found = fit_sigmoids(time, flux, 100.0 * np.ones((1, 2)), np.ones((1, 2), dtype=bool))
    assert 0.1 < found.rate_per_d[0] < 0.6
    assert 900.0 < found.ceiling[0] < 2000.0


def test_a_fit_does_not_depend_on_the_others_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    time = np.sort(rng.uniform(-20, 0, (300, WIDTH)), axis=1)
    flux = sigmoid(time, 0.3, -9.0, 1000.0) + 60.0 * rng.standard_normal(time.shape)
    use = rng.random(time.shape) < 0.3
    use[:, -2:] = True
    error = np.full_like(time, 60.0)
    whole = fit_sigmoids(time, flux, error, use)
    for row in (0, 17, 299):
        alone = fit_sigmoids(time[row : row + 1], flux[row : row + 1], error[row : row + 1], use[row : row + 1])
        for name in ("rate_per_d", "middle_d", "ceiling", "chi2"):
            assert getattr(alone, name)[0] == getattr(whole, name)[row]
