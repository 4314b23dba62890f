"""Features and fits of light curves: by hand, against slow formulas, and on curves whose truth is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.science.timeseries.lens import lens_fit, magnification
from fink_lib.science.timeseries.rainbow import PARAMETERS, rainbow_fit, rainbow_flux
from fink_lib.science.timeseries.random_walk import log_likelihood, random_walk
from fink_lib.science.timeseries.segments import Segments
from fink_lib.science.timeseries.structure import colours, structure_function
from fink_lib.science.timeseries.variability import VARIABILITY_FEATURES, stetson_k, variability

Floats = npt.NDArray[np.float64]


def one(*values: float) -> Floats:
    return np.array(values)


def curves_of(seed: int, count: int = 40) -> tuple[Floats, Floats, Floats, Segments]:
    """Random curves of random lengths, sorted by time."""
    rng = np.random.default_rng(seed)
    curves = Segments(rng.integers(5, 60, count))
    time = rng.uniform(0, 30, curves.offsets[-1])
    time = time[curves.order(time)]
    error = rng.uniform(0.01, 0.2, len(time))
    return time, 18 + rng.normal(0, 0.3, len(time)), error, curves


def features(magnitude: Floats, error: float = 0.1, time: Floats | None = None) -> dict[str, float]:
    time = np.arange(len(magnitude), dtype=float) if time is None else time
    row = variability(time, magnitude, np.full(len(magnitude), error), Segments(np.array([len(magnitude)])))[0]
    return dict(zip(VARIABILITY_FEATURES, row.tolist(), strict=True))


def test_there_are_47_features_with_names_of_their_own() -> None:
    assert len(VARIABILITY_FEATURES) == len(set(VARIABILITY_FEATURES)) == 47


def test_spread_and_shape_by_hand() -> None:
    found = features(one(18.0, 18.2, 18.1, 18.3, 17.4), 0.1)
    deviation = np.sqrt((0.2**2 + 0.1**2 + 0.3**2 + 0.6**2) / 4)
    assert found["standard_deviation"] == pytest.approx(deviation)
    assert found["amplitude"] == pytest.approx(0.45)
    assert found["brightening"] == pytest.approx(0.7)
    assert found["dimming"] == pytest.approx(0.2)
    assert found["median_absolute_deviation"] == pytest.approx(0.1)
    assert found["log_reduced_chi2"] == pytest.approx(np.log1p(deviation**2 / 0.01))
    assert found["excess_deviation"] == pytest.approx(np.sqrt(deviation**2 - 0.01))
    assert found["percent_amplitude"] == pytest.approx(10 ** (0.4 * 0.7) - 1)
    assert found["brighter_5"] == pytest.approx(0.2)
    assert found["fainter_1"] == pytest.approx(0.2)
    assert found["log_half_magnitude_ratio"] == pytest.approx(0.5 * np.log((0.1**2 + 0.2**2) / (0.1**2 + 0.7**2)))


def test_order_by_hand() -> None:
    found = features(one(18.0, 18.2, 18.1, 18.3, 17.4), 0.1)
    deviation = np.sqrt(0.5 / 4)
    assert found["von_neumann"] == pytest.approx((0.2**2 + 0.1**2 + 0.2**2 + 0.9**2) / 4 / deviation**2)
    assert found["mean_change"] == pytest.approx((0.2 + 0.1 + 0.2 + 0.9) / 4 / deviation)
    assert found["net_change"] == pytest.approx(-0.6 / deviation)
    assert found["second_derivative"] == pytest.approx(((17.4 - 18.3) - (18.2 - 18.0)) / (2 * 3) / deviation)
    assert found["time_of_brightest"] == 1.0
    assert found["time_of_faintest"] == 0.75
    assert found["longest_fainter"] == pytest.approx(0.2)
    assert found["cusum_range"] == pytest.approx(0.6 / deviation / 5)


def test_a_line_and_a_parabola_are_known_for_what_they_are() -> None:
    time = np.linspace(0, 20, 21)
    line, parabola = features(18 + 0.05 * time), features(18 + 0.01 * (time - 10) ** 2)
    assert line["linear_r2"] == pytest.approx(1.0)
    assert parabola["linear_r2"] == pytest.approx(0.0, abs=1e-12)
    assert parabola["parabola_r2"] == pytest.approx(1.0)


def test_stetson_k_of_two_levels_is_1_and_of_an_outlier_small() -> None:
    curves = Segments(np.array([10, 10]))
    magnitude = np.concatenate((np.tile([18.0, 18.4], 5), [19.0], np.full(9, 18.0)))
    found = stetson_k(magnitude, np.full(20, 0.1), curves)
    assert found[0] == pytest.approx(1.0)
    assert found[1] == pytest.approx(2 * 0.9 / 10 / np.sqrt(0.9 * 0.1), rel=1e-9)


def test_a_constant_curve_has_finite_features() -> None:
    found = features(np.full(12, 18.0))
    assert all(np.isfinite(value) for value in found.values())
    assert found["standard_deviation"] == found["von_neumann"] == found["lens_gain"] == 0.0


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        features(np.full(4, 18.0))
    with pytest.raises(ValueError, match="at least one"):
        Segments(np.array([3, 0]))


def test_a_lens_is_explained_by_a_lens_and_a_dip_is_not() -> None:
    time = np.linspace(0, 30, 31)
    event = 2.5 * np.log10(magnification(time, one(15.0), 10.0, 0.4))
    curves = Segments(np.array([31, 31]))
    magnitude = np.concatenate((18 - event, 18 + event))
    gain, chi2, log_time = lens_fit(np.tile(time, 2), magnitude, np.full(62, 0.02), curves)
    assert gain[0] > 0.999
    assert chi2[0] < 0.1
    assert log_time[0] == 1.0
    assert gain[1] < 0.5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_likelihood_of_a_walk_is_that_of_the_full_covariance(seed: int) -> None:
    time, value, error, curves = curves_of(seed, 6)
    taus, sigmas = one(-0.5, 1.0, 2.5), one(-2.0, -0.5)
    found = log_likelihood(time, value, error, curves, taus, sigmas)
    for row in range(len(curves)):
        part = slice(curves.offsets[row], curves.offsets[row + 1])
        gap = np.abs(time[part][:, None] - time[part])
        for i, tau in enumerate(taus):
            for j, sigma in enumerate(sigmas):
                covariance = 10 ** (2 * sigma) * np.exp(-gap / 10**tau) + np.diag(error[part] ** 2)
                inverse = np.linalg.inv(covariance)
                mean = (inverse @ value[part]).sum() / inverse.sum()
                residual = value[part] - mean
                chi2 = residual @ inverse @ residual
                slow = -0.5 * (chi2 + np.linalg.slogdet(covariance)[1] + len(residual) * np.log(2 * np.pi))
                assert found[row, i, j] == pytest.approx(slow, rel=1e-9)


def test_the_memory_of_a_walk_is_found_again() -> None:
    rng = np.random.default_rng(5)
    count, points = 60, 80
    time = np.sort(rng.uniform(0, 30, (count, points)), axis=1)
    walk = np.zeros((count, points))
    tau = np.where(np.arange(count) % 2, 10.0, 0.1)
    for step in range(points):
        memory = np.exp(-(time[:, step] - time[:, step - 1]) / tau) if step else np.zeros(count)
        before = walk[:, step - 1] if step else np.zeros(count)
        walk[:, step] = memory * before + 0.1 * np.sqrt(1 - memory**2) * rng.standard_normal(count)
    value = 1 + walk + rng.normal(0, 0.01, walk.shape)
    found = random_walk(time.ravel(), value.ravel(), np.full(value.size, 0.01), Segments(np.full(count, points)))
    assert np.median(found.log_tau[1::2]) == pytest.approx(1.0, abs=0.4)
    assert np.median(found.log_tau[::2]) < -0.4
    assert np.median(found.log_sigma) == pytest.approx(-1.0, abs=0.15)
    assert np.median(found.gain_memory[1::2]) > 10 * np.median(found.gain_memory[::2])


def test_structure_function_by_hand() -> None:
    time, magnitude = one(0.0, 1.0, 2.0, 10.0, 11.0, 12.0), one(18.0, 18.3, 18.0, 18.4, 18.5, 18.4)
    found = structure_function(time, magnitude, np.full(6, 0.1), Segments(np.array([6])))[0]
    day = np.mean([0.3**2, 0.3**2, 0.1**2, 0.1**2]) - 0.02
    ten = [0.4**2, 0.5**2, 0.4**2, 0.1**2, 0.2**2, 0.1**2, 0.4**2, 0.5**2, 0.4**2]
    assert found[0] == pytest.approx(np.sqrt(day))
    assert found[1] == pytest.approx(np.sqrt(np.mean(ten) - 0.02))
    assert np.isnan(found[2])


def test_noise_alone_has_no_structure() -> None:
    found = structure_function(np.arange(9.0), np.full(9, 18.0), np.full(9, 0.1), Segments(np.array([9])))[0]
    assert found[0] == found[1] == 0.0 or np.isnan(found[1])


def test_a_colour_is_that_of_nights_with_both_bands() -> None:
    # Nights change at 0 h UT: JD .5.
    time = one(10.6, 10.7, 10.8, 11.6, 12.6, 12.7, 13.6, 13.7)
    band = np.array([1, 1, 2, 1, 1, 2, 1, 2])
    magnitude = one(18.0, 18.2, 17.6, 25.0, 18.4, 17.8, 18.0, 17.6)
    mean, scatter = colours(time, magnitude, band, np.zeros(8, np.int64), 2)
    assert mean[0] == pytest.approx((0.5 + 0.6 + 0.4) / 3)
    assert scatter[0] == pytest.approx(0.1)
    assert np.isnan(mean[1])
    assert np.isnan(scatter[1])


def test_the_derivatives_of_rainbow_are_those_of_its_flux() -> None:
    truth = np.tile([0.5, 3.0, np.log(9), np.log(35), np.log(5500), np.log(7000), np.log(25)], (20, 1))
    time, wavelength = np.linspace(-30, 80, 20), np.where(np.arange(20) % 2, 4770.0, 6231.0)
    flux, slopes = rainbow_flux(time, wavelength, truth)
    assert (flux > 0).all()
    for column in range(len(PARAMETERS)):
        step = np.zeros(len(PARAMETERS))
        step[column] = 1e-5
        upper, lower = (rainbow_flux(time, wavelength, truth + sign * step)[0] for sign in (1, -1))
        assert (upper - lower) / 2e-5 == pytest.approx(slopes[:, column], rel=1e-4, abs=1e-6)


def test_rainbow_finds_the_time_scales_and_temperatures_that_made_a_curve() -> None:
    rng = np.random.default_rng(3)
    curves = Segments(np.full(30, 50))
    logs = [(4, 20), (20, 90), (5000, 8000), (2000, 9000), (10, 40)]
    columns = [np.full(30, 0.5), rng.normal(0, 3, 30), *(np.log(rng.uniform(*limits, 30)) for limits in logs)]
    truth = np.column_stack(columns)
    time = rng.uniform(-30, 90, 1500)
    time = time[curves.order(time)]
    band = rng.integers(1, 3, 1500)
    flux, _ = rainbow_flux(time, np.where(band == 1, 4770.0, 6231.0), truth[curves.owner])
    noisy = flux + rng.normal(0, 0.02, 1500)
    found = rainbow_fit(2_459_000 + time, noisy, np.full(1500, 0.02), band, curves)
    assert np.median(found.reduced_chi2) < 1.2
    for column, tolerance in ((2, 0.1), (3, 0.1), (4, 0.15)):
        assert np.median(np.abs(found.parameters - truth)[:, column]) < tolerance


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_result_depends_on_the_neighbours(seed: int) -> None:
    time, magnitude, error, curves = curves_of(seed, 12)
    flux = 10 ** (-0.4 * (magnitude - 18))
    band = 1 + (np.arange(len(time)) % 2)

    def all_of(part: npt.NDArray[np.int64], some: Segments) -> Floats:
        t, m, e, f = time[part], magnitude[part], error[part], flux[part]
        walk, fit = random_walk(t, f, e, some), rainbow_fit(t, f, e, band[part], some)
        return np.column_stack(
            (
                variability(t, m, e, some),
                structure_function(t, m, e, some),
                np.column_stack((walk.log_tau, walk.log_sigma, walk.gain_walk, walk.gain_memory)),
                np.column_stack((fit.parameters, fit.reduced_chi2)),
            )
        )

    whole = all_of(*curves.take(np.arange(12)))
    order = np.random.default_rng(seed).permutation(12)
    assert np.array_equal(all_of(*curves.take(order)), whole[order], equal_nan=True)
    for row in (0, 5, 11):
        assert np.array_equal(all_of(*curves.take(np.array([row])))[0], whole[row], equal_nan=True)
