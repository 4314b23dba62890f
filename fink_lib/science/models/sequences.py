"""Sequences of nights as the recurrent network takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.lightcurves import LightCurves
from fink_lib.science.models.nights import WIDTH, average_nights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]

INPUTS = ("FLUXCAL_g", "FLUXCAL_r", "FLUXCALERR_g", "FLUXCALERR_r", "delta_time", "g", "r", "g+r")
"""What the network sees of a night: fluxes and errors (0 in a band without a detection), days since the night before,
and which bands were detected (one of the last three is 1)."""

FLUX_UNIT = 300.0
"""FLUXCAL at which the scale turns from linear to logarithmic: about a five-sigma detection in a deep exposure."""


@dataclass(frozen=True)
class Sequences:
    """Light curves as sequences of nights, filled up with zeros to one length.

    Parameters
    ----------
    values : ndarray of float32, shape (alerts, WIDTH, inputs)
        See :data:`INPUTS`, not yet normalised.
    length : ndarray of int64, shape (alerts,)
        Nights of each; at least 1 where there is any detection.
    """

    values: Singles
    length: Ints


def sequences(curves: LightCurves) -> Sequences:
    """Give the nights of each alert, oldest first.

    Fluxes are compressed as sign(F) ln(1 + |F| / 300): the logarithm that makes bright and faint comparable, kept
    defined for negative differences and for zero.

    Parameters
    ----------
    curves : LightCurves
        With the entries ``magpsf``, ``sigmapsf``, ``sign``.
    """
    nights = average_nights(curves)
    there = ~np.isnan(nights.flux)
    with np.errstate(invalid="ignore"):
        flux = np.where(there, np.sign(nights.flux) * np.log1p(np.abs(nights.flux) / FLUX_UNIT), 0.0)
        error = np.where(there, np.log(nights.error / FLUX_UNIT), 0.0)
    # of a night with both bands the earlier time stands for it
    time = np.min(np.where(there, nights.time_jd, np.inf), axis=2)
    inside = np.arange(WIDTH)[None, :] < nights.count[:, None]
    step = np.zeros_like(time)
    step[:, 1:] = np.where(inside[:, 1:], time[:, 1:] - np.where(inside[:, 1:], time[:, :-1], 0.0), 0.0)
    only_g = there[:, :, 0] & ~there[:, :, 1]
    only_r = there[:, :, 1] & ~there[:, :, 0]
    both = there[:, :, 0] & there[:, :, 1]
    values = np.concatenate([flux, error, np.stack([step, only_g, only_r, both], axis=2)], axis=2)
    return Sequences(values.astype(np.float32), nights.count)


def normalisation(sample: Sequences) -> Singles:
    """Give mean and standard deviation of each input over all nights of a sample; the one-hot inputs stay as they are.

    Parameters
    ----------
    sample : Sequences
        Of the training.

    Returns
    -------
    ndarray of float32, shape (2, inputs)
    """
    inside = np.arange(WIDTH)[None, :] < sample.length[:, None]
    result = np.stack([np.zeros(len(INPUTS)), np.ones(len(INPUTS))])
    for place in range(5):
        missing = sample.values[:, :, 5 + (place % 2 == 0)] > 0 if place < 4 else np.zeros_like(inside)
        chosen = sample.values[:, :, place][inside & ~missing].astype(np.float64)
        result[:, place] = chosen.mean(), chosen.std()
    return result.astype(np.float32)
