"""One field as the survey's pipeline reports it: detections with all their measured columns, and upper limits.

A detection is drawn once, so an alert and the histories of later alerts tell the same about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from fink_lib.simulator.synthetic.cadence import (
    NIGHT_ZERO_JD,
    PACKET_HISTORY_DAYS,
    QUADRANT_PIXELS,
    SURVEY_START_JD,
    Field,
    Floats,
    Ints,
    pid_of,
)
from fink_lib.simulator.synthetic.kinds import PERSISTENT, Kind
from fink_lib.simulator.synthetic.light import Photometry, photometry
from fink_lib.simulator.synthetic.population import ARCSEC, Population, populate
from fink_lib.simulator.synthetic.surroundings import NOTHING, Surroundings, surroundings

ABSENT = -999.0
_BANDS = {1: "zg", 2: "zr", 3: "zi"}
_ZERO_POINTS = np.array([0.0, 26.3, 26.2, 25.6])
_COLOUR_COEFFICIENTS = np.array([0.0, -0.06, 0.09, 0.01])
_DRAWS = 6


@dataclass(frozen=True)
class ObservedField:
    """Objects, measurements and ids of a field.

    Parameters
    ----------
    field, population, light, around
        What there is and what was measured of it.
    rcid, xpos, ypos, index : array
        Readout channel and pixel of each object, and its number within field and channel.
    ra, dec : array of (object, exposure)
        Measured positions, degrees.
    draws : array of (draw, object, exposure)
        Uniform numbers for the columns that nothing follows from.
    """

    field: Field
    population: Population
    light: Photometry
    around: Surroundings
    rcid: Ints
    xpos: Floats
    ypos: Floats
    index: Ints
    ra: Floats
    dec: Floats
    draws: npt.NDArray[np.float32]

    def alerts(self) -> tuple[Ints, Ints]:
        """Give object and exposure of each alert of tonight."""
        tonight = self.light.detected[:, self.field.tonight :]
        objects, exposures = np.nonzero(tonight)
        return objects, exposures + self.field.tonight

    def candid(self, objects: Ints, exposures: Ints) -> Ints:
        """Give the id of the detection of an object in an exposure."""
        pid = pid_of(self.field.jd[exposures], self.rcid[objects])
        sign = np.where(self.light.positive[objects, exposures], 15_000, 10_000)
        return pid * 1_000_000 + sign + self.index[objects]

    def detections(self, objects: Ints, exposures: Ints) -> list[dict[str, Any]]:
        """Give the columns that an alert and a history entry have in common, one dictionary per detection."""
        field, light, around = self.field, self.light, self.around
        fid, jd = field.fid[exposures], field.jd[exposures]
        rcid, pid = self.rcid[objects], pid_of(field.jd[exposures], self.rcid[objects])
        draw = self.draws[:, objects, exposures].astype(np.float64)
        mag, error = light.mag[objects, exposures], light.error[objects, exposures]
        depth, fwhm = field.depth[exposures], field.seeing[exposures] * (0.92 + 0.16 * draw[0])
        bogus = self.population.kind[objects] == Kind.BOGUS
        spoiled = bogus & (self.index[objects] % 2 == 0)
        reference = light.reference_mag[objects, exposures]
        at_source = np.isfinite(reference)
        magnr = np.where(at_source, reference, around.magnr[objects])
        edge = np.minimum.reduce([self.xpos, self.ypos, QUADRANT_PIXELS - self.xpos, QUADRANT_PIXELS - self.ypos])
        ratio = np.clip(0.95 + 0.08 * (draw[1] - 0.5), 0.3, 1.0)
        columns: dict[str, Sequence[Any]] = {
            "jd": jd.tolist(),
            "fid": fid.tolist(),
            "pid": pid.tolist(),
            "diffmaglim": depth.tolist(),
            "pdiffimfilename": [_file(field, *entry) for entry in zip(jd, fid, rcid, strict=True)],
            "candid": self.candid(objects, exposures).tolist(),
            "isdiffpos": np.where(light.positive[objects, exposures], "t", "f").tolist(),
            "tblid": self.index[objects].tolist(),
            "nid": np.floor(jd - NIGHT_ZERO_JD).astype(np.int64).tolist(),
            "rcid": rcid.tolist(),
            "xpos": self.xpos[objects].tolist(),
            "ypos": self.ypos[objects].tolist(),
            "ra": self.ra[objects, exposures].tolist(),
            "dec": self.dec[objects, exposures].tolist(),
            "magpsf": mag.tolist(),
            "sigmapsf": error.tolist(),
            "chipsf": (0.8 + 1.5 * draw[2] ** 2 + 8.0 * bogus * draw[3]).tolist(),
            "magap": (mag + 0.25 * (draw[3] - 0.5)).tolist(),
            "sigmagap": (0.9 * error).tolist(),
            "distnr": around.distnr[objects].tolist(),
            "magnr": magnr.tolist(),
            "sigmagnr": np.clip(0.012 * 10 ** (0.25 * (magnr - 17.0)), 0.012, 0.36).tolist(),
            "chinr": (0.4 + 0.8 * draw[1]).tolist(),
            "sharpnr": (0.3 * (draw[0] - 0.5)).tolist(),
            "sky": (0.8 * (draw[5] - 0.5)).tolist(),
            "magdiff": (0.25 * (draw[3] - 0.5)).tolist(),
            "fwhm": fwhm.tolist(),
            "classtar": np.where(bogus, 0.2 + 0.7 * draw[2], 0.9 + 0.09 * draw[2]).tolist(),
            "mindtoedge": edge[objects].tolist(),
            "magfromlim": (depth - mag).tolist(),
            "seeratio": (0.8 + 0.6 * draw[4]).tolist(),
            "aimage": (0.36 * fwhm).tolist(),
            "bimage": (0.36 * fwhm * (1.0 - 0.25 * draw[4])).tolist(),
            "aimagerat": np.full(len(objects), 0.36).tolist(),
            "bimagerat": (0.36 * (1.0 - 0.25 * draw[4])).tolist(),
            "elong": (1.0 / (1.0 - 0.25 * draw[4])).tolist(),
            "nneg": (12 * draw[2] ** 2).astype(np.int64).tolist(),
            "nbad": np.where(spoiled, 1 + (4 * draw[4]).astype(np.int64), 0).tolist(),
            "rb": np.where(bogus & ~spoiled, 0.05 + 0.48 * draw[5], 0.60 + 0.40 * np.sqrt(draw[5])).tolist(),
            "ssdistnr": around.ssdistnr[objects].tolist(),
            "ssmagnr": np.where(around.ssdistnr[objects] >= 0, mag + 0.4 * (draw[1] - 0.5), ABSENT).tolist(),
            "ssnamenr": around.ssnamenr[objects].tolist(),
            "sumrat": ratio.tolist(),
            "magapbig": (mag + 0.3 * (draw[4] - 0.5)).tolist(),
            "sigmagapbig": (1.1 * error).tolist(),
            "ranr": around.ranr[objects].tolist(),
            "decnr": around.decnr[objects].tolist(),
            "scorr": (1.0 / np.maximum(error, 1e-3) * 1.0857).tolist(),
            "magzpsci": (_ZERO_POINTS[fid] + 0.1 * (draw[0] - 0.5)).tolist(),
            "magzpscirms": (0.02 + 0.03 * draw[1]).tolist(),
            "clrcoeff": _COLOUR_COEFFICIENTS[fid].tolist(),
        }
        same = {**_SAME_FOR_ALL, "field": field.number}
        names = tuple(columns)
        return [{**dict(zip(names, row, strict=True)), **same} for row in zip(*columns.values(), strict=True)]

    def limits(self, channel: int, exposures: Ints) -> list[dict[str, Any]]:
        """Give the history entries of exposures in which nothing was found."""
        field = self.field
        entries = []
        for exposure in exposures.tolist():
            jd, fid = float(field.jd[exposure]), int(field.fid[exposure])
            entries.append(
                {
                    **NO_DETECTION,
                    "jd": jd,
                    "fid": fid,
                    "pid": int(pid_of(field.jd[exposure : exposure + 1], np.array([channel]))[0]),
                    "diffmaglim": float(field.depth[exposure]),
                    "pdiffimfilename": _file(field, jd, fid, channel),
                    "nid": int(jd - NIGHT_ZERO_JD),
                    "rcid": channel,
                    "field": field.number,
                    "magzpsci": float(_ZERO_POINTS[fid]),
                    "clrcoeff": float(_COLOUR_COEFFICIENTS[fid]),
                }
            )
        return entries

    def history(self, exposure: int) -> Ints:
        """Give the exposures that an alert of `exposure` carries as its history."""
        jd = self.field.jd
        return np.flatnonzero((jd < jd[exposure]) & (jd > jd[exposure] - PACKET_HISTORY_DAYS))

    def first_seen(self, objects: Ints, exposure: int) -> tuple[Floats, Ints]:
        """Give the time of each object's first detection and the number of detections up to an exposure."""
        seen = self.light.detected[objects] & (self.field.jd <= self.field.jd[exposure])[None, :]
        first_jd = self.field.jd[np.argmax(seen, axis=1)]
        count = seen.sum(axis=1)
        old = self.population.of(*PERSISTENT)[objects]
        draw = self.draws[0, objects, 0].astype(np.float64)
        years_ago = SURVEY_START_JD + draw * (self.field.jd[0] - 200.0 - SURVEY_START_JD)
        return np.where(old, np.round(years_ago, 7), first_jd), count + np.where(old, (20 + 300 * draw).astype(int), 0)


