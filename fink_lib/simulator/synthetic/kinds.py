"""The kinds of objects of a synthetic sky, and the numbers that make them what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum


class Kind(IntEnum):
    """What an object really is."""

    ASTEROID = 0
    NEW_ASTEROID = 1
    TRAIL = 2
    RR_LYRAE = 3
    ECLIPSING = 4
    LONG_PERIOD = 5
    VARIABLE = 6
    AGN = 7
    SN_IA = 8
    SN_II = 9
    MICROLENSING = 10
    BOGUS = 11
    KILONOVA = 12
    SLSN = 13
    HOSTLESS_SN = 14
    TDE = 15
    AFTERGLOW = 16
    BLAZAR = 17
    DWARF_AGN = 18
    LENSED_QUASAR = 19
    YSO = 20
    CATACLYSMIC = 21
    SYMBIOTIC = 22


Table = Mapping[Kind, tuple[float, float]]
"""Least and greatest value of a kind."""

SHARES = {
    Kind.ASTEROID: 0.26,
    Kind.NEW_ASTEROID: 0.05,
    Kind.RR_LYRAE: 0.10,
    Kind.ECLIPSING: 0.12,
    Kind.LONG_PERIOD: 0.10,
    Kind.VARIABLE: 0.05,
    Kind.AGN: 0.115,
    Kind.SN_IA: 0.015,
    Kind.SN_II: 0.01,
    Kind.MICROLENSING: 0.006,
    Kind.BOGUS: 0.17,
    Kind.KILONOVA: 0.006,
    Kind.SLSN: 0.006,
    Kind.HOSTLESS_SN: 0.006,
    Kind.TDE: 0.005,
    Kind.AFTERGLOW: 0.006,
    Kind.BLAZAR: 0.008,
    Kind.DWARF_AGN: 0.006,
    Kind.LENSED_QUASAR: 0.004,
    Kind.YSO: 0.010,
    Kind.CATACLYSMIC: 0.008,
    Kind.SYMBIOTIC: 0.006,
}
"""Part of a night's alerts that each kind aims at."""

MOVING = (Kind.ASTEROID, Kind.NEW_ASTEROID, Kind.TRAIL)
ONCE = (*MOVING, Kind.BOGUS)
STARS = (
    *(Kind.RR_LYRAE, Kind.ECLIPSING, Kind.LONG_PERIOD, Kind.VARIABLE, Kind.MICROLENSING),
    *(Kind.YSO, Kind.CATACLYSMIC, Kind.SYMBIOTIC),
)
WANDERING = (Kind.AGN, Kind.BLAZAR, Kind.DWARF_AGN, Kind.LENSED_QUASAR)
"""Nuclei whose brightness is a random walk."""

NUCLEI = (*WANDERING, Kind.TDE)
PERSISTENT = (Kind.RR_LYRAE, Kind.ECLIPSING, Kind.LONG_PERIOD, Kind.VARIABLE, Kind.YSO, *WANDERING)
SUPERNOVAE = (Kind.SN_IA, Kind.SN_II, Kind.SLSN)
HOSTED = (*SUPERNOVAE, Kind.TDE)
"""Transients in a galaxy that the stamps show."""

EXPLOSIONS = (*SUPERNOVAE, Kind.HOSTLESS_SN, Kind.KILONOVA, Kind.TDE)
OUTBURSTS = (Kind.CATACLYSMIC, Kind.SYMBIOTIC)

PEAK_ABSOLUTE_MAG = {Kind.SN_IA: -19.3, Kind.HOSTLESS_SN: -19.3, Kind.SN_II: -17.0, Kind.SLSN: -21.5, Kind.TDE: -20.0}
"""Of explosions whose redshift follows from how bright they are at their peak."""

