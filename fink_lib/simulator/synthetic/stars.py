"""Real variable stars, so that synthetic alerts match real catalogues."""

from __future__ import annotations

import importlib.metadata
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.simulator.synthetic.cadence import FIELD_DEG, Field, Floats

Star = tuple[float, float, str]
"""Right ascension and declination (degrees), type."""

_CATALOGUES = {"gcvs.parquet": ("ra", "dec", "VarType"), "vsx.parquet": ("RAJ2000", "DEJ2000", "VType")}
_SAME_PLACE_PER_DEG = 720  # 5 arcseconds


def real_stars(field: Field, types: re.Pattern[str]) -> list[Star]:
    """Give the stars of GCVS and VSX on a field whose type matches, each place once."""
    return [star for star in _stars_near(field.ra, field.dec) if types.match(star[2])]


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
    """Read both catalogues from the package that carries them."""
    try:
        files = importlib.metadata.files("fink-science") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError("package fink-science, which carries GCVS and VSX, is missing; install it") from error
    found = []
    for name, columns in _CATALOGUES.items():
        place = next((Path(str(file.locate())) for file in files if file.name == name), None)
        if place is None:
            raise ConfigError(f"package fink-science has no file {name}; install the version of the lock file")
        table = pq.read_table(place, columns=list(columns))
        ra, dec, kind = (table.column(column) for column in columns)
        found.append((ra.to_numpy(), dec.to_numpy(), kind))
    return found
