"""Where and when the synthetic telescope looks: fields, quadrants, exposures, depth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.coordinates import SkyCoord

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIELD_DEG = 7.0
QUADRANTS_A_SIDE = 8
QUADRANT_PIXELS = 3072
HISTORY_DAYS = 90
PACKET_HISTORY_DAYS = 30.0
CLEAR_NIGHTS = 0.45
EXPOSURE_S = 40.0
REVISIT_MINUTES = 35.0
FIRST_EXPOSURE_DAY = 0.125  # 03:00 UT: the whole night is one UT date at the site
SURVEY_START_JD = 2_458_178.5
EQUINOX_JD = 2_460_755.0  # 2025 March 20: the Sun at right ascension 0
NIGHT_ZERO_JD = 2_457_754.5  # nid counts nights from 2017 January 1

FID_G, FID_R, FID_I = 1, 2, 3
DEPTH_MAG = {FID_G: 20.7, FID_R: 20.5, FID_I: 20.0}
LEAST_DEC, MOST_DEC = -26.0, 62.0
FROM_OPPOSITION_DEG = 65.0
EVERY_NTH_FIELD_IN_I = 8


@dataclass(frozen=True)
class Field:
    """A field of the sky with all its exposures, in order of time.

    Parameters
    ----------
    number : int
        ZTF-like field number.
    ra, dec : float
        Centre, degrees.
    gal_lat, ecl_lat : float
        Of the centre, degrees.
    jd : array
        Middle of each exposure (UTC).
    fid : array of int
        Band: 1 g, 2 r, 3 i.
    depth : array
        Five-sigma limiting magnitude.
    seeing : array
        Full width at half maximum, pixels.
    tonight : int
        Index of the first exposure of the night that is simulated.
    """

    number: int
    ra: float
    dec: float
    gal_lat: float
    ecl_lat: float
    jd: Floats
    fid: Ints
    depth: Floats
    seeing: Floats
    tonight: int

    @property
    def cone(self) -> list[float]:
        """Centre and radius, degrees, of a circle around the field."""
        return [round(self.ra, 6), round(self.dec, 6), round(FIELD_DEG / math.sqrt(2.0) + 0.05, 6)]

    def offset(self, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        """Give the distance from the field's lower edges, in degrees, along right ascension and declination."""
        east = (ra - self.ra + 180.0) % 360.0 - 180.0
        return east * np.cos(np.radians(dec)) + FIELD_DEG / 2, dec - self.dec + FIELD_DEG / 2

    def contains(self, ra: Floats, dec: Floats) -> npt.NDArray[np.bool_]:
        """Tell which positions fall on the camera."""
        x, y = self.offset(ra, dec)
        return (x > 0.02) & (x < FIELD_DEG - 0.02) & (y > 0.02) & (y < FIELD_DEG - 0.02)

    def pixels(self, ra: Floats, dec: Floats) -> tuple[Ints, Floats, Floats]:
        """Give readout channel (0 to 63) and pixel coordinates of positions."""
        x, y = (np.clip(v / FIELD_DEG * QUADRANTS_A_SIDE, 0.0, QUADRANTS_A_SIDE - 1e-6) for v in self.offset(ra, dec))
        channel = y.astype(np.int64) * QUADRANTS_A_SIDE + x.astype(np.int64)
        return channel, x % 1.0 * QUADRANT_PIXELS, y % 1.0 * QUADRANT_PIXELS

    def random_positions(self, rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        """Draw positions on the camera."""
        x, y = rng.uniform(-FIELD_DEG / 2 + 0.05, FIELD_DEG / 2 - 0.05, (2, count))
        dec = self.dec + y
        return (self.ra + x / np.cos(np.radians(dec))) % 360.0, dec


def midnight_jd(night: str) -> float:
    """Give the JD of 0 h UT of a night (``YYYYMMDD``)."""
    return date(int(night[:4]), int(night[4:6]), int(night[6:8])).toordinal() + 1_721_424.5


def pid_of(jd: Floats, channel: Ints) -> Ints:
    """Give the processed-image number: night, fraction of the day, channel, type."""
    days = jd - NIGHT_ZERO_JD
    fraction = np.floor(days % 1.0 * 1e5).astype(np.int64)
    return ((np.floor(days).astype(np.int64) * 100_000 + fraction) * 100 + channel) * 100 + 15


def observe(rng: np.random.Generator, night: str, count: int) -> list[Field]:
    """Choose fields and plan their exposures of tonight and of the 90 days before.

    Each field is seen once in g and, at least 35 minutes later, once in r; every eighth field also in i.
    """
    midnight = midnight_jd(night)
    fields = _choose(rng, midnight, count)
    first_jd = midnight + FIRST_EXPOSURE_DAY
    revisit_days = max(REVISIT_MINUTES / 1440.0, count * EXPOSURE_S / 86400.0)
    made = []
    for place, (number, ra, dec, gal_lat, ecl_lat) in enumerate(fields):
        g_jd = first_jd + place * EXPOSURE_S / 86400.0
        jd_tonight, fid_tonight = [g_jd, g_jd + revisit_days], [FID_G, FID_R]
        if place % EVERY_NTH_FIELD_IN_I == 0:
            jd_tonight.append(g_jd + 2 * revisit_days)
            fid_tonight.append(FID_I)
        jd_before, fid_before = _before(rng, midnight)
        jd = np.round(np.concatenate([jd_before, jd_tonight]), 7)
        fid = np.concatenate([fid_before, np.array(fid_tonight, np.int64)])
        depth = np.array([DEPTH_MAG[int(band)] for band in fid]) + rng.normal(0.0, 0.25, len(jd))
        seeing = rng.lognormal(math.log(2.1), 0.18, len(jd))
        made.append(Field(number, ra, dec, gal_lat, ecl_lat, jd, fid, depth, seeing, len(jd_before)))
    return made


def _before(rng: np.random.Generator, midnight: float) -> tuple[Floats, Ints]:
    jd: list[float] = []
    fid: list[int] = []
    for day in range(-HISTORY_DAYS, 0):
        if rng.random() < CLEAR_NIGHTS:
            start = midnight + day + rng.uniform(0.13, 0.40)
            jd += (start, start + rng.uniform(0.022, 0.06))
            fid += (FID_G, FID_R)
    return np.array(jd, np.float64), np.array(fid, np.int64)


def _choose(rng: np.random.Generator, midnight: float, count: int) -> list[tuple[int, float, float, float, float]]:
    """Draw fields of a fixed tiling that face away from the Sun; wide circles first when many are wanted."""
    opposition = (midnight - EQUINOX_JD) / 365.2422 * 360.0 + 180.0  # to a few degrees, enough to choose fields
    ra, dec = _tiling()
    from_opposition = np.abs((ra - opposition + 180.0) % 360.0 - 180.0)
    reach = FROM_OPPOSITION_DEG
    while (visible := np.flatnonzero(from_opposition < reach)).size < count and reach < 180.0:
        reach += 10.0
    chosen = rng.permutation(visible)
    chosen = np.resize(chosen, count) if count > len(chosen) else np.sort(chosen[:count])
    places = SkyCoord(ra[chosen], dec[chosen], unit=u.deg)
    columns = (chosen + 200, ra[chosen], dec[chosen], places.galactic.b.deg, places.barycentrictrueecliptic.lat.deg)
    return [(int(number), float(a), float(d), float(b), float(e)) for number, a, d, b, e in zip(*columns, strict=True)]


def _tiling() -> tuple[Floats, Floats]:
    ra: list[float] = []
    dec: list[float] = []
    row = LEAST_DEC
    while row <= MOST_DEC:
        tiles = int(360.0 * math.cos(math.radians(row)) / FIELD_DEG)
        ra += [(tile + 0.5) * 360.0 / tiles for tile in range(tiles)]
        dec += [row] * tiles
        row += FIELD_DEG
    return np.array(ra), np.array(dec)
