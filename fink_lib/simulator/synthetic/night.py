"""A whole ZTF-like night from a seed: which alerts there are, and each of them as a packet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.simulator.packets import Packet
from fink_lib.simulator.synthetic.cadence import Field, Ints, observe
from fink_lib.simulator.synthetic.kinds import HOSTED, Kind
from fink_lib.simulator.synthetic.observed import ABSENT, ObservedField, observe_field
from fink_lib.simulator.synthetic.packing import pack, pack_entry
from fink_lib.simulator.synthetic.stamps import gzipped_fits, render
from fink_lib.surveys.ztf import cutout_names

DEFAULT_NIGHT = "20260115"
ALERTS_PER_FIELD = 450
LEAST_FIELDS = 2
EVERY_NTH_FIELD_HAS_A_TRAIL = 6
FORCED_POINTS = 10
PIXEL_ARCSEC = 1.01
_DRAWN_MORE = 1.3
_MOST_ATTEMPTS = 12
_NAME_SPACE = 26**7
_NAME_STEP = 5_000_000_029  # shares no factor with the name space, so names never repeat


Entry = tuple[dict[str, Any], bytes]
"""One entry of a history, as a dictionary and as written."""


@dataclass(frozen=True)
class _Visit:
    """An exposure of tonight and the objects that it gives alerts of."""

    jd: float
    place: int
    exposure: int
    objects: Ints


class SyntheticNight:
    """Alerts of one night of a sky that never was; the same arguments give the same bytes.

    Parameters
    ----------
    seed : int
        Of everything.
    count : int
        Alerts, exactly.
    night : str
        UT date (``YYYYMMDD``).
    """

    def __init__(self, seed: int, count: int, night: str = DEFAULT_NIGHT) -> None:
        self.seed = seed
        self.count = count
        self.night = night
        fields = max(LEAST_FIELDS, -(-count // ALERTS_PER_FIELD))
        self.fields = observe(self._rng(0), night, fields)
        factor = _DRAWN_MORE
        for _ in range(_MOST_ATTEMPTS):
            self.observed = self._observe(factor)
            self.visits = self._choose()
            if sum(len(visit.objects) for visit in self.visits) == count:
                break
            factor *= 1.4
        self._names = {place: self._name_fields(place) for place in range(len(self.fields))}

    def packets(self) -> Iterator[Packet]:
        """Give the alerts, in order of time, then id."""
        for visit in self.visits:
            yield from self._render(visit)

    def summary(self) -> str:
        """Say in one line what is in the night."""
        kinds = Counter(Kind(kind).name.lower() for kind in self.truth.column("kind_number").to_pylist())
        parts = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
        return f"{self.count} alerts in {len(self.visits)} visits of {len(self.fields)} fields ({parts})"

    def write_truth(self, path: Path) -> None:
        """Write what each alert really is, as Parquet."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.truth, path)

    @cached_property
    def truth(self) -> pa.Table:
        """One row per alert: ids, what it is, and the numbers behind its light curve."""
        parts = []
        for visit in self.visits:
            seen, objects = self.observed[visit.place], visit.objects
            exposures = np.full(len(objects), visit.exposure)
            people = seen.population
            parts.append(
                pa.table(
                    {
                        "candid": pa.array(seen.candid(objects, exposures)),
                        "objectId": pa.array([self.name_of(visit.place, o) for o in objects.tolist()]),
                        "jd": pa.array(np.full(len(objects), visit.jd)),
                        "fid": pa.array(seen.field.fid[exposures], pa.int32()),
                        "field": pa.array(np.full(len(objects), seen.field.number), pa.int32()),
                        "kind": pa.array([Kind(kind).name.lower() for kind in people.kind[objects].tolist()]),
                        "kind_number": pa.array(people.kind[objects], pa.int32()),
                        "ra": pa.array(people.ra[objects]),
                        "dec": pa.array(people.dec[objects]),
                        "catalogue_type": pa.array(people.label[objects].tolist(), pa.string()),
                        "real_position": pa.array(people.real[objects]),
                        "mag_r": pa.array(people.mag[objects]),
                        "period": pa.array(people.period[objects]),
                        "phase": pa.array(people.phase[objects]),
                        "amplitude": pa.array(people.amplitude[objects]),
                        "redshift": pa.array(people.redshift[objects], from_pandas=True),
                        "first_jd": pa.array(seen.first_seen(objects, visit.exposure)[0]),
                        "night": pa.array([self.night] * len(objects)),
                    }
                )
            )
        return pa.concat_tables(parts)

    def alert_objects(self, place: int) -> Ints:
        """Give the objects of a field that have an alert tonight."""
        chosen = [visit.objects for visit in self.visits if visit.place == place]
        return np.unique(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)

    def name_of(self, place: int, number: int) -> str:
        """Give the ``objectId`` of an object of a field that has an alert tonight."""
        return self._names[place][number]

    def _rng(self, *purpose: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, *purpose])))

    def _observe(self, factor: float) -> list[ObservedField]:
        share = self.count / len(self.fields) * factor
        return [
            observe_field(self._rng(1, place), field, share, place % EVERY_NTH_FIELD_HAS_A_TRAIL == 0)
            for place, field in enumerate(self.fields)
        ]

    def _choose(self) -> list[_Visit]:
        """Keep whole objects, with all their alerts of tonight, until there are as many alerts as asked for."""
        places: list[Ints] = []
        objects: list[Ints] = []
        exposures: list[Ints] = []
        for place, seen in enumerate(self.observed):
            its_objects, its_exposures = seen.alerts()
            places.append(np.full(len(its_objects), place))
            objects.append(its_objects)
            exposures.append(its_exposures)
        where, thing, exposure = (np.concatenate(parts) for parts in (places, objects, exposures))
        _, owner, alerts = np.unique(where * 10**7 + thing, return_inverse=True, return_counts=True)
        of_fields = zip(self.observed, objects, strict=True)
        kinds = np.concatenate([seen.population.kind[things] for seen, things in of_fields])
        order = self._rng(2).permutation(len(alerts))
        trails = np.unique(owner[kinds == Kind.TRAIL])
        order = np.r_[trails, order[~np.isin(order, trails)]]  # a trail makes sense only if it is whole
        kept = np.zeros(len(alerts), np.bool_)
        left = self.count
        for item in order.tolist():
            if alerts[item] <= left:
                kept[item] = True
                left -= int(alerts[item])
        use = kept[owner]
        visits = []
        for place, when in sorted(set(zip(where[use].tolist(), exposure[use].tolist(), strict=True))):
            chosen = thing[use & (where == place) & (exposure == when)]
            seen = self.observed[place]
            ordered = chosen[np.argsort(seen.candid(chosen, np.full(len(chosen), when)))]
            visits.append(_Visit(float(seen.field.jd[when]), place, when, ordered))
        return sorted(visits, key=lambda visit: (visit.jd, visit.place))

    def _name_fields(self, place: int) -> dict[int, str]:
        """Name the objects of a field that have alerts: ``ZTF``, year of the first detection, seven letters."""
        seen, objects = self.observed[place], self.alert_objects(place)
        if not len(objects):
            return {}
        first_jd, _ = seen.first_seen(objects, len(seen.field.jd) - 1)
        years = 2000 + ((first_jd - 2_451_544.5) / 365.25).astype(np.int64)
        start = self.seed * 1_000_003 + place * 100_003
        return {
            number: f"ZTF{year % 100:02d}{_letters((start + number) * _NAME_STEP % _NAME_SPACE)}"
            for number, year in zip(objects.tolist(), years.tolist(), strict=True)
        }

    def _render(self, visit: _Visit) -> Iterator[Packet]:
        seen, objects = self.observed[visit.place], visit.objects
        exposures = np.full(len(objects), visit.exposure)
        before = seen.history(visit.exposure)
        rows = seen.detections(objects, exposures)
        extras = _only_of_alerts(seen, objects, visit.exposure)
        histories = _histories(seen, objects, before)
        images = self._images(visit)
        for number, row, extra, history, stamps in zip(objects.tolist(), rows, extras, histories, images, strict=True):
            name = self.name_of(visit.place, number)
            files = cutout_names(row["candid"], row["pid"], row["isdiffpos"] == "t")
            record = {
                "schemavsn": "4.02",
                "publisher": "synthetic (fink simulate)",
                "objectId": name,
                "candid": row["candid"],
                "candidate": {**row, **extra},
                "fp_hists": _forced(seen.field, [entry for entry, _ in history[-FORCED_POINTS:]], row, extra) or None,
                **{
                    field: {"fileName": files[field], "stampData": stamp}
                    for field, stamp in zip(files, stamps, strict=True)
                },
            }
            yield Packet(pack(record, [written for _, written in history]), row["candid"], name, visit.jd, self.night)

    def _images(self, visit: _Visit) -> Iterator[tuple[bytes, ...]]:
        seen, objects = self.observed[visit.place], visit.objects
        people, around, light = seen.population, seen.around, seen.light
        nova = people.of(*HOSTED)[objects]
        reference = light.reference_mag[objects, visit.exposure]
        offset = np.stack(
            [
                (around.host_ra - people.ra)[objects] * np.cos(np.radians(people.dec[objects])),
                (around.host_dec - people.dec)[objects],
            ]
        )
        images = render(
            self._rng(3, visit.place, visit.exposure),
            np.full(len(objects), seen.field.depth[visit.exposure]),
            np.full(len(objects), seen.field.seeing[visit.exposure]),
            light.mag[objects, visit.exposure],
            light.positive[objects, visit.exposure],
            np.where(nova, around.magnr[objects], reference),
            offset * 3600.0 / PIXEL_ARCSEC,
            people.kind[objects] == Kind.BOGUS,
        )
        return zip(*(gzipped_fits(image) for image in images), strict=True)


