"""Where the API reads from: lake, archive, services. Opened when first needed, shared by all threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np

from fink_lib.api.archived import ReaderPool
from fink_lib.api.computed import constellations
from fink_lib.api.health import Probes
from fink_lib.api.live import LiveAlerts
from fink_lib.config import Settings
from fink_lib.errors import FinkError
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.nights import list_nights
from fink_lib.provenance import Definitions, load_definitions

logger = logging.getLogger(__name__)

SURVEY = "ztf"
STATES_KEPT_S = 1.0
NIGHTS_KEPT_S = 5.0

T = TypeVar("T")


@dataclass
class Remembered(Generic[T]):
    """Something that is read again only when it is older than it may be.

    Parameters
    ----------
    read : callable
        Reads it.
    kept_s : float
        How old it may be, in seconds.
    """

    read: Callable[[], T]
    kept_s: float
    _last: tuple[float, T] | None = field(default=None, init=False)

    def get(self) -> T:
        """Give it."""
        now_s = time.monotonic()
        if self._last is None or now_s - self._last[0] > self.kept_s:
            self._last = (now_s, self.read())
        return self._last[1]


@dataclass
class Stores:
    """The data of one installation, for one application.

    Parameters
    ----------
    settings : Settings
        The installation.
    """

    settings: Settings
    _pools: dict[str, ReaderPool] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @cached_property
    def lake(self) -> Lake:
        """The survey's lake; its tables are made if nobody has made them yet, so that an empty one answers."""
        lake = open_lake(self.settings, SURVEY)
        lake.ensure()
        return lake

    @cached_property
    def live(self) -> LiveAlerts:
        """Alerts of nights that are not archived."""
        return LiveAlerts(self.lake)

    @cached_property
    def probes(self) -> Probes:
        """Questions to every part of the installation."""
        return Probes(self.settings)

    @cached_property
    def definitions(self) -> Definitions:
        """Modules, class rule and filters, as they were when this process first needed them."""
        return load_definitions(self.settings, self.lake.survey)

    def archive(self, table: str) -> ReaderPool:
        """Readers of one archive table."""
        with self._lock:
            if table not in self._pools:
                self._pools[table] = ReaderPool(self.settings.hbase, self.lake.survey, table)
            return self._pools[table]

    def archived_nights(self) -> frozenset[str]:
        """Nights whose last state is ``archived``; at most a second old."""
        return self._archived.get()

    def nights(self) -> list[dict[str, Any]]:
        """Every night with state and counts (:func:`fink_lib.nightly.nights.list_nights`); at most five seconds old."""
        return self._listed.get()

    @cached_property
    def _archived(self) -> Remembered[frozenset[str]]:
        def read() -> frozenset[str]:
            return frozenset(night for night, state in last_states(self.lake).items() if state == "archived")

        return Remembered(read, STATES_KEPT_S)

    @cached_property
    def _listed(self) -> Remembered[list[dict[str, Any]]]:
        return Remembered(lambda: list_nights(self.settings, self.lake.survey.name), NIGHTS_KEPT_S)

    def warm_up(self) -> None:
        """Load what the first requests would otherwise wait for: modules, filters, the borders of constellations."""
        try:
            logger.info("the API explains alerts by %d filters", len(self.definitions.filters))
            constellations(np.zeros(1), np.zeros(1))
        except FinkError as error:
            logger.warning("the API starts cold: %s", error)

    def close(self) -> None:
        """Give connections back."""
        for pool in self._pools.values():
            pool.close()


def last_states(lake: Lake) -> dict[str, str]:
    """Give the last recorded state of each night."""
    rows = lake.read("nights", columns=["night", "state", "time"]).sort_by("time")
    return dict(zip(rows.column("night").to_pylist(), rows.column("state").to_pylist(), strict=True))
