"""Hostless transients: structure in the science image and none in the template.

ELEPHANT (Pessi et al. 2024, arXiv:2404.18165): a transient without a host galaxy leaves the template empty. Both stamps
are compared with shuffled copies of themselves; the two values are near 0 for an image like noise and 1 for one with
structure. Stamps in which sources are seen in both images, or in none, are left alone: they are no candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.draws import generator
from fink_lib.science.power_spectrum import draw_shuffles, ring_weights, structure
from fink_lib.science.stamps import Bools, Image, central, read_stamp, sigma_clip
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]

NAME = "elephant"
SIDE = 63
"""Pixels of a whole ZTF stamp; one at the edge of a detector is smaller and has no centre."""

CENTRE = 14
"""Side of the part whose power spectrum is taken (pixels of 1 arcsec)."""

SOURCE_PIXELS = 5
"""More clipped pixels than this: there is a source."""

EMPTY_PIXELS = 3
"""Fewer clipped pixels than this: there is none."""

AT_ONCE = 64
"""Stamps clipped together; bounds the memory of a pass."""

ACTIVE_TYPES = ("AGN", "AG?", "QSO", "Q?", "Bla", "Bz?", "BLL", "BL?", "LIN", "Sy1", "Sy2", "SyG", "SN*", "SN?")
"""SIMBAD codes of active nuclei, quasars and supernovae, with their candidates."""

SCORES: dict[str, tuple[str, ...]] = {
    "rf_snia": ("rf_snia_vs_nonia",),
    "snn": ("snn_snia_vs_nonia", "snn_sn_vs_all"),
    "rf_kn": ("rf_kn_vs_nonkn",),
}
"""Modules of supernova and kilonova scores, and their columns."""

NEW = """
    (distnr IS NULL OR isnan(distnr) OR distnr < 0 OR distnr > 1.5) AND roid <> 3 AND ndethist <= 3
"""
"""First detections at a place where the reference image has nothing."""

UNCATALOGUED = "simbad_status = 'no_match' AND gaia_status = 'no_match'"
MAYBE_UNCATALOGUED = "simbad_status <> 'ok' AND gaia_status <> 'ok'"
"""Nothing is known there, but not everybody was asked."""

YOUNG = "nalerthist >= 3 AND jd - jdstarthist <= 45 AND magpsf <= 19.5 AND roid <> 3"
"""Bright young transients."""

LIKELY = " OR ".join(
    [
        *(f"{column} >= 0.5" for columns in SCORES.values() for column in columns),
        "tns IS NOT NULL",
        f"simbad_code(cdsxmatch) IN {ACTIVE_TYPES}",
    ]
)
"""Some evidence that a transient is extragalactic."""

MAYBE_LIKELY = " OR ".join(f"{module}_status IN ('unavailable', 'failed')" for module in ("simbad", "tns", *SCORES))


def clipped(images: Image) -> Bools:
    """Mark pixels that stand out of each image, or are missing: 3 sigma, 10 rounds (Pessi et al. 2024)."""
    return sigma_clip(images, sigma=3.0, rounds=10)


def is_candidate(science: Bools, template: Bools) -> Bools:
    """Tell whether one image has a source and the other has none, from their clipped pixels; shape (n, ...) to (n,)."""
    in_science, in_template = (marks.reshape(len(marks), -1).sum(axis=1) for marks in (science, template))
    only_science = (in_science > SOURCE_PIXELS) & (in_template < EMPTY_PIXELS)
    only_template = (in_template > SOURCE_PIXELS) & (in_science < EMPTY_PIXELS)
    result: Bools = only_science | only_template
    return result


def fill(image: Image, marks: Bools, rng: np.random.Generator) -> Image:
    """Replace marked pixels by draws from a normal distribution with median and deviation of the others."""
    others = image[~marks]
    filled = image.copy()
    filled[marks] = rng.normal(np.median(others), np.std(others), int(marks.sum()))
    return filled


class Hostless(ScienceModule):
    """Two values per candidate; ``not_applicable`` where the stamps are of another size or show no candidate."""

    declaration = Declaration(
        name=NAME,
        version="1",
        inputs=(
            "candidate.jd",
            "candidate.jdstarthist",
            "candidate.magpsf",
            "candidate.ndethist",
            "candidate.distnr",
            "roid",
            "nalerthist",
            "cdsxmatch",
            "tns",
            *(column for columns in SCORES.values() for column in columns),
            "cutouts.science",
            "cutouts.template",
        ),
        outputs=pa.schema([("elephant_kstest_science", pa.float32()), ("elephant_kstest_template", pa.float32())]),
        uses=("simbad", "gaia", "roid", "nalerthist", "tns", *SCORES),
        applies=f"({NEW} AND {UNCATALOGUED}) OR ({YOUNG} AND ({LIKELY}))",
        waits=f"({NEW} AND {MAYBE_UNCATALOGUED}) OR ({YOUNG} AND ({MAYBE_LIKELY}))",
        budget_ms=20.0,
    )

    def __init__(self) -> None:
        self._weights = ring_weights(CENTRE)

    def run(self, columns: Columns) -> ModuleResult:
        """Read the stamps, pick the candidates, and compare each with shuffled copies of itself."""
        size = len(columns)
        files = [columns.strings(f"cutouts.{kind}") for kind in ("science", "template")]
        values = np.full((2, size), np.nan)
        status = statuses(size, Status.NOT_APPLICABLE)
        missing = np.array([one is None or other is None for one, other in zip(*files, strict=True)], dtype=bool)
        status[missing] = Status.UNAVAILABLE
        present = np.flatnonzero(~missing)
        for start in range(0, len(present), AT_ONCE):
            rows = present[start : start + AT_ONCE]
            pairs = [tuple(read_stamp(kind[row]) for kind in files) for row in rows]
            whole = [place for place, pair in enumerate(pairs) if all(one.shape == (SIDE, SIDE) for one in pair)]
            if not whole:
                continue
            rows = rows[whole]
            images = np.array([pairs[place] for place in whole])
            marks = clipped(images.reshape(-1, SIDE, SIDE)).reshape(images.shape)
            chosen = is_candidate(marks[:, 0], marks[:, 1])
            rest = np.flatnonzero(~chosen)
            inner = clipped(central(images[rest], CENTRE).reshape(-1, CENTRE, CENTRE))
            inner = inner.reshape(len(rest), 2, CENTRE, CENTRE)
            chosen[rest] = is_candidate(inner[:, 0], inner[:, 1])
            for place in np.flatnonzero(chosen):
                values[:, rows[place]] = self._compare(images[place], marks[place], int(columns.ids[rows[place]]))
        status[np.isfinite(values).all(axis=0)] = Status.OK
        names = self.declaration.outputs.names
        return ModuleResult({name: row.astype(np.float32) for name, row in zip(names, values, strict=True)}, status)

    def _compare(self, images: Image, marks: Bools, alert_id: int) -> list[float]:
        """Give the values of science and template image; both are shuffled in the same way."""
        rng = generator(NAME, alert_id)
        filled = [fill(image, clipped_here, rng) for image, clipped_here in zip(images, marks, strict=True)]
        picks = draw_shuffles(rng, SIDE * SIDE, CENTRE * CENTRE)
        return [structure(image, CENTRE, picks, self._weights) for image in filled]


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module for ZTF."""
    return [Hostless()] if survey.name == "ztf" else []
