"""The API under load: people who read, one after the other, with a second of thought between two requests.

Alerts of objects that are spread over the sky fill some nights. All but the newest are archived, as in life: the API
reads those from HBase and the newest from the lake. The server is a process of its own, as ``fink up api`` starts it;
the load comes from this process, on the same machine.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.bench.backtest import COMMIT, FILE_ROWS, FIRST_ID, science_of
from fink_lib.bench.measure import BYTES_PER_ROW, SURVEY, Figure
from fink_lib.bench.place import bench_home, check_space
from fink_lib.bench.usage import Usage
from fink_lib.config import Settings, project_root
from fink_lib.errors import TransientError
from fink_lib.lake import Lake, open_lake
from fink_lib.lake.lake import NewFile
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.archive import archive
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.stage import NightContext

USERS = 50
PAUSE_S = 1.0
WARM_UP_S = 10.0
LOAD_S = 60.0
NIGHTS = 10
FIRST_NIGHT = date(2026, 1, 1)
FIRST_JD = 2461041.5
"""2026-01-01T00:00 UTC."""
ALERTS_PER_OBJECT = 10
SCATTER_DEG = 0.1 / 3600
START_S = 180.0
REQUEST_S = 60.0

BUDGETS_MS = {"objects": 50.0, "cone of 1 arcmin": 100.0}
"""Largest 95th percentile that the design asks for (milliseconds)."""
MIX = {"objects": 60, "cone of 1 arcmin": 35, "cone of 5 degrees": 5}
"""What people ask for, per cent."""

Floats = npt.NDArray[np.float64]


@dataclass
class Load:
    """What was seen.

    Parameters
    ----------
    usage : Usage
        Processor time and memory of the server.
    seconds : float
        Time of the load.
    milliseconds : dict of str to list of float
        By kind of request, the time of each answer.
    failed : dict of str to int
        By status, or by the error's name, requests without an answer.
    """

    usage: Usage
    seconds: float = 0.0
    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def requests(self) -> int:
        """Answers that came."""
        return sum(len(times) for times in self.milliseconds.values())

    def to_json(self) -> dict[str, Any]:
        """Give the figures by kind of request."""
        told: dict[str, Any] = {}
        for kind, times in sorted(self.milliseconds.items()):
            marks = {f"p{mark}_ms": round(float(np.percentile(times, mark)), 1) for mark in (50, 95, 99)}
            budget = {"budget_p95_ms": BUDGETS_MS[kind]} if kind in BUDGETS_MS else {}
            told[kind] = {"requests": len(times), **marks, "max_ms": round(max(times), 1), **budget}
        return {**told, "failed": dict(self.failed)}


@dataclass(frozen=True)
class Sky:
    """Where the objects are (degrees)."""

    names: Sequence[str]
    ra: Floats
    dec: Floats


def measure_api(alerts: int, data: Sequence[Path], parent: Path, say: Callable[[str], None]) -> Figure:
    """Fill a lake, start the API over it, and let people read.

    Parameters
    ----------
    alerts : int
        How many there are to read.
    data : sequence of Path
        Recorded alerts that are copied; synthetic ones if empty.
    parent : Path
        Folder to work in.
    say : callable
        Takes a line of progress.

    Returns
    -------
    Figure
        Of requests; with percentiles by kind.
    """
    check_space(parent, alerts, BYTES_PER_ROW)
    with bench_home(parent, ("hbase",), 0, say) as settings:  # what it takes without Kafka was looked for above
        load = _load(settings, alerts, data, say)
    cpu_ms = 1000 * load.usage.cpu_s / max(load.requests, 1)
    more = {"alerts": alerts, **load.to_json()}
    return Figure("api", load.requests, load.seconds, load.requests / load.seconds, cpu_ms,
                  load.usage.peak_bytes / 1e6, more)  # fmt: skip


def _load(settings: Settings, alerts: int, data: Sequence[Path], say: Callable[[str], None]) -> Load:
    lake = open_lake(settings, SURVEY)
    lake.ensure()
    sky = make_sky(max(alerts // ALERTS_PER_OBJECT, 1), seed=1)
    say(f"writing {alerts} alerts of {len(sky.names)} objects into {NIGHTS} nights")
    _fill(lake, science_of(lake, settings, data), sky, alerts)
    for night in lake.nights("science")[:-1]:
        now = datetime.now(UTC)
        say(archive(NightContext(settings, lake.survey, lake, night, now, lambda line: None)).message)
        set_state(lake, night, "archived", "verify_archive", "for the measurement", now)
    with _server(settings, say) as (address, pid):
        say(f"{USERS} people read for {LOAD_S:g} s")
        return asyncio.run(_read(address, pid, sky))


def make_sky(number: int, seed: int) -> Sky:
    """Spread objects evenly over the sky north of -30 degrees.

    Parameters
    ----------
    number : int
        How many.
    seed : int
        The same seed gives the same sky.
    """
    chance = np.random.default_rng(seed)
    ra = chance.uniform(0, 360, number)
    dec = np.degrees(np.arcsin(chance.uniform(np.sin(np.radians(-30.0)), 1.0, number)))
    names = [f"ZTF26{''.join(chr(ord('a') + (n // 26**k) % 26) for k in reversed(range(7)))}" for n in range(number)]
    return Sky(names, ra, dec)


def copies(pattern: pa.Table, sky: Sky, numbers: npt.NDArray[np.int64], night: int) -> pa.Table:
    """Make alerts: rows of a pattern with ids, names, places and times of their own.

    Parameters
    ----------
    pattern : pyarrow.Table
        Rows of ``science``.
    sky : Sky
        Where the objects are.
    numbers : numpy.ndarray
        Which alerts; every object has its turn.
    night : int
        Counted from the first one.
    """
    chance = np.random.default_rng(int(numbers[0]) + 1)
    rows = pattern.take(pa.array(numbers % pattern.num_rows)).combine_chunks()
    thing = numbers % len(sky.names)
    own = {
        "ra": (sky.ra[thing] + chance.normal(0, SCATTER_DEG, len(thing))) % 360,
        "dec": np.clip(sky.dec[thing] + chance.normal(0, SCATTER_DEG, len(thing)), -90, 90),
        "jd": FIRST_JD + night + chance.uniform(0.1, 0.5, len(thing)),
        "jdstarthist": np.full(len(thing), FIRST_JD - 30),
        "candid": FIRST_ID + numbers,
    }
    record = rows.column("candidate").combine_chunks()
    fields = [
        pa.array(own[f.name]).cast(f.type) if f.name in own else record.field(place)
        for place, f in enumerate(record.type)
    ]
    changed = {
        "candidate": pa.StructArray.from_arrays(fields, fields=list(record.type)),
        "candid": pa.array(FIRST_ID + numbers, pa.int64()),
        "objectId": pa.array([sky.names[n] for n in thing.tolist()], pa.string()),
        "finkclass": pc.fill_null(rows.column("finkclass").combine_chunks(), "Unknown"),
    }
    for name, column in changed.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), column)
    told = (FIRST_NIGHT + timedelta(days=night)).strftime("%Y%m%d")
    return rows.append_column(PARTITION, pa.array([told] * len(numbers)))


def _fill(lake: Lake, pattern: pa.Table, sky: Sky, alerts: int) -> None:
    parts = [
        (night, share[begin : begin + FILE_ROWS])
        for night, share in enumerate(np.array_split(np.arange(alerts), NIGHTS))
        for begin in range(0, len(share), FILE_ROWS)
    ]

    def write(part: tuple[int, npt.NDArray[np.int64]]) -> list[NewFile]:
        return lake.write_files("science", copies(pattern, sky, part[1], part[0]))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        files = [file for written in pool.map(write, parts) for file in written]
    lake.commit("science", files, COMMIT, 1)


@contextmanager
def _server(settings: Settings, say: Callable[[str], None]) -> Iterator[tuple[str, int]]:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "uvicorn", "fink_lib.api.app:create_app", "--factory", "--port", str(port),
               "--log-level", "warning"]  # fmt: skip
    environment = {**os.environ, "FINK_HOME": str(settings.home)}
    with (settings.log_dir / "bench-api.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=project_root(), env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, server, settings)
            began_s = time.monotonic()
            # the first question makes the server look at every file once
            httpx.get(f"{address}/api/v1/objects?objectId=ZTF26aaaaaaa", timeout=START_S)
            say(f"the first answer took {time.monotonic() - began_s:.1f} s")
            yield address, server.pid
        finally:
            server.terminate()
            try:
                server.wait(REQUEST_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(address: str, server: subprocess.Popen[bytes], settings: Settings) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{address}/health/live").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise TransientError(f"the API did not start; see {settings.log_dir / 'bench-api.log'}")


async def _read(address: str, pid: int, sky: Sky) -> Load:
    began_s = time.monotonic()
    limits = httpx.Limits(max_connections=USERS, max_keepalive_connections=USERS)
    with Usage([pid]) as usage:
        load = Load(usage)
        async with httpx.AsyncClient(base_url=address, timeout=REQUEST_S, limits=limits) as client:
            await asyncio.gather(*(_person(client, sky, load, began_s, number) for number in range(USERS)))
    load.seconds = time.monotonic() - began_s - WARM_UP_S
    return load


async def _person(client: httpx.AsyncClient, sky: Sky, load: Load, began_s: float, number: int) -> None:
    chance = random.Random(number)
    await asyncio.sleep(chance.uniform(0, PAUSE_S))
    while (passed_s := time.monotonic() - began_s) < WARM_UP_S + LOAD_S:
        (kind,) = chance.choices(list(MIX), list(MIX.values()))
        path, query = _question(kind, sky, chance.randrange(len(sky.names)))
        asked_s = time.perf_counter()
        try:
            answer = await client.get(path, params=query)
            spent_ms = 1000 * (time.perf_counter() - asked_s)
            why = "" if answer.status_code == 200 and answer.json() else f"{kind}: {answer.status_code}"
        except httpx.HTTPError as error:
            why = f"{kind}: {type(error).__name__}"
        if passed_s >= WARM_UP_S:
            if why:
                load.failed[why] += 1
            else:
                load.milliseconds[kind].append(spent_ms)
        await asyncio.sleep(PAUSE_S)


def _question(kind: str, sky: Sky, thing: int) -> tuple[str, dict[str, str]]:
    if kind == "objects":
        return "/api/v1/objects", {"objectId": sky.names[thing]}
    radius = {"cone of 1 arcmin": 60, "cone of 5 degrees": 18_000}[kind]
    place = {"ra": str(sky.ra[thing]), "dec": str(sky.dec[thing]), "radius": str(radius)}
    return "/api/v1/conesearch", place
