"""47 numbers that say how a star varies in one band, computed for many light curves at once.

The set follows the plan of Godines et al. 2019 (Astronomy and Computing 28, 100298), who tell microlensing from other
variability with 47 statistics of the magnitudes of one band: spread, shape of the distribution, order in time. The
definitions here are our own and none depends on how bright the star is, only on how it varies.

Single definitions: Stetson J and K, Stetson 1996 (PASP 108, 851); half-magnitude ratio, Kinemuchi et al. 2006 (AJ 132,
1202); von Neumann ratio, von Neumann 1941 (Ann. Math. Stat. 12, 367); CUSUM and consecutive points, Kim et al. 2014
(A&A 566, A43); median buffer range and percent amplitude, Richards et al. 2011 (ApJ 733, 10); time reversal and third
moment, Schreiber and Schmitz 1997 (PRE 55, 5443); lens shape, Paczynski 1986 (ApJ 304, 1).
"""

from __future__ import annotations

import numpy as np

from fink_lib.science.timeseries.lens import lens_fit
from fink_lib.science.timeseries.segments import Bools, Floats, Ints, Segments

LEAST_POINTS = 5
"""Below this the statistics of order and shape have no meaning."""

ENTROPY_BINS = 8

SPREAD = (
    "standard_deviation",
    "amplitude",
    "median_absolute_deviation",
    "range_90",
    "range_50",
    "brightening",
    "dimming",
    "log_reduced_chi2",
    "excess_deviation",
    "percent_amplitude",
    "log_signal_to_noise",
)
SHAPE = (
    "skew",
    "kurtosis",
    "log_half_magnitude_ratio",
    "brighter_1",
    "brighter_3",
    "brighter_5",
    "fainter_1",
    "fainter_3",
    "fainter_5",
    "beyond_1_deviation",
    "median_buffer_range",
    "stetson_k",
    "entropy",
)
ORDER = (
    "von_neumann",
    "autocorrelation_1",
    "autocorrelation_2",
    "stetson_j",
    "cusum_range",
    "consecutive_brighter",
    "longest_brighter",
    "longest_fainter",
    "median_crossings",
    "peaks",
    "time_of_brightest",
    "time_of_faintest",
    "mean_change",
    "net_change",
    "second_derivative",
    "time_reversal",
    "third_moment",
    "linear_r2",
    "log_slope_significance",
    "parabola_r2",
    "lens_gain",
    "log_lens_chi2",
    "log_lens_time",
)
VARIABILITY_FEATURES = (*SPREAD, *SHAPE, *ORDER)
"""Names of the 47 columns of :func:`variability`, in order."""


