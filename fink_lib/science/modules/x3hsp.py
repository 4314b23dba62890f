"""Name of the nearest high-synchrotron-peaked blazar of the 3HSP catalogue.

Chang et al. 2019, A&A 632, A77.
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
    """Give the module, called ``3hsp`` in ``fink_status``; its column is ``x3hsp``."""
    columns = {"x3hsp": ("name", pa.string())}
    handle = catalog_handle("3hsp", settings)
    return [CrossMatch("3hsp", "1", layout_of(survey.name), handle, RADIUS_ARCSEC, columns)]
