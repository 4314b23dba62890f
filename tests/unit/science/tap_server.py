"""A stand-in for a TAP service: real HTTP, real VOTables, real joins, and every fault on demand.

It answers ``POST <url>/sync`` as IVOA TAP 1.1 says: multipart parameters, a VOTable that is sent along, ADQL with one
positional join. The ADQL is not interpreted but recognised; a query of another form is refused as a service does it.
"""

from __future__ import annotations

import email.parser
import email.policy
import io
import re
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import numpy as np
from astropy.io import votable
from astropy.table import MaskedColumn, Table

from fink_lib.science.catalogs.catalog import ARCSEC_PER_RAD
from fink_lib.science.coordinates import unit_vectors

QUERY = re.compile(
    r'SELECT (?P<columns>[\w."]+(, [\w."]+)*) '
    r'FROM TAP_UPLOAD\.(?P<upload>\w+) AS \w+, "(?P<table>[^"]+)" AS \w+ '
    r"WHERE 1 = CONTAINS\(POINT\('ICRS', (?P<ra>[\w.\"]+), (?P<dec>[\w.\"]+)\), "
    r"CIRCLE\('ICRS', \w+\.(?P<up_ra>\w+), \w+\.(?P<up_dec>\w+), (?P<radius>[0-9.]+)\)\)"
)

SIMBAD = Table(
    {
        "ra": [150.0, 150.0, 30.0, 210.0, 0.0],
        "dec": [2.0, 2.0 + 0.9 / 3600, -10.0, 89.9999, 0.0],
        "main_id": ["V* AA Sex", "a galaxy beside it", "NGC 1", "polar", "at the seam"],
        "otype": ["RR*", "G", "SN*", "Sy1", "?"],
    }
)
"""A sky of five objects; the first two are 0.9 arcsec apart."""

GAIA = Table(
    {
        "RA_ICRS": [150.0, 30.0, 210.0],
        "DE_ICRS": [2.0, -10.0, 10.0],
        "DR3Name": ["Gaia DR3 1", "Gaia DR3 2", "Gaia DR3 3"],
        "Plx": MaskedColumn([1.5, 0.0, -0.25], mask=[False, True, False]),
        "e_Plx": MaskedColumn([0.1, 0.0, 0.5], mask=[False, True, False], dtype=np.float32),
        "VarFlag": ["VARIABLE", "NOT_AVAILABLE", "CONSTANT"],
    }
)
"""Three stars; the second has no parallax."""


class TapServer:
    """The server, on a free port of this machine, for as long as the context lasts.

    Parameters
    ----------
    tables : mapping of str to astropy.table.Table
        What it holds.

    Attributes
    ----------
    calls : int
        Requests received.
    manner : str
        How it answers: ``well``, ``slow`` (after `delay_s`), ``drip`` (a byte now and then), ``garbage``, ``html``
        (a page with status 200), ``500``, ``half`` (500 to every other request), ``refuses`` (a VOTable that says
        error), ``cut off`` (one that says overflow), ``foreign`` (a VOTable of something else), ``broken off`` (the
        connection ends within the answer).
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.tables = dict(tables)
        self.calls = 0
        self.places = 0
        self.manner = "well"
        self.delay_s = 0.0
        self.shuffled = False
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Base address of the service."""
        return f"http://127.0.0.1:{self._port}/tap"

    def __enter__(self) -> Self:
        self.revive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.die()

    def die(self) -> None:
        """Close the port: whoever connects is refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def revive(self) -> None:
        """Listen, on the port of before if there was one."""
        server = _Listener(("127.0.0.1", self._port), _Handler)
        server.tap = self
        self._port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class _Listener(ThreadingHTTPServer):
    tap: TapServer
    daemon_threads = True
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        tap = self.server.tap
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with tap.lock:
            tap.calls += 1
            number = tap.calls
            tap.at_once += 1
            tap.most_at_once = max(tap.most_at_once, tap.at_once)
        try:
            self._answer(tap, body, number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller has lost patience
        finally:
            with tap.lock:
                tap.at_once -= 1

    def _answer(self, tap: TapServer, body: bytes, number: int) -> None:
        if tap.delay_s and tap.manner in ("slow", "well"):
            time.sleep(tap.delay_s)
        if self.path != "/tap/sync":
            self._send(404, b"no such place", "text/plain")
            return
        if tap.manner == "500" or tap.manner == "half" and number % 2:
            self._send(500, b"Internal Server Error", "text/plain")
            return
        if tap.manner == "garbage":
            self._send(200, bytes(range(256)) * 20)
            return
        if tap.manner == "html":
            self._send(200, b"<html><body><h1>The service is being maintained</h1></body></html>", "text/html")
            return
        if tap.manner == "refuses":
            self._send(200, status_only("ERROR", "the queue is full"))
            return
        try:
            good = joined(tap, parts_of(self.headers["Content-Type"], body))
        except ValueError as error:
            self._send(400, status_only("ERROR", str(error)))
            return
        if tap.manner == "cut off":
            good = good.replace(b"</RESOURCE>", b'<INFO name="QUERY_STATUS" value="OVERFLOW"/></RESOURCE>')
        if tap.manner == "foreign":
            good = document(Table({"kind": ["weather"]}))
        if tap.manner == "broken off":
            self.send_response(200)
            self.send_header("Content-Length", str(len(good)))
            self.end_headers()
            self.wfile.write(good[: len(good) // 2])
            self.close_connection = True
            return
        if tap.manner == "drip":
            self.send_response(200)
            self.send_header("Content-Length", str(len(good)))
            self.end_headers()
            for byte in good:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.02)
            return
        self._send(200, good)

    def _send(self, code: int, body: bytes, kind: str = "application/x-votable+xml") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def parts_of(content_type: str, body: bytes) -> dict[str, bytes]:
    """Take a multipart body apart."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise ValueError("the table that UPLOAD names is missing")
    found = {}
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found[str(part.get_param("name", header="content-disposition"))] = content
    return found


