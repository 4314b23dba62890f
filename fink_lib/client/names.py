"""What a survey's alerts are called: topics, files, times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fink_lib.errors import DataError

MESSENGER_TOPICS = ("fink_grb_bronze", "fink_grb_silver", "fink_grb_gold", "fink_gw_bronze")
"""Topics of alerts that coincide with another messenger; they are about an object and a trigger."""

SERVICES = {"livestream": (), "datatransfer": ("ftransfer_",), "xmatch": ("fxmatch_",)}
"""Service to the beginnings of its topics; the livestream is what no other one has."""
_NO_STREAM = (*SERVICES["datatransfer"], *SERVICES["xmatch"], "fink_ztf_", "fink_lsst_", "__")


def topics_of(names: Iterable[str], service: str) -> list[str]:
    """Choose the topics of a service, in order of their names.

    Raises
    ------
    ValueError
        If there is no such service.
    """
    if service not in SERVICES:
        raise ValueError(f"{service!r} is no service; name one of {', '.join(SERVICES)}")
    begins = SERVICES[service]
    if begins:
        return sorted(name for name in names if name.startswith(begins))
    return sorted(name for name in names if not name.startswith(_NO_STREAM))


def streams_of(names: Iterable[str], survey: str) -> list[str]:
    """Choose the topics of a cluster that a survey's users subscribe to: those of filters and of messengers."""
    live = topics_of(names, "livestream")
    return [name for name in live if name.endswith(f"_{survey}") or (survey == "ztf" and name in MESSENGER_TOPICS)]


def file_stem(alert: Mapping[str, Any], topic: str, survey: str | None) -> str:
    """Name the file of one alert, as ``fink-client`` does.

    Raises
    ------
    DataError
        If the alert has none of the ids that name files.
    """
    if topic in MESSENGER_TOPICS:
        names: tuple[str, ...] = ("objectId", "triggerId")
    elif survey == "ztf" or (survey is None and "candid" in alert):
        names = ("objectId", "candid")
    else:
        names = ("diaSourceId",)
    missing = [name for name in names if alert.get(name) is None]
    if missing:
        raise DataError("missing_id", f"an alert of {topic} has no {' and no '.join(missing)}")
    # a trigger's name may hold a slash, and nothing that comes from outside may leave the folder
    return "_".join(str(alert[name]) for name in names).replace("/", "_").replace("\0", "_")


def describe(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Give the few values that a person wants to see of an alert: time (UTC or TAI, ISO), names, brightness, label."""
    candidate, source = alert.get("candidate") or {}, alert.get("diaSource") or {}
    if source:
        orbit, static = alert.get("mpc_orbits") or {}, alert.get("diaObject") or {}
        return {
            "time": iso_time(source.get("midpointMjdTai"), 0.0),
            "object": static.get("diaObjectId") or orbit.get("designation"),
            "alert": alert.get("diaSourceId"),
            "band": source.get("band"),
            "brightness": None if source.get("psfFlux") is None else f"{source['psfFlux']:.0f} nJy",
            "label": (alert.get("xm") or {}).get("simbad_otype"),
        }
    magnitude = candidate.get("magpsf")
    return {
        "time": iso_time(candidate.get("jd", alert.get("jd")), _MJD_AS_JD),
        "object": alert.get("objectId"),
        "alert": alert.get("candid", alert.get("triggerId")),
        "band": _BANDS.get(candidate.get("fid", 0)),
        "brightness": None if magnitude is None else f"{magnitude:.2f} mag",
        "label": alert.get("cdsxmatch"),
    }


_MJD_AS_JD = 2_400_000.5
_EPOCH_MJD = 40_587
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BANDS = {1: "g", 2: "r", 3: "i"}


def iso_time(day: float | None, zero: float) -> str | None:
    """Write a day number as ISO text, to the second, on the scale that it is counted on; None if it is no day.

    Parameters
    ----------
    day : float or None
        Days.
    zero : float
        The number of MJD 0 on that count: 0 for an MJD, 2400000.5 for a JD.

    Examples
    --------
    >>> iso_time(2440588.0, 2400000.5)
    '1970-01-01T12:00:00'
    """
    if day is None:
        return None
    try:
        moment = _EPOCH + timedelta(seconds=round((day - zero - _EPOCH_MJD) * 86_400))
    except (OverflowError, ValueError):  # no day of any calendar, or not a number
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
