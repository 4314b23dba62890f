"""Nearby galaxy in which an alert would have the brightness of a young kilonova.

Galaxies of the Mangrove catalogue (Ducoin et al. 2020, MNRAS 492, 4768) within 2 degrees and 10 kpc in projection,
for which the alert's absolute magnitude is between -17 and -15: AT 2017gfo peaked near -16 (Villar et al. 2017, ApJ
851, L21), with a magnitude to each side. Of several the one nearest to Earth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.catalogs import Catalog, CatalogHandle, catalog_handle
from fink_lib.science.catalogs.catalog import ARCSEC_PER_RAD
from fink_lib.science.columns import Columns, Floats
from fink_lib.science.crossmatch import Ints, provenance, without_catalog
from fink_lib.science.history import to_floats
from fink_lib.science.layout import Layout, layout_of
from fink_lib.surveys.base import Survey

MAX_SEPARATION_ARCSEC = 2 * 3600.0
MAX_PROJECTED_MPC = 0.01
BRIGHTEST, FAINTEST = -17.0, -15.0
MAGNITUDE = "candidate.magpsf"

HOST = pa.struct(
    [("name", pa.string()), ("lum_dist", pa.float64()), ("sep_kpc", pa.float64()), ("absmag", pa.float64())]
)


class KilonovaHost(ScienceModule):
    """Looks for the host.

    Parameters
    ----------
    layout : Layout
        Where the alert's position is.
    catalog : CatalogHandle
        The galaxies.
    """

    def __init__(self, layout: Layout, catalog: CatalogHandle) -> None:
        self.declaration = Declaration(
            name="kn_host",
            version="1",
            inputs=(layout.ra, layout.dec, MAGNITUDE),
            outputs=pa.schema([("kn_host", HOST)]),
            applies="magpsf IS NOT NULL AND NOT isnan(magpsf)",
        )
        self._layout = layout
        self._catalog = catalog
        self._shrink: tuple[Catalog | None, float] = (None, 1.0)

    @property
    def resources(self) -> Mapping[str, str]:
        """The catalogue's version and digest."""
        return provenance(self._catalog)

    def run(self, columns: Columns) -> ModuleResult:
        """Look for the host; an alert without a magnitude is ``not_applicable``."""
        size = len(columns)
        catalog = self._catalog.current()
        if catalog is None:
            return without_catalog(self.declaration, size)
        ra, dec, magnitude = (columns.floats(path) for path in (self._layout.ra, self._layout.dec, MAGNITUDE))
        found = catalog.within(ra, dec, self._search_radius_arcsec(catalog, magnitude))
        lum_dist = to_floats(catalog.column("lum_dist", found.source))
        ang_dist = to_floats(catalog.column("ang_dist", found.source))
        projected_mpc = found.separation_arcsec / ARCSEC_PER_RAD * ang_dist
        absolute = magnitude[found.position] - 25 - 5 * np.log10(lum_dist)
        hosts = np.flatnonzero((projected_mpc < MAX_PROJECTED_MPC) & (absolute > BRIGHTEST) & (absolute < FAINTEST))
        # Stable: of two galaxies at one distance the one nearer on the sky.
        hosts = hosts[np.lexsort((lum_dist[hosts], found.position[hosts]))]
        position, first = np.unique(found.position[hosts], return_index=True)
        pair = np.full(size, -1, dtype=np.int64)
        pair[position] = hosts[first]
        status = statuses(size, Status.NO_MATCH)
        status[pair >= 0] = Status.OK
        status[~catalog.coverage.contains(ra, dec)] = Status.UNAVAILABLE
        values = [_names(catalog, found.source), lum_dist, 1000 * projected_mpc, absolute]
        arrays = [pa.array(value, field.type) for value, field in zip(values, HOST, strict=True)]
        host = pa.StructArray.from_arrays(arrays, fields=list(HOST)).take(pa.array(pair, mask=pair < 0))
        separation = np.full(size, np.nan)
        separation[position] = found.separation_arcsec[hosts[first]]
        return ModuleResult({"kn_host": host}, status, separation)

    def _search_radius_arcsec(self, catalog: Catalog, magnitude: Floats) -> Floats:
        """Give how far a host may be on the sky: 10 kpc at the nearest distance that the magnitude allows.

        Angular distances are smaller than luminosity distances by at most the factor that is looked up once here.
        """
        if self._shrink[0] is not catalog:
            sources = catalog.sources
            ratio = pc.min(pc.divide(sources.column("ang_dist"), sources.column("lum_dist"))).as_py()
            self._shrink = (catalog, ratio or 1.0)
        nearest_mpc = 10 ** ((magnitude - 25 - FAINTEST) / 5)
        radius = 1.001 * MAX_PROJECTED_MPC / (self._shrink[1] * nearest_mpc) * ARCSEC_PER_RAD
        return np.minimum(radius, MAX_SEPARATION_ARCSEC)


def _names(catalog: Catalog, source: Ints) -> pa.Array:
    return pc.coalesce(catalog.column("HyperLEDA_name", source), catalog.column("2MASS_name", source))


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its column is ``kn_host``."""
    if survey.fink_schema.get_field_index("kn_host") < 0:
        return []
    return [KilonovaHost(layout_of(survey.name), catalog_handle("mangrove", settings))]
