"""Where on the sky a night has looked: HEALPix pixels with alerts and exposures, by band."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from astropy.coordinates import Latitude, Longitude
from cdshealpix.nested import lonlat_to_healpix

ORDER = 5
"""Of the pixels: 12,288 of them, 1.8 degrees wide; a ZTF field has about sixteen."""

PIXEL_DEG2 = 41252.96 / (12 * 4**ORDER)


def sky_coverage(places: pa.Table) -> pa.Table:
    """Count the alerts and the exposures in each pixel and band.

    Parameters
    ----------
    places : pyarrow.Table
        ``ra``, ``dec`` (degrees, ICRS), ``band``, ``jd`` (of the exposure); one row per alert.

    Returns
    -------
    pyarrow.Table
        ``pixel`` (nested, order :data:`ORDER`), ``band``, ``exposures``, ``alerts``; sorted.
    """
    ra, dec = (places.column(name).to_numpy() for name in ("ra", "dec"))
    pixels = np.empty(0, np.int64)
    if len(ra):
        pixels = lonlat_to_healpix(Longitude(ra, unit="deg"), Latitude(dec, unit="deg"), ORDER).astype(np.int64)
    rows = pa.table({"pixel": pixels, "band": places.column("band"), "jd": places.column("jd")})
    counted = rows.group_by(["pixel", "band"]).aggregate([("jd", "count_distinct"), ("jd", "count")])
    named = counted.rename_columns({"jd_count_distinct": "exposures", "jd_count": "alerts"})
    ordered: pa.Table = named.select(["pixel", "band", "exposures", "alerts"]).sort_by(
        [("pixel", "ascending"), ("band", "ascending")]
    )
    return ordered
