"""Cross-match with a local catalogue, and with a service where the catalogue does not look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fink_lib.science.base import ModuleResult, Status
from fink_lib.science.catalogs import CatalogHandle
from fink_lib.science.columns import Columns
from fink_lib.science.crossmatch import CrossMatch
from fink_lib.science.layout import Layout

if TYPE_CHECKING:
    from fink_lib.science.services.client import ServiceClient


class ServedCrossMatch(CrossMatch):
    """A cross-match whose catalogue is also served.

    Parameters
    ----------
    name, version, layout, catalog, radius_arcsec, columns
        See :class:`CrossMatch`.
    service : ServiceClient, optional
        Who is asked about alerts outside the catalogue's coverage; nobody if not given.
    """

    def __init__(
        self,
        name: str,
        version: str,
        layout: Layout,
        catalog: CatalogHandle,
        radius_arcsec: float,
        columns: Mapping[str, tuple[str, pa.DataType]],
        service: ServiceClient | None = None,
    ) -> None:
        super().__init__(name, version, layout, catalog, radius_arcsec, columns)
        self._service = service

    @property
    def resources(self) -> Mapping[str, str]:
        """The catalogue's version and digest, and the service's edition."""
        return {**super().resources, **(self._service.provenance if self._service else {})}

    def run(self, columns: Columns) -> ModuleResult:
        """Match; where neither the catalogue looks nor the service answers, an alert is ``unavailable``."""
        local = super().run(columns)
        rows = np.flatnonzero(local.status == Status.UNAVAILABLE)
        if self._service is None or not len(rows):
            return local
        place = columns.floats(self._layout.ra)[rows], columns.floats(self._layout.dec)[rows]
        answers = self._service.around(*place)
        found = answers.nearest(*place, self.radius_arcsec)
        status = local.status.copy()
        status[rows[found.covered]] = Status.NO_MATCH
        matched = found.source >= 0
        status[rows[matched]] = Status.OK
        take = np.arange(len(columns))
        take[rows] = len(columns) + np.arange(len(rows))
        outputs = {
            field.name: pa.concat_arrays(
                [local.outputs[field.name], answers.column(self._columns[field.name], found.source).cast(field.type)]
            ).take(pa.array(take))
            for field in self.declaration.outputs
        }
        separation = np.full(len(columns), np.nan) if local.separation_arcsec is None else local.separation_arcsec
        separation[rows[matched]] = found.separation_arcsec[matched]
        return ModuleResult(outputs, status, separation)
