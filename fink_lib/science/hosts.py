"""Whether SIMBAD leaves open that an alert is outside our Galaxy; the gate before every supernova score."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fink_lib.science.base import Status
from fink_lib.science.columns import Columns
from fink_lib.science.simbad_types import is_extragalactic

SIMBAD = "simbad"
LABEL = "cdsxmatch"
"""Column of the label; a module that calls :func:`may_be_extragalactic` has it in `inputs` and the module in `uses`."""


def may_be_extragalactic(columns: Columns) -> npt.NDArray[np.bool_]:
    """Tell for which alerts SIMBAD has nothing or a type of the set EG (a galaxy, a cluster, a supernova).

    Where SIMBAD was not consulted the answer is yes: the score is computed now, and whatever depends on the label waits
    until it is known.

    Parameters
    ----------
    columns : Columns
        Of a module that declares the label and uses the module.
    """
    status = columns.status(SIMBAD)
    allowed: npt.NDArray[np.bool_] = status != Status.OK
    labelled = np.flatnonzero(~allowed)
    if len(labelled):
        labels = columns.strings(LABEL)
        allowed[labelled] = [is_extragalactic(labels[row]) for row in labelled]
    return allowed
