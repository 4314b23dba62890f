"""How many positions a second each local catalogue answers, in one process."""

from __future__ import annotations

import os
import time

import numpy as np
import numpy.typing as npt

from fink_lib.bench.usage import Usage
from fink_lib.config import Settings
from fink_lib.science.catalogs import Catalog
from fink_lib.science.catalogs.known import catalog_handle, known_sources

Floats = npt.NDArray[np.float64]

RADIUS_ARCSEC = 5.0
NEAR_SHARE = 0.2
"""Part of the positions that stand beside a source; alerts do more often than chance has it."""

SOUTHERN_LIMIT_DEG = -30.0
REPEATS = 3
BATCH = 4000


def crossmatch_rates(settings: Settings, positions: int) -> tuple[dict[str, float], Usage]:
    """Match positions of the survey's sky with each catalogue that is there.

    Parameters
    ----------
    settings : Settings
        Whose catalogues.
    positions : int
        How many for each catalogue.

    Returns
    -------
    rates : dict of str to float
        Positions a second of each catalogue: the median of some repeats, in batches of the size that a stream has.
    usage : Usage
        Processor time and memory of all of it.
    """
    rates: dict[str, float] = {}
    with Usage([os.getpid()]) as usage:
        for source in known_sources(settings):
            catalog = catalog_handle(source.name, settings).current()
            if catalog is None or not len(catalog):
                continue
            ra, dec = _sky(catalog, positions)
            catalog.nearest(ra[:BATCH], dec[:BATCH], RADIUS_ARCSEC)  # the first look reads the file
            rates[source.name] = positions / float(np.median([_seconds(catalog, ra, dec) for _ in range(REPEATS)]))
    return rates, usage


def _seconds(catalog: Catalog, ra: Floats, dec: Floats) -> float:
    began_s = time.perf_counter()
    for start in range(0, len(ra), BATCH):
        found = catalog.nearest(ra[start : start + BATCH], dec[start : start + BATCH], RADIUS_ARCSEC)
        catalog.column("ra", found.source)
    return time.perf_counter() - began_s


def _sky(catalog: Catalog, positions: int) -> tuple[Floats, Floats]:
    """Positions spread evenly over the sky that the survey sees, some of them beside sources."""
    random = np.random.default_rng(0)
    ra = random.uniform(0, 360, positions)
    dec = np.degrees(np.arcsin(random.uniform(np.sin(np.radians(SOUTHERN_LIMIT_DEG)), 1, positions)))
    near = int(NEAR_SHARE * positions)
    rows = random.integers(0, len(catalog), near)
    for place, name in ((ra, "ra"), (dec, "dec")):
        place[:near] = catalog.column(name, rows).to_numpy(zero_copy_only=False) + random.normal(0, 1 / 3600, near)
    order = random.permutation(positions)
    return ra[order], np.clip(dec[order], -90, 90)
