"""How well a type Ia supernova explains a light curve: the best of a grid of stretched templates.

A light stand-in for a SALT2 fit (Guy et al. 2007, A&A 466, 11), whose surfaces are not among what the broker carries:
one template per band in place of a spectral surface, its width (1 + z) times stretch in place of z and x1, the two
amplitudes in place of x0 and the colour c. The widths end where z = 0.5 does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fink_lib.science.timeseries.segments import Floats, Ints, Segments

PHASE_D = (-20.0, -18.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 60.0, 90.0, 150.0)
TEMPLATE = {
    1: (0.0, 0.01, 0.11, 0.51, 0.88, 1.0, 0.87, 0.62, 0.38, 0.235, 0.155, 0.11, 0.075, 0.05, 0.025, 0.005),
    2: (0.0, 0.01, 0.11, 0.50, 0.86, 1.0, 0.91, 0.70, 0.55, 0.50, 0.45, 0.34, 0.19, 0.10, 0.035, 0.005),
}
"""Flux in parts of its peak at rest-frame days from the peak, of a normal supernova in g and r; read off the mean light
curves of nearby supernovae (Hamuy et al. 1996, AJ 112, 2438; Hsiao et al. 2007, ApJ 663, 1187) and rounded."""

WIDTHS = tuple(np.geomspace(0.65, 1.8, 14).tolist())
"""(1 + z) times stretch: stretch 0.65 to 1.2, z up to 0.5."""

PEAKS_D = tuple(np.arange(-15.0, 15.1, 2.5).tolist())
"""Time of the peak less that of the largest flux."""

FLOOR = 0.05
"""Relative error of the template."""

FREE_PARAMETERS = 4


@dataclass(frozen=True)
class IaFit:
    """The best template of each curve.

    Parameters
    ----------
    log_width : ndarray, shape (curves,)
        Natural logarithm of (1 + z) times stretch.
    peak_jd : ndarray, shape (curves,)
        Time of the peak.
    colour : ndarray, shape (curves,)
        g - r of the peaks (mag), limited to ±3; NaN without both bands.
    reduced_chi2 : ndarray, shape (curves,)
        χ² per max(1, points - 4).
    """

    log_width: Floats
    peak_jd: Floats
    colour: Floats
    reduced_chi2: Floats


def ia_fit(time: Floats, flux: Floats, error: Floats, band: Ints, curves: Segments) -> IaFit:
    """Fit the template of both bands.

    Parameters
    ----------
    time, flux, error : ndarray, shape (points,)
        JD; flux and its error in any one unit, with a largest flux above 0 in each curve.
    band : ndarray of int64, shape (points,)
        Keys of :data:`TEMPLATE`.
    curves : Segments
        Where each curve lies.
    """
    owner = curves.owner
    scale = curves.max(flux)
    origin = time[curves.argfirst(flux == scale[owner])]
    y = flux / scale[owner]
    weight = np.hypot(error / scale[owner], FLOOR * np.maximum(y, 0.1)) ** -2
    since = time - origin[owner]
    in_band = {fid: (band == fid).astype(np.float64) for fid in TEMPLATE}
    squares = curves.sum(weight * y**2)
    offsets = np.array(PEAKS_D)
    best = np.full(len(curves), np.inf)
    width, peak, colour = (np.full(len(curves), np.nan) for _ in range(3))
    rows = np.arange(len(curves))
    for one in WIDTHS:
        phase = (since[:, None] - offsets) / one
        chi2 = np.repeat(squares[:, None], len(offsets), axis=1)
        amplitude = {}
        for fid, shape in TEMPLATE.items():
            model = np.interp(phase, PHASE_D, shape, left=0.0, right=0.0) * in_band[fid][:, None]
            norm = curves.sum(weight[:, None] * model**2)
            along = np.maximum(curves.sum((weight * y)[:, None] * model), 0.0)
            amplitude[fid] = np.divide(along, norm, out=np.zeros_like(norm), where=norm > 0)
            chi2 = chi2 - amplitude[fid] * along
        place = chi2.argmin(axis=1)
        least = chi2[rows, place]
        better = least < best
        ratio = np.full(len(curves), np.nan)
        g, r = amplitude[1][rows, place], amplitude[2][rows, place]
        np.divide(g, r, out=ratio, where=(g > 0) & (r > 0))
        best = np.where(better, least, best)
        width = np.where(better, np.log(one), width)
        peak = np.where(better, origin + offsets[place], peak)
        colour = np.where(better, np.clip(-2.5 * np.log10(ratio), -3.0, 3.0), colour)
    return IaFit(width, peak, colour, np.maximum(best, 0.0) / np.maximum(curves.lengths - FREE_PARAMETERS, 1))
