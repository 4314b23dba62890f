"""Columns of family ``v``: computed when somebody reads.

Each takes the served columns of the answer and gives an array as long as it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

UNIX_EPOCH_JD = 2440587.5
DAY_MS = 86_400_000
EARLIEST_JD, LATEST_JD = 2_400_000.5, 2_500_000.5  # 1858 to 2132


@dataclass(frozen=True)
class Computed:
    """One computed column.

    Parameters
    ----------
    needs : tuple of str
        Served columns that it is made of.
    compute : callable
        From these columns as a table to an array.
    """

    needs: tuple[str, ...]
    compute: Callable[[pa.Table], pa.Array]


def computed_columns(table: pa.Table, wanted: Collection[str] | None = None) -> dict[str, pa.Array]:
    """Compute columns from served ones: those that are wanted, all if None."""
    chosen = {name: column for name, column in COMPUTED.items() if wanted is None or name in wanted}
    return {name: column.compute(table) for name, column in chosen.items()}


def _classification(table: pa.Table) -> pa.Array:
    return table.column("d:classification").cast(pa.string())


def _last_date(table: pa.Table) -> pa.Array:
    return _iso(table.column("i:jd"))


def _first_date(table: pa.Table) -> pa.Array:
    return _iso(table.column("i:jdstarthist"))


def _lapse(table: pa.Table) -> pa.Array:
    return pc.subtract(table.column("i:jd"), table.column("i:jdstarthist"))


def _constellation(table: pa.Table) -> pa.Array:
    ra, dec = (table.column(name).to_numpy() for name in ("i:ra", "i:dec"))
    known = np.isfinite(ra) & (np.abs(dec) <= 90)
    names = np.full(len(ra), None, dtype=object)
    if known.any():
        names[known] = constellations(ra[known], dec[known])
    return pa.array(names, pa.string())


def constellations(ra_deg: npt.NDArray[np.float64], dec_deg: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """Name the constellations (IAU borders) at positions, ICRS in degrees."""
    # astropy takes a second to import; most answers do not need it
    from fink_lib.api.constellations import constellations_at

    return constellations_at(ra_deg, dec_deg)


def _iso(jd: pa.ChunkedArray) -> pa.Array:
    """Write Julian dates (UTC, days) as ISO text to the millisecond; dates outside of history are missing."""
    inside = pc.and_(pc.greater_equal(jd, EARLIEST_JD), pc.less(jd, LATEST_JD))
    jd = pc.if_else(inside, jd, pa.scalar(None, jd.type))
    stamps = pc.cast(pc.round(pc.multiply(pc.subtract(jd, UNIX_EPOCH_JD), DAY_MS)), pa.int64())
    return pc.strftime(pc.cast(stamps, pa.timestamp("ms")), format="%Y-%m-%d %H:%M:%S")


COMPUTED: Mapping[str, Computed] = {
    "v:classification": Computed(("d:classification",), _classification),
    "v:lastdate": Computed(("i:jd",), _last_date),
    "v:firstdate": Computed(("i:jdstarthist",), _first_date),
    "v:lapse": Computed(("i:jd", "i:jdstarthist"), _lapse),
    "v:constellation": Computed(("i:ra", "i:dec"), _constellation),
}
"""Computed columns of every table of ZTF alerts, by name."""
