"""Type of the nearest classified transient of the Transient Name Server, from a nightly snapshot.

Gal-Yam 2021, BAAS 53, 423.05 (https://www.wis-tns.org). An unclassified report beside the alert says nothing about what
it is, so it does not hide a classified one that is farther away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import Settings
from fink_lib.science.base import ScienceModule
from fink_lib.science.catalogs import Catalog, Matches, catalog_handle
from fink_lib.science.crossmatch import CrossMatch
from fink_lib.science.layout import layout_of
from fink_lib.surveys.base import Survey

RADIUS_ARCSEC = 1.5


class Tns(CrossMatch):
    """Cross-match with the transients that have a type."""

    def accept(self, catalog: Catalog, pairs: Matches) -> npt.NDArray[np.bool_]:
        """Tell which transients are classified."""
        classified: npt.NDArray[np.bool_] = pc.is_valid(catalog.column("type", pairs.source)).to_numpy(
            zero_copy_only=False
        )
        return classified


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its column is ``tns``."""
    columns = {"tns": ("type", pa.string())}
    return [Tns("tns", "1", layout_of(survey.name), catalog_handle("tns", settings), RADIUS_ARCSEC, columns)]