def joined(tap: TapServer, parts: Mapping[str, bytes]) -> bytes:
    """Run the query.

    Raises
    ------
    ValueError
        If a parameter or the query is not what the protocol, or this server, knows.
    """
    text = {name: value.decode() for name, value in parts.items() if name.isupper()}
    if text.get("REQUEST") != "doQuery" or text.get("LANG") != "ADQL" or text.get("FORMAT") != "votable":
        raise ValueError("REQUEST, LANG or FORMAT is missing or unknown")
    query = QUERY.fullmatch(text.get("QUERY", ""))
    if query is None:
        raise ValueError("the query is not understood")
    name, _, place = text.get("UPLOAD", "").partition(",param:")
    if name != query["upload"] or place not in parts:
        raise ValueError("the table that UPLOAD names is missing")
    if query["table"] not in tap.tables:
        raise ValueError(f"there is no table {query['table']}")
    asked = votable.parse_single_table(io.BytesIO(parts[place])).to_table()
    table = tap.tables[query["table"]]
    tap.places += len(asked)
    ra, dec = (query[axis].replace('"', "").partition(".")[2] for axis in ("ra", "dec"))
    there = unit_vectors(np.array(table[ra], float), np.array(table[dec], float))
    here = unit_vectors(np.array(asked[query["up_ra"]], float), np.array(asked[query["up_dec"]], float))
    chord = np.linalg.norm(here[:, None, :] - there[None, :, :], axis=2)
    near = 2 * np.arcsin(chord / 2) * ARCSEC_PER_RAD < float(query["radius"]) * 3600
    row, source = np.nonzero(near)
    if tap.shuffled:
        row, source = row[::-1], source[::-1]
    columns: dict[str, Any] = {}
    for column in query["columns"].replace('"', "").split(", "):
        owner, _, field = column.partition(".")
        columns[field] = asked[field][row] if owner == query["upload"] else table[field][source]
    return document(Table(columns))


def document(table: Table) -> bytes:
    """Write an answer."""
    whole = votable.from_table(table)
    whole.resources[0].type = "results"
    whole.resources[0].infos.append(votable.tree.Info(name="QUERY_STATUS", value="OK"))
    sink = io.BytesIO()
    whole.to_xml(sink)
    return sink.getvalue()


def status_only(status: str, text: str) -> bytes:
    """Write an answer without a table."""
    return (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="{status}">{text}</INFO></RESOURCE></VOTABLE>'
    ).encode()


def sky_of(rows: Sequence[tuple[float, float, str, str]]) -> Table:
    """Give a SIMBAD of some objects: position (deg), name, type code."""
    ra, dec, names, types = zip(*rows, strict=True)
    return Table({"ra": list(ra), "dec": list(dec), "main_id": list(names), "otype": list(types)})
