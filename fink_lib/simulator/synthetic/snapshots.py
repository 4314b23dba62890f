"""The catalogues of a synthetic sky, as local snapshots marked synthetic: SIMBAD, Gaia, TNS and shorter lists.

The followed blazars are a table: they are known by name.

Variable stars need none: many of a synthetic sky sit where the real index has one.

Format: Parquet with ``ra``, ``dec`` (degrees), ``name`` and the catalogue's columns; the schema's metadata give the
catalogue's name, a version that depends on the rows only, and the circles of sky that it covers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.simulator.synthetic.cadence import Field
from fink_lib.simulator.synthetic.kinds import NUCLEI, STARS, Kind
from fink_lib.simulator.synthetic.night import SyntheticNight

SIMBAD_SCHEMA = pa.schema(
    [("ra", pa.float64()), ("dec", pa.float64()), ("name", pa.string()), ("main_type", pa.string())]
)
GAIA_SCHEMA = pa.schema(
    [
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("name", pa.string()),
        ("DR3Name", pa.string()),
        ("Plx", pa.float32()),
        ("e_Plx", pa.float32()),
        ("VarFlag", pa.int32()),
    ]
)
BLAZARS = "ctao_blazars"
BLAZARS_SCHEMA = pa.schema(
    [
        ("ZTF_name", pa.string()),
        ("median_g_jy", pa.float64()),
        ("median_r_jy", pa.float64()),
        ("low_threshold", pa.float64()),
        ("high_threshold", pa.float64()),
    ]
)
REDSHIFT = "redshift"
"""Stands in a catalogue's values for the redshift that the object has."""

FOLLOWED = 0.8
"""Part of the blazars that CTAO follows."""

STATES = (0.8, 1.25)
"""Thresholds of the low and of the high state, in parts of the median flux."""

JANSKY_OF_MAG_0 = 3631.0
BYSTANDERS = 200
"""Stars and galaxies of a field that have no alert, and so keep a cross-match honest."""

_KNOWN = {  # part of a kind that SIMBAD has, and the types under which it does
    Kind.RR_LYRAE: (0.9, ("RRLyr",)),
    Kind.ECLIPSING: (0.8, ("EB*",)),
    Kind.LONG_PERIOD: (0.9, ("LPV*", "Mira")),
    Kind.AGN: (0.85, ("QSO", "QSO", "Seyfert_1", "AGN")),
    Kind.SN_IA: (0.7, ("Galaxy",)),
    Kind.SN_II: (0.7, ("Galaxy",)),
    Kind.MICROLENSING: (0.1, ("Star",)),
    Kind.SLSN: (0.2, ("Galaxy",)),
    Kind.TDE: (0.8, ("Galaxy",)),
    Kind.BLAZAR: (0.9, ("Blazar", "BLLac")),
    Kind.DWARF_AGN: (0.6, ("AGN", "Galaxy")),
    Kind.LENSED_QUASAR: (0.9, ("LensedQ", "GravLensSystem")),
    Kind.YSO: (0.6, ("YSO_Candidate", "TTau*_Candidate")),
    Kind.CATACLYSMIC: (0.4, ("CataclyV*",)),
    Kind.SYMBIOTIC: (0.6, ("Symbiotic*",)),
}
_WITH_PARALLAX = 0.9
_METADATA = ("fink_catalog", "fink_version", "fink_coverage", "fink_origin", "fink_synthetic")


@dataclass(frozen=True)
class _Listing:
    """A catalogue whose rows need nothing of an object but its kind.

    Parameters
    ----------
    purpose : int
        Tells its random draws from those of the other catalogues.
    schema : pyarrow.Schema
        Columns beside position and name.
    known : mapping
        Kind to the part of them that it has, and the values that they take in turn.
    """

    purpose: int
    schema: pa.Schema
    known: Mapping[Kind, tuple[float, tuple[tuple[Any, ...], ...]]]