def _histories(seen: ObservedField, objects: Ints, before: Ints) -> list[list[Entry]]:
    """Give the history of each object: detections and limits of the exposures before, in order of time."""
    found = seen.light.detected[np.ix_(objects, before)]
    which, when = np.nonzero(found)
    detections = iter(_written(seen.detections(objects[which], before[when])))
    channels = np.unique(seen.rcid[objects]).tolist()
    limits = {channel: _written(seen.limits(channel, before)) for channel in channels}
    return [
        [next(detections) if hit else limit for hit, limit in zip(hits, limits[channel], strict=True)]
        for hits, channel in zip(found.tolist(), seen.rcid[objects].tolist(), strict=True)
    ]


def _written(entries: list[dict[str, Any]]) -> list[Entry]:
    return [(entry, pack_entry(entry)) for entry in entries]


def _only_of_alerts(seen: ObservedField, objects: Ints, exposure: int) -> list[dict[str, Any]]:
    """Give the columns of ``candidate`` that a history entry does not have."""
    around, field = seen.around, seen.field
    draw = seen.draws[:, objects, exposure].astype(np.float64)
    bogus = seen.population.kind[objects] == Kind.BOGUS
    first_jd, ndethist = seen.first_seen(objects, exposure)
    jd, fid = float(field.jd[exposure]), int(field.fid[exposure])
    rfid = ((field.number * 100 + fid) * 100 + seen.rcid[objects]) * 10 + 1
    columns: dict[str, npt.NDArray[Any]] = {
        "ndethist": ndethist,
        "jdstarthist": first_jd,
        "neargaia": around.neargaia[objects],
        "maggaia": around.maggaia[objects],
        "drb": np.where(bogus, 0.5 * draw[4], 0.85 + 0.15 * np.sqrt(draw[4])),
        "dsnrms": 5.0 + 40.0 * draw[1],
        "ssnrms": 10.0 + 80.0 * draw[2],
        "dsdiff": -5.0 - 40.0 * draw[3],
        "rfid": rfid,
        "nmtchps": 2 + (20 * draw[2]).astype(np.int64),
        "nmatches": 500 + (1500 * draw[3]).astype(np.int64),
    }
    for rank in range(3):
        mag = around.psmag[rank, objects]
        columns |= {
            f"sgmag{rank + 1}": mag + 0.5,
            f"srmag{rank + 1}": mag,
            f"simag{rank + 1}": mag - 0.3,
            f"szmag{rank + 1}": mag - 0.4,
            f"sgscore{rank + 1}": around.sgscore[rank, objects],
            f"distpsnr{rank + 1}": around.distpsnr[rank, objects],
            f"objectidps{rank + 1}": (1 + rank + 10 * (seen.population.ra[objects] * 1e7)).astype(np.int64) * 10**7,
        }
    same = {
        "ncovhist": 800 + exposure,
        "jdendhist": jd,
        "tooflag": 0,
        "jdstartref": 2_458_200.5,
        "jdendref": 2_458_600.5,
        "nframesref": 15,
        "zpclrcov": -1e-5,
        "zpmed": 26.2,
        "clrmed": 0.64,
        "clrrms": 0.25,
        "neargaiabright": ABSENT,
        "maggaiabright": ABSENT,
        "exptime": 30.0,
        "drbversion": "d6_m7",
    }
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [{**dict(zip(columns, row, strict=True)), **same} for row in rows]