def _per(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; 0 where the denominator is 0, as for a curve without any variation."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def variability(time: Floats, magnitude: Floats, error: Floats, curves: Segments) -> Floats:
    """Compute the 47 features.

    Parameters
    ----------
    time : ndarray, shape (points,)
        Time (d), increasing within each curve.
    magnitude, error : ndarray, shape (points,)
        Magnitudes and their errors (mag), finite, errors above 0.
    curves : Segments
        Where each curve lies.

    Returns
    -------
    ndarray, shape (curves, 47)
        In the order of :data:`VARIABILITY_FEATURES`; all finite.

    Raises
    ------
    ValueError
        If a curve has fewer than :data:`LEAST_POINTS` points.
    """
    if not len(curves):
        return np.zeros((0, len(VARIABILITY_FEATURES)))
    if curves.lengths.min() < LEAST_POINTS:
        raise ValueError(f"every curve needs at least {LEAST_POINTS} points")
    parts = [
        _spread(magnitude, error, curves),
        _shape(magnitude, error, curves),
        _order(magnitude, error, curves),
        _trend(time, magnitude, error, curves),
    ]
    return np.column_stack([column for part in parts for column in part])


def _deviation(values: Floats, curves: Segments) -> tuple[Floats, Floats]:
    """Give residuals from each curve's mean, and the sample standard deviation."""
    residual = values - curves.mean(values)[curves.owner]
    return residual, np.sqrt(curves.sum(residual**2) / (curves.lengths - 1))


def _spread(magnitude: Floats, error: Floats, curves: Segments) -> list[Floats]:
    _, deviation = _deviation(magnitude, curves)
    low, quarter, middle, three_quarters, high = curves.quantiles(magnitude, 0.05, 0.25, 0.5, 0.75, 0.95)
    brightest, faintest = curves.min(magnitude), curves.max(magnitude)
    away = magnitude - middle[curves.owner]
    weight = error**-2
    weighted_mean = curves.sum(weight * magnitude) / curves.sum(weight)
    chi2 = curves.sum(weight * (magnitude - weighted_mean[curves.owner]) ** 2)
    noise2 = curves.mean(error**2)
    return [
        deviation,
        (faintest - brightest) / 2,
        curves.median(np.abs(away)),
        high - low,
        three_quarters - quarter,
        middle - brightest,
        faintest - middle,
        np.log1p(chi2 / (curves.lengths - 1)),
        np.sqrt(np.maximum(deviation**2 - noise2, 0.0)),
        curves.max(np.abs(10 ** (-0.4 * away) - 1)),
        np.log1p(deviation / np.sqrt(noise2)),
    ]


def _shape(magnitude: Floats, error: Floats, curves: Segments) -> list[Floats]:
    residual, deviation = _deviation(magnitude, curves)
    middle = curves.median(magnitude)
    away = magnitude - middle[curves.owner]
    second = curves.mean(residual**2)
    fainter, brighter = curves.sum(np.maximum(away, 0) ** 2), curves.sum(np.minimum(away, 0) ** 2)
    scaled = away / error
    half_range = (curves.max(magnitude) - curves.min(magnitude)) / 2
    both = (fainter > 0) & (brighter > 0)
    ratio = np.log(np.divide(fainter, brighter, out=np.ones_like(fainter), where=both)) / 2
    return [
        _per(curves.mean(residual**3), second**1.5),
        _per(curves.mean(residual**4), second**2) - 3 * (second > 0),
        ratio,
        *(curves.mean(scaled < -level) for level in (1, 3, 5)),
        *(curves.mean(scaled > level) for level in (1, 3, 5)),
        curves.mean(np.abs(residual) > deviation[curves.owner]),
        curves.mean(np.abs(away) <= 0.1 * half_range[curves.owner]),
        stetson_k(magnitude, error, curves),
        _entropy(magnitude, curves),
    ]


def stetson_k(magnitude: Floats, error: Floats, curves: Segments) -> Floats:
    """Give Stetson's K, mean |d| / sqrt(mean d²) of the residuals in units of their errors; 0 without variation.

    About 0.8 for Gaussian scatter, 0.9 for a sine, 1 for two levels, small for one outlier.
    """
    weight = error**-2
    mean = curves.sum(weight * magnitude) / curves.sum(weight)
    scaled = (magnitude - mean[curves.owner]) / error
    return _per(curves.mean(np.abs(scaled)), np.sqrt(curves.mean(scaled**2)))


def _entropy(magnitude: Floats, curves: Segments) -> Floats:
    """Give Shannon's entropy of the magnitudes in 8 equal bins from brightest to faintest, over its largest value."""
    low = curves.min(magnitude)
    width = (curves.max(magnitude) - low)[curves.owner]
    place = _per(magnitude - low[curves.owner], width) * ENTROPY_BINS
    bins = np.minimum(place.astype(np.int64), ENTROPY_BINS - 1)
    counts = np.bincount(curves.owner * ENTROPY_BINS + bins, minlength=len(curves) * ENTROPY_BINS)
    share = counts.reshape(-1, ENTROPY_BINS) / curves.lengths[:, None]
    logs = np.log(np.where(share > 0, share, 1.0))
    result: Floats = np.zeros(len(curves))
    for column in range(ENTROPY_BINS):
        result -= share[:, column] * logs[:, column]
    result /= np.log(ENTROPY_BINS)
    return result


def _order(magnitude: Floats, error: Floats, curves: Segments) -> list[Floats]:
    residual, deviation = _deviation(magnitude, curves)
    size = curves.lengths
    scaled = _per(residual, deviation[curves.owner])
    one, two = curves.followed(1), curves.followed(2)
    middle = curves.median(magnitude)
    away = magnitude - middle[curves.owner]
    change = scaled[one + 1] - scaled[one]
    squares = curves.sum(scaled**2)
    bright = away < 0
    peak = two[(away[two + 1] < np.minimum(away[two], away[two + 2])) & (-away[two + 1] > error[two + 1])]
    path = _running_sum(scaled, curves)
    strong = away < -2 * error
    triples = strong[two] & strong[two + 1] & strong[two + 2]
    return [
        curves.sum_of(one, change**2) / (size - 1),
        _per(curves.sum_of(one, scaled[one] * scaled[one + 1]), squares),
        _per(curves.sum_of(two, scaled[two] * scaled[two + 2]), squares),
        _stetson_j(magnitude, error, one, curves),
        (curves.max(path) - curves.min(path)) / size,
        curves.sum_of(two, triples.astype(float)) / (size - 2),
        _longest(bright, curves) / size,
        _longest(away > 0, curves) / size,
        curves.sum_of(one, (bright[one] != bright[one + 1]).astype(float)) / (size - 1),
        curves.sum_of(peak, np.ones(len(peak))) / size,
    ]


def _running_sum(values: Floats, curves: Segments) -> Floats:
    """Sum each curve's values up to each point, in the order of the points."""
    result = values.copy()
    for rank in range(1, int(curves.lengths.max(initial=0))):
        places = curves.first[curves.lengths > rank] + rank
        result[places] += result[places - 1]
    return result


def _longest(chosen: Bools, curves: Segments) -> Floats:
    """Give the length of the longest run of chosen points of each curve."""
    places = np.arange(len(chosen))
    before = np.where(chosen, -1, places)
    before[curves.first] = np.where(chosen[curves.first], curves.first - 1, curves.first)
    run = places - np.maximum.accumulate(before)
    return curves.max(np.where(chosen, run, 0).astype(np.float64))


def _stetson_j(magnitude: Floats, error: Floats, one: Ints, curves: Segments) -> Floats:
    """Give the mean over neighbours of sgn(P) sqrt|P|, P the product of their residuals in units of the errors."""
    weight = error**-2
    mean = curves.sum(weight * magnitude) / curves.sum(weight)
    bias = np.sqrt(curves.lengths / (curves.lengths - 1))
    scaled = bias[curves.owner] * (magnitude - mean[curves.owner]) / error
    product = scaled[one] * scaled[one + 1]
    mean_root = curves.sum_of(one, np.sign(product) * np.sqrt(np.abs(product))) / (curves.lengths - 1)
    # A bright star has errors so small that J would dwarf every other feature.
    return np.sign(mean_root) * np.log1p(np.abs(mean_root))


def _trend(time: Floats, magnitude: Floats, error: Floats, curves: Segments) -> list[Floats]:
    residual, deviation = _deviation(magnitude, curves)
    owner, size = curves.owner, curves.lengths
    scaled = _per(residual, deviation[owner])
    one, two = curves.followed(1), curves.followed(2)
    start, span = time[curves.first], time[curves.last] - time[curves.first]
    phase = _per(time - start[owner], span[owner])
    first_of = [curves.argfirst(magnitude == edge[owner]) for edge in (curves.min(magnitude), curves.max(magnitude))]
    first, last = scaled[curves.first], scaled[curves.last]
    inner = (last - scaled[curves.last - 1] - scaled[curves.first + 1] + first) / (2 * (size - 2))

    centred = phase - curves.mean(phase)[owner]
    spread = curves.sum(centred**2)
    total = curves.sum(scaled**2)
    slope = _per(curves.sum(centred * scaled), spread)
    line = _per(slope**2 * spread, total)
    # Gram-Schmidt: the part of the square that a line does not hold.
    square = centred**2 - curves.mean(centred**2)[owner]
    square -= centred * _per(curves.sum(centred**3), spread)[owner]
    rest = curves.sum(square**2)
    parabola = line + _per(_per(curves.sum(square * scaled), rest) ** 2 * rest, total)
    noise2 = curves.mean(error**2)
    significance = np.abs(slope) * deviation * np.sqrt(_per(spread, noise2))
    gain, chi2, log_time = lens_fit(time, magnitude, error, curves)
    return [
        phase[first_of[0]],
        phase[first_of[1]],
        curves.sum_of(one, np.abs(scaled[one + 1] - scaled[one])) / (size - 1),
        last - first,
        inner,
        curves.sum_of(two, scaled[two + 2] ** 2 * scaled[two + 1] - scaled[two + 1] * scaled[two] ** 2) / (size - 2),
        curves.sum_of(two, scaled[two + 2] * scaled[two + 1] * scaled[two]) / (size - 2),
        np.minimum(line, 1.0),
        np.log1p(significance),
        np.minimum(parabola, 1.0),
        gain,
        np.log1p(chi2),
        log_time,
    ]