_SAME_FOR_ALL = {
    "programpi": "Kulkarni",
    "programid": 1,
    "magzpsciunc": 1e-5,
    "clrcounc": 1e-5,
    "rbversion": "t17_f5_c3",
}
NO_DETECTION: dict[str, Any] = {**NOTHING, **_SAME_FOR_ALL, "magzpscirms": 0.03}


def observe_field(rng: np.random.Generator, field: Field, alerts: float, trail: bool) -> ObservedField:
    """Populate a field and measure everything in it, in all its exposures."""
    population = populate(rng, field, alerts, trail)
    light = photometry(rng, field, population)
    around = surroundings(rng, field, population)
    rcid, xpos, ypos = field.pixels(population.ra, population.dec)
    jitter = rng.normal(0.0, 1.0, (2, *light.mag.shape)) * np.clip(light.error, 0.01, 0.3) * 0.4 * ARCSEC
    return ObservedField(
        field,
        population,
        light,
        around,
        rcid,
        xpos,
        ypos,
        _number_within(rcid),
        population.ra[:, None] + jitter[0] / np.cos(np.radians(population.dec))[:, None],
        population.dec[:, None] + jitter[1],
        rng.random((_DRAWS, *light.mag.shape), dtype=np.float32),
    )


def _number_within(channel: Ints) -> Ints:
    """Give each object its number within its channel, from 0."""
    order = np.argsort(channel, kind="stable")
    ranked = channel[order]
    starts = np.r_[0, np.flatnonzero(np.diff(ranked)) + 1]
    sizes = np.diff(np.r_[starts, len(ranked)])
    number = np.empty(len(channel), np.int64)
    number[order] = np.arange(len(ranked)) - np.repeat(starts, sizes)
    return number


def _file(field: Field, jd: float, fid: int, channel: int) -> str:
    night = date.fromordinal(int(jd + 0.5) - 1_721_425).strftime("%Y%m%d")
    fraction = int((jd + 0.5) % 1.0 * 1e6)
    ccd, quadrant = divmod(int(channel), 4)
    return (
        f"ztf_{night}{fraction:06d}_{field.number:06d}_{_BANDS[int(fid)]}"
        f"_c{ccd + 1:02d}_o_q{quadrant + 1}_scimrefdiffimg.fits"
    )
