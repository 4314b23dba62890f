"""Cross-match of alerts with one catalogue: the nearest source strictly within a radius, at most one.

The direction is alert to source, so two alerts beside one source both get it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.catalogs import CatalogHandle
from fink_lib.science.columns import Columns
from fink_lib.science.layout import Layout


class CrossMatch(ScienceModule):
    """Copies columns of the nearest source.

    Parameters
    ----------
    name, version : str
        See :class:`Declaration`.
    layout : Layout
        Where the alert's position is.
    catalog : CatalogHandle
        What is searched.
    radius_arcsec : float
        Sources at this distance or beyond do not match.
    columns : mapping of str to (str, pyarrow.DataType)
        Output column to the catalogue's column and the output's type.
    """

    def __init__(
        self,
        name: str,
        version: str,
        layout: Layout,
        catalog: CatalogHandle,
        radius_arcsec: float,
        columns: Mapping[str, tuple[str, pa.DataType]],
    ) -> None:
        self.declaration = Declaration(
            name=name,
            version=version,
            inputs=(layout.ra, layout.dec),
            outputs=pa.schema([(output, kind) for output, (_, kind) in columns.items()]),
        )
        self.radius_arcsec = radius_arcsec
        self._layout = layout
        self._catalog = catalog
        self._columns = {output: column for output, (column, _) in columns.items()}

    @property
    def resources(self) -> Mapping[str, str]:
        """The catalogue's version and digest, if there is one."""
        catalog = self._catalog.current()
        return {f"catalog.{self._catalog.source.name}": catalog.provenance} if catalog else {}

    def run(self, columns: Columns) -> ModuleResult:
        """Match; outside the coverage, or without the catalogue, an alert is ``unavailable``."""
        size = len(columns)
        catalog = self._catalog.current()
        if catalog is None:
            nulls = {field.name: pa.nulls(size, field.type) for field in self.declaration.outputs}
            return ModuleResult(nulls, statuses(size, Status.UNAVAILABLE))
        found = catalog.nearest(columns.floats(self._layout.ra), columns.floats(self._layout.dec), self.radius_arcsec)
        status = statuses(size, Status.NO_MATCH)
        status[found.source >= 0] = Status.OK
        status[~found.covered] = Status.UNAVAILABLE
        outputs = {
            field.name: catalog.column(self._columns[field.name], found.source).cast(field.type)
            for field in self.declaration.outputs
        }
        return ModuleResult(outputs, status, np.where(status == Status.OK, found.separation_arcsec, np.nan))
