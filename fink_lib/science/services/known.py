"""The services that are asked where no local copy looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from fink_lib.config import Settings
from fink_lib.science.catalogs.known import KNOWN
from fink_lib.science.catalogs.reading import Column
from fink_lib.science.services.answers import CELL_RADIUS_ARCSEC, MARGIN_ARCSEC
from fink_lib.science.simbad_types import simbad_types

if TYPE_CHECKING:
    from fink_lib.science.services.client import ServiceClient

UPLOAD = "asked"
"""Name of the table of positions that is sent along: ``TAP_UPLOAD.asked``."""

CELL, RA, DEC = "asked_cell", "asked_ra", "asked_dec"
"""Its columns."""


@dataclass(frozen=True)
class Service:
    """A table that a service holds.

    Parameters
    ----------
    name : str
        The catalogue that it is.
    table, ra, dec : str
        Its name and its position columns (ICRS, deg) there.
    columns : mapping of str to str
        Our columns to the service's.
    kinds : mapping of str to Column
        How our columns are read.
    edition : str
        Of its data; empty if they change from day to day.
    translate : mapping of str to mapping
        Our column to the service's word to ours; other words stay.
    """

    name: str
    table: str
    ra: str
    dec: str
    columns: Mapping[str, str]
    kinds: Mapping[str, Column]
    edition: str = ""
    translate: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def query(self) -> str:
        """The query: all sources around the places that are sent along."""
        selected = ", ".join(f'src."{name}"' for name in (self.ra, self.dec, *self.columns.values()))
        radius_deg = (CELL_RADIUS_ARCSEC + MARGIN_ARCSEC) / 3600
        return (
            f'SELECT {UPLOAD}.{CELL}, {selected} FROM TAP_UPLOAD.{UPLOAD} AS {UPLOAD}, "{self.table}" AS src '
            f'WHERE 1 = CONTAINS(POINT(\'ICRS\', src."{self.ra}", src."{self.dec}"), '
            f"CIRCLE('ICRS', {UPLOAD}.{RA}, {UPLOAD}.{DEC}, {radius_deg:.7f}))"
        )

    def edition_on(self, today: date, keep_days: int) -> str:
        """Name the edition of the data that answers of a day belong to.

        Data that change from day to day have none of their own: all answers of some days count as one edition, named
        after the first of these days, and are forgotten together.
        """
        if self.edition:
            return self.edition
        return f"since-{date.fromordinal(today.toordinal() - today.toordinal() % keep_days).isoformat()}"


SERVICES: Mapping[str, Service] = {
    "simbad": Service(
        "simbad",
        table="basic",
        ra="ra",
        dec="dec",
        columns={"name": "main_id", "main_type": "otype"},
        kinds=KNOWN["simbad"].columns,
        translate={"main_type": {one.code: one.label for one in simbad_types()}},
    ),
    "gaia": Service(
        "gaia",
        table="I/355/gaiadr3",
        ra="RA_ICRS",
        dec="DE_ICRS",
        columns={"DR3Name": "DR3Name", "Plx": "Plx", "e_Plx": "e_Plx", "VarFlag": "VarFlag"},
        kinds=KNOWN["gaia"].columns,
        edition="gaia-dr3",
    ),
}
"""By catalogue: SIMBAD's own TAP service (Wenger et al. 2000, A&AS 143, 9), and Gaia DR3 as VizieR serves it."""


def find_service(name: str, settings: Settings) -> ServiceClient | None:
    """Give the client of a service, if services are to be asked.

    Parameters
    ----------
    name : str
        One of :data:`SERVICES`.
    settings : Settings
        The installation.
    """
    if settings.services.asked != "always":
        return None
    from fink_lib.science.services.cache import AnswerCache
    from fink_lib.science.services.client import ServiceClient  # its HTTP library takes a while to import

    service = SERVICES[name]
    url = settings.catalogs.simbad_tap if name == "simbad" else settings.catalogs.vizier_tap
    return ServiceClient(service, url, settings.services, AnswerCache(settings.service_cache))
