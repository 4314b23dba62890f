"""26 numbers that describe the light curve of an alert in one band; models take them as input.

The features are those of Malanchev et al. 2021 (MNRAS 502, 5147), computed by their package ``light-curve``.
"""

from __future__ import annotations

from collections.abc import Sequence

import light_curve as lc
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.history import History
from fink_lib.science.models.lightcurves import LightCurves
from fink_lib.science.photometry import apparent_magnitude, difference_sign
from fink_lib.surveys.base import Survey
from fink_lib.surveys.ztf_columns import LC_FEATURES

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BANDS = {"g": 1, "r": 2}
"""Bands with features, and their ``fid``."""

SOURCE_RADIUS_ARCSEC = 1.5
"""A reference source closer than this is the varying source itself: its flux belongs to the light curve (Fink)."""

ENTRIES = ("magpsf", "sigmapsf", "magnr", "sigmagnr", "distnr")

POINT = pa.struct([("t", pa.float64()), ("m", pa.float64()), ("sigma", pa.float64())])
ROLES = {"t": "t", "m": "m", "sigma": "sigma"}
FEATURES = pa.struct([(name, pa.float64()) for name in LC_FEATURES])

EXTRACTOR = lc.Extractor(
    lc.Mean(),
    lc.WeightedMean(),
    lc.StandardDeviation(),
    lc.Median(),
    lc.Amplitude(),
    lc.BeyondNStd(1.0),
    lc.Cusum(),
    lc.InterPercentileRange(0.1),
    lc.Kurtosis(),
    lc.LinearTrend(),
    lc.LinearFit(),
    lc.MagnitudePercentageRatio(0.4, 0.05),
    lc.MagnitudePercentageRatio(0.2, 0.1),
    lc.MaximumSlope(),
    lc.MedianAbsoluteDeviation(),
    lc.MedianBufferRangePercentage(0.1),
    lc.PercentAmplitude(),
    lc.MeanVariance(),
    lc.AndersonDarlingNormal(),
    lc.ReducedChi2(),
    lc.Skew(),
    lc.StetsonK(),
)
"""The 26 features in the order of :data:`fink_lib.surveys.ztf_columns.LC_FEATURES`."""


class LightCurveFeatures(ScienceModule):
    """Features of one band; ``not_applicable`` without a valid point in it.

    Parameters
    ----------
    band : str
        A key of :data:`BANDS`.
    """

    def __init__(self, band: str) -> None:
        self._fid = BANDS[band]
        self._column = f"lc_features_{band}"
        self.declaration = Declaration(
            name=self._column,
            version=f"1-{lc.__version__}",
            inputs=tuple(f"history.{name}" for name in (*ENTRIES, "isdiffpos")),
            outputs=pa.schema([(self._column, FEATURES)]),
        )

    def run(self, columns: Columns) -> ModuleResult:
        """Extract; a feature that needs more points, or has no finite value, is null within the struct."""
        points, magnitude, error = measurements(curves_of(columns.history))
        chosen = points.band == self._fid
        lengths = points.count(chosen)
        features = extract(points.time_jd[chosen], magnitude[chosen], error[chosen], lengths)
        status = statuses(len(columns))
        status[lengths == 0] = Status.NOT_APPLICABLE
        return ModuleResult({self._column: features}, status)


def curves_of(history: History) -> LightCurves:
    """Give light curves with the entries that features need; two of one time and band stay side by side, sorted."""
    entries = {name: history.values(name) for name in ENTRIES}
    entries["sign"] = difference_sign(history.arrow("isdiffpos"))
    return LightCurves(history.offsets, history.time, history.band, entries, {})


def measurements(curves: LightCurves) -> tuple[LightCurves, Floats, Floats]:
    """Give the valid g and r points of light curves with the magnitudes that describe the source.

    Difference magnitudes, unless a valid point of the alert, in any band, lies within 1.5 arcsec of a reference source:
    then all points of the alert are apparent magnitudes, and those without one are left out.

    Parameters
    ----------
    curves : LightCurves
        With the entries :data:`ENTRIES` and ``sign``.

    Returns
    -------
    LightCurves
        The points, each (time, band) once.
    magnitude, error : ndarray, shape (points,)
        In mag.
    """
    distance = curves.entries["distnr"]
    near = curves.count(curves.valid & (distance >= 0) & (distance <= SOURCE_RADIUS_ARCSEC)) > 0
    points = curves.where(curves.valid & np.isin(curves.band, list(BANDS.values())))
    entries = points.entries
    difference = entries["magpsf"], entries["sigmapsf"]
    apparent = apparent_magnitude(*difference, entries["magnr"], entries["sigmagnr"], entries["sign"])
    magnitude, error = (
        np.where(near[points.alert], mine, theirs) for mine, theirs in zip(apparent, difference, strict=True)
    )
    usable = np.isfinite(magnitude) & np.isfinite(error)
    kept = usable & _last_of_each(points, usable)
    return points.where(kept), magnitude[kept], error[kept]


def _last_of_each(points: LightCurves, usable: Bools) -> Bools:
    """Mark the points that win among the usable ones of their (alert, time, band): in a sorted history, the last."""
    rows = np.flatnonzero(usable)
    same = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for key in (points.alert, points.time_jd, points.band):
        same &= key[rows][1:] == key[rows][:-1]
    marked = np.zeros(len(usable), dtype=bool)
    marked[rows] = np.append(~same, True) if len(rows) else True
    return marked


def extract(time: Floats, magnitude: Floats, error: Floats, lengths: npt.NDArray[np.int64]) -> pa.StructArray:
    """Compute the features of many light curves.

    Parameters
    ----------
    time, magnitude, error : ndarray, shape (points,)
        Times (d), increasing within each light curve, and finite values with errors.
    lengths : ndarray of int64, shape (curves,)
        Points of each light curve, which lie one after the other.

    Returns
    -------
    pyarrow.StructArray
        One per light curve; a feature without a finite value is null.
    """
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int32())
    points = pa.StructArray.from_arrays([pa.array(time), pa.array(magnitude), pa.array(error)], fields=list(POINT))
    curves = pa.ListArray.from_arrays(offsets, points)
    values = EXTRACTOR.many(curves, arrow_fields=ROLES, fill_value=np.nan, sorted=True, check=False, n_jobs=1)
    fields = [pa.array(column, mask=~np.isfinite(column)) for column in np.ascontiguousarray(values.T)]
    return pa.StructArray.from_arrays(fields, fields=list(FEATURES))


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give one module per band."""
    return [LightCurveFeatures(band) for band in BANDS] if survey.name == "ztf" else []
