"""The one way to a service: through its cache and its breaker, a few calls at a time, never for longer than agreed.

An answer that does not come leaves its cells unknown, and the alerts there ``unavailable``; it is asked for again by a
later batch, or by the healing of the night.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property

import astropy.units as u
import httpx
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from astropy.table import Table
from cdshealpix import nested

from fink_lib.config import ServiceSettings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.science.catalogs.reading import pick_columns
from fink_lib.science.services.answers import DEPTH, Answers, cells_of
from fink_lib.science.services.breaker import Breaker
from fink_lib.science.services.cache import AnswerCache, Rows
from fink_lib.science.services.known import CELL, DEC, RA, Service
from fink_lib.science.services.tap import Clock, TapEndpoint

LOG = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
"""Between two attempts at one call; each wait is twice the one before."""

Floats = npt.NDArray[np.float64]


class ServiceClient:
    """Answers what a service knows around positions, or leaves it unknown.

    Parameters
    ----------
    service : Service
        What to ask.
    url : str
        Where.
    settings : ServiceSettings
        How long, how often, how many at a time.
    cache : AnswerCache
        What was answered before.
    clock : callable
        Gives the present time (s since 1970, UTC).
    sleep : callable
        Waits (s).
    """

    def __init__(
        self,
        service: Service,
        url: str,
        settings: ServiceSettings,
        cache: AnswerCache,
        clock: Clock = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.service = service
        self.breaker = Breaker(settings.failures, settings.pause_s)
        self._endpoint = TapEndpoint(url.rstrip("/"), settings.timeout_s, clock)
        self._settings = settings
        self._cache = cache
        self._clock = clock
        self._sleep = sleep
        self._types = {name: column.kind for name, column in service.kinds.items()}

    @property
    def provenance(self) -> Mapping[str, str]:
        """Where answers come from and which edition they are: an entry of ``fink_versions``."""
        host = httpx.URL(self._endpoint.url).host
        return {f"service.{self.service.name}": f"{host}@{self._edition()}"}

    def around(self, ra_deg: Floats, dec_deg: Floats) -> Answers:
        """Give the sources around positions, as far as they are known or the service tells now.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray
            ICRS (deg).
        """
        cells = cells_of(ra_deg, dec_deg)
        wanted = [cell for cell in np.unique(cells).tolist() if cell >= 0]
        edition = self._edition()
        told = self._cache.read(self.service.name, edition, wanted)
        missing = [cell for cell in wanted if cell not in told]
        if missing:
            fresh = self._ask_all(missing)
            self._cache.write(self.service.name, edition, fresh)
            told |= fresh
        return Answers(tuple(self.service.columns), self._types, cells, told)

    @cached_property
    def _tls(self) -> ssl.SSLContext | bool:
        # Reading the certificates takes longer than a call; an address without encryption needs none.
        return httpx.create_ssl_context() if self._endpoint.url.startswith("https:") else False

    def _edition(self) -> str:
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        return self.service.edition_on(today, self._settings.cache_days)

    def _ask_all(self, cells: list[int]) -> dict[int, Rows]:
        """Ask for cells, in calls of bounded size; those of calls that fail are left out."""
        size = self._settings.cells_per_call
        calls = [cells[start : start + size] for start in range(0, len(cells), size)]
        now_s = self._clock()
        end_s = now_s + self._settings.batch_s
        told: dict[int, Rows] = {}
        if self.breaker.rests(now_s):
            return told
        with httpx.Client(verify=self._tls) as client:
            # The first call goes alone: it may be the probe of a service that was down.
            told |= self._call(client, calls[0], end_s)
            if len(calls) > 1 and self.breaker.closed:
                with ThreadPoolExecutor(self._settings.concurrency) as pool:
                    for answer in pool.map(lambda some: self._call(client, some, end_s), calls[1:]):
                        told |= answer
        return told

    def _call(self, client: httpx.Client, cells: list[int], end_s: float) -> dict[int, Rows]:
        """Ask once, or as often as agreed; gives nothing if there is no answer, no time, or no hope."""
        wait_s = FIRST_WAIT_S
        for attempt in range(1, self._settings.attempts + 1):
            began_s = self._clock()
            if began_s > end_s or not self.breaker.admits(began_s):
                return {}
            try:
                told = self._ask(client, cells)
            except TransientError as error:
                LOG.warning("service %s, attempt %d: %s", self.service.name, attempt, error)
                self._failed()
            else:
                # An answer that took too long is used, but the next batch shall not wait as long.
                if self._clock() - began_s > self._settings.slow_s:
                    self._failed()
                else:
                    self.breaker.succeeded()
                return told
            if attempt < self._settings.attempts:
                self._sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return {}

    def _failed(self) -> None:
        if self.breaker.failed(self._clock()):
            LOG.error(
                "service %s is left alone for %g s after %d calls that failed or were slow",
                self.service.name,
                self._settings.pause_s,
                self._settings.failures,
            )

    def _ask(self, client: httpx.Client, cells: list[int]) -> dict[int, Rows]:
        """Ask for the sources around cells.

        Raises
        ------
        TransientError
            If the answer does not come, or is none to this question.
        """
        service = self.service
        longitude, latitude = nested.healpix_to_lonlat(np.array(cells, dtype=np.uint64), DEPTH, num_threads=1)
        asked = Table({CELL: np.array(cells, np.int64), RA: longitude.to_value(u.deg), DEC: latitude.to_value(u.deg)})
        found = self._endpoint.query(client, service.query, asked)
        try:
            names = {"ra": service.ra, "dec": service.dec, **service.columns}
            rows = pick_columns(found, service.kinds, names, self._endpoint.url)
            cell_name = next(name for name in found.column_names if name.lower() == CELL)
            rows = rows.append_column(CELL, found.column(cell_name).cast(pa.int64()))
        except (ConfigError, StopIteration, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TransientError(f"{self._endpoint.url} does not give the columns it was asked for: {error}") from error
        told: dict[int, Rows] = {cell: [] for cell in cells}
        for row in rows.to_pylist():
            cell = row.pop(CELL)
            if cell not in told:
                raise TransientError(f"{self._endpoint.url} tells of a place that it was not asked for")
            if row["ra"] is None or row["dec"] is None:
                continue
            for column, words in service.translate.items():
                row[column] = words.get(row[column], row[column])
            told[cell].append([row["ra"], row["dec"], *(row[column] for column in service.columns)])
        for sources in told.values():
            sources.sort(key=repr)  # a service may give its rows in any order
        return told
