"""Nights of made-up alerts whose columns of place, class and history make sense to the archive's tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fink_lib.archive.night import Target
from fink_lib.archive.tables import archive_table, night_tables
from fink_lib.archive.writer import put_slice
from fink_lib.lake import Lake
from fink_lib.surveys import get_survey
from tests.night_rows import NIGHT, replace, science_rows
from tests.unit.archive.memory import MemoryHBase

SURVEY = get_survey("ztf")
LAKE = Lake("unused", SURVEY)
TABLES = tuple(table.name for table in night_tables(SURVEY))
CLASSES = ("SN candidate", "Unknown", "RR Lyr", "Solar System MPC", None)


def archive_night(number: int, seed: int = 0, night: str = NIGHT, first_id: int = 1, days: int = 0) -> pa.Table:
    """Make rows of ``science`` for every table of the archive; the same objects again some days later."""
    random = np.random.default_rng(seed)
    rows = science_rows(LAKE, number, seed, night, first_id)
    jd = rows.column("candidate").combine_chunks().field("jd").to_numpy() + days
    asteroid = random.random(number) < 0.3
    return replace(
        rows,
        finkclass=random.choice(np.array(CLASSES, object), number).tolist(),
        tns=random.choice(np.array(["SN Ia", "SN II", None, None], object), number).tolist(),
        tracklet=[f"TRCK_{night}_043012_0{i % 3}" if i % 9 == 0 else None for i in range(number)],
        roid=np.where(asteroid, 3, 0),
        cdsxmatch=["Unknown"] * number,
        candidate={
            "candid": np.arange(number) + first_id,
            "jd": jd,
            "jdstarthist": jd - 30.0 - days,
            "ssnamenr": [f"{8467 + i % 4}" if moving else "null" for i, moving in enumerate(asteroid)],
            "ra": random.uniform(0, 360, number),
            "dec": np.degrees(np.arcsin(random.uniform(-1, 1, number))),
        },
        prv_candidates=[history(random, one) for one in jd],
    )


def history(random: np.random.Generator, jd: float) -> list[dict] | None:
    """Make a history of limits, good points and bad ones, oldest first; sometimes there is none."""
    entries = []
    for days in sorted(random.uniform(0.1, 30, random.integers(0, 6)), reverse=True):
        seen = random.random() < 0.6
        entry = {"jd": jd - days, "fid": int(random.integers(1, 4)), "diffmaglim": 20.5, "rb": None, "nbad": None}
        if seen:
            good = random.random() < 0.5
            entry |= {"magpsf": 18.5, "sigmapsf": 0.1, "isdiffpos": "t", "rb": 0.9 if good else 0.1, "nbad": 0}
        entries.append(entry)
    return entries or None


def target(table: str, generation: int = 0, chosen: dict[str, list[int]] | None = None) -> Target:
    """Give what a worker packs rows with."""
    declared = archive_table(SURVEY, table)
    ids = {name: pa.array(found, pa.int64()) for name, found in (chosen or {}).items()}
    return Target(declared, declared.layout(SURVEY), generation, ids)


def put(
    hbase: MemoryHBase, science: pa.Table, table: str, generation: int = 0, chosen=None, night: str = NIGHT
) -> None:
    """Put a night into a table, in slices of ten alerts."""
    hbase.ensure_table(table, ("p",))
    for place, start in enumerate(range(0, science.num_rows, 10)):
        into = target(table, generation, chosen)
        put_slice(hbase, into, night, f"{place:06d}", into.rows(science.slice(start, 10)), 500)
