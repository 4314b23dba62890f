"""Tells structure in an image from pixels that could stand in any order.

The power spectrum of a stamp's centre is compared with those of the same stamp with its pixels shuffled. If the image
is noise, the distance of the real spectrum from a shuffled one is like the distance between two shuffled ones; a galaxy
or a star makes it larger. ELEPHANT, Pessi et al. 2024, arXiv:2404.18165.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft2
from scipy.spatial.distance import pdist

from fink_lib.science.stamps import central

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHUFFLES = 200
"""Shuffled copies of each stamp (Pessi et al. 2024)."""

_SPARE = 48
"""Picks drawn beyond those needed, because some pixels come up twice."""


def ring_weights(side: int) -> Floats:
    """Give what turns squared Fourier amplitudes into power per ring.

    Rings have the edges |k| = 0.5, 1.5, ... below side / 2 + 1; power is the mean squared amplitude in the ring times
    the ring's area, pi (k_outer^2 - k_inner^2).

    Parameters
    ----------
    side : int
        Pixels of the square image's side.

    Returns
    -------
    ndarray
        Shape (modes of a real transform, rings); a mode that stands for its mirror image too counts twice.
    """
    edges = np.arange(0.5, side // 2 + 1, 1.0)
    along = np.arange(side // 2 + 1)
    down = np.minimum(np.arange(side), side - np.arange(side))
    radius = np.hypot(down[:, None], along[None, :]).ravel()
    mirrored = np.where((along == 0) | (2 * along == side), 1.0, 2.0)
    multiplicity = np.broadcast_to(mirrored, (side, len(along))).ravel()
    inside = (radius[:, None] >= edges[:-1]) & (radius[:, None] < edges[1:])
    weights = inside * multiplicity[:, None]
    area = np.pi * (edges[1:] ** 2 - edges[:-1] ** 2)
    result: Floats = weights / weights.sum(axis=0) * area
    return result


def power(images: Floats, weights: Floats) -> Floats:
    """Give the power spectra of square images.

    Parameters
    ----------
    images : ndarray
        Shape (n, side, side).
    weights : ndarray
        Of :func:`ring_weights`.

    Returns
    -------
    ndarray
        Shape (n, rings).
    """
    amplitudes = rfft2(images)
    squared = amplitudes.real**2 + amplitudes.imag**2
    result: Floats = squared.reshape(len(images), -1) @ weights
    return result


def draw_shuffles(rng: np.random.Generator, pixels: int, needed: int, shuffles: int = SHUFFLES) -> Ints:
    """Draw what the first pixels of a shuffled image are.

    Only a part of a shuffled stamp is looked at, so only that part is drawn: pixel numbers in random order, without
    repetition. Numbers are drawn with repetition and each keeps its first place, which gives the same distribution.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the draws.
    pixels : int
        Pixels of the whole stamp; at most 32767.
    needed : int
        Pixels of the part.
    shuffles : int
        Number of shuffles.

    Returns
    -------
    ndarray of int
        Shape (shuffles, needed).
    """
    if needed > pixels:
        raise ValueError(f"{needed} of {pixels} pixels cannot be drawn without repetition")
    drawn = rng.integers(pixels, size=(shuffles, needed + _SPARE), dtype=np.int16)
    while True:
        order = np.argsort(drawn, axis=1, kind="stable")
        ascending = np.take_along_axis(drawn, order, axis=1)
        repeated = np.zeros(drawn.shape, dtype=bool)
        np.put_along_axis(repeated, order[:, 1:], ascending[:, 1:] == ascending[:, :-1], axis=1)
        if (drawn.shape[1] - repeated.sum(axis=1) >= needed).all():
            break
        more = rng.integers(pixels, size=(shuffles, needed + _SPARE), dtype=np.int16)
        drawn = np.concatenate([drawn, more], axis=1)
    front = ~repeated & (np.cumsum(~repeated, axis=1) <= needed)
    return drawn[front].reshape(shuffles, needed).astype(np.int64)


def spectral_distances(real: Floats, shuffled: Floats) -> tuple[Floats, Floats]:
    """Give Wasserstein distances between spectra, each taken as a sample of power values.

    Of two samples of one size the distance is the mean absolute difference of the sorted values (Vallender 1974, Theory
    Probab. Appl. 18, 784).

    Parameters
    ----------
    real : ndarray
        Shape (rings,).
    shuffled : ndarray
        Shape (n, rings).

    Returns
    -------
    to_real : ndarray
        Of each shuffled spectrum to the real one; shape (n,).
    among : ndarray
        Of each pair of shuffled spectra; shape (n (n - 1) / 2,).

    Examples
    --------
    >>> spectral_distances(np.array([3.0, 1.0]), np.array([[1.0, 3.0], [2.0, 6.0]]))
    (array([0., 2.]), array([2.]))
    """
    ordered = np.sort(shuffled, axis=1)
    rings = ordered.shape[1]
    to_real = np.abs(ordered - np.sort(real)).sum(axis=1) / rings
    return to_real, pdist(ordered, "cityblock") / rings


def kolmogorov_smirnov(first: Floats, second: Floats) -> float:
    """Give the two-sample Kolmogorov-Smirnov statistic: the largest difference of the cumulative distributions.

    Parameters
    ----------
    first, second : ndarray
        The samples; neither empty. Cheap if `first` is the smaller one, for it alone is sorted.

    Returns
    -------
    float
        0 to 1.

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([1.5, 2.5, 3.5, 4.5]))
    0.75
    """
    steps, counts = np.unique(first, return_counts=True)
    until = np.concatenate(([0.0], np.cumsum(counts) / len(first)))
    ordered = np.sort(second)
    # Between two steps of the first distribution only the second one rises: the largest difference is at a step of the
    # first or right below one.
    at = np.searchsorted(ordered, steps, side="right") / len(second)
    below = np.searchsorted(ordered, steps, side="left") / len(second)
    return float(max(np.abs(until[1:] - at).max(), np.abs(until[:-1] - below).max()))


def structure(stamp: Floats, side: int, picks: Ints, weights: Floats) -> float:
    """Say how unlike its shuffled copies the centre of a stamp is.

    Parameters
    ----------
    stamp : ndarray
        The whole stamp, two-dimensional, without missing pixels.
    side : int
        Side of the centre (pixels).
    picks : ndarray
        Pixels of the whole stamp that stand in the centre of each shuffled copy (:func:`draw_shuffles`).
    weights : ndarray
        Of :func:`ring_weights` for that side.

    Returns
    -------
    float
        Kolmogorov-Smirnov statistic of the two sets of distances: near 0 like noise, 1 unlike it; NaN if there are
        fewer than three distinct distances in one of them.
    """
    copies = stamp.ravel()[picks].reshape(len(picks), side, side)
    spectra = power(np.concatenate([central(stamp[None], side), copies]), weights)
    to_real, among = spectral_distances(spectra[0], spectra[1:])
    if _few(to_real) or _few(among):
        return float("nan")
    return kolmogorov_smirnov(to_real, among)


def _few(values: Floats) -> bool:
    """Tell whether there are fewer than three distinct values: none but the least and the greatest."""
    return bool(((values == values.min()) | (values == values.max())).all())
