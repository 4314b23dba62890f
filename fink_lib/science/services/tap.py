"""One synchronous query of the Table Access Protocol (IVOA TAP 1.1), with a table of positions sent along.

Whatever can go wrong between here and the service, the answer included, is one :class:`TransientError` that names it:
no connection, an HTTP status, a body that is no VOTable, an answer that is cut off, one that comes too late.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pyarrow as pa
from astropy.io import votable
from astropy.table import Table

from fink_lib.errors import ConfigError, TransientError
from fink_lib.science.catalogs.reading import from_astropy
from fink_lib.science.services.known import UPLOAD

MOST_BYTES = 64 * 1024 * 1024
MOST_ROWS = 1_000_000

Clock = Callable[[], float]


@dataclass(frozen=True)
class TapEndpoint:
    """Where a service is, and how long it may take.

    Parameters
    ----------
    url : str
        Base address; the query goes to ``<url>/sync``.
    timeout_s : float
        Longest time from the first byte sent to the last byte received.
    clock : callable
        Gives the present time (s).

    Raises
    ------
    ConfigError
        If the address is none.
    """

    url: str
    timeout_s: float
    clock: Clock

    def __post_init__(self) -> None:
        try:
            parsed = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ConfigError(f"{self.url!r} is not the address of a service: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ConfigError(f"{self.url!r} is not the address of a service")

    def query(self, client: httpx.Client, adql: str, asked: Table) -> pa.Table:
        """Run a query.

        Parameters
        ----------
        client : httpx.Client
            Connections, shared by the queries of a batch.
        adql : str
            The query; it may read ``TAP_UPLOAD.asked``.
        asked : astropy.table.Table
            What is sent along.

        Returns
        -------
        pyarrow.Table
            The rows, columns named as the service does.

        Raises
        ------
        TransientError
            If there is no whole answer in time.
        """
        upload = io.BytesIO()
        votable.from_table(asked).to_xml(upload)
        fields = {
            "REQUEST": "doQuery",
            "LANG": "ADQL",
            "FORMAT": "votable",
            "MAXREC": str(MOST_ROWS),
            "QUERY": adql,
            "UPLOAD": f"{UPLOAD},param:{UPLOAD}",
        }
        files = {UPLOAD: (f"{UPLOAD}.vot", upload.getvalue(), "application/x-votable+xml")}
        end = self.clock() + self.timeout_s
        body = bytearray()
        try:
            with client.stream(
                "POST",
                f"{self.url}/sync",
                data=fields,
                files=files,
                timeout=self.timeout_s,
                follow_redirects=True,  # a service may answer with the place of the result
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise TransientError(f"{self.url} answers with HTTP status {answer.status_code}")
                for piece in answer.iter_bytes():
                    body += piece
                    # The time-outs of the connection are for each piece; a service may drip.
                    if self.clock() > end:
                        raise TransientError(f"{self.url} has not answered within {self.timeout_s:g} s")
                    if len(body) > MOST_BYTES:
                        raise TransientError(f"{self.url} answers with more than {MOST_BYTES} bytes")
        except httpx.HTTPError as error:
            raise TransientError(f"{self.url} does not answer: {type(error).__name__}: {error}") from error
        return rows_of(bytes(body), self.url)


def rows_of(body: bytes, where: str) -> pa.Table:
    """Read the VOTable that a TAP service answers with.

    Parameters
    ----------
    body : bytes
        The answer.
    where : str
        Who gave it, for the error.

    Raises
    ------
    TransientError
        If it is not a VOTable with one table, or if its ``QUERY_STATUS`` says error or overflow.
    """
    try:
        document = votable.parse(io.BytesIO(body), verify="ignore", invalid="mask")
        # An overflow is told below the table, an error in place of it.
        told = [
            (info.value, info.content or "")
            for part in document.resources
            for info in part.infos
            if info.name == "QUERY_STATUS"
        ]
        bad = [f"{value} {text}".strip() for value, text in told if value != "OK"]
        tables = list(document.iter_tables())
        if bad or not told or len(tables) != 1:
            raise TransientError(f"{where} says {bad[0][:200] if bad else 'nothing that is the answer to a query'}")
        return from_astropy(tables[0].to_table(use_names_over_ids=True))
    except TransientError:
        raise
    except Exception as error:  # whatever a parser raises on bytes that somebody else made
        raise TransientError(f"{where} does not answer with a VOTable: {type(error).__name__}: {error}") from error
