"""Services of others that some answers need: asked through a breaker, for a bounded time, for a bounded answer.

An installation may forbid it (``services.asked = "never"``, which is the default). Then, and whenever a service is
down, the client is told with status 503 which service it was; nothing else waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import pyarrow as pa

from fink_lib.api.problems import ApiError, service_away
from fink_lib.config import Settings
from fink_lib.errors import TransientError
from fink_lib.science.services.breaker import Breaker

MOST_BYTES = 64 * 1024 * 1024

Result = TypeVar("Result")


@dataclass
class Outside:
    """The services of one installation.

    Parameters
    ----------
    settings : Settings
        Their addresses, and how patient to be.
    """

    settings: Settings
    _breakers: dict[str, Breaker] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def fetch(
        self,
        service: str,
        url: str,
        params: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, str]] | None = None,
    ) -> bytes | None:
        """Ask for a document; GET, or POST if files are sent along.

        Parameters
        ----------
        service : str
            Its name, for people.
        url : str
            Address.
        params : mapping, optional
            Of the query.
        files : mapping, optional
            Name of the part to file name and content.

        Returns
        -------
        bytes or None
            The document; None if the service says that there is none (status 404).

        Raises
        ------
        ApiError
            If services are not asked, or this one does not answer (status 503).
        """
        return self.guarded(service, lambda: self._fetch(url, params, files))

    def simbad(self, adql: str) -> pa.Table:
        """Run a query at SIMBAD; raises as :meth:`fetch`."""
        from astropy.table import Table

        from fink_lib.science.services.tap import TapEndpoint

        def ask() -> pa.Table:
            endpoint = TapEndpoint(self.settings.catalogs.simbad_tap, self.settings.services.timeout_s, time.monotonic)
            with httpx.Client() as client:
                return endpoint.query(client, adql, Table({"place": [0]}))

        return self.guarded("SIMBAD", ask)

    def guarded(self, service: str, ask: Callable[[], Result]) -> Result:
        """Make one call through the service's breaker.

        Raises
        ------
        ApiError
            If services are not asked, or this one does not answer (status 503).
        """
        if self.settings.services.asked == "never":
            text = f"{service} is needed for this answer, and this installation asks no services of others.\n"
            raise ApiError("service-off", text, status=503)
        breaker = self._breaker(service)
        if not breaker.admits(time.monotonic()):
            raise service_away(service, "it was down a moment ago")
        try:
            answer = ask()
        except (TransientError, httpx.HTTPError) as error:
            breaker.failed(time.monotonic())
            raise service_away(service, f"{type(error).__name__}: {error}"[:200]) from error
        except BaseException:
            breaker.failed(time.monotonic())  # whoever was admitted has to say how it ended
            raise
        breaker.succeeded()
        return answer

    def _fetch(
        self, url: str, params: Mapping[str, str] | None, files: Mapping[str, tuple[str, str]] | None
    ) -> bytes | None:
        end_s = time.monotonic() + self.settings.services.timeout_s
        body = bytearray()
        with (
            httpx.Client(timeout=self.settings.services.timeout_s, follow_redirects=True) as client,
            client.stream("POST" if files else "GET", url, params=params, files=files) as answer,
        ):
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            if answer.status_code != httpx.codes.OK:
                raise TransientError(f"status {answer.status_code}")
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise TransientError(f"it answers with more than {MOST_BYTES} bytes")
                if time.monotonic() > end_s:
                    raise TransientError("it takes too long")
        return bytes(body)

    def _breaker(self, service: str) -> Breaker:
        with self._lock:
            if service not in self._breakers:
                services = self.settings.services
                self._breakers[service] = Breaker(services.failures, services.pause_s)
            return self._breakers[service]
