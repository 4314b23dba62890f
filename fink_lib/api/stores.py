"""Where the API reads from: lake, archive, services. Opened when first needed, shared by all threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fink_lib.api.archived import ReaderPool
from fink_lib.api.auth.guard import Guard
from fink_lib.api.column_sets import MAIN_TABLE
from fink_lib.api.computed import constellations
from fink_lib.api.health import Probes
from fink_lib.api.live import LiveAlerts
from fink_lib.api.metrics import Metrics
from fink_lib.api.outside import Outside
from fink_lib.api.remembered import Remembered
from fink_lib.api.stamps import Stamps
from fink_lib.archive.rows import serve
from fink_lib.archive.tables import archive_table
from fink_lib.community import backtests
from fink_lib.community.jobs import JobQueue, JobRunner
from fink_lib.community.mirror import copy_names
from fink_lib.community.store import Store
from fink_lib.config import Settings
from fink_lib.errors import FinkError
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.nights import list_nights
from fink_lib.provenance import Definitions, load_definitions

if TYPE_CHECKING:
    from fink_lib.api.selections import Selections

logger = logging.getLogger(__name__)

SURVEY = "ztf"
STATES_KEPT_S = 1.0
NIGHTS_KEPT_S = 5.0
MOST_NONE = 1_000
"""Sets of columns of which the empty table is kept; clients ask for few different ones."""


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
    _none: dict[frozenset[str] | None, pa.Table] = field(default_factory=dict, init=False)
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
        return LiveAlerts(self.lake, archive_table(self.lake.survey, MAIN_TABLE).stored)

    @cached_property
    def stamps(self) -> Stamps:
        """Images of alerts."""
        return Stamps(self.lake)

    @cached_property
    def selections(self) -> Selections:
        """What filters of the night choose from these nights."""
        from fink_lib.api.selections import Selections

        return Selections(self.settings, self.lake)

    @cached_property
    def outside(self) -> Outside:
        """Services of others."""
        return Outside(self.settings)

    def no_alerts(self, columns: Collection[str] | None) -> pa.Table:
        """Give no alerts, with some served columns of the main table; all without."""
        key = None if columns is None else frozenset(columns)
        if key not in self._none:
            declared = archive_table(self.lake.survey, MAIN_TABLE)
            empty = declared.layout(self.lake.survey).columns.empty_table()
            if len(self._none) >= MOST_NONE:
                self._none.clear()
            self._none[key] = serve(declared, empty, columns)
        return self._none[key]

    def empty_archive_rows(self, table: str) -> pa.Table:
        """Give no rows of an archive table, with its columns."""
        declared = archive_table(self.lake.survey, table)
        return serve(declared, declared.layout(self.lake.survey).columns.empty_table())

    @cached_property
    def community(self) -> Store:
        """What users have brought."""
        return Store(self.settings.home)

    @cached_property
    def guard(self) -> Guard:
        """Decides who may change it."""
        return Guard(self.settings, self.community)

    @cached_property
    def jobs(self) -> JobRunner:
        """Does what takes longer than a request."""
        works = {backtests.KIND: lambda asked: backtests.run_backtest(self.lake, self.settings.home, asked)}
        copy = partial(copy_names, self.community, self.settings.hbase, self.lake.survey)
        return JobRunner(JobQueue(self.community), works, copy)

    @cached_property
    def metrics(self) -> Metrics:
        """Numbers for Prometheus."""
        return Metrics(self)

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
        table = self.lake.table("nights")
        known: tuple[int, frozenset[str]] | None = None

        def read() -> frozenset[str]:
            nonlocal known
            table.update_incremental()
            if known is None or known[0] != table.version():
                version = table.version()
                states = last_states(self.lake)  # at least as new as that version
                known = version, frozenset(night for night, state in states.items() if state == "archived")
            return known[1]

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
        self.jobs.start()

    def close(self) -> None:
        """Give connections back."""
        for pool in self._pools.values():
            pool.close()
        self.jobs.stop()
        self.guard.close()
        self.community.close()


def last_states(lake: Lake) -> dict[str, str]:
    """Give the last recorded state of each night."""
    rows = lake.read("nights", columns=["night", "state", "time"]).sort_by("time")
    return dict(zip(rows.column("night").to_pylist(), rows.column("state").to_pylist(), strict=True))
