"""The measurements: each stage alone, the chain drained, latency at a steady pace, the nights, cross-matches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from confluent_kafka import Consumer

from fink_lib.bench.place import bench_home, check_space
from fink_lib.bench.usage import Usage
from fink_lib.config import Settings, load_settings, project_root
from fink_lib.errors import TransientError
from fink_lib.lake import Lake, open_lake
from fink_lib.runtime import launcher
from fink_lib.streams.kafka import client_options

SURVEY = "ztf"
STAGES = ("stream2raw", "raw2science", "distribution")
Say = Callable[[str], None]

BUDGETS = {
    "stream2raw": 600.0,
    "raw2science": 550.0,
    "chain": 256.0,
    "nightly": 167.0,
    "archive": 2000.0,
    "crossmatch": 50_000.0,
}
"""Alerts per second that the design asks for on 2 cores; positions per second for the slowest cross-match."""

POSITIONS = 100_000
BACKTEST_ROWS = 1_000_000
BACKTEST_BUDGET_S = 60.0
BACKTEST_FILTERS = ("sn_candidates", "early_sn_candidates", "kn_candidates")
MEMORY_PARTS = 10

LATENCY_BUDGET_S = {"p95": 20.0, "p99": 30.0}
BYTES_PER_ROW = 20_000
"""A row of ``science`` in the lake, generously."""

WARM_UP = 2000

NIGHT = "20260115"
"""Recorded alerts of many nights are sent as those of one: a live stream has one topic at a time."""

TIMEOUT_S = 1800.0


@dataclass
class Figure:
    """One line of the result.

    Parameters
    ----------
    what : str
        Stage, ``chain``, ``latency``, ``nightly``, ``archive``, ``crossmatch``, ``backtest`` or ``api``.
    alerts : int
        How many passed.
    seconds : float
        From the first batch's begin to the last one's end; start-up is not part of it.
    rate_s : float
        Alerts per second.
    cpu_ms_per_alert : float
        Processor time of driver, JVM and workers, start-up included, over the alerts.
    peak_mb : float
        Largest resident memory of the same.
    more : dict
        Percentiles, seconds per module, whatever else was seen.
    """

    what: str
    alerts: int
    seconds: float
    rate_s: float
    cpu_ms_per_alert: float
    peak_mb: float
    more: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the budget where there is one."""
        budget = BUDGETS.get(self.what)
        values = {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return values | ({"budget_rate_s": budget, "of_budget": round(self.rate_s / budget, 2)} if budget else {})


def measure(stage: str, alerts: int, data: Sequence[Path], parent: Path, say: Say) -> list[Figure]:
    """Run the measurements asked for.

    Parameters
    ----------
    stage : str
        A stage, ``chain``, ``latency``, ``nightly``, ``archive``, ``crossmatch``, ``backtest``, ``api``, or ``all`` but
        the last two, which fill a disk for minutes.
    alerts : int
        How many to send.
    data : sequence of Path
        Recorded alerts to send, re-keyed until there are enough; synthetic ones if empty.
    parent : Path
        Folder to work in.
    say : callable
        Takes a line of progress.
    """
    figures: list[Figure] = []
    if stage in ("crossmatch", "all"):
        figures.append(_crossmatch(say))
    if stage == "backtest":
        figures.append(_backtest(data, parent, say))
    if stage == "api":
        from fink_lib.bench.api import measure_api

        figures.append(measure_api(alerts, data, parent, say))
    if stage in ("archive", "all"):
        with bench_home(parent, ("hbase",), alerts, say) as settings:
            figures.append(_archive(settings, alerts, data, say))
    if stage in (*STAGES, "nightly", "all"):
        wanted = [*STAGES, "nightly"] if stage == "all" else [*_up_to(stage), stage]
        with bench_home(parent, ("kafka", "hbase") if "nightly" in wanted else ("kafka",), alerts, say) as settings:
            _simulate(settings, alerts, data, ["--clock", "max"], say)
            for name in wanted:
                say(f"measuring {name}")
                figure = _nightly(settings, say) if name == "nightly" else _stage(settings, name)
                if stage in (name, "all"):
                    figures.append(figure)
    if stage in ("chain", "latency", "all"):
        with bench_home(parent, ("kafka",), 2 * alerts, say) as settings:
            pids = _start_drivers(settings, say)
            _wait_sent(settings, _simulate(settings, WARM_UP, data, ["--clock", "max"], say))
            if stage in ("chain", "all"):
                figures.append(_chain(settings, alerts, data, pids, say))
            if stage in ("latency", "all"):
                figures.append(_latency(settings, alerts, data, pids, say))
    return figures


def _up_to(stage: str) -> list[str]:
    return [*STAGES] if stage == "nightly" else list(STAGES[: STAGES.index(stage)])


def _stage(settings: Settings, stage: str) -> Figure:
    command = [sys.executable, "-m", f"jobs.{stage}", "--survey", SURVEY, "--once"]
    with _log(settings, stage) as log:
        driver = subprocess.Popen(command, cwd=project_root(), stdout=log, stderr=log)
        with Usage([driver.pid]) as usage:
            code = driver.wait(TIMEOUT_S)
    if code:
        raise TransientError(f"{stage} ended with code {code}; see {settings.log_dir / 'bench'}")
    rows = _ledger(open_lake(settings, SURVEY), stage)
    figure = _figure(stage, rows, usage)
    figure.more["peak_mb_by_tenth"] = [round(peak / 1e6) for peak in usage.peaks_bytes(MEMORY_PARTS)]
    if stage == "raw2science":
        figure.more["us_per_alert"] = _module_cost(rows)
    return figure


def _figure(what: str, rows: list[dict[str, Any]], usage: Usage) -> Figure:
    alerts = sum(row["received"] for row in rows)
    seconds = _span_s(rows)
    return Figure(what, alerts, seconds, alerts / seconds, 1000 * usage.cpu_s / max(alerts, 1), usage.peak_bytes / 1e6)


def _span_s(rows: list[dict[str, Any]]) -> float:
    begins = [float(row["finished"].timestamp() - row["seconds"]) for row in rows]
    ends = [float(row["finished"].timestamp()) for row in rows]
    return max(max(ends) - min(begins), 1e-3)


def _module_cost(rows: list[dict[str, Any]]) -> dict[str, float]:
    spent: dict[str, float] = {}
    for row in rows:
        for name, value in json.loads(row["details"]).items():
            if name.startswith("us:"):
                spent[name[3:]] = spent.get(name[3:], 0.0) + value
    alerts = max(sum(row["produced"] for row in rows), 1)
    return {name: round(value / alerts, 1) for name, value in sorted(spent.items(), key=lambda item: -item[1])}


def _archive(settings: Settings, alerts: int, data: Sequence[Path], say: Say) -> Figure:
    from fink_lib.bench.archive import archive_rates

    say("measuring archive")
    seen = archive_rates(settings, SURVEY, alerts, data, say)
    cpu_s, database_s = seen.usage.cpu_s, seen.database.cpu_s
    cpu_ms = 1000 * (cpu_s + database_s) / alerts
    more: dict[str, Any] = {"rows": seen.rows, "rows_s": round(sum(seen.rows.values()) / seen.seconds)}
    more |= {"database_cpu_ms_per_alert": round(1000 * database_s / alerts, 3)}
    more["verified_rate_s"] = round(alerts / seen.verify_s)
    return Figure("archive", alerts, seen.seconds, alerts / seen.seconds, cpu_ms, seen.usage.peak_bytes / 1e6, more)


def _nightly(settings: Settings, say: Say) -> Figure:
    from fink_lib.nightly.runner import run_night

    lake = open_lake(settings, SURVEY)
    rows, began_s = 0, time.monotonic()
    with Usage([os.getpid()]) as usage:
        for night in lake.nights("science"):
            run_night(settings, SURVEY, night, say)
            rows += lake.count("science", night)
    seconds = time.monotonic() - began_s
    return Figure("nightly", rows, seconds, rows / seconds, 1000 * usage.cpu_s / rows, usage.peak_bytes / 1e6)


def _crossmatch(say: Say) -> Figure:
    from fink_lib.bench.crossmatch import crossmatch_rates

    say("measuring crossmatch")
    with tempfile.TemporaryDirectory(prefix="fink-bench-") as home:
        rates, usage = crossmatch_rates(load_settings(Path(home)), POSITIONS)
    slowest = min(rates.values())
    more: dict[str, Any] = {"positions_s": {name: round(rate) for name, rate in rates.items()}}
    cpu_ms = 1000 * usage.cpu_s / (POSITIONS * len(rates))
    return Figure("crossmatch", POSITIONS, POSITIONS / slowest, slowest, cpu_ms, usage.peak_bytes / 1e6, more)


def _backtest(data: Sequence[Path], parent: Path, say: Say) -> Figure:
    from fink_lib.bench.backtest import backtest_seconds

    check_space(parent, BACKTEST_ROWS, BYTES_PER_ROW)
    with tempfile.TemporaryDirectory(prefix="backtest-", dir=parent) as home:
        settings = load_settings(Path(home))
        spent_s, rows, usage = backtest_seconds(settings, SURVEY, BACKTEST_ROWS, data, BACKTEST_FILTERS, say)
    slowest_s = max(spent_s.values())
    more: dict[str, Any] = {"seconds": spent_s, "budget_s": BACKTEST_BUDGET_S}
    cpu_ms = 1000 * usage.cpu_s / (rows * len(spent_s))
    return Figure("backtest", rows, slowest_s, rows / slowest_s, cpu_ms, usage.peak_bytes / 1e6, more)


def _start_drivers(settings: Settings, say: Say) -> list[int]:
    pids = []
    for stage in STAGES:
        say(f"starting {stage}")
        seen, _ = launcher.ensure(settings, SURVEY, stage)
        if seen.identity is None:
            raise TransientError(f"{stage} did not start; see {launcher.log_file(settings, SURVEY, stage)}")
        pids.append(seen.identity.process.pid)
    return pids


def _chain(settings: Settings, alerts: int, data: Sequence[Path], pids: list[int], say: Say) -> Figure:
    lake = open_lake(settings, SURVEY)
    before = {stage: _ledger(lake, stage) for stage in STAGES}
    with Usage(pids) as usage:
        sent = _simulate(settings, alerts, data, ["--clock", "max", *_others(data, 1)], say)
        _wait_sent(settings, _total(before["stream2raw"], "received") + sent)
    rows = [row for stage in STAGES for row in _ledger(lake, stage)[len(before[stage]) :]]
    figure = _figure("chain", [row for row in rows if row["stage"] == "stream2raw"], usage)
    figure.seconds = _span_s(rows)
    figure.rate_s = figure.alerts / figure.seconds
    return figure


def _latency(settings: Settings, alerts: int, data: Sequence[Path], pids: list[int], say: Say) -> Figure:
    """Pace alerts at half the chain's budget and compare each message's arrival with that of its alert."""
    rate = BUDGETS["chain"] / 2
    wanted = int(min(alerts, rate * 60))
    arrivals: dict[int, float] = {}
    stop = threading.Event()
    reader = threading.Thread(target=_listen, args=(settings, arrivals, stop), daemon=True)
    reader.start()
    began = time.time()
    lake = open_lake(settings, SURVEY)
    with Usage(pids) as usage:
        paced = _simulate(settings, wanted, data, ["--clock", f"flat:{rate:g}", *_others(data, 2)], say)
        _wait_quiet(settings)
    stop.set()
    reader.join()
    taken = lake.dataset("science").to_table(
        columns={"id": pc.field("candid"), "came": pc.field("ingest", "kafka_time")}
    )
    waits = np.array(
        [
            arrivals[alert] - came.timestamp()
            for alert, came in zip(taken.column("id").to_pylist(), taken.column("came").to_pylist(), strict=True)
            if alert in arrivals and came.timestamp() >= began
        ]
    )
    if waits.size == 0:
        raise TransientError("no message reached the output topics")
    marks = {f"p{mark}": float(np.percentile(waits, mark)) for mark in (50, 95, 99)}
    more: dict[str, Any] = {f"{name}_s": round(value, 2) for name, value in marks.items()}
    more |= {"max_s": round(float(waits.max()), 2), "messages": int(waits.size), "paced_rate_s": rate}
    more |= {"batch_s": {stage: _median_batch_s(lake, stage, began) for stage in STAGES}}
    more |= {f"{name}_budget_s": budget for name, budget in LATENCY_BUDGET_S.items()}
    seconds = paced / rate
    return Figure("latency", paced, seconds, rate, 1000 * usage.cpu_s / paced, usage.peak_bytes / 1e6, more)


def _median_batch_s(lake: Lake, stage: str, since: float) -> float:
    """Give the median time of the stage's batches: where the latency comes from."""
    rows = [row for row in _ledger(lake, stage) if row["finished"].timestamp() >= since]
    batches = {row["batch"]: float(row["seconds"]) for row in rows}
    return round(float(np.median(list(batches.values()))), 2) if batches else float("nan")


def _listen(settings: Settings, arrivals: dict[int, float], stop: threading.Event) -> None:
    """Read the output topics as a community does, and note when each alert was seen first."""
    consumer = Consumer(
        {
            **client_options(settings.kafka),
            "group.id": "fink-bench",
            "isolation.level": "read_committed",
            "auto.offset.reset": "latest",
            "topic.metadata.refresh.interval.ms": 1000,
        }
    )
    consumer.subscribe([f"^{settings.streams.substream_prefix}_.*_{SURVEY}"])
    try:
        while not stop.is_set():
            for message in consumer.consume(500, 0.5):
                if message.error() is None:
                    alert = dict(message.headers() or []).get("fink-alert-id")
                    arrivals.setdefault(int(alert or 0), time.time())
    finally:
        consumer.close()


def _others(data: Sequence[Path], turn: int) -> list[str]:
    """Words that make the simulator send alerts which no earlier turn has sent."""
    return ["--first-copy", str(1000 * turn)] if data else ["--seed", str(1 + turn)]


def _simulate(settings: Settings, alerts: int, data: Sequence[Path], words: list[str], say: Say) -> int:
    """Send alerts and give how many; recorded ones are copied as often as it takes, so that there may be a few more."""
    source = ["--synthetic", str(alerts)]
    if data:
        from fink_lib.simulator.packets import PacketStore, read_packets
        from fink_lib.surveys import get_survey

        with PacketStore() as store:
            store.add(read_packets(list(data), get_survey(SURVEY)))
            copies = -(-alerts // max(len(store), 1))
        source = ["--data", *map(str, data), "--copies", str(copies), "--night", NIGHT]
    say(f"sending about {alerts} alerts")
    manifest = settings.home / "sent.jsonl"
    command = [sys.executable, "-m", "fink_lib.cli", "simulate", *source, *words, "--manifest", str(manifest)]
    with _log(settings, "simulate") as log:
        done = subprocess.run(command, cwd=project_root(), stdout=log, stderr=log, check=False)
    if done.returncode:
        raise TransientError(f"the simulator ended with code {done.returncode}")
    return int(json.loads(manifest.read_text().splitlines()[-1])["totals"]["delivered"])


def _wait_sent(settings: Settings, alerts: int) -> None:
    """Wait until the chain has taken `alerts` messages and each stage what the one before it gave."""
    began_s = time.monotonic()
    lake = open_lake(settings, SURVEY)
    while time.monotonic() - began_s < TIMEOUT_S:
        sums = {stage: _ledger(lake, stage) for stage in STAGES}
        raw, science, sent = (sums[stage] for stage in STAGES)
        done = (
            _total(raw, "received") >= alerts
            and _total(science, "received") == _total(raw, "produced")
            and _total(sent, "received") == _total(science, "produced")
        )
        if done:
            return
        time.sleep(0.5)
    raise TransientError(f"the chain did not finish {alerts} alerts within {TIMEOUT_S:g} s")


def _wait_quiet(settings: Settings) -> None:
    lake = open_lake(settings, SURVEY)
    last = -1
    while (now := sum(_total(_ledger(lake, stage), "received") for stage in STAGES)) != last:
        last = now
        time.sleep(10.0)


def _total(rows: list[dict[str, Any]], what: str) -> int:
    return sum(int(row[what]) for row in rows)


def _ledger(lake: Lake, stage: str) -> list[dict[str, Any]]:
    rows = lake.read("ledger", where=pc.field("stage") == stage).to_pylist()
    return sorted(rows, key=lambda row: row["finished"])


def _log(settings: Settings, name: str) -> Any:
    """Open the log of a measured process."""
    folder = settings.log_dir / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"{name}.log").open("ab")
