"""Notices of the General Coordinates Network: what observatories say when they see a burst, a neutrino or a merger.

Two formats are read. VOEvent 2.0 (XML; Seaman et al. 2011, IVOA Recommendation) is what Fermi, Swift, INTEGRAL and
IceCube send through GCN; LVK sends JSON with the sky map inside (LVK public alerts user guide). A notice becomes one
row of table ``gcn``; what cannot be used raises :class:`~fink_lib.errors.DataError` with a reason.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from fink_lib.errors import DataError
from fink_lib.science.multimessenger.regions import (
    cap_area_sr,
    cap_radius_deg,
    credible_region,
    densest_place,
    read_skymap,
    region_area_sr,
)

Ints = npt.NDArray[np.int64]

LVK = "LVK"
GRAVITATIONAL_WAVE = "gw"
RETRACTION = "retraction"
ICECUBE = "IceCube"
_NO_REGION: Ints = np.array([], dtype=np.int64)
_JD_OF_UNIX = 2440587.5
_LARGEST_NOTICE = 32 * 1024 * 1024
_IVORN = re.compile(r"^ivo://(?P<authority>[^#]*?)/?(?P<observatory>[^/#]+)#(?P<rest>.+)$")
_NOT_A_BURST = ("Def_NOT_a_GRB", "Test_Submission", "Target_in_Blk_Catalog", "StarTrack_Lost_Lock")
"""Flags of a VOEvent that say that nothing astrophysical and new was seen (GCN, VOEvent parameter lists)."""


@dataclass(frozen=True)
class Notice:
    """One notice.

    Parameters
    ----------
    observatory, instrument : str
        Who saw it (``Fermi``, ``SWIFT``, ``INTEGRAL``, ``IceCube``, ``LVK``) and with what.
    event : str
        Kind: ``gw`` for gravitational waves, the stream of a neutrino, else empty.
    ivorn : str
        Name of a VOEvent; empty for others.
    trigger_id : str
        What notices about one event share.
    trigger_time : datetime
        When it happened (UTC).
    status : str
        ``initial``, or what the observatory calls a later one; ``retraction`` takes the trigger back.
    ra_deg, dec_deg : float
        Best position (ICRS); NaN in a retraction.
    error_arcmin : float
        Radius of the error circle; for a sky map that of the circle as large as its 90 % region. NaN in a retraction.
    area_sr : float
        Solid angle of the region.
    region : ndarray of int64
        NUNIQ numbers of the 90 % region of a sky map; empty for a circle.
    """

    observatory: str
    instrument: str
    event: str
    ivorn: str
    trigger_id: str
    trigger_time: datetime
    status: str
    ra_deg: float
    dec_deg: float
    error_arcmin: float
    area_sr: float
    region: Ints = field(repr=False)

    @property
    def trigger_jd(self) -> float:
        """Trigger time as Julian date (UTC)."""
        return self.trigger_time.timestamp() / 86400 + _JD_OF_UNIX


def decode_notice(payload: bytes) -> Notice:
    """Read a notice of any known format.

    Parameters
    ----------
    payload : bytes
        Value of a message of a GCN topic.

    Returns
    -------
    Notice

    Raises
    ------
    DataError
        ``not_a_notice`` (neither XML nor JSON of a known form), ``bad_notice`` (a part is missing or wrong),
        ``bad_skymap``, ``oversize``; or, of a good notice, why nothing can be joined with it: ``test``,
        ``not_a_burst``, ``no_position``.
    """
    if len(payload) > _LARGEST_NOTICE:
        raise DataError("oversize", f"a notice of {len(payload)} bytes")
    start = payload.lstrip()[:1]
    if start == b"<":
        return _from_voevent(payload)
    if start == b"{":
        return _from_json(payload)
    raise DataError("not_a_notice", "neither XML nor JSON")


# -- VOEvent -------------------------------------------------------------------------------------------------------


def _from_voevent(payload: bytes) -> Notice:
    if b"<!DOCTYPE" in payload or b"<!ENTITY" in payload:
        raise DataError("not_a_notice", "a VOEvent has no document type of its own")
    try:
        root = ElementTree.fromstring(payload)
    except ElementTree.ParseError as error:
        raise DataError("not_a_notice", f"not XML: {error}") from error
    if _plain(root.tag) != "VOEvent":
        raise DataError("not_a_notice", f"the XML is a {_plain(root.tag)}, not a VOEvent")
    ivorn = root.get("ivorn", "")
    named = _IVORN.match(ivorn)
    if named is None:
        raise DataError("bad_notice", f"ivorn {ivorn!r} does not say who sent it")
    role = root.get("role", "")
    if role != "observation":
        raise DataError("test", f"role {role!r}")
    params = {
        str(one.get("name")): str(one.get("value"))
        for one in root.iter()
        if _plain(one.tag) == "Param" and one.get("name") is not None
    }
    raised = [flag for flag in _NOT_A_BURST if params.get(flag, "").lower() == "true"]
    if raised:
        raise DataError("not_a_burst", ", ".join(raised))
    observatory, instrument, event = _who(named["observatory"], named["rest"])
    ra, dec, radius = (_number(root, name) for name in ("C1", "C2", "Error2Radius"))
    if not (0 <= ra < 360 and -90 <= dec <= 90 and 0 < radius <= 180):
        raise DataError("no_position", f"ra {ra}, dec {dec}, error {radius} deg")
    return Notice(
        observatory,
        instrument,
        event,
        ivorn,
        _trigger_id(params, ivorn),
        _time(_text(root, "ISOTime")),
        _voevent_status(root),
        ra,
        dec,
        60 * radius,
        float(cap_area_sr(radius)),
        _NO_REGION,
    )


def _who(observatory: str, rest: str) -> tuple[str, str, str]:
    """Read observatory, instrument and kind off an ivorn; IceCube sends through AMON."""
    words = rest.split("_")
    if words[0].upper() == "ICECUBE":
        kind = words[1].capitalize() if len(words) > 1 else ""
        return ICECUBE, "", kind
    return observatory, words[0], ""


def _trigger_id(params: dict[str, str], ivorn: str) -> str:
    for name in ("TrigID", "AMON_ID", "event_id"):
        if params.get(name):
            return params[name]
    raise DataError("bad_notice", f"{ivorn} has no trigger id")


def _voevent_status(root: ElementTree.Element) -> str:
    """Give ``retraction``, ``update`` or ``initial`` by what the notice cites."""
    cited = {one.get("cite", "") for one in root.iter() if _plain(one.tag) == "EventIVORN"}
    return RETRACTION if RETRACTION in cited else "update" if cited & {"followup", "supersedes"} else "initial"


def _plain(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]


def _text(root: ElementTree.Element, name: str) -> str:
    """Give the text of the first element of a name below WhereWhen."""
    for where in root.iter():
        if _plain(where.tag) == "WhereWhen":
            for one in where.iter():
                if _plain(one.tag) == name and one.text and one.text.strip():
                    return one.text.strip()
    raise DataError("bad_notice", f"WhereWhen has no {name}")


def _number(root: ElementTree.Element, name: str) -> float:
    text = _text(root, name)
    try:
        return float(text)
    except ValueError as error:
        raise DataError("bad_notice", f"{name} is {text!r}") from error


# -- LVK -----------------------------------------------------------------------------------------------------------


def _from_json(payload: bytes) -> Notice:
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise DataError("not_a_notice", f"not JSON: {error}") from error
    name, kind = told.get("superevent_id"), told.get("alert_type")
    if not isinstance(name, str) or not isinstance(kind, str) or not name:
        raise DataError("not_a_notice", "JSON without superevent_id and alert_type is no alert of LVK")
    if not name.startswith("S"):
        raise DataError("test", f"superevent {name} is a mock")
    if kind == "RETRACTION":
        nan = float("nan")
        return Notice(
            LVK, "", GRAVITATIONAL_WAVE, "", name, _time(told.get("time_created")), RETRACTION,
            nan, nan, nan, 0.0, _NO_REGION,
        )  # fmt: skip
    event = told.get("event")
    if not isinstance(event, dict):
        raise DataError("bad_notice", f"{name} has no event")
    skymap = read_skymap(_map_of(name, event))
    region = credible_region(skymap)
    area_sr = region_area_sr(region)
    ra, dec = densest_place(skymap)
    instruments = event.get("instruments") or []
    return Notice(
        LVK,
        "_".join(sorted(str(one) for one in instruments)),
        GRAVITATIONAL_WAVE,
        "",
        name,
        _time(event.get("time")),
        kind.lower(),
        ra,
        dec,
        60 * cap_radius_deg(area_sr),
        area_sr,
        region,
    )


def _map_of(name: str, event: dict[str, Any]) -> bytes:
    text = event.get("skymap")
    if not text:
        raise DataError("no_position", f"{name} has no sky map")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise DataError("bad_skymap", f"the sky map of {name} is not base64: {error}") from error


def _time(text: object) -> datetime:
    """Read an ISO time in UTC, with or without its zone, to the microsecond."""
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(text).strip()).replace("Z", "+00:00"))
    except ValueError as error:
        raise DataError("bad_notice", f"the time is {text!r}") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not datetime(1990, 1, 1, tzinfo=UTC) < moment < datetime(2100, 1, 1, tzinfo=UTC):
        raise DataError("bad_notice", f"the time is {text!r}")
    return moment.astimezone(UTC)