_LISTINGS = {
    "gaia_class": _Listing(
        12,
        pa.schema([("class", pa.string())]),
        {
            Kind.RR_LYRAE: (0.7, (("RR",),)),
            Kind.ECLIPSING: (0.6, (("ECL",),)),
            Kind.LONG_PERIOD: (0.7, (("LPV",),)),
            Kind.VARIABLE: (0.2, (("YSO",), ("RS",))),
            Kind.AGN: (0.5, (("AGN",),)),
        },
    ),
    "tns": _Listing(
        13,
        pa.schema([("type", pa.string()), ("redshift", pa.float32())]),
        {
            Kind.SN_IA: (0.8, (("SN Ia", REDSHIFT), (None, None))),
            Kind.SN_II: (0.8, (("SN II", REDSHIFT), (None, None))),
            Kind.SLSN: (0.5, (("SLSN-I", REDSHIFT), (None, None))),
            Kind.HOSTLESS_SN: (0.5, (("SN Ia", REDSHIFT), (None, None))),
            Kind.TDE: (0.5, (("TDE", REDSHIFT),)),
            Kind.AGN: (0.02, (("AGN", 0.3), (None, None))),
        },
    ),
    "spicy": _Listing(
        14,
        pa.schema([("id", pa.int32()), ("class", pa.string())]),
        {Kind.YSO: (0.8, ((1, "ClassII"), (2, "FS"), (3, "ClassI")))},
    ),
    "stars": _Listing(
        15,
        pa.schema([("kind", pa.string())]),
        {kind: (0.95, (("STAR",),)) for kind in STARS} | {kind: (0.9, (("QSO",),)) for kind in NUCLEI},
    ),
    "magnetic_cv": _Listing(16, pa.schema([]), {Kind.CATACLYSMIC: (0.5, ((),))}),
    "symbiotic_cv": _Listing(17, pa.schema([]), {Kind.SYMBIOTIC: (0.9, ((),)), Kind.CATACLYSMIC: (0.8, ((),))}),
    "known_tde": _Listing(18, pa.schema([]), {Kind.TDE: (0.6, ((),))}),
    "dwarf_agn": _Listing(19, pa.schema([("radius_arcsec", pa.float64())]), {Kind.DWARF_AGN: (0.9, ((2.1,), (8.4,)))}),
}


