"""What a simulated class of objects is: a name and a function that says how bright its members are in each exposure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.lightcurves import ZERO_POINT_MAG
from fink_lib.science.models.simulation.exposures import Exposures

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Light:
    """How bright some objects are.

    Parameters
    ----------
    difference : ndarray, shape (objects, exposures)
        True flux minus that of the reference image (FLUXCAL); negative where the object is fainter.
    reference_mag : ndarray, shape (objects, 2)
        Magnitude of the nearest source of the reference image in g and r: the star, the nucleus, the host; NaN if none.
    alerts : mapping of str to ndarray, shape (objects,)
        Fields of the packet that belong to the object: ``distnr``, ``sgscore1``, ``distpsnr1``.
    """

    difference: Floats
    reference_mag: Floats
    alerts: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One class of objects.

    Parameters
    ----------
    name : str
        Short name of the class.
    draw : callable
        ``draw(rng, exposures)`` gives the light of as many objects as `exposures` has places.
    span_d : float
        How long one object is watched (days).
    persistent : bool
        Whether it was there, and detected, years before the window begins.
    reference : str
        Where the shape of the light curve comes from.
    """

    name: str
    draw: Callable[[np.random.Generator, Exposures], Light]
    span_d: float
    persistent: bool
    reference: str


def known_sources() -> dict[str, Source]:
    """Give all classes, of every file of the package ``sources``."""
    from fink_lib.science.models.simulation import sources as package

    found: dict[str, Source] = {}
    for info in sorted(iter_modules(package.__path__), key=lambda one: one.name):
        for source in getattr(import_module(f"{package.__name__}.{info.name}"), "SOURCES", ()):
            found[source.name] = source
    return found


def flux_of(mag: Floats) -> Floats:
    """Give the FLUXCAL of a magnitude."""
    result: Floats = 10 ** (0.4 * (ZERO_POINT_MAG - mag))
    return result


def by_band(exposures: Exposures, g: Floats, r: Floats) -> Floats:
    """Choose, per exposure, the value of its band; `g` and `r` broadcast to (objects, exposures)."""
    result: Floats = np.where(exposures.band == 1, g, r)
    return result


BRIGHT_SHARE, BRIGHTEST_MAG = 0.25, 11.5
"""Part of the transients that are spread evenly over all brightnesses: the rare bright ones must be known too."""


def peak_mags(rng: np.random.Generator, count: int, faintest: float = 20.6, scale: float = 1.0) -> Floats:
    """Draw magnitudes of transients at their peak: growing in number towards the limit, some of them anywhere.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all draws.
    count : int
        How many.
    faintest : float
        Where the distribution ends.
    scale : float
        Magnitudes per e-fold; 0.72 for objects spread evenly in space, more here so that bright ones are not too rare.
    """
    common = np.maximum(faintest - rng.exponential(scale, count), BRIGHTEST_MAG)
    anywhere = rng.uniform(BRIGHTEST_MAG, faintest, count)
    result: Floats = np.where(rng.random(count) < BRIGHT_SHARE, anywhere, common)
    return result
