"""Spectra, distances and the statistic, against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binned_statistic, ks_2samp, wasserstein_distance

from fink_lib.science.power_spectrum import (
    draw_shuffles,
    kolmogorov_smirnov,
    power,
    ring_weights,
    spectral_distances,
    structure,
)

RNG = np.random.default_rng(11)


def spectrum_by_definition(image: np.ndarray[Any, Any]) -> Any:
    """Mean squared amplitude of the whole Fourier plane in rings, times the rings' areas."""
    side = len(image)
    k = np.fft.fftfreq(side) * side
    radius = np.hypot(*np.meshgrid(k, k))
    edges = np.arange(0.5, side // 2 + 1, 1.0)
    mean = binned_statistic(radius.ravel(), np.abs(np.fft.fft2(image)).ravel() ** 2, "mean", bins=edges).statistic
    return mean * np.pi * (edges[1:] ** 2 - edges[:-1] ** 2)


@pytest.mark.parametrize("side", [14, 15, 30])
def test_power_is_that_of_the_definition(side: int) -> None:
    images = RNG.normal(10, 3, (4, side, side))
    expected = [spectrum_by_definition(one) for one in images]
    np.testing.assert_allclose(power(images, ring_weights(side)), expected, rtol=1e-9)


def test_a_wave_has_all_its_power_in_its_ring() -> None:
    x = np.arange(14)
    wave = np.cos(2 * np.pi * 3 * x / 14)[None, :] * np.ones((14, 1))
    spectrum = power(wave[None], ring_weights(14))[0]
    assert np.flatnonzero(spectrum > 1e-6).tolist() == [2]
    modes = sum(2.5 <= np.hypot(i, j) < 3.5 for i in range(-7, 7) for j in range(-7, 7))
    assert spectrum[2] == pytest.approx(2 * 98**2 / modes * np.pi * 6)  # amplitude 196 / 2 at k = 3 and k = -3


def test_a_flat_image_has_no_power() -> None:
    np.testing.assert_allclose(power(np.full((1, 14, 14), 9.0), ring_weights(14)), 0, atol=1e-18)


def test_shuffles_hold_each_pixel_at_most_once_and_all_pixels_alike() -> None:
    picks = draw_shuffles(np.random.default_rng(0), 300, 196, shuffles=2000)
    assert all(len(set(row)) == 196 for row in picks.tolist())
    counts = np.bincount(picks.ravel(), minlength=300)
    np.testing.assert_allclose(counts / 2000, 196 / 300, atol=5 * np.sqrt(196 / 300 * 104 / 300 / 2000))
    first = np.bincount(picks[:, 0], minlength=300)
    assert ((first - 2000 / 300) ** 2 / (2000 / 300)).sum() < 299 + 5 * np.sqrt(2 * 299)


def test_a_whole_image_can_be_shuffled_and_no_more() -> None:
    assert np.sort(draw_shuffles(np.random.default_rng(0), 50, 50, shuffles=3)).tolist() == [list(range(50))] * 3
    with pytest.raises(ValueError, match="51 of 50"):
        draw_shuffles(np.random.default_rng(0), 50, 51)


def test_distances_are_those_of_scipy() -> None:
    shuffled, real = RNG.exponential(size=(12, 7)), RNG.exponential(size=7)
    to_real, among = spectral_distances(real, shuffled)
    np.testing.assert_allclose(to_real, [wasserstein_distance(one, real) for one in shuffled])
    pairs = [wasserstein_distance(shuffled[i], shuffled[j]) for i in range(12) for j in range(i + 1, 12)]
    np.testing.assert_allclose(among, pairs)


@pytest.mark.parametrize("seed", range(20))
def test_the_statistic_is_that_of_scipy_ties_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 9, 15) / 4, rng.integers(2, 12, 40) / 4
    assert kolmogorov_smirnov(first, second) == pytest.approx(ks_2samp(first, second).statistic, abs=1e-12)


def test_a_source_is_unlike_its_shuffled_copies_and_noise_is_not() -> None:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:63, :63] - 31
    noise = rng.normal(100, 5, (63, 63))
    source = noise + 60 * np.exp(-(x**2 + y**2) / 8)
    picks, weights = draw_shuffles(rng, 63 * 63, 196), ring_weights(14)
    assert structure(source, 14, picks, weights) == 1.0
    assert structure(noise, 14, picks, weights) < 0.5


def test_an_image_without_three_distances_has_no_value() -> None:
    picks, weights = draw_shuffles(np.random.default_rng(0), 63 * 63, 196), ring_weights(14)
    assert np.isnan(structure(np.zeros((63, 63)), 14, picks, weights))
