"""Whether a star or quasar lies within 5 arcsec of an alert.

Where the local extract of SDSS or PS1 looks, it answers. Elsewhere the alert's own PS1 counterpart does: a star if
``sgscore1`` is above 0.76 (Tachibana & Miller 2018, PASP 130, 128001) within the same distance. No answer is not "no".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.catalogs import Catalog, CatalogHandle, Matches, catalog_handle
from fink_lib.science.columns import Columns, Floats
from fink_lib.science.crossmatch import provenance
from fink_lib.science.layout import Layout, layout_of
from fink_lib.surveys.base import Survey

RADIUS_ARCSEC = 5.0
STAR_SCORE = 0.76
STARLIKE = ("STAR", "QSO")
"""Kinds of the extract, in capitals, that count."""

SCORE, DISTANCE = "candidate.sgscore1", "candidate.distpsnr1"


class StarNear(ScienceModule):
    """Looks for the star.

    Parameters
    ----------
    layout : Layout
        Where the alert's position is.
    catalog : CatalogHandle
        The extract.
    """

    def __init__(self, layout: Layout, catalog: CatalogHandle) -> None:
        self.declaration = Declaration(
            name="star_near",
            version="1",
            inputs=(layout.ra, layout.dec, SCORE, DISTANCE),
            outputs=pa.schema([("star_near", pa.bool_())]),
        )
        self._layout = layout
        self._catalog = catalog

    @property
    def resources(self) -> Mapping[str, str]:
        """The extract's version and digest, if there is one."""
        return provenance(self._catalog)

    def run(self, columns: Columns) -> ModuleResult:
        """Look; ``unavailable`` where neither the extract nor the alert's fields can tell."""
        size = len(columns)
        near, known = _by_fields(columns.floats(SCORE), columns.floats(DISTANCE))
        separation = np.full(size, np.nan)
        catalog = self._catalog.current()
        if catalog is not None:
            place = columns.floats(self._layout.ra), columns.floats(self._layout.dec)
            found = catalog.nearest(*place, RADIUS_ARCSEC, lambda pairs: _starlike(catalog, pairs))
            near = np.where(found.covered, found.source >= 0, near)
            known = known | found.covered
            separation = np.where(found.covered, found.separation_arcsec, np.nan)
        status = statuses(size)
        status[~known] = Status.UNAVAILABLE
        return ModuleResult({"star_near": near}, status, separation)


def _starlike(catalog: Catalog, pairs: Matches) -> npt.NDArray[np.bool_]:
    kinds = pc.utf8_upper(catalog.column("kind", pairs.source))
    counts: npt.NDArray[np.bool_] = pc.is_in(kinds, pa.array(STARLIKE)).to_numpy(zero_copy_only=False)
    return counts


def _by_fields(score: Floats, distance: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Give the answer of the alert's fields, and where they have one: either field alone can say no."""
    not_star = score <= STAR_SCORE
    not_near = (distance < 0) | (distance >= RADIUS_ARCSEC)
    both = np.isfinite(score) & np.isfinite(distance)
    return both & ~not_star & ~not_near, both | not_star | not_near


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its column is ``star_near``."""
    if survey.fink_schema.get_field_index("star_near") < 0:
        return []
    return [StarNear(layout_of(survey.name), catalog_handle("stars", settings))]
