"""Ephemerides of Solar System objects from IMCCE's Miriade, and what is left of magnitudes after a phase curve.

Miriade: Berthier et al. 2006, ASP Conf. Ser. 351, 367. Phase curve: sHG1G2, Carry et al. 2024, A&A 687, A38, with the
functions of Muinonen et al. 2010, Icarus 209, 542.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.names import Asteroid
from fink_lib.api.outside import Outside
from fink_lib.api.problems import service_away
from fink_lib.science.history import to_floats

Floats = npt.NDArray[np.float64]
Curve = tuple[tuple[float, ...], tuple[float, ...], tuple[float, float]]

ZTF_OBSERVATORY = "I41"
HALF_EXPOSURE_DAYS = 15.0 / 86_400
"""An alert's time is that of the start of its exposure."""
SERVICE = "Miriade"

TEXTS = ("Date", "LAST", "HA", "Az", "H", "RA", "DEC")
NUMBERS = ("Dobs", "Dhelio", "VMag", "SDSS:g", "SDSS:r", "Phase", "Elong.", "AM", "dRAcosDEC", "dDEC", "RV")
REDUCED = "i:magpsf_red"
EPHEMERIDES = (*TEXTS, *NUMBERS, REDUCED)
"""Columns that :func:`with_ephemerides` appends, named as Miriade does; the last is the magnitude at 1 au from both."""
RESIDUALS = "residuals_shg1g2"


def with_ephemerides(outside: Outside, table: pa.Table, known: Sequence[Asteroid]) -> pa.Table:
    """Append the ephemerides of each alert.

    Parameters
    ----------
    outside : Outside
        Asks Miriade, once per object.
    table : pyarrow.Table
        Alerts with ``i:ssnamenr``, ``i:jd`` and ``i:magpsf``.
    known : sequence of Asteroid
        The objects.

    Raises
    ------
    ApiError
        If Miriade does not answer (status 503).
    """
    rows: list[dict[str, Any]] = [{}] * table.num_rows
    names = np.array(table.column("i:ssnamenr").to_pylist(), dtype=object)
    jd = table.column("i:jd").to_numpy()
    for asteroid in known:
        mine = np.flatnonzero(names == asteroid.ssnamenr)
        if len(mine):
            for place, told in zip(mine.tolist(), _ask(outside, asteroid, jd[mine]), strict=True):
                rows[place] = told
    for name in TEXTS:
        table = table.append_column(name, pa.array([_text(row.get(name)) for row in rows], pa.string()))
    for name in NUMBERS:
        table = table.append_column(name, pa.array([_number(row.get(name)) for row in rows], pa.float64()))
    distance = pc.multiply(table.column("Dobs"), table.column("Dhelio"))
    reduced = pc.subtract(table.column("i:magpsf").cast(pa.float64()), pc.multiply(5.0, pc.log10(distance)))
    return table.append_column(REDUCED, reduced)


