"""Number and class of the nearest SPICY young stellar object candidate, from a local snapshot.

Kuhn et al. 2021, ApJS 254, 33 (CDS J/ApJS/254/33). A snapshot without the catalogue's numbers gives the class alone.
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

RADIUS_ARCSEC = 1.2


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its columns are ``spicy_id`` (null if the snapshot has no numbers) and ``spicy_class``."""
    columns = {
        "spicy_id": ("id", pa.int32()),
        "spicy_class": ("class", pa.string()),
    }
    handle = catalog_handle("spicy", settings)
    return [CrossMatch("spicy", "1", layout_of(survey.name), handle, RADIUS_ARCSEC, columns)]