def _forced(
    field: Field, history: list[dict[str, Any]], row: dict[str, Any], extra: dict[str, Any]
) -> list[dict[str, Any]]:
    """Give forced photometry at the place of the alert for the last entries of its history."""
    points = []
    for entry in history:
        limit_flux = 10 ** (-0.4 * (entry["diffmaglim"] - entry["magzpsci"]))
        flux = 0.3 * limit_flux
        if entry["magpsf"] is not None:
            sign = 1.0 if entry["isdiffpos"] == "t" else -1.0
            flux = sign * 10 ** (-0.4 * (entry["magpsf"] - entry["magzpsci"]))
        points.append(
            {
                **{name: entry[name] for name in _FORCED_AS_IN_HISTORY},
                "field": field.number,
                "rfid": extra["rfid"],
                "sciinpseeing": 2.0,
                "scibckgnd": 120.0,
                "scisigpix": 9.0,
                "exptime": 30.0,
                "adpctdif1": 0.05,
                "adpctdif2": 0.06,
                "forcediffimflux": flux,
                "forcediffimfluxunc": limit_flux / 5.0,
                "procstatus": "0",
                **{name: row[name] for name in ("distnr", "ranr", "decnr", "magnr", "sigmagnr", "chinr", "sharpnr")},
            }
        )
    return points


_FORCED_AS_IN_HISTORY = (
    *("rcid", "fid", "pid", "magzpsci", "magzpsciunc", "magzpscirms"),
    *("clrcoeff", "clrcounc", "diffmaglim", "programid", "jd"),
)


def _letters(number: int) -> str:
    text = ""
    for _ in range(7):
        number, letter = divmod(number, 26)
        text += chr(ord("a") + letter)
    return text
