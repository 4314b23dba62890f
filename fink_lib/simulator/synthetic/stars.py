"""Real variable stars and galaxies, so that synthetic alerts match real catalogues."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.simulator.synthetic.cadence import FIELD_DEG, Field, Floats

Star = tuple[float, float, str]
"""Right ascension and declination (degrees), type."""

_CATALOGUES = {"gcvs.parquet": ("ra", "dec", "VarType"), "vsx.parquet": ("RAJ2000", "DEJ2000", "VType")}
KILONOVAE_MPC = (20.0, 110.0)
_SAME_PLACE_PER_DEG = 720  # 5 arcseconds


def real_stars(field: Field, types: re.Pattern[str]) -> list[Star]:
    """Give the stars of GCVS and VSX on a field whose type matches, each place once."""
    return [star for star in _stars_near(field.ra, field.dec) if types.match(star[2])]


@dataclass(frozen=True)
class Galaxy:
    """A galaxy of the Mangrove catalogue: position (degrees), distances (Mpc)."""

    ra: float
    dec: float
    lum_dist_mpc: float
    ang_dist_mpc: float


def near_galaxies(field: Field) -> list[Galaxy]:
    """Give the galaxies on a field in which a kilonova would be bright enough to be seen and faint enough to be one."""
    ra, dec, lum_dist_mpc, ang_dist_mpc = _galaxies()
    half = FIELD_DEG / 2 - 0.2
    east = np.abs((ra - field.ra + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec))
    near = (east < half) & (np.abs(dec - field.dec) < half)
    near &= (lum_dist_mpc > KILONOVAE_MPC[0]) & (lum_dist_mpc < KILONOVAE_MPC[1])
    rows = zip(*(column[near].tolist() for column in (ra, dec, lum_dist_mpc, ang_dist_mpc)), strict=True)
    return [Galaxy(*row) for row in rows]


@cache
def _stars_near(ra: float, dec: float) -> list[Star]:
    seen: dict[tuple[int, int], Star] = {}
    half = FIELD_DEG / 2 - 0.1
    for star_ra, star_dec, kinds in _catalogues():
        east = np.abs((star_ra - ra + 180.0) % 360.0 - 180.0) * np.cos(np.radians(star_dec))
        near = np.flatnonzero((east < half) & (np.abs(star_dec - dec) < half))
        for place, kind in zip(near.tolist(), kinds.take(near).to_pylist(), strict=True):
            star = float(star_ra[place]), float(star_dec[place]), (kind or "").strip()
            seen.setdefault((round(star[0] * _SAME_PLACE_PER_DEG), round(star[1] * _SAME_PLACE_PER_DEG)), star)
    return list(seen.values())


@cache
def _catalogues() -> list[tuple[Floats, Floats, Any]]:
    """Read both catalogues of variable stars."""
    found = []
    for name, columns in _CATALOGUES.items():
        table = _packaged(name, list(columns))
        ra, dec, kind = (table.column(column) for column in columns)
        found.append((ra.to_numpy(), dec.to_numpy(), kind))
    return found


@cache
def _galaxies() -> tuple[Floats, ...]:
    """Give position (degrees), luminosity and angular distance (Mpc) of the galaxies of Mangrove."""
    table = _packaged("mangrove_filtered.parquet", ["ra", "dec", "lum_dist", "ang_dist"])
    return tuple(column.to_numpy() for column in table.columns)


def _packaged(name: str, columns: list[str]) -> pa.Table:
    """Read a catalogue from the package that carries it."""
    try:
        files = importlib.metadata.files("fink-science") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError("package fink-science, which carries real catalogues, is missing; install it") from error
    place = next((Path(str(file.locate())) for file in files if file.name == name), None)
    if place is None:
        raise ConfigError(f"package fink-science has no file {name}; install the version of the lock file")
    return pq.read_table(place, columns=columns)
