"""Asking a service of the Virtual Observatory for rows of a table, in ADQL.

TAP (IVOA Table Access Protocol 1.1) is spoken by astroquery, in its asynchronous form: synchronous queries are cut
short by most services. Large tables come in bands of declination, each small enough for one query, and what comes is
counted.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import pyarrow as pa
from astropy.table import Table
from astroquery.utils.tap import TapPlus
from astroquery.utils.tap.conn.tapconn import TapConn

from fink_lib.config import CatalogSettings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.science.catalogs.coverage import Cone
from fink_lib.science.catalogs.reading import Column, from_astropy

MARGIN_DEG = 60 / 3600
"""Sources are fetched so far beyond a cone's edge, or an alert at the edge would miss them; the largest match radius
within which one source is looked for."""

SMALLEST_BAND_DEG = 1e-4
POLL_S = 0.5


class TapService:
    """One service that answers ADQL queries.

    Parameters
    ----------
    url : str
        Its base address.
    settings : CatalogSettings
        How long to wait for it.
    """

    def __init__(self, url: str, settings: CatalogSettings) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is not the address of a TAP service")
        context, _, tap = parts.path.strip("/").rpartition("/")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._connections = _Connections(parts.hostname, port, settings.timeout_s)
        connection = TapConn(
            parts.scheme == "https",
            parts.hostname,
            server_context=context,
            tap_context=tap,
            port=port,
            sslport=port,
            connhandler=self._connections,
        )
        self.url = url
        self._settings = settings
        self._tap = TapPlus(host=parts.hostname, connhandler=connection, use_names_over_ids=True)

    def query(self, adql: str) -> pa.Table:
        """Run a query and wait for its rows.

        Raises
        ------
        ConfigError
            If the service refuses the query.
        TransientError
            If it is away, too slow or does not answer with a table.
        """
        with self._edge():
            job = self._tap.launch_job_async(adql, background=True)
            end = time.monotonic() + self._settings.job_timeout_s
            while (phase := job.get_phase(update=True).strip().upper()) in ("PENDING", "QUEUED", "EXECUTING"):
                if time.monotonic() > end:
                    raise TransientError(f"{self.url} has not answered within {self._settings.job_timeout_s:g} s")
                time.sleep(POLL_S)
            if phase == "ERROR":
                raise ConfigError(f"{self.url} refuses the query {adql!r}: {job.get_error()}")
            if phase != "COMPLETED":
                raise TransientError(f"{self.url} ended the query in phase {phase}")
            found = job.get_results()
            if not isinstance(found, Table):
                raise TransientError(f"{self.url} did not answer with a table")
            return from_astropy(found)

    def spellings(self, table: str, columns: Mapping[str, Column]) -> dict[str, str]:
        """Ask which columns a table has, and give the name of each wanted one there; optional ones may be absent.

        Raises
        ------
        ConfigError
            If the table, or a column that is required, is not there.
        """
        names = f"'{table}', '\"{table}\"'"
        found = self.query(f"SELECT column_name FROM TAP_SCHEMA.columns WHERE table_name IN ({names})")
        there = {name.strip('"').lower(): name.strip('"') for name in found.column("column_name").to_pylist()}
        if not there:
            raise ConfigError(f"{self.url} has no table {table}; it may have been renamed")
        spelled = {}
        for name, column in columns.items():
            known = next((word for word in (*column.spellings, name) if word.lower() in there), None)
            if known is not None:
                spelled[name] = there[known.lower()]
            elif column.required:
                raise ConfigError(f"{table} of {self.url} has no column for {name}; it has {', '.join(there.values())}")
        return spelled

    def rows(self, table: str, columns: Mapping[str, str], cone: Cone | None, most: int) -> Iterator[pa.Table]:
        """Give the rows of a table within a cone, or all, piece by piece.

        Parameters
        ----------
        table : str
            The table.
        columns : mapping of str to str
            What to select: any name to the column's there; ``ra`` and ``dec`` are among them.
        cone : (ra_deg, dec_deg, radius_deg), optional
            The sky; :data:`MARGIN_DEG` more is fetched.
        most : int
            Rows of one query.

        Raises
        ------
        TransientError
            If a query gives another number of rows than the service counts.
        """
        ra, dec = (f'"{columns[axis]}"' for axis in ("ra", "dec"))
        where, low, top = "", -90.0, 90.0
        if cone is not None:
            radius = cone[2] + MARGIN_DEG
            circle = f"CIRCLE('ICRS', {cone[0]!r}, {cone[1]!r}, {radius!r})"
            where = f"1 = CONTAINS(POINT('ICRS', {ra}, {dec}), {circle}) AND "
            low, top = max(low, cone[1] - radius), min(top, cone[1] + radius)
        selected = ", ".join(f'"{column}"' for column in dict.fromkeys(columns.values()))
        bands = [(low, top)]
        while bands:
            low, high = bands.pop()
            # Only the topmost band holds its upper edge, or a source there would be fetched twice.
            edge = "<=" if high == top else "<"
            source = f'FROM "{table}" WHERE {where}{dec} >= {low!r} AND {dec} {edge} {high!r}'
            count = int(self.query(f"SELECT COUNT(*) AS n {source}").column("n")[0].as_py())
            if count > most and high - low > SMALLEST_BAND_DEG:
                middle = (low + high) / 2
                bands += [(middle, high), (low, middle)]
                continue
            if count == 0:
                continue
            found = self.query(f"SELECT {selected} {source}")
            if found.num_rows != count:
                raise TransientError(f"{self.url} counts {count} rows of {table} and gives {found.num_rows}")
            yield found

    @contextmanager
    def _edge(self) -> Iterator[None]:
        """Turn whatever goes wrong between here and the service into one error that names it."""
        try:
            # astroquery prints what it raises.
            with redirect_stdout(io.StringIO()):
                yield
        except (OSError, HTTPException, SystemError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise TransientError(f"{self.url} does not answer as it should: {type(error).__name__}: {error}") from error
        finally:
            self._connections.close()


class _Connections:
    """Connections that give up, and are closed; those of astroquery wait for ever and stay open."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._place = (host, port)
        self._timeout_s = timeout_s
        self._open: list[HTTPConnection] = []

    def get_connection(
        self, *, ishttps: bool = False, cookie: str | None = None, verbose: bool = False
    ) -> HTTPConnection:
        """Give a connection, as astroquery asks for one."""
        kind = HTTPSConnection if ishttps or cookie is not None else HTTPConnection
        self._open.append(kind(*self._place, timeout=self._timeout_s))
        return self._open[-1]

    def close(self) -> None:
        """Close every connection given so far."""
        while self._open:
            self._open.pop().close()
