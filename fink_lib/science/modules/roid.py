"""Solar System flag: whether an alert is a known asteroid, or could be one.

0 no, 1 first pass (seen once), 2 candidate, 3 at the predicted place of a known object. The rules are those of the
Fink broker (Möller et al. 2021, MNRAS 501, 3272, section 3) and are applied in the order written: a later one
overrides an earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.surveys.base import Survey

STAR_GALAXY_LIMIT = 0.76
"""``sgscore1`` below this: the nearest PS1 source is not surely a star."""

PS1_RADIUS_ARCSEC = 5.0
MPC_RADIUS_ARCSEC = 5.0
SAME_VISIT_D = 30 / 1440
"""Two entries of a moving object lie within half an hour; later the object is elsewhere."""


class SolarSystemFlag(ScienceModule):
    """Applies the rules to all alerts of a batch at once; a comparison with a missing value is false."""

    declaration = Declaration(
        name="roid",
        version="1",
        inputs=(
            "candidate.ndethist",
            "candidate.sgscore1",
            "candidate.distpsnr1",
            "candidate.ssdistnr",
            "history.magpsf",
        ),
        outputs=pa.schema([("roid", pa.int32())]),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Flag; without ``ndethist`` no rule can be judged and the status is ``not_applicable``."""
        detections = columns.floats("candidate.ndethist")
        star_score = columns.floats("candidate.sgscore1")
        ps1_arcsec = columns.floats("candidate.distpsnr1")
        mpc_arcsec = columns.floats("candidate.ssdistnr")
        history = columns.history
        valid = history.count(history.valid)
        last = history.offsets[1:] - 1
        has_two = history.lengths >= 2
        gap_d = np.zeros(len(columns))
        gap_d[has_two] = history.time[last[has_two]] - history.time[last[has_two] - 1]

        roid = np.zeros(len(columns), dtype=np.int32)
        roid[detections == 1] = 1
        roid[(star_score < STAR_GALAXY_LIMIT) & (detections <= 2)] = 2
        roid[(ps1_arcsec > 0) & (ps1_arcsec < PS1_RADIUS_ARCSEC)] = 0
        roid[(valid == 2) & (gap_d > SAME_VISIT_D)] = 0
        roid[(detections == 2) & (valid == 1)] = 0
        # The survey writes -999 where PS1 has nothing near; its absolute value takes part as a distance.
        known = (mpc_arcsec >= 0) & (mpc_arcsec < MPC_RADIUS_ARCSEC) & (np.abs(ps1_arcsec) - mpc_arcsec > 0)
        roid[known & (detections <= 5) & (valid <= 5)] = 3

        status = statuses(len(columns))
        status[np.isnan(detections)] = Status.NOT_APPLICABLE
        return ModuleResult({"roid": roid}, status)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; LSST names its known asteroids itself."""
    return [SolarSystemFlag()] if survey.name == "ztf" else []
