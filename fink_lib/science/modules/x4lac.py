"""Name of the nearest active galaxy of the fourth Fermi LAT catalogue, at high and low latitudes.

Ajello et al. 2022, ApJS 263, 24 (4LAC-DR3). Positions are those of the gamma-ray source.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import ScienceModule
from fink_lib.science.catalogs import catalog_handle
from fink_lib.science.crossmatch import CrossMatch
from fink_lib.science.layout import layout_of
from fink_lib.surveys.base import Survey

RADIUS_ARCSEC = 60.0


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module, called ``4lac`` in ``fink_status``; its column is ``x4lac``."""
    columns = {"x4lac": ("name", pa.string())}
    handle = catalog_handle("4lac", settings)
    return [CrossMatch("4lac", "1", layout_of(survey.name), handle, RADIUS_ARCSEC, columns)]
