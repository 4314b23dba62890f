"""Reference catalogues: one local format, where they come from, how alerts are matched with them."""

from __future__ import annotations

from fink_lib.science.catalogs.catalog import Catalog, Matches, Nearest
from fink_lib.science.catalogs.known import catalog_handle, known_sources, source_of
from fink_lib.science.catalogs.sources import CatalogSource
from fink_lib.science.catalogs.store import CatalogHandle, built_folder, damaged_files, open_catalog

__all__ = [
    "Catalog",
    "CatalogHandle",
    "CatalogSource",
    "Matches",
    "Nearest",
    "built_folder",
    "catalog_handle",
    "damaged_files",
    "known_sources",
    "open_catalog",
    "source_of",
]
