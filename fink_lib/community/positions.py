"""Alerts of past nights by position: matches of watchlists, and cross-matches with a table of sources.

Positions have no index in the lake, so a search reads those of whole nights, the newest first, and ends when there is
enough or when it has taken its time; it says where to go on.
"""

from __future__ import annotations

import csv
import io
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from fink_lib.community.refusals import RefusedError, refuse_argument
from fink_lib.errors import TransientError
from fink_lib.filters.places import Cone, Places
from fink_lib.filters.reading import read_values
from fink_lib.filters.values import Reference, extract
from fink_lib.lake import Lake

COLUMNS = {
    "i:objectId": Reference(("objectId",)),
    "i:candid": Reference(("candid",)),
    "i:jd": Reference(("candidate", "jd")),
    "i:ra": Reference(("candidate", "ra")),
    "i:dec": Reference(("candidate", "dec")),
    "i:magpsf": Reference(("candidate", "magpsf")),
    "i:sigmapsf": Reference(("candidate", "sigmapsf")),
    "i:fid": Reference(("candidate", "fid")),
    "d:finkclass": Reference(("finkclass",)),
}
"""What is told of an alert."""

MOST_NIGHTS = 366
MOST_SECONDS = 20.0
MOST_SOURCES = 20_000
MOST_MATCHES = 200_000
AT_ONCE = 2
WAIT_S = 10.0

_PLACES = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Matched:
    """What was found.

    Parameters
    ----------
    table : pyarrow.Table
        :data:`COLUMNS`, ``v:place`` (number of the place) and ``v:separation_degree``; the newest night first.
    left : str
        Newest night that was not searched; empty if all were.
    """

    table: pa.Table
    left: str


def search(lake: Lake, places: Places, nights: Sequence[str], enough: int, seconds: float = MOST_SECONDS) -> Matched:
    """Find the alerts that are in some places.

    Parameters
    ----------
    lake : Lake
        Holds table ``science``.
    places : Places
        Where to look.
    nights : sequence of str
        Which nights; searched from the newest to the oldest.
    enough : int
        No further night is begun when there are so many matches.
    seconds : float
        Nor after this time.

    Raises
    ------
    TransientError
        If too many searches are under way.
    RefusedError
        If there are more matches than fit into an answer at all.
    """
    with _one_of_few():
        began_s, parts, number = time.monotonic(), [], 0
        waiting = sorted(set(nights), reverse=True)
        while waiting:
            if number >= enough or time.monotonic() - began_s > seconds:
                break
            for rows in _night(lake, waiting[0]):
                part = _matches(rows, places)
                number += part.num_rows
                if number > MOST_MATCHES:
                    raise RefusedError(
                        "too-large",
                        f"there are more than {MOST_MATCHES} matches; ask for fewer nights or smaller places",
                    )
                parts.append(part)
            waiting.pop(0)
        table = pa.concat_tables([_matches(None, places), *parts])
        return Matched(table, waiting[0] if waiting else "")


def read_sources(text: str, ra: str, dec: str, identity: str, radius_arcsec: float) -> Places:
    """Read a table of sources.

    Parameters
    ----------
    text : str
        CSV with a header line.
    ra, dec, identity : str
        Names of its columns: position in degrees (J2000), and what a source is called. Without `identity` sources are
        counted from 0.
    radius_arcsec : float
        How near an alert must be (arcseconds).

    Returns
    -------
    Places
        One cone for each source.

    Raises
    ------
    RefusedError
        If the table cannot be used.
    """
    wanted = [ra, dec, *([identity] if identity else [])]
    try:
        header = next(csv.reader(text.split("\n", 1)[:1]), [])
    except csv.Error as error:
        raise refuse_argument("file", f"has no header line that can be read: {error}") from None
    for argument, name in zip(("ra", "dec", "id"), wanted, strict=False):
        if not name or wanted.count(name) > 1:
            raise refuse_argument(argument, "must name a column of its own")
        if [one.strip().lstrip("\ufeff") for one in header].count(name) != 1:
            raise refuse_argument("file", f"must have one column {name[:80]}")
    kinds = {ra: pa.float64(), dec: pa.float64(), **({identity: pa.string()} if identity else {})}
    options = pacsv.ConvertOptions(include_columns=wanted, column_types=kinds)
    try:
        table = pacsv.read_csv(io.BytesIO(text.encode()), convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeEncodeError) as error:
        cause = str(error).split("\n")[0][:200]
        raise refuse_argument(
            "file", f"must be CSV with a header and the columns {', '.join(wanted)}: {cause}"
        ) from None
    if not 0 < table.num_rows <= MOST_SOURCES:
        raise RefusedError("too-large" if table.num_rows else "bad-argument",
                           f"`file` must hold 1 to {MOST_SOURCES} sources, not {table.num_rows}", "file")  # fmt: skip
    positions = [table.column(name).to_pylist() for name in (ra, dec)]
    names = table.column(identity).to_pylist() if identity else range(table.num_rows)
    cones = []
    for row, (name, one_ra, one_dec) in enumerate(zip(names, *positions, strict=True), start=1):
        if not (_within(one_ra, 0, 360) and _within(one_dec, -90, 90)):
            raise refuse_argument("file", f"has no position of J2000 in degrees in row {row}")
        cones.append(Cone(str(name), one_ra, one_dec, radius_arcsec))
    return Places(tuple(cones))


def _within(value: float | None, least: float, most: float) -> bool:
    return value is not None and math.isfinite(value) and least <= value <= most


def _night(lake: Lake, night: str) -> Iterator[pa.Table]:
    """Give what is told of all alerts of a night, a part at a time."""
    schema, dataset = lake.schema("science"), lake.dataset("science", [night])
    for path in sorted(fragment.path for fragment in dataset.get_fragments()):
        with dataset.filesystem.open_input_file(path) as handle:
            parquet = pq.ParquetFile(handle)
            for group in range(parquet.num_row_groups):
                rows = read_values(parquet, group, COLUMNS.values(), schema)
                yield pa.table({name: extract(rows, reference) for name, reference in COLUMNS.items()})


def _matches(rows: pa.Table | None, places: Places) -> pa.Table:
    if rows is None:
        kinds = {"i:objectId": pa.string(), "i:candid": pa.int64(), "i:fid": pa.int32(), "d:finkclass": pa.string()}
        single = {"i:magpsf": pa.float32(), "i:sigmapsf": pa.float32()}
        told = [(name, (kinds | single).get(name, pa.float64())) for name in COLUMNS]
        return pa.schema([*told, ("v:place", pa.int64()), ("v:separation_degree", pa.float64())]).empty_table()
    ra, dec = (rows.column(name).to_numpy() for name in ("i:ra", "i:dec"))
    found = places.match(rows.column("i:objectId").to_pylist() if places.objects else (), ra, dec)
    table = rows.take(pa.array(found.rows))
    separation = pa.array(found.separation_deg, mask=np.isnan(found.separation_deg))
    table = table.append_column("v:place", pa.array(found.places)).append_column("v:separation_degree", separation)
    return table.cast(_matches(None, places).schema)


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _PLACES.acquire(timeout=WAIT_S):
        raise TransientError(f"{AT_ONCE} searches by position are under way, which is as many as may be")
    try:
        yield
    finally:
        _PLACES.release()
