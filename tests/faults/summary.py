"""The numbers of a night, counted a second time: by plain Python over the lake's rows, without any SQL."""

from __future__ import annotations

from collections import Counter
from typing import Any

import happybase

from tests.faults.evidence import Lake, Row

STATISTICS = "statistics_class"
NAMED_CLASSES = (
    "Ambiguous",
    "Solar System MPC",
    "Tracklet",
    "Solar System candidate",
    "Kilonova candidate",
    "Early SN Ia candidate",
    "SN candidate",
    "Microlensing candidate",
    "Unknown",
)
FEWEST_BYTES = 8
TIMEOUT_MS = 60_000


def read_statistics(host: str, port: int, night: str, prefix: str = "", survey: str = "ztf") -> dict[str, int]:
    """Read a night's row of the archive: ``family:name`` to count. Cells are signed, sign bit flipped, big endian."""
    connection = happybase.Connection(host, port, timeout=TIMEOUT_MS)
    try:
        cells = connection.table(f"{prefix}{STATISTICS}").row(f"{survey}_{night}".encode())
    finally:
        connection.close()
    return {name.decode(): int.from_bytes(cell, "big") - (1 << (8 * FEWEST_BYTES - 1)) for name, cell in cells.items()}


def count_night(lake: Lake, night: str) -> dict[str, dict[str, int]]:
    """Count what the summary of a night has to say, as far as it follows from the rows alone."""

    def of_night(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["night"] == night]

    science, rejected = of_night(lake.science), of_night(lake.rejected)
    bands = Counter(row["candidate"]["fid"] for row in science)
    duplicates = sum(row["reason"] == "duplicate" for row in rejected)
    classes = Counter(row["finkclass"] or "unavailable" for row in science)
    return {
        "basic": {
            "raw": len(of_night(lake.raw)),
            "sci": len(science),
            "night": int(night),
            "n_g": bands[1],
            "n_r": bands[2],
            "exposures": len({row["candidate"]["jd"] for row in science}),
            "fields": len({row["candidate"]["field"] for row in science}),
            "rejected": len(rejected) - duplicates,
            "duplicates": duplicates,
            "quarantined": len(of_night(lake.quarantine)),
        },
        "class": {**dict.fromkeys(NAMED_CLASSES, 0), **classes},
        "filters": dict(Counter(row["filter"] for row in of_night(lake.sent))),
    }


def check_summary(lake: Lake, night: str, summaries: list[Row], statistics: dict[str, int]) -> list[str]:
    """Check a night's summary in the lake and in the archive against the rows.

    Parameters
    ----------
    lake : Lake
        All tables.
    night : str
        ``YYYYMMDD``.
    summaries : list of dict
        Rows of table ``night_summary``.
    statistics : dict
        The archive's row, from :func:`read_statistics`.

    Returns
    -------
    list of str
        One sentence for each number that is wrong.
    """
    rows = [row for row in summaries if row["night"] == night]
    if len(rows) != 1:
        return [f"night_summary: night {night} has {len(rows)} rows"]
    wrong = []
    for table, counts in count_night(lake, night).items():
        said: dict[str, Any] = rows[0][table]
        for name, number in counts.items():
            if said.get(name) != number:
                wrong.append(f"night_summary: {table}:{name} of {night} is {said.get(name)}, the rows say {number}")
        if table != "filters":
            for name, number in said.items():
                if statistics.get(f"{table}:{name}") != number:
                    there = statistics.get(f"{table}:{name}")
                    wrong.append(f"archive: {table}:{name} of {night} is {there}, the summary says {number}")
    return wrong
