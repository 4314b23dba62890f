"""What each table of the archive has to hold of an alert, written down a second time.

Nothing here imports the package under test: keys, columns and choices follow from the documents alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested, ring

from tests.faults.compare import passes_cuts
from tests.faults.evidence import Row

PACKED = b"p:r"
NOT_ARCHIVED = {"candidate", "prv_candidates", "fp_hists", "ingest", "process", "night", "fink_versions"}
ROOT = ("objectId", "publisher", "candid", "schemavsn")
PROCESS = {"fink_broker_version": "broker_version", "fink_science_version": "science_version"}
LIGHT = ("magpsf", "sigmapsf", "jd", "jdstarthist", "drb", "ra", "dec", "fid", "distnr")
LIMIT = ("jd", "fid", "diffmaglim")
POINT = (*LIMIT, "magpsf", "sigmapsf", "magnr", "sigmagnr", "isdiffpos", "distnr")
SELECTED = {
    "ztf.anomaly": "anomaly",
    "ztf.low_state_blazars": "low_blazar_state",
    "ztf.high_state_blazars": "high_blazar_state",
    "ztf.slsn": "slsn",
}
TABLES = (
    "ztf",
    "ztf.cutouts",
    "ztf.pixel128",
    "ztf.class",
    "ztf.ssnamenr",
    "ztf.tracklet",
    "ztf.tns",
    "ztf.upper",
    "ztf.uppervalid",
    *SELECTED,
)
"""Every table that a night is written into."""


@dataclass(frozen=True)
class Cell:
    """A cell that has to be there: its place, whose it is, and what it holds by column."""

    key: bytes
    name: bytes
    candid: int
    jd: float
    values: Row


def expected_cells(table: str, science: Iterable[Row], chosen: Mapping[str, Collection[int]]) -> Iterator[Cell]:
    """Give the cells that a table has to hold.

    Parameters
    ----------
    table : str
        One of :data:`TABLES`.
    science : iterable of dict
        Rows of the lake.
    chosen : mapping of str to collection of int
        Ids of the alerts that filters of the night have sent, by filter.
    """
    for row in science:
        jd, candid = row["candidate"]["jd"], row["candid"]
        name = _text(row["objectId"])
        alert, salted = f"{name}_{jd:.7f}_{candid:019d}", f"{candid % 8:02d}"
        if table in SELECTED:
            if candid in chosen.get(SELECTED[table], ()):
                yield Cell(f"{salted}_{jd:.7f}_{name}_{candid:019d}".encode(), PACKED, candid, jd, light_values(row))
            continue
        key, cell, values = alert, PACKED, None
        if table == "ztf":
            values = archived_values(row)
        elif table == "ztf.cutouts":
            place = f"cutouts/ztf/night={row['night']}#{(row['ingest'] or {}).get('batch') or ''}#{candid}"
            values = {"i:objectId": row["objectId"], "i:candid": candid, "i:jd": jd, "d:hdfs_path": place}
        elif table == "ztf.pixel128":
            first = row["candidate"]["jdstarthist"]
            first = first if first is not None and 1e6 <= first < 1e7 - 1 else jd
            key = f"{_pixel(row['candidate'])}_{first:.7f}_{name}"
            before = 10**14 - 1 - round((jd - 2440587.5) * 86_400_000)
            cell = f"p:{before:014d}_{candid:019d}".encode()
            values = light_values(row)
        elif table in ("ztf.upper", "ztf.uppervalid"):
            values = history_values(row, *((LIMIT, _is_limit) if table == "ztf.upper" else (POINT, _is_bad)))
        elif table in _INDEXES:
            text, form = _INDEXES[table]
            told = text(row)
            if told:
                key = form.format(salt=salted, told=_text(told), jd=f"{jd:.7f}", name=name, id=f"{candid:019d}")
                values = light_values(row)
        if values is not None:
            yield Cell(key.encode(), cell, candid, jd, values)


def archived_values(row: Row) -> Row:
    """Name the columns of the main table and give their values, as the lake has them."""
    values = {f"i:{name}": row.get(name) for name in ROOT}
    values |= {f"i:{name}": (row["process"] or {}).get(field) for name, field in PROCESS.items()}
    values |= {f"i:{name}": value for name, value in row["candidate"].items() if name != "candid"}
    return values | {f"d:{name}": value for name, value in row.items() if name not in NOT_ARCHIVED and name not in ROOT}


def light_values(row: Row) -> Row:
    """Give the columns of a row that only has to be found and listed."""
    status = row["fink_status"] or {}
    return {
        "i:objectId": row["objectId"],
        "i:candid": row["candid"],
        **{f"i:{name}": row["candidate"][name] for name in LIGHT},
        **{f"d:{name}": row[name] for name in ("cdsxmatch", "nalerthist", "finkclass")},
        "d:fink_status": {module: status.get(module) for module in ("simbad", "nalerthist")},
    }


def history_values(row: Row, names: Sequence[str], takes: Callable[[Row], bool]) -> Row | None:
    """Give the entries of the history that a table takes, field by field; None if the last entry is none of them."""
    history = row["prv_candidates"] or []
    if not history or not takes(history[-1]):
        return None
    entries = [entry for entry in history if takes(entry)]
    return {"i:objectId": row["objectId"]} | {f"i:{name}": [entry[name] for entry in entries] for name in names}


def _is_limit(entry: Row) -> bool:
    return entry["magpsf"] is None or entry["magpsf"] != entry["magpsf"]


def _is_bad(entry: Row) -> bool:
    return not _is_limit(entry) and not passes_cuts({**entry, "fid": 1})


def _asteroid(row: Row) -> Any:
    name = row["candidate"]["ssnamenr"]
    return name if row["roid"] == 3 and name != "null" else None


_INDEXES: dict[str, tuple[Callable[[Row], Any], str]] = {
    "ztf.class": (lambda row: row["finkclass"], "{salt}_{told}_{jd}_{name}_{id}"),
    "ztf.tns": (lambda row: row["tns"], "{salt}_{told}_{jd}_{name}_{id}"),
    "ztf.ssnamenr": (_asteroid, "{told}_{jd}_{id}"),
    "ztf.tracklet": (lambda row: row["tracklet"], "{told}_{name}_{id}"),
}


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("_", "%5F").replace("\t", "%09").replace("\n", "%0A")


def _pixel(candidate: Row) -> str:
    place = Longitude([candidate["ra"] % 360] * u.deg), Latitude([candidate["dec"]] * u.deg)
    pixel = ring.lonlat_to_healpix(*place, 128, num_threads=1)[0]
    fine = nested.lonlat_to_healpix(*place, 10, num_threads=1)[0]
    return f"{int(pixel):06d}_{int(fine) % 64:02d}"
