"""A stand-in for VizieR, SIMBAD and the Transient Name Server: real HTTP, real jobs, real VOTables, made-up sky.

Queries run in DuckDB after their geometry is written as arithmetic, so a wrong query gives wrong rows here too.
"""

from __future__ import annotations

import io
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import duckdb
import pyarrow as pa
from astropy.table import Table

CIRCLE = re.compile(
    r"CONTAINS\(POINT\('ICRS', (?P<ra>[^,]+), (?P<dec>[^)]+)\), "
    r"CIRCLE\('ICRS', (?P<x>[^,]+), (?P<y>[^,]+), (?P<r>[^)]+)\)\)"
)
DISTANCE = (
    "CAST(degrees(2 * asin(least(1, sqrt(pow(sin(radians(({dec}) - ({y})) / 2), 2) + cos(radians({dec})) "
    "* cos(radians({y})) * pow(sin(radians(({ra}) - ({x})) / 2), 2))))) <= {r} AS INTEGER)"
)


class CatalogServices(ThreadingHTTPServer):
    """The services.

    Attributes
    ----------
    url : str
        Base address; TAP is at ``<url>/tap``, the list of transients at ``<url>/tns.zip``.
    fault : str
        What is wrong: empty, ``500`` (every answer), ``garbage`` (no VOTable), ``loses`` (one row less), ``never``
        (jobs do not end), ``silent`` (no answer at all).
    queries : list of str
        What was asked.
    transients : str
        The list of transients, as text.
    """

    daemon_threads = True

    def __init__(self, tables: dict[str, pa.Table]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.fault = ""
        self.queries: list[str] = []
        self.transients = ""
        self.sent: dict[str, Any] = {}
        self.jobs: dict[str, bytes | str] = {}
        self.released = threading.Event()
        self._database = duckdb.connect(":memory:", config={"threads": 1})
        self._database.execute("CREATE SCHEMA TAP_SCHEMA")
        self._database.execute("CREATE TABLE TAP_SCHEMA.columns (table_name VARCHAR, column_name VARCHAR)")
        for name, table in tables.items():
            self._database.register("given", table)
            self._database.execute(f'CREATE TABLE "{name}" AS SELECT * FROM given')
            for column in table.column_names:
                self._database.execute("INSERT INTO TAP_SCHEMA.columns VALUES (?, ?)", [name, column])

    def run(self, adql: str) -> bytes | str:
        """Give the VOTable of a query, or the text of its error."""
        sql = CIRCLE.sub(lambda found: DISTANCE.format(**found.groupdict()), adql)
        try:
            rows = self._database.cursor().sql(sql).to_arrow_table()
        except duckdb.Error as error:
            return str(error)
        if self.fault == "loses" and "COUNT(*)" not in adql and "TAP_SCHEMA" not in adql:
            rows = rows.slice(1)
        table = Table()
        for name in rows.column_names:
            values = rows.column(name).to_pylist()
            text = pa.types.is_string(rows.column(name).type)
            filler = "" if text else 0
            table[name] = [filler if value is None else value for value in values]
            if any(value is None for value in values):
                table[name] = table.MaskedColumn(table[name], mask=[value is None for value in values])
        sink = io.BytesIO()
        table.write(sink, format="votable")
        return sink.getvalue()


class _Handler(BaseHTTPRequestHandler):
    server: CatalogServices

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self._spoiled():
            return
        if self.path == "/tns.zip":
            self.server.sent = {"agent": self.headers["User-Agent"], "key": form.get("api_key", [""])[0]}
            if self.server.sent["key"] != "right":
                self._answer(401, b"")
                return
            sink = io.BytesIO()
            with zipfile.ZipFile(sink, "w") as archive:
                archive.writestr("tns_public_objects.csv", self.server.transients)
            self._answer(200, b"nothing zipped" if self.server.fault == "garbage" else sink.getvalue())
        elif self.path == "/context/tap/async" and form["REQUEST"] == ["doQuery"] and form["PHASE"] == ["RUN"]:
            adql = form["QUERY"][0]
            self.server.queries.append(adql)
            job = str(len(self.server.jobs))
            self.server.jobs[job] = self.server.run(adql)
            self.send_response(303)
            self.send_header("Location", f"{self.server.url}/context/tap/async/{job}")
            self.end_headers()
        else:
            self._answer(404, b"")

    def do_GET(self) -> None:
        if self._spoiled():
            return
        found = re.fullmatch(r"/context/tap/async/(\d+)/(phase|error|results/result)", self.path)
        if not found:
            self._answer(404, b"")
            return
        result = self.server.jobs[found[1]]
        if found[2] == "phase":
            ended = b"COMPLETED" if isinstance(result, bytes) else b"ERROR"
            self._answer(200, b"EXECUTING" if self.server.fault == "never" else ended)
        elif found[2] == "error":
            self._answer(200, result.encode() if isinstance(result, str) else b"")
        elif isinstance(result, bytes):
            self._answer(200, b"<html>be right back</html>" if self.server.fault == "garbage" else result)
        else:
            self._answer(404, b"")

    def _spoiled(self) -> bool:
        if self.server.fault == "silent":
            self.server.released.wait(30)
            self.close_connection = True
            return True
        if self.server.fault == "500":
            self._answer(500, b"<html>out of order</html>")
        return self.server.fault == "500"

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def catalog_services(tables: dict[str, pa.Table]) -> Iterator[CatalogServices]:
    """Run the services over some tables."""
    server = CatalogServices(tables)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
