"""Number of valid points in the light curve of an alert, itself included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, statuses
from fink_lib.science.columns import Columns
from fink_lib.surveys.base import Survey


class ValidPoints(ScienceModule):
    """Counts the entries whose magnitude and error are both there."""

    declaration = Declaration(
        name="nalerthist",
        version="1",
        inputs=("history.magpsf",),
        outputs=pa.schema([("nalerthist", pa.int32())]),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Count."""
        history = columns.history
        return ModuleResult({"nalerthist": history.count(history.valid).astype(np.int32)}, statuses(len(columns)))


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    return [ValidPoints()] if survey.name == "ztf" else []
