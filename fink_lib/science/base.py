"""What a science module is: declared inputs, declared outputs, one vectorised ``run``.

A module sees a batch of alerts only through the columns that it declares and gives arrays of the same length back, with
one status per alert. It never sees the batch's place, time or neighbours: a result depends on the alert, on versioned
catalogues and on versioned models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.errors import FinkError

if TYPE_CHECKING:
    from fink_lib.science.columns import Columns


class Status(IntEnum):
    """Why a value is, or is not, there; stored per module in ``fink_status``."""

    OK = 0
    NO_MATCH = 1
    NOT_APPLICABLE = 2
    UNAVAILABLE = 3
    FAILED = 4


STATUS_NAMES = tuple(status.name.lower() for status in Status)
"""The words in ``fink_status``, at the place of their :class:`Status`."""


class ContractError(FinkError):
    """A science module broke its declaration; the message names the module and what to change."""


class UndeclaredError(ContractError):
    """A module reads a column that it does not declare; the same for every alert."""


class LengthError(ContractError):
    """A module gave more or fewer values than alerts; nothing tells which value is whose, of any of them."""


@dataclass(frozen=True)
class ModuleResult:
    """What one call of a module gives.

    Parameters
    ----------
    outputs : mapping of str to array
        One array per declared output column, as long as the batch. Values of alerts whose status is not ``ok`` are
        dropped by the runner, so a module may compute them anyway. NaN beside ``ok`` breaks the contract.
    status : ndarray of int8
        One :class:`Status` per alert.
    separation_arcsec : ndarray of float64, optional
        Distance to the matched source, for ``xm_sep``; NaN where there is none.
    """

    outputs: Mapping[str, pa.Array | npt.NDArray[Any]]
    status: npt.NDArray[np.int8]
    separation_arcsec: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Declaration:
    """The part of a module that does not change while it runs.

    Parameters
    ----------
    name : str
        Key of the module in ``fink_status`` and ``fink_versions``.
    version : str
        Changes whenever the same alert may give another result.
    inputs : tuple of str
        Columns that ``run`` may read, as dotted paths: ``candidate.ra`` (a field of the alert), ``history.magpsf`` (the
        light curve: history and the alert itself, sorted by time), ``cutouts.science`` (image bytes; read only
        for alerts that `applies` lets through), or a column that
        another module gives (``roid``), which must then be in `requires` or `uses`.
    outputs : pyarrow.Schema
        Columns that ``run`` gives; names and types are those of the survey's ``fink_schema``.
    requires : tuple of str
        Modules without whose result this one cannot work: an alert for which one of them is ``unavailable`` or
        ``failed`` becomes ``unavailable`` without being computed.
    uses : tuple of str
        Modules whose outputs and statuses this one reads and whose absence it handles itself.
    applies : str
        SQL predicate over the leaf names of `inputs` of scalar type and over ``<module>_status`` of the modules in
        `requires` and `uses`; an alert for which it is not true becomes ``not_applicable`` without being computed.
        Empty: every alert.
    waits : str
        SQL predicate like `applies`: an alert that `applies` does not let through, and for which this is true, becomes
        ``unavailable``: it may be let through when an upstream module has an answer. Empty: none.
    archive_d : float
        How far back (d) the module wants the points that earlier nights have of the same object. It runs in the stream
        with the packet alone, and when the night is over once more with these points. Nothing else may read its
        outputs: by then it has been computed. 0: the packet is enough.
    budget_ms : float
        Time that one alert may take on one core; a test harness and the log complain above it.
    """

    name: str
    version: str
    inputs: tuple[str, ...]
    outputs: pa.Schema
    requires: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    applies: str = ""
    waits: str = ""
    archive_d: float = 0.0
    budget_ms: float = 1.0

    @property
    def upstream(self) -> tuple[str, ...]:
        """Modules that must have run before this one."""
        return (*self.requires, *self.uses)


class ScienceModule(ABC):
    """One science case.

    Subclass it in a file of ``fink_lib/science/modules`` and give instances of it from that file's
    ``build(survey, settings)``. ``declaration`` says what it reads and gives; :meth:`run` computes.
    """

    declaration: Declaration

    @property
    def resources(self) -> Mapping[str, str]:
        """Catalogues and models now in use: key in ``fink_versions`` (``catalog.gcvs``) and version with digest.

        Asked for once per batch, so a module may pick up a new snapshot while the stream runs.
        """
        return {}

    @abstractmethod
    def run(self, columns: Columns) -> ModuleResult:
        """Compute the outputs of a batch.

        Parameters
        ----------
        columns : Columns
            The declared inputs.

        Returns
        -------
        ModuleResult
            Arrays as long as ``columns``.

        Raises
        ------
        TransientError
            A service is away: the alerts become ``unavailable``.
        Exception
            Anything else: the runner finds the alerts that cause it by bisection; only these become ``failed``.
        """


@dataclass
class ModuleReport:
    """What the runner noticed about one module in one batch.

    Parameters
    ----------
    seconds : float
        Wall time, all calls.
    counts : dict of str to int
        Alerts per status.
    errors : list of str
        First causes of ``failed``, at most a few, each with the alert's id.
    """

    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def statuses(size: int, status: Status = Status.OK) -> npt.NDArray[np.int8]:
    """Give a status array filled with one status.

    Parameters
    ----------
    size : int
        Number of alerts.
    status : Status
        The word.
    """
    return np.full(size, int(status), dtype=np.int8)
