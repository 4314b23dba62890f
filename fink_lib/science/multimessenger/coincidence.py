"""Alerts and triggers that may be one event: near in time, and the alert inside the region of the trigger.

1. Alerts that are surely something else (asteroids, stars) are left out.
2. Alerts and regions meet in coarse HEALPix cells; then the exact place decides.
3. Each pair gets the chance that an unrelated trigger of the same observatory would have come so close.

The procedure is that of Fink-MM (Le Montagner et al.; science case of Fink: Möller et al. 2021, MNRAS 501, 3272).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.science.catalogs.catalog import healpix_index
from fink_lib.science.history import to_floats
from fink_lib.science.multimessenger.notices import RETRACTION
from fink_lib.science.multimessenger.regions import (
    COARSE,
    WHOLE_SKY_SR,
    coarse_cells_of_cap,
    coarse_cells_of_region,
    in_cap,
    in_region,
)
from fink_lib.science.simbad_types import is_extragalactic

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WINDOW_D = 7.0
"""Longest time from trigger to alert (d)."""

DAYS_PER_YEAR = 365.25

TRIGGERS_PER_YEAR: Mapping[str, float] = {
    "Fermi": 240.0,
    "SWIFT": 92.0,
    "INTEGRAL": 60.0,
    "IceCube": 29.0,
    "LVK": 130.0,
}
"""Triggers of each observatory over the whole sky: Fermi GBM (von Kienlin et al. 2020, ApJ 893, 46: 2356 in ten years),
Swift BAT (Lien et al. 2016, ApJ 829, 7: 1006 in eleven), INTEGRAL (the rate that Fink uses), IceCube gold and bronze
(Blaufuss et al. 2019, PoS ICRC2019, 1021), LVK significant alerts of the fourth run (LVK public alerts user guide)."""

OTHER_PER_YEAR = 240.0
"""For an observatory without an entry: the highest rate of bursts known, so that chance is not made too small."""

ASTEROID_ARCSEC = 5.0
STAR_ARCSEC = 2.0
STAR_SCORE = 0.5
GAIA_ARCSEC = 5.0

INPUTS = (
    "objectId",
    "candid",
    "candidate.ra",
    "candidate.dec",
    "candidate.fid",
    "candidate.jdstarthist",
    "candidate.rb",
    "candidate.jd",
    "candidate.ssdistnr",
    "candidate.distpsnr1",
    "candidate.sgscore1",
    "candidate.neargaia",
    "finkclass",
    "mag_rate",
    "delta_time",
    "from_upper",
    "jd_first_real_det",
    "jdstarthist_dt",
)
"""Columns of ``science`` that the join reads."""

NOTICE_COLUMNS = (
    "observatory",
    "instrument",
    "event",
    "triggerId",
    "ra",
    "dec",
    "err_arcmin",
    "area_sr",
    "triggerTimejd",
    "triggerTimeUTC",
    "gcn_status",
    "region",
    "sequence",
)
"""Columns of ``gcn`` that the join reads."""

PAIRS = pa.schema(
    [
        ("objectId", pa.string()),
        ("candid", pa.int64()),
        ("ztf_ra", pa.float64()),
        ("ztf_dec", pa.float64()),
        ("fid", pa.int32()),
        ("jdstarthist", pa.float64()),
        ("rb", pa.float64()),
        ("jd", pa.float64()),
        ("instrument", pa.string()),
        ("event", pa.string()),
        ("observatory", pa.string()),
        ("triggerId", pa.string()),
        ("grb_ra", pa.float64()),
        ("grb_dec", pa.float64()),
        ("grb_loc_error", pa.float64()),
        ("triggerTimeUTC", pa.string()),
        ("grb_proba", pa.float64()),
        ("fink_class", pa.string()),
        ("delta_mag", pa.float64()),
        ("rate", pa.float64()),
        ("from_upper", pa.float64()),
        ("start_vartime", pa.float64()),
        ("diff_vartime", pa.float64()),
    ]
)
"""What Fink publishes of a pair; ``timestamp`` is added when it is sent."""

CLASS_IS_EXTRAGALACTIC = "fink_class_extragalactic"
"""Further column, for the predicates that choose pairs."""


@dataclass(frozen=True)
class Trigger:
    """The newest notice of one trigger.

    Parameters
    ----------
    observatory, instrument, event, trigger_id, time_utc : str
        As in the notice; time as text, to the millisecond.
    jd : float
        Trigger time (JD, UTC).
    ra_deg, dec_deg, error_arcmin, area_sr : float
        Position and size of the region.
    region : ndarray of int64
        NUNIQ numbers; empty if it is a circle.
    """

    observatory: str
    instrument: str
    event: str
    trigger_id: str
    time_utc: str
    jd: float
    ra_deg: float
    dec_deg: float
    error_arcmin: float
    area_sr: float
    region: Ints

    @property
    def key(self) -> str:
        """Text that is the same for the same region of the same trigger only."""
        region = f"{self.jd!r} {self.ra_deg!r} {self.dec_deg!r} {self.area_sr!r} {len(self.region)}"
        return f"{self.observatory} {self.trigger_id} {region}"

    @property
    def coarse_cells(self) -> Ints:
        """Coarse cells that the region touches."""
        if len(self.region):
            return coarse_cells_of_region(self.region)
        return coarse_cells_of_cap(self.ra_deg, self.dec_deg, self.error_arcmin / 60)

    def holds(self, ra_deg: Floats, dec_deg: Floats) -> Bools:
        """Tell which places are in the region."""
        if len(self.region):
            return in_region(self.region, ra_deg, dec_deg)
        return in_cap(self.ra_deg, self.dec_deg, self.error_arcmin / 60, ra_deg, dec_deg)


def newest(notices: pa.Table) -> list[Trigger]:
    """Reduce notices to triggers: the last notice of each counts, and a retraction takes the trigger away.

    Parameters
    ----------
    notices : pyarrow.Table
        :data:`NOTICE_COLUMNS`; ``sequence`` orders the notices of one trigger.

    Returns
    -------
    list of Trigger
        By time, then observatory and id.
    """
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in notices.select(NOTICE_COLUMNS).sort_by("sequence").to_pylist():
        last[row["observatory"], row["triggerId"]] = row
    triggers = [_trigger(row) for row in last.values() if row["gcn_status"] != RETRACTION]
    return sorted(triggers, key=lambda one: (one.jd, one.observatory, one.trigger_id))


def _trigger(row: Mapping[str, Any]) -> Trigger:
    return Trigger(
        observatory=row["observatory"],
        instrument=row["instrument"] or "",
        event=row["event"] or "",
        trigger_id=row["triggerId"],
        time_utc=row["triggerTimeUTC"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        jd=row["triggerTimejd"],
        ra_deg=row["ra"],
        dec_deg=row["dec"],
        error_arcmin=row["err_arcmin"],
        area_sr=row["area_sr"],
        region=np.array(row["region"] or [], dtype=np.int64),
    )


def may_be_new(columns: Mapping[str, Floats]) -> Bools:
    """Tell which alerts are no asteroid, no PS1 star and near no Gaia source (prior cuts of Fink-MM).

    The survey writes -999 where there is nothing near; a missing distance is none either.

    Parameters
    ----------
    columns : mapping of str to ndarray
        ``ssdistnr``, ``distpsnr1``, ``neargaia`` (arcsec), ``sgscore1``; NaN where missing.
    """

    def near(name: str, radius: float, closed: bool = True) -> Bools:
        distance = columns[name]
        inside: Bools = (distance >= 0) & ((distance <= radius) if closed else (distance < radius))
        return inside

    star = near("distpsnr1", STAR_ARCSEC, closed=False) & (columns["sgscore1"] > STAR_SCORE)
    result: Bools = ~(near("ssdistnr", ASTEROID_ARCSEC) | star | near("neargaia", GAIA_ARCSEC, closed=False))
    return result


def chance(observatory: str, delay_d: Floats, area_sr: float) -> Floats:
    """Give the chance that an unrelated trigger falls into such a region within such a time.

    1 - exp(-R dt Omega), triggers being a Poisson process over time and sky: R = rate / 4 pi (per year and steradian),
    dt from trigger to the first detection, Omega the area of the region.

    Parameters
    ----------
    observatory : str
        Gives the rate (:data:`TRIGGERS_PER_YEAR`).
    delay_d : ndarray
        Time from trigger to first detection (d); not negative.
    area_sr : float
        Solid angle of the region.

    Examples
    --------
    >>> float(chance("Fermi", np.array([365.25]), WHOLE_SKY_SR)[0]) > 0.999999
    True
    >>> round(float(chance("Fermi", np.array([1.0]), 0.01)[0]), 9)
    0.000522754
    """
    rate = TRIGGERS_PER_YEAR.get(observatory, OTHER_PER_YEAR) / WHOLE_SKY_SR
    return -np.expm1(-rate * delay_d / DAYS_PER_YEAR * area_sr)


def join(alerts: pa.Table, triggers: Sequence[Trigger]) -> pa.Table:
    """Pair alerts with triggers.

    A pair has the trigger before the alert's first detection, the alert at most :data:`WINDOW_D` after the trigger, and
    the alert inside the region.

    Parameters
    ----------
    alerts : pyarrow.Table
        Columns named as in :data:`INPUTS`, dotted paths included.
    triggers : sequence of Trigger
        Each trigger once.

    Returns
    -------
    pyarrow.Table
        :data:`PAIRS` and :data:`CLASS_IS_EXTRAGALACTIC`; by trigger, then alert. A value that the alert lacks is null.
    """
    paths = ("ra", "dec", "fid", "jdstarthist", "rb", "jd", "ssdistnr", "distpsnr1", "sgscore1", "neargaia")
    numbers = {name: to_floats(alerts.column(f"candidate.{name}").combine_chunks()) for name in paths}
    numbers |= {name: to_floats(alerts.column(name).combine_chunks()) for name in ("mag_rate", "delta_time")}
    first = to_floats(alerts.column("jd_first_real_det").combine_chunks())
    first = np.where(np.isfinite(first), first, numbers["jd"])
    usable = may_be_new(numbers) & np.isfinite(numbers["ra"]) & np.isfinite(numbers["dec"]) & np.isfinite(numbers["jd"])
    rows = np.flatnonzero(usable)
    cells = healpix_index(numbers["ra"][rows], numbers["dec"][rows], COARSE)
    by_cell = np.argsort(cells, kind="stable")
    rows, cells = rows[by_cell], cells[by_cell]
    parts = []
    for trigger in triggers:
        wanted = trigger.coarse_cells
        left, right = np.searchsorted(cells, wanted), np.searchsorted(cells, wanted, side="right")
        near = np.concatenate([rows[a:b] for a, b in zip(left, right, strict=True)] or [rows[:0]])
        delay_d = first[near] - trigger.jd
        near = near[(delay_d > 0) & (numbers["jd"][near] - trigger.jd <= WINDOW_D)]
        near = np.sort(near[trigger.holds(numbers["ra"][near], numbers["dec"][near])])
        if len(near):
            parts.append(_pairs(alerts, numbers, first, near, trigger))
    schema = PAIRS.append(pa.field(CLASS_IS_EXTRAGALACTIC, pa.bool_()))
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _pairs(alerts: pa.Table, numbers: Mapping[str, Floats], first: Floats, rows: Ints, trigger: Trigger) -> pa.Table:
    mine = alerts.take(pa.array(rows))
    count = len(rows)
    classes = mine.column("finkclass").combine_chunks()
    columns = {
        "objectId": mine.column("objectId"),
        "candid": mine.column("candid"),
        "ztf_ra": numbers["ra"][rows],
        "ztf_dec": numbers["dec"][rows],
        "fid": mine.column("candidate.fid"),
        "jdstarthist": mine.column("candidate.jdstarthist"),
        "rb": mine.column("candidate.rb"),
        "jd": numbers["jd"][rows],
        "instrument": [trigger.instrument] * count,
        "event": [trigger.event] * count,
        "observatory": [trigger.observatory] * count,
        "triggerId": [trigger.trigger_id] * count,
        "grb_ra": np.full(count, trigger.ra_deg),
        "grb_dec": np.full(count, trigger.dec_deg),
        "grb_loc_error": np.full(count, trigger.error_arcmin),
        "triggerTimeUTC": [trigger.time_utc] * count,
        "grb_proba": chance(trigger.observatory, first[rows] - trigger.jd, trigger.area_sr),
        "fink_class": classes,
        "delta_mag": pc.multiply(mine.column("mag_rate"), mine.column("delta_time")),
        "rate": mine.column("mag_rate"),
        "from_upper": pc.cast(mine.column("from_upper"), pa.float64()),
        "start_vartime": first[rows],
        "diff_vartime": mine.column("jdstarthist_dt"),
        CLASS_IS_EXTRAGALACTIC: [None if one is None else is_extragalactic(one) for one in classes.to_pylist()],
    }
    schema = PAIRS.append(pa.field(CLASS_IS_EXTRAGALACTIC, pa.bool_()))
    arrays = []
    for field in schema:
        values = columns[field.name]
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, field.type)
        arrays.append(array.cast(field.type))
    return pa.table(arrays, schema=schema)
