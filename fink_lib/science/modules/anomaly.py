"""How unlike others an alert's light curve is: isolation forests over its features; lower is more anomalous.

Isolation forests: Liu, Ting & Zhou 2008 (ICDM, 413). ``anomaly_score`` has the project's own forests. The variants are
forests whose leaves experts reweighted (active anomaly discovery: Das et al. 2017, arXiv:1708.09441; for ZTF:
Pruzhinskaya et al. 2023, A&A 672, A111); they are those that the package fink-science carries.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import Settings
from fink_lib.errors import ConfigError
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.history import to_floats
from fink_lib.science.models import ModelHandle
from fink_lib.science.models.inference import Graph
from fink_lib.surveys.base import Survey
from fink_lib.surveys.ztf_columns import ANOMALY_VARIANTS, LC_FEATURES

LOG = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

BANDS = ("g", "r")
MODEL = "anomaly"
PACKAGE = "fink-science"
PACKAGE_FILE = "fink_science/data/models/anomaly_detection/anomaly_detection_forest_AAD{suffix}.zip"

INPUT_NUMBERS = (5, 23, 6, 24, 7, 9, 13, 14, 12, 11, 17, 16, 18, 4, 19, 20, 25, 26, 21, 15, 8, 10, 3, 2, 1)
INPUTS = tuple(LC_FEATURES[number - 1] for number in INPUT_NUMBERS)
"""Features in the order in which forests take them; a smaller forest takes the first so many."""


@dataclass(frozen=True)
class Forest:
    """The forest of one band.

    Parameters
    ----------
    graph : Graph
        Input ``X`` (float32), output ``score``.
    inputs : int
        How many of :data:`INPUTS` it takes.
    """

    graph: Graph
    inputs: int

    def scores(self, features: Floats) -> Floats:
        """Score light curves.

        Parameters
        ----------
        features : ndarray, shape (curves, 25)
            In the order of :data:`INPUTS`; NaN where there is none.

        Returns
        -------
        ndarray, shape (curves,)
            NaN where an input is missing.
        """
        given = features[:, : self.inputs].astype(np.float32)
        complete = np.isfinite(given).all(axis=1)
        result = np.full(len(features), np.nan)
        if complete.any():
            result[complete] = self.graph.run({"X": given[complete]}, "score").ravel()
        return result


class Forests(Protocol):
    """Where the forests of one score come from."""

    @property
    def resources(self) -> Mapping[str, str]:
        """Key and value for ``fink_versions``."""

    @property
    def current(self) -> Mapping[str, Forest] | None:
        """One forest per band; nothing if there are none."""


class OwnForests:
    """The forests of the project's own model.

    Parameters
    ----------
    model : ModelHandle
        Its graphs are called ``g`` and ``r``.
    """

    def __init__(self, model: ModelHandle) -> None:
        self._model = model

    @property
    def resources(self) -> Mapping[str, str]:
        """See :class:`Forests`."""
        return self._model.resources

    @property
    def current(self) -> Mapping[str, Forest] | None:
        """See :class:`Forests`."""
        model = self._model.current
        return {band: Forest(model.graphs[band], len(INPUTS)) for band in BANDS} if model else None


class PublishedForests:
    """The forests of an expert that the package fink-science carries, if it does.

    Parameters
    ----------
    variant : str
        Name of the expert; empty for the forests before any.
    """

    def __init__(self, variant: str) -> None:
        self._suffix = f"_{variant}" if variant else ""

    @property
    def _path(self) -> Path | None:
        try:
            path = Path(str(distribution(PACKAGE).locate_file(PACKAGE_FILE.format(suffix=self._suffix))))
        except PackageNotFoundError:
            return None
        return path if path.exists() else None

    @cached_property
    def _content(self) -> bytes | None:
        return self._path.read_bytes() if self._path else None

    @cached_property
    def resources(self) -> Mapping[str, str]:
        """See :class:`Forests`."""
        if self._content is None:
            return {}
        digest = hashlib.sha256(self._content).hexdigest()
        return {f"model.anomaly{self._suffix}": f"{PACKAGE}-{distribution(PACKAGE).version}@sha256:{digest[:16]}"}

    @cached_property
    def current(self) -> Mapping[str, Forest] | None:
        """See :class:`Forests`; ConfigError if the file is not what it should be."""
        if self._path is None:
            LOG.info("no forests anomaly%s in package %s; that score is unavailable", self._suffix, PACKAGE)
            return None
        try:
            with zipfile.ZipFile(self._path) as archive:
                return {band: _forest(archive.read(f"forest_{band}_AAD{self._suffix}.onnx")) for band in BANDS}
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{self._path} does not hold the forests ({error}); install {PACKAGE} again") from error


@cache
def _forest(data: bytes) -> Forest:
    """Open a forest; experts who changed nothing share one."""
    graph = Graph(data)
    return Forest(graph, int(graph.session.get_inputs()[0].shape[1]))


def feature_matrix(features: pa.StructArray) -> Floats:
    """Give features as rows of numbers in the order of :data:`INPUTS`, NaN where null.

    Parameters
    ----------
    features : pyarrow.StructArray
        A column ``lc_features_g`` or ``lc_features_r``.
    """
    return np.column_stack([to_floats(pc.struct_field(features, name)) for name in INPUTS])


def band_scores(forests: Mapping[str, Forest], features: Mapping[str, Floats], swapped: bool = False) -> Floats:
    """Score each band by the forest of that band.

    Parameters
    ----------
    forests : mapping of str to Forest
        By band.
    features : mapping of str to ndarray
        By band (see :func:`feature_matrix`).
    swapped : bool
        Gives each band to the other's forest. Published scores were made so; this serves the comparison with them and
        nothing else.

    Returns
    -------
    ndarray, shape (2, alerts)
        g and r; NaN where an input is missing.
    """
    takes = dict(zip(BANDS, reversed(BANDS), strict=True)) if swapped else {band: band for band in BANDS}
    return np.stack([forests[takes[band]].scores(features[band]) for band in BANDS])


class AnomalyScore(ScienceModule):
    """The lower of the scores of the bands that have all inputs.

    Parameters
    ----------
    column : str
        ``anomaly_score`` or one of its variants; also the module's name.
    forests : Forests
        What scores.
    """

    def __init__(self, column: str, forests: Forests) -> None:
        features = tuple(f"lc_features_{band}" for band in BANDS)
        self._forests = forests
        self._column = column
        self.declaration = Declaration(
            name=column,
            version="1",
            inputs=features,
            outputs=pa.schema([(column, pa.float64())]),
            requires=features,
        )

    @property
    def resources(self) -> Mapping[str, str]:
        """The forests in use."""
        return self._forests.resources

    def run(self, columns: Columns) -> ModuleResult:
        """Score; ``not_applicable`` where no band has all inputs, ``unavailable`` without forests."""
        forests = self._forests.current
        if forests is None:
            return ModuleResult({self._column: np.zeros(len(columns))}, statuses(len(columns), Status.UNAVAILABLE))
        features = {band: feature_matrix(columns.arrow(f"lc_features_{band}")) for band in BANDS}
        score = np.fmin.reduce(band_scores(forests, features))
        status = statuses(len(columns))
        status[np.isnan(score)] = Status.NOT_APPLICABLE
        return ModuleResult({self._column: score}, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the score of our own forests and those of the experts."""
    if survey.name != "ztf":
        return []
    own = AnomalyScore("anomaly_score", OwnForests(ModelHandle(MODEL, settings.model_dir)))
    experts = [AnomalyScore(f"anomaly_score_{variant}", PublishedForests(variant)) for variant in ANOMALY_VARIANTS]
    return [own, *experts]
