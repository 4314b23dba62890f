"""Variability class of the nearest Gaia DR3 variable, from a local snapshot.

Rimoldini et al. 2023, A&A 674, A14 (CDS I/358/vclassre): the best class of the supervised classifiers.
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

RADIUS_ARCSEC = 1.0


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its column is ``gaiaClass``."""
    columns = {"gaiaClass": ("class", pa.string())}
    handle = catalog_handle("gaia_class", settings)
    return [CrossMatch("gaia_class", "1", layout_of(survey.name), handle, RADIUS_ARCSEC, columns)]
