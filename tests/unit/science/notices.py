"""GCN notices made by hand, in the form in which observatories send them."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from astropy.io import fits

VOEVENT = """<?xml version="1.0" encoding="UTF-8"?>
<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" ivorn="{ivorn}" role="{role}" version="2.0">
  <What>
    <Param name="Packet_Type" value="112"/>
    <Param name="{id_name}" value="{trigger_id}" ucd="meta.id"/>
    <Group name="Trigger_ID"><Param name="Def_NOT_a_GRB" value="{not_a_burst}"/></Group>
  </What>
  <WhereWhen><ObsDataLocation><ObservationLocation>
    <AstroCoordSystem id="UTC-FK5-GEO"/>
    <AstroCoords coord_system_id="UTC-FK5-GEO">
      <Time unit="s"><TimeInstant><ISOTime>{time}</ISOTime></TimeInstant></Time>
      <Position2D unit="deg">
        <Value2><C1>{ra}</C1><C2>{dec}</C2></Value2><Error2Radius>{error}</Error2Radius>
      </Position2D>
    </AstroCoords>
  </ObservationLocation></ObsDataLocation></WhereWhen>
  <Citations>{citation}</Citations>
</voe:VOEvent>
"""


def voevent(**values: Any) -> bytes:
    """Give a VOEvent of a burst seen by Fermi GBM; `values` replace the defaults."""
    filled = {
        "ivorn": "ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos_2024-03-11T20:00:00.00_731880005_1-600",
        "role": "observation",
        "id_name": "TrigID",
        "trigger_id": "731880005",
        "not_a_burst": "false",
        "time": "2024-03-11T20:00:00.50",
        "ra": 150.0,
        "dec": 20.0,
        "error": 5.0,
        "citation": "",
    } | values
    return VOEVENT.format(**filled).encode()


def skymap(uniq: list[int], density: list[float]) -> bytes:
    """Write a multi-order sky map."""
    columns = [
        fits.Column("UNIQ", "K", array=np.array(uniq)),
        fits.Column("PROBDENSITY", "D", array=np.array(density), unit="sr-1"),
    ]
    return _file(fits.BinTableHDU.from_columns(columns))


def flat_skymap(probability: np.ndarray[Any, Any], ordering: str) -> bytes:
    """Write a sky map of equal cells."""
    table = fits.BinTableHDU.from_columns([fits.Column("PROB", "D", array=probability)])
    table.header["NSIDE"] = int(np.sqrt(len(probability) / 12))
    table.header["ORDERING"] = ordering
    return _file(table)


def _file(table: fits.BinTableHDU) -> bytes:
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return file.getvalue()


def lvk(skymap_file: bytes | None = None, **values: Any) -> bytes:
    """Give an alert of LVK; `values` replace fields of the whole, ``event`` those of the event."""
    event = {"time": "2024-03-11T20:00:00.000Z", "instruments": ["L1", "H1"], "significant": True}
    if skymap_file is not None:
        event["skymap"] = base64.b64encode(skymap_file).decode()
    told = {
        "superevent_id": "S240311x",
        "alert_type": "PRELIMINARY",
        "time_created": "2024-03-11T20:01:00Z",
        "event": event | values.pop("event", {}),
    }
    return json.dumps(told | values).encode()