def _ask(outside: Outside, asteroid: Asteroid, jd: Floats) -> list[dict[str, Any]]:
    comet = asteroid.number is None and ("/" in asteroid.ssnamenr or asteroid.ssnamenr[-1:] in "PD")
    sought = asteroid.number if asteroid.number is not None else asteroid.name or asteroid.ssnamenr
    order = np.argsort(jd)
    answer = outside.fetch(
        SERVICE,
        f"{outside.settings.catalogs.miriade_url}/ephemcc.php",
        {
            "-name": f"{'c' if comet else 'a'}:{sought}",
            "-mime": "json",
            "-rplane": "1",
            "-tcoor": "5",
            "-output": "--jd,--colors(SDSS:r,SDSS:g)",
            "-observer": ZTF_OBSERVATORY,
            "-tscale": "UTC",
        },
        {"epochs": ("epochs", "\n".join(f"{one + HALF_EXPOSURE_DAYS:.6f}" for one in jd[order]))},
    )
    try:
        data = json.loads(answer or b"")["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise service_away(SERVICE, f"it gives no ephemerides of {sought}") from error
    if not isinstance(data, list) or len(data) != len(jd) or not all(isinstance(row, dict) for row in data):
        raise service_away(SERVICE, f"it gives no ephemerides of {sought}")
    back = np.argsort(order)
    return [data[place] for place in back.tolist()]


def with_residuals(table: pa.Table) -> pa.Table:
    """Append the magnitude minus that of the best sHG1G2 curve; missing where there are too few points for a fit.

    Parameters
    ----------
    table : pyarrow.Table
        Alerts of one object, with ephemerides.
    """
    magnitude, error, phase, ra, dec = (
        to_floats(table.column(name).combine_chunks()) for name in (REDUCED, "i:sigmapsf", "Phase", "i:ra", "i:dec")
    )
    band = to_floats(table.column("i:fid").combine_chunks())
    residuals = fit_residuals(magnitude, error, np.radians(phase), band, np.radians(ra), np.radians(dec))
    return table.append_column(RESIDUALS, pa.array(residuals, mask=~np.isfinite(residuals)))


def fit_residuals(magnitude: Floats, error: Floats, phase: Floats, band: Floats, ra: Floats, dec: Floats) -> Floats:
    """Fit one sHG1G2 curve, with own H, G1, G2 in each band and one pole, and give what is left.

    Parameters
    ----------
    magnitude, error : ndarray
        Reduced magnitudes.
    phase, ra, dec : ndarray
        Phase angle and position (rad).
    band : ndarray
        Number of the band.
    """
    from scipy.optimize import least_squares

    left = np.full(len(magnitude), np.nan)
    good = np.isfinite(magnitude) & np.isfinite(phase) & np.isfinite(ra) & np.isfinite(dec) & (error > 0)
    bands, which = np.unique(band[good], return_inverse=True)
    if good.sum() < 3 * len(bands) + 3 or not len(bands):
        return left
    place = (phase[good], ra[good], dec[good])

    def rest(parameters: Floats) -> Floats:
        result: Floats = magnitude[good] - _model(parameters, len(bands), which, *place)
        return result

    start = np.concatenate((np.tile([np.median(magnitude[good]), 0.15, 0.15], len(bands)), [0.8, np.pi, 0.0]))
    low = np.concatenate((np.tile([-3.0, 0.0, 0.0], len(bands)), [0.3, 0.0, -np.pi / 2]))
    high = np.concatenate((np.tile([30.0, 1.0, 1.0], len(bands)), [1.0, 2 * np.pi, np.pi / 2]))
    found = least_squares(lambda parameters: rest(parameters) / error[good], start, bounds=(low, high))
    if found.success:
        left[good] = rest(found.x)
    return left


def _model(
    parameters: Floats, bands: int, which: npt.NDArray[np.int64], phase: Floats, ra: Floats, dec: Floats
) -> Floats:
    height, g1, g2 = parameters[: 3 * bands].reshape(bands, 3)[which].T
    oblateness, pole_ra, pole_dec = parameters[3 * bands :]
    phi1, phi2, phi3 = phase_functions(phase)
    light = g1 * phi1 + g2 * phi2 + (1 - g1 - g2) * phi3
    aspect = np.sin(dec) * np.sin(pole_dec) + np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)
    shape = 1 - (1 - oblateness) * np.abs(aspect)
    result: Floats = height - 2.5 * np.log10(np.maximum(light, 1e-9)) + 2.5 * np.log10(np.maximum(shape, 1e-9))
    return result


def phase_functions(phase: Floats) -> tuple[Floats, Floats, Floats]:
    """Give the three base functions of HG1G2 at phase angles (rad)."""
    from scipy.interpolate import CubicSpline

    linear = phase < _LINEAR_TO
    parts = []
    for slope, (nodes, values, ends) in zip((-6 / np.pi, -9 / (5 * np.pi)), (_PHI1, _PHI2), strict=True):
        curve = CubicSpline(np.radians(nodes), values, bc_type=((1, ends[0]), (1, ends[1])))
        spline = np.maximum(curve(np.clip(phase, _LINEAR_TO, np.radians(nodes[-1]))), 0)
        parts.append(np.where(linear, 1 + slope * phase, spline))
    places, values, ends = _PHI3
    curve = CubicSpline(np.radians(places), values, bc_type=((1, ends[0]), (1, ends[1])))
    third = np.maximum(curve(np.clip(phase, 0, np.radians(places[-1]))), 0)
    return parts[0], parts[1], third


_LINEAR_TO = np.radians(7.5)
_NODES = (7.5, 30.0, 60.0, 90.0, 120.0, 150.0)
_PHI1: Curve = (
    _NODES,
    (0.75, 0.33486016, 0.13410560, 0.051104756, 0.021465687, 0.0036396989),
    (-1.9098593, -0.091328612),
)
_PHI2: Curve = (
    _NODES,
    (0.925, 0.62884169, 0.31755495, 0.12716367, 0.022373903, 1.6505689e-4),
    (-0.57295780, -8.6573138e-8),
)
_PHI3: Curve = (
    (0.0, 0.3, 1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 30.0),
    (1.0, 0.83381185, 0.57735424, 0.42144772, 0.23174230, 0.10348178, 0.061733473, 0.016107006, 0.0),
    (-0.10630097, 0.0),
)
"""Nodes (deg), values, and slopes at both ends (per rad): tables 3 and 4 of Muinonen et al. 2010."""


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
