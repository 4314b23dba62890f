"""Magnitudes and fluxes of ZTF measurements: from a difference image to what the sky shows.

A difference magnitude says how much a source changed against the reference image. The apparent ("DC") magnitude adds
the source of the reference image back. Fluxes here are in units of a source of magnitude 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]

MAG_PER_LN = 1.0857
"""2.5 / ln 10 as the survey rounds it: error in mag of a relative error of 1 (Masci et al. 2019, PASP 131, 018003)."""

JANSKY_OF_MAG_0 = 3631.0
"""Flux of AB magnitude 0 (Oke & Gunn 1983, ApJ 266, 713)."""

POSITIVE = ("t", "1", "true")
"""Spellings of ``isdiffpos`` for a source brighter than in the reference image."""


def difference_sign(isdiffpos: pa.Array) -> Floats:
    """Give +1 where the source is brighter than in the reference image, else -1, also where it is not said.

    Parameters
    ----------
    isdiffpos : pyarrow.Array of string
        As the survey spells it.

    >>> difference_sign(pa.array(["t", "1", "true", "f", "0", None])).tolist()
    [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]
    """
    positive = pc.is_in(isdiffpos, value_set=pa.array(POSITIVE)).to_numpy(zero_copy_only=False)
    result: Floats = np.where(positive, 1.0, -1.0)
    return result


def apparent_flux(
    magpsf: Floats, sigmapsf: Floats, magnr: Floats, sigmagnr: Floats, sign: Floats
) -> tuple[Floats, Floats]:
    """Add the reference source's flux to a difference flux.

    f = 10^(-0.4 magnr) + s 10^(-0.4 magpsf); each term's error is sigma_m f / 1.0857, added in quadrature (Masci et al.
    2019, PASP 131, 018003, section 6; ZTF public data release notes, alert photometry).

    Parameters
    ----------
    magpsf, sigmapsf : ndarray
        Difference magnitude and its error (mag).
    magnr, sigmagnr : ndarray
        Magnitude of the nearest source in the reference image and its error (mag); negative where there is none.
    sign : ndarray
        +1 or -1 (:func:`difference_sign`).

    Returns
    -------
    flux, error : ndarray
        Times the flux of magnitude 0; may be negative. NaN where a magnitude is missing or `magnr` is negative.
    """
    reference = 10 ** (-0.4 * np.where(magnr >= 0, magnr, np.nan))
    difference = 10 ** (-0.4 * magpsf)
    error = np.hypot(sigmagnr * reference, sigmapsf * difference) / MAG_PER_LN
    return reference + sign * difference, error


def apparent_magnitude(
    magpsf: Floats, sigmapsf: Floats, magnr: Floats, sigmagnr: Floats, sign: Floats
) -> tuple[Floats, Floats]:
    """Give the apparent ("DC") magnitude and its error (see :func:`apparent_flux`).

    Returns
    -------
    magnitude, error : ndarray
        -2.5 log10 f and 1.0857 sigma_f / f (mag); NaN where the flux is not positive or not known.

    >>> mag, error = apparent_magnitude(*[np.array([x]) for x in (18.0, 0.1, 18.0, 0.1, 1.0)])
    >>> round(float(mag[0]), 6), round(float(error[0]), 6)
    (17.247425, 0.070711)
    """
    flux, error = apparent_flux(magpsf, sigmapsf, magnr, sigmagnr, sign)
    flux = np.where(flux > 0, flux, np.nan)
    return -2.5 * np.log10(flux), MAG_PER_LN * error / flux
