"""The catalogues that the broker can use: their columns, and where they come from.

Those of the package fink-science are there without a network. A snapshot ``<name>.parquet`` in the catalogue folder is
needed for the others, and stands before the package's file where there is both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.errors import ConfigError
from fink_lib.science.catalogs.reading import Column
from fink_lib.science.catalogs.sources import CatalogSource, LayeredSource, PackageSource, SnapshotSource
from fink_lib.science.catalogs.store import CatalogHandle

_TEXT, _REAL, _FLOAT, _INT = pa.string(), pa.float64(), pa.float32(), pa.int32()
_NAME = Column(_TEXT, ("name", "main_id"), required=False)


@dataclass(frozen=True)
class KnownCatalog:
    """What one catalogue holds.

    Parameters
    ----------
    title : str
        What it is, for people.
    columns : mapping of str to Column
        Its columns beside the position.
    files : tuple of str
        Data files of the package fink-science; empty if it does not carry this catalogue.
    """

    title: str
    columns: Mapping[str, Column]
    files: tuple[str, ...] = field(default=())


KNOWN: Mapping[str, KnownCatalog] = {
    "simbad": KnownCatalog(
        "SIMBAD main types",
        {"name": _NAME, "main_type": Column(_TEXT, ("main_type", "otype"))},
    ),
    "gaia": KnownCatalog(
        "Gaia DR3, main source table (CDS I/355)",
        {
            "DR3Name": Column(_TEXT, ("DR3Name", "designation")),
            "Plx": Column(_FLOAT, ("Plx", "parallax"), required=False),
            "e_Plx": Column(_FLOAT, ("e_Plx", "parallax_error"), required=False),
            "VarFlag": Column(_INT, ("VarFlag", "phot_variable_flag"), yes="VARIABLE"),
        },
    ),
    "gaia_class": KnownCatalog(
        "Gaia DR3 variability classes (CDS I/358/vclassre)",
        {"name": Column(_TEXT, ("name", "Source"), required=False), "class": Column(_TEXT, ("Class", "best_class"))},
    ),
    "vsx": KnownCatalog(
        "AAVSO International Variable Star Index (CDS B/vsx)",
        {"type": Column(_TEXT, ("type", "VType"))},
        ("vsx.parquet",),
    ),
    "gcvs": KnownCatalog(
        "General Catalogue of Variable Stars (CDS B/gcvs)",
        {"type": Column(_TEXT, ("type", "VarType"))},
        ("gcvs.parquet",),
    ),
    "spicy": KnownCatalog(
        "SPICY young stellar object candidates (CDS J/ApJS/254/33)",
        {"id": Column(_INT, ("id", "SPICY"), required=False), "class": Column(_TEXT, ("class",))},
    ),
    "3hsp": KnownCatalog(
        "3HSP high-synchrotron-peaked blazars",
        {"name": Column(_TEXT, ("3HSP Source name", "name"))},
        ("3hsp.csv",),
    ),
    "4lac": KnownCatalog(
        "Fermi LAT AGN, 4LAC-DR3, both tables",
        {"name": Column(_TEXT, ("Source_Name", "name"))},
        ("table-4LAC-DR3-h.fits", "table-4LAC-DR3-l.fits"),
    ),
    "mangrove": KnownCatalog(
        "Mangrove galaxies within 230 Mpc",
        {
            "HyperLEDA_name": Column(_TEXT, ("HyperLEDA_name",), required=False),
            "2MASS_name": Column(_TEXT, ("2MASS_name",), required=False),
            "lum_dist": Column(_REAL, ("lum_dist",)),
            "ang_dist": Column(_REAL, ("ang_dist",)),
        },
        ("mangrove_filtered.parquet",),
    ),
    "tns": KnownCatalog(
        "Transient Name Server, public objects",
        {
            "name": Column(_TEXT, ("fullname", "name_prefix+name", "name"), required=False),
            "type": Column(_TEXT, ("type", "Obj. Type"), required=False),
            "redshift": Column(_FLOAT, ("redshift",), required=False),
            # Not matched by, but sought by: names that surveys gave it, separated by commas.
            "internalname": Column(_TEXT, ("internalname", "internal_names"), required=False),
            "discoverydate": Column(_TEXT, ("discoverydate",), required=False),
        },
    ),
    "magnetic_cv": KnownCatalog("magnetic cataclysmic variables", {"name": Column(_TEXT, ("name",))}),
    "symbiotic_cv": KnownCatalog("symbiotic stars and cataclysmic variables", {"name": Column(_TEXT, ("name",))}),
    "known_tde": KnownCatalog("known tidal disruption events", {"name": Column(_TEXT, ("name",))}),
    "dwarf_agn": KnownCatalog(
        "dwarf galaxies with an active nucleus, with effective radii",
        {"name": Column(_TEXT, ("name", "MaNGAID")), "radius_arcsec": Column(_REAL, ("radius_arcsec", "Re_arc"))},
    ),
    "stars": KnownCatalog(
        "stars and quasars of SDSS or PS1",
        {"kind": Column(_TEXT, ("kind", "class"))},
    ),
}
"""By name."""


def known_sources(settings: Settings) -> tuple[CatalogSource, ...]:
    """Give the source of every catalogue that the broker can use.

    Parameters
    ----------
    settings : Settings
        Where snapshots are.
    """
    return tuple(source_of(name, settings) for name in KNOWN)


def source_of(name: str, settings: Settings) -> CatalogSource:
    """Give the source of one catalogue.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if name not in KNOWN:
        raise ConfigError(f"no catalogue is called {name}; there are: {', '.join(KNOWN)}")
    known = KNOWN[name]
    snapshot = SnapshotSource(name, settings.catalog_dir / f"{name}.parquet", known.columns)
    return LayeredSource(snapshot, PackageSource(name, known.files, known.columns)) if known.files else snapshot


def catalog_handle(name: str, settings: Settings) -> CatalogHandle:
    """Give a catalogue as a module uses it (see :func:`source_of`)."""
    return CatalogHandle(source_of(name, settings), settings.catalog_dir)
