"""When two things are equal: values, rows, packets, images; and the rules of ZTF, written down a second time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.evidence import CUTOUTS, Row

STAMPS = dict(zip(("science", "template", "difference"), CUTOUTS, strict=True))

MISSING = (None, "", "Unknown", "Fail", "None", "nan", 0, -1, False)
"""What a packet may say where the lake has null: the stream keeps the values that its readers know."""

STRUCTS = ("lc_features_g", "lc_features_r")
"""Fields with fields of their own; every other nested field is a map."""

NEEDED = ("objectId", "candid", "candidate", *CUTOUTS, "roid", "finkclass", "fink_status")
"""Fields that no packet may lack."""


def passes_cuts(candidate: Row) -> bool:
    """Apply ZTF's quality cuts; a missing value fails."""
    nbad, rb, fid = (candidate.get(name) for name in ("nbad", "rb", "fid"))
    return nbad == 0 and rb is not None and rb >= 0.55 and fid is not None and fid != 3


def night_of(jd: float) -> str:
    """Give the UT date of a Julian date as ``YYYYMMDD``; 2451544.5 is the first moment of 2000."""
    return (datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=math.floor(jd - 2451544.5))).strftime("%Y%m%d")


def same(stored: Any, truth: Any) -> bool:
    """Compare a stored value with the true one, deeply.

    A NaN equals a NaN; a field that the truth lacks must be null; a field that the store has no place for is not
    looked at (a newer packet may have more fields than the table).
    """
    if isinstance(stored, Mapping) and isinstance(truth, Mapping):
        return all(same(value, truth.get(name)) for name, value in stored.items())
    if isinstance(stored, list) and isinstance(truth, list):
        return len(stored) == len(truth) and all(same(a, b) for a, b in zip(stored, truth, strict=True))
    if isinstance(stored, float) and isinstance(truth, float):
        return stored == truth or (math.isnan(stored) and math.isnan(truth))
    return bool(stored == truth)


def differences(stored: Row, truth: Row, skip: Iterable[str] = ()) -> list[str]:
    """Name the columns of `stored` whose value is not the true one, one level down where there is one."""
    differing = []
    for name, value in stored.items():
        if name in skip or same(value, truth.get(name)):
            continue
        inner = truth.get(name)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            differing += [f"{name}.{leaf}" for leaf in value if not same(value[leaf], inner.get(leaf))]
        else:
            differing.append(name)
    return differing


def packet_differences(row: Row, packet: Row) -> list[str]:
    """Name the fields of an output packet that do not say what the row of ``science`` says."""
    differing = [name for name in NEEDED if name not in packet and (name in CUTOUTS or name in row)]
    for name, value in packet.items():
        if name not in row:
            continue
        truth = row[name]
        if name == "candidate":
            differing += [f"{name}.{leaf}" for leaf in truth if not same(truth[leaf], value.get(leaf))]
        elif isinstance(value, Mapping) and name not in STRUCTS:
            keys = (truth or {}).keys() | value.keys()
            if not all(_said(value.get(key), (truth or {}).get(key)) for key in keys):
                differing.append(name)
        elif not _said(value, truth):
            differing.append(name)
    return differing


def _said(value: Any, truth: Any) -> bool:
    """Tell whether a packet's value is the true one, or stands for a missing one."""
    return same(truth, value) if truth is not None else value in MISSING


def same_stamps(stamps: Row, packet: Row) -> bool:
    """Tell whether a row of ``cutouts`` holds the images of a packet."""
    return all((stamps[name] or b"") == _stamp(packet.get(field)) for name, field in STAMPS.items())


def _stamp(cutout: Row | None) -> bytes:
    return (cutout or {}).get("stampData") or b""
