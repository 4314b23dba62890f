"""Variability type of the nearest star of the General Catalogue of Variable Stars.

Samus et al. 2017, Astronomy Reports 61, 80 (CDS B/gcvs).
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

RADIUS_ARCSEC = 1.5


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its column is ``gcvs``. A star that the catalogue leaves unclassified gives an empty type."""
    columns = {"gcvs": ("type", pa.string())}
    handle = catalog_handle("gcvs", settings)
    return [CrossMatch("gcvs", "1", layout_of(survey.name), handle, RADIUS_ARCSEC, columns)]
