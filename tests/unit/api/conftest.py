"""The API as clients meet it: a real server on a port of its own, over a real lake."""

from __future__ import annotations

import gzip
import io
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from astropy.io import fits

from fink_lib.api.app import create_app
from fink_lib.config import Settings, load_settings
from fink_lib.lake import Lake, open_lake
from tests.night_rows import replace, science_rows

NIGHTS = ("20240310", "20240311", "20240312")
ALERTS = 60
STATUSES = ("ok", "no_match", "not_applicable", "unavailable", "failed")

Serve = Callable[[Settings], httpx.Client]


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def write_settings(home: Path) -> Settings:
    """Make an installation whose services all listen nowhere."""
    home.mkdir(parents=True, exist_ok=True)
    lines = [f"[{name}]\n{key} = {free_port()}" for name, key in
             (("kafka", "port"), ("hbase", "thrift_port"), ("airflow", "port"))]  # fmt: skip
    (home / "fink.toml").write_text("\n".join(lines))
    return load_settings(home)


@contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    """Run the API and give a client of it."""
    config = uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the API did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join()


def alerts(lake: Lake, night: str, first_id: int, number: int = ALERTS) -> pa.Table:
    """Make rows of ``science`` of which every fifth has each status for SIMBAD, and no SIMBAD label."""
    rows = science_rows(lake, number, seed=first_id, night=night, first_id=first_id)
    jd = rows.column("candidate").combine_chunks().field("jd").to_numpy()
    days = (datetime.strptime(night, "%Y%m%d") - datetime(2024, 3, 12)).days
    status = [[("simbad", STATUSES[place % 5]), ("roid", "ok")] for place in range(number)]
    return replace(
        rows,
        candidate={"jd": jd + days},
        cdsxmatch=[None] * number,
        roid=[3] * number,
        fink_status=status,
        ingest={"offset": range(first_id, first_id + number)},
    )


def images(lake: Lake, night: str, first_id: int, number: int = ALERTS) -> pa.Table:
    """Make the images of the alerts of a night: FITS files of 63 by 63 pixels, gzipped as the survey sends them."""
    sink = io.BytesIO()
    fits.PrimaryHDU(np.arange(63 * 63, dtype=">f4").reshape(63, 63)).writeto(sink)
    file = gzip.compress(sink.getvalue())
    rows = [
        {
            "alert_id": first_id + one,
            "batch": "b",
            "science": file,
            "template": file,
            "difference": file,
            "night": night,
        }
        for one in range(number)
    ]
    return pa.Table.from_pylist(rows, schema=lake.schema("cutouts"))


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make an installation with three nights of which none is archived, and summaries of two."""
    settings = write_settings(tmp_path_factory.mktemp("api"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    for place, night in enumerate(NIGHTS):
        rows = alerts(lake, night, first_id=10**17 + place * ALERTS)
        lake.append("raw", rows.select(lake.schema("raw").names))
        lake.append("science", rows)
        lake.append("cutouts", images(lake, night, 10**17 + place * ALERTS))
    summaries = [
        {
            "basic": [("raw", 60 + place), ("sci", 60), ("n_g", 30)],
            "class": [("Unknown", 60 - place), *([("RR Lyr", 1)] if place else [])],
            "filters": [("unknowns", 7)],
            "versions": [("gcvs", "1")],
            "computed": datetime(2024, 3, 13, tzinfo=UTC),
            "night": night,
        }
        for place, night in enumerate(NIGHTS[:2])
    ]
    lake.append("night_summary", pa.Table.from_pylist(summaries, schema=lake.schema("night_summary")))
    return settings


@pytest.fixture(scope="module")
def filled_home(filled_once: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give a file of tests a copy of that installation for itself: what other files wrote is not in it."""
    home = tmp_path_factory.mktemp("api") / "home"
    shutil.copytree(filled_once.home, home)
    return load_settings(home)


@pytest.fixture(scope="module")
def lake(filled_home: Settings) -> Lake:
    """Give the lake of the filled installation."""
    return open_lake(filled_home, "ztf")


@pytest.fixture(scope="module")
def client(filled_home: Settings) -> Iterator[httpx.Client]:
    """Give a client of the filled installation's API."""
    with serving(filled_home) as client:
        yield client
