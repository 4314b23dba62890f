"""Main type of the nearest SIMBAD object, from a local snapshot, else from SIMBAD itself if services are asked.

Wenger et al. 2000, A&AS 143, 9. The snapshot covers part of the sky only: outside it, and without one, SIMBAD answers
or the status is ``unavailable`` and everything that depends on the label waits.
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
    """Give the module; its column is ``cdsxmatch``, the label as the snapshot spells it."""
    columns = {"cdsxmatch": ("main_type", pa.string())}
    handle = catalog_handle("simbad", settings)
    service = find_service("simbad", settings)
    return [ServedCrossMatch("simbad", "1", layout_of(survey.name), handle, RADIUS_ARCSEC, columns, service)]