def write_snapshots(sky: SyntheticNight, folder: Path) -> list[Path]:
    """Write or extend ``simbad.parquet``, ``gaia.parquet``, those of the shorter catalogues and the table of blazars.

    Snapshots of other synthetic skies stay in the files; rows of the same sky are the same, so a second run with one
    seed changes nothing.

    Raises
    ------
    ConfigError
        If a file there is a real snapshot: it would be mixed with inventions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cones = [field.cone for field in sky.fields]
    tables = {"simbad": _simbad(sky), "gaia": _gaia(sky)}
    tables |= {name: _listed(sky, listing) for name, listing in _LISTINGS.items()}
    paths = {name: folder / f"{name}.parquet" for name in (*tables, BLAZARS)}
    merged = {name: _merged(name, table, cones, paths[name]) for name, table in tables.items()}
    merged[BLAZARS] = _merged_blazars(_blazars(sky), paths[BLAZARS])
    for name, table in merged.items():
        part = paths[name].with_suffix(".part")
        pq.write_table(table, part)
        part.replace(paths[name])
    return list(paths.values())


def _merged(name: str, table: pa.Table, cones: list[list[float]], path: Path) -> pa.Table:
    old = _synthetic(path)
    if old is not None:
        table = pa.concat_tables([old.cast(table.schema), table])
        cones = [*json.loads(old.schema.metadata[b"fink_coverage"]), *cones]
    table = _unique(table, "name").sort_by([("dec", "ascending"), ("ra", "ascending"), ("name", "ascending")])
    coverage = json.dumps(sorted(set(map(tuple, cones))))
    values = (name, _digest(table), coverage, "a synthetic sky", "1")
    return table.replace_schema_metadata(dict(zip(_METADATA, values, strict=True)))


def _merged_blazars(table: pa.Table, path: Path) -> pa.Table:
    old = _synthetic(path)
    if old is not None:
        table = pa.concat_tables([old.cast(table.schema), table])
    table = _unique(table, "ZTF_name").sort_by("ZTF_name")
    meta = {"fink_table": BLAZARS, "fink_version": _digest(table), "fink_origin": "a synthetic sky"}
    return table.replace_schema_metadata(meta | {"fink_synthetic": "1"})


def _synthetic(path: Path) -> pa.Table | None:
    """Read what an earlier synthetic sky left, if anything."""
    if not path.exists():
        return None
    old = pq.read_table(path)
    if (old.schema.metadata or {}).get(b"fink_synthetic") != b"1":
        raise ConfigError(f"{path} is a snapshot of the real sky; move it away or set another FINK_HOME")
    return old


def _unique(table: pa.Table, key: str) -> pa.Table:
    """Keep one row per name, the newest."""
    last = {name: row for row, name in enumerate(table.column(key).to_pylist())}
    return table.take(pa.array(sorted(last.values()), pa.int64()))


def _digest(table: pa.Table) -> str:
    sha = hashlib.sha256()
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        sha.update(repr(row).encode())
    return f"synthetic-{sha.hexdigest()[:16]}"


def _simbad(sky: SyntheticNight) -> pa.Table:
    rows: list[tuple[float, float, str, str]] = []
    for place, seen in enumerate(sky.observed):
        rng = _rng(sky, place, 10)
        people = seen.population
        for number in sky.alert_objects(place).tolist():
            part, types = _KNOWN.get(Kind(people.kind[number]), (0.0, ("",)))
            if rng.random() < part:
                ra, dec = float(seen.around.host_ra[number]), float(seen.around.host_dec[number])
                rows.append((ra, dec, _name(sky, place, number), types[number % len(types)]))
        for extra, ra, dec in _bystanders(rng, seen.field):
            rows.append((ra, dec, _name(sky, place, -1 - extra), "Galaxy" if extra % 3 == 0 else "Star"))
    return pa.Table.from_arrays([pa.array(column) for column in zip(*rows, strict=True)], schema=SIMBAD_SCHEMA)


def _gaia(sky: SyntheticNight) -> pa.Table:
    rows: list[tuple[float, float, str, str, float | None, float | None, int]] = []
    for place, seen in enumerate(sky.observed):
        rng = _rng(sky, place, 11)
        listed = seen.population.of(*STARS, *NUCLEI)
        for number in sky.alert_objects(place).tolist():
            if not listed[number] or seen.population.mag[number] > 20.5:
                continue
            parallax: tuple[float | None, float | None] = None, None
            if rng.random() < _WITH_PARALLAX:
                parallax = float(seen.around.parallax[number]), float(seen.around.parallax_error[number])
            ra, dec = float(seen.population.ra[number]), float(seen.population.dec[number])
            variable = int(rng.random() < 0.8)
            rows.append((ra, dec, _name(sky, place, number), _gaia_name(sky, place, number), *parallax, variable))
        for extra, ra, dec in _bystanders(rng, seen.field):
            number = -1 - extra
            plx = float(rng.exponential(0.8))
            rows.append((ra, dec, _name(sky, place, number), _gaia_name(sky, place, number), plx, 0.05, 0))
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), GAIA_SCHEMA, strict=True)]
    return pa.Table.from_arrays(columns, schema=GAIA_SCHEMA)


def _listed(sky: SyntheticNight, listing: _Listing) -> pa.Table:
    rows: list[tuple[Any, ...]] = []
    for place, seen in enumerate(sky.observed):
        rng = _rng(sky, place, listing.purpose)
        people = seen.population
        for number in sky.alert_objects(place).tolist():
            part, values = listing.known.get(Kind(people.kind[number]), (0.0, ((),)))
            if rng.random() < part:
                position = float(people.ra[number]), float(people.dec[number])
                redshift = float(people.redshift[number])
                own = (redshift if value == REDSHIFT else value for value in values[number % len(values)])
                rows.append((*position, _name(sky, place, number), *own))
    schema = pa.schema([("ra", pa.float64()), ("dec", pa.float64()), ("name", pa.string()), *listing.schema])
    columns = zip(*rows, strict=True) if rows else [() for _ in schema]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _blazars(sky: SyntheticNight) -> pa.Table:
    """Give the blazars that are followed: a random walk around its rest makes that the median."""
    rows: list[tuple[Any, ...]] = []
    for place, seen in enumerate(sky.observed):
        rng = _rng(sky, place, 20)
        people = seen.population
        chosen = [number for number in sky.alert_objects(place).tolist() if people.kind[number] == Kind.BLAZAR]
        for number in chosen:
            if rng.random() < FOLLOWED:
                red = float(people.mag[number])
                medians = (JANSKY_OF_MAG_0 * 10 ** (-0.4 * mag) for mag in (red + float(people.colour[number]), red))
                rows.append((sky.name_of(place, number), *medians, *STATES))
    columns = zip(*rows, strict=True) if rows else [() for _ in BLAZARS_SCHEMA]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, BLAZARS_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=BLAZARS_SCHEMA)


def _bystanders(rng: np.random.Generator, field: Field) -> Iterator[tuple[int, float, float]]:
    ra, dec = field.random_positions(rng, BYSTANDERS)
    return zip(range(BYSTANDERS), ra.tolist(), dec.tolist(), strict=True)


def _rng(sky: SyntheticNight, place: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([sky.seed, purpose, place])))


def _name(sky: SyntheticNight, place: int, number: int) -> str:
    return f"SYN {sky.night}-{sky.seed}-{sky.count} {place}.{number}"


def _gaia_name(sky: SyntheticNight, place: int, number: int) -> str:
    return f"Gaia DR3 {int(hashlib.sha256(_name(sky, place, number).encode()).hexdigest(), 16) % 10**18}"