REAL_TYPES = {
    Kind.RR_LYRAE: re.compile(r"RR(AB|C|D|\(B\))?[:]?$"),
    Kind.ECLIPSING: re.compile(r"E[ABW](/[A-Z]+)?[:]?$"),
    Kind.LONG_PERIOD: re.compile(r"(M|SR[ABCDS]?|L[BC]?)[:]?$"),
}
INVENTED_TYPES = {Kind.RR_LYRAE: "RRAB", Kind.ECLIPSING: "EW", Kind.LONG_PERIOD: "SR"}
BRIGHTNESS = {  # least and greatest r magnitude of what is always there, and colour g - r
    Kind.ASTEROID: (16.0, 20.4, 0.55),
    Kind.NEW_ASTEROID: (18.0, 20.5, 0.55),
    Kind.TRAIL: (16.5, 18.5, 0.6),
    Kind.RR_LYRAE: (15.5, 19.2, 0.2),
    Kind.ECLIPSING: (15.0, 18.8, 0.6),
    Kind.LONG_PERIOD: (13.8, 17.2, 1.5),
    Kind.VARIABLE: (16.5, 19.2, 0.7),
    Kind.AGN: (17.2, 19.4, 0.3),
    Kind.SN_IA: (17.0, 19.6, 0.0),
    Kind.SN_II: (17.5, 19.7, 0.2),
    Kind.MICROLENSING: (16.0, 19.0, 0.9),
    Kind.BOGUS: (17.5, 20.3, 0.0),
    Kind.KILONOVA: (18.0, 19.8, 0.3),
    Kind.SLSN: (17.5, 19.6, 0.0),
    Kind.HOSTLESS_SN: (17.5, 19.7, 0.0),
    Kind.TDE: (17.0, 19.4, -0.1),
    Kind.AFTERGLOW: (18.1, 18.9, 0.35),
    Kind.BLAZAR: (16.0, 18.8, 0.4),
    Kind.DWARF_AGN: (17.5, 19.4, 0.4),
    Kind.LENSED_QUASAR: (17.0, 19.2, 0.3),
    Kind.YSO: (17.5, 19.5, 1.2),
    Kind.CATACLYSMIC: (19.0, 21.0, 0.1),
    Kind.SYMBIOTIC: (15.0, 17.0, 1.3),
}
PERIODS: Table = {  # days, drawn evenly in their logarithm: of a cycle, of a fall, of a crossing, since a rise began
    Kind.RR_LYRAE: (0.35, 0.85),
    Kind.ECLIPSING: (0.2, 3.0),
    Kind.LONG_PERIOD: (80.0, 400.0),
    Kind.VARIABLE: (1.0, 30.0),
    Kind.AGN: (100.0, 400.0),
    Kind.SN_IA: (20.0, 35.0),
    Kind.SN_II: (80.0, 120.0),
    Kind.MICROLENSING: (10.0, 40.0),
    Kind.KILONOVA: (2.0, 4.0),
    Kind.SLSN: (60.0, 110.0),
    Kind.HOSTLESS_SN: (20.0, 35.0),
    Kind.TDE: (50.0, 90.0),
    Kind.AFTERGLOW: (0.7, 1.5),
    Kind.YSO: (40.0, 80.0),
    Kind.CATACLYSMIC: (4.0, 9.0),
    Kind.SYMBIOTIC: (40.0, 100.0),
}
EVENT_DAYS: Table = {  # when an event happens, in days from tonight
    Kind.SN_IA: (-45.0, -2.0),
    Kind.SN_II: (-45.0, -2.0),
    Kind.MICROLENSING: (-8.0, 8.0),
    Kind.KILONOVA: (-2.5, 0.6),
    Kind.SLSN: (-60.0, -5.0),
    Kind.HOSTLESS_SN: (-45.0, -2.0),
    Kind.TDE: (-60.0, -5.0),
    Kind.AFTERGLOW: (-6.0, 0.0),
    Kind.CATACLYSMIC: (-6.0, 1.0),
    Kind.SYMBIOTIC: (-10.0, 3.0),
}
AMPLITUDES: Table = {  # magnitudes; impact parameter of a lens; magnitudes a day of a rise
    Kind.RR_LYRAE: (0.4, 1.1),
    Kind.ECLIPSING: (0.25, 0.9),
    Kind.LONG_PERIOD: (0.5, 2.5),
    Kind.VARIABLE: (0.25, 0.8),
    Kind.AGN: (0.15, 0.35),
    Kind.MICROLENSING: (0.05, 0.4),
    Kind.BLAZAR: (0.3, 0.7),
    Kind.DWARF_AGN: (0.2, 0.4),
    Kind.LENSED_QUASAR: (0.15, 0.35),
    Kind.YSO: (0.03, 0.045),
    Kind.CATACLYSMIC: (3.0, 6.0),
    Kind.SYMBIOTIC: (1.0, 2.5),
}
