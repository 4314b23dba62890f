"""Name, parallax and variability flag of the nearest Gaia DR3 source, from a local snapshot, else from VizieR.

Gaia Collaboration, Vallenari et al. 2023, A&A 674, A1 (CDS I/355). Parallax and its error are in mas and may be missing
beside a name, because one source in five has none; the flag is 1 for a photometric variable, else 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import ScienceModule
from fink_lib.science.catalogs import catalog_handle
from fink_lib.science.layout import layout_of
from fink_lib.science.services import ServedCrossMatch, find_service
from fink_lib.surveys.base import Survey

RADIUS_ARCSEC = 1.0


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its columns are ``DR3Name``, ``Plx``, ``e_Plx`` and ``gaiaVarFlag``."""
    columns = {
        "DR3Name": ("DR3Name", pa.string()),
        "Plx": ("Plx", pa.float32()),
        "e_Plx": ("e_Plx", pa.float32()),
        "gaiaVarFlag": ("VarFlag", pa.int32()),
    }
    handle = catalog_handle("gaia", settings)
    service = find_service("gaia", settings)
    return [ServedCrossMatch("gaia", "1", layout_of(survey.name), handle, RADIUS_ARCSEC, columns, service)]
