"""Bring the local services up and down, and say how they are: what ``fink up``, ``down`` and ``status`` do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fink_lib.config import write_setting
from fink_lib.errors import ConfigError, TransientError
from fink_lib.runtime import launcher
from fink_lib.runtime.artifacts import require_jars
from fink_lib.runtime.crashes import counted
from fink_lib.runtime.installation import install_date
from fink_lib.runtime.java import find_java
from fink_lib.runtime.lock import FileLock
from fink_lib.runtime.process import terminate
from fink_lib.runtime.services import SERVICES, build, default_names, expand, with_database
from fink_lib.runtime.services.base import Service, end_all, marked_processes
from fink_lib.runtime.services.checks import check_disk
from fink_lib.runtime.services.keeper import State
from fink_lib.runtime.services.postgres import LOCAL
from fink_lib.runtime.supervisor import (
    desired_names,
    ensure_supervisor,
    read_state,
    set_desired,
    supervisor_lock,
    supervisor_process,
)

if TYPE_CHECKING:
    from fink_lib.config import Settings

STAGES = ("stream2raw", "raw2science", "distribution")
OPTIONAL_STAGES = ("multimessenger",)
"""Streams that an installation may do without; they are looked at once they have been started."""

UP_TIMEOUT_S = 300.0
_POLL_S = 0.2
_GIVE_UP = 3  # crashes after which `up` stops waiting; the supervisor goes on trying
# Services that end together; Airflow first, so that it does not start again what is drained after it.
_END_ORDER = (("airflow", "api"), ("hbase", "kafka", "postgres"))

Report = Callable[[str], None]


def bring_up(
    settings: Settings, words: Iterable[str] = (), report: Report = print, timeout_s: float = UP_TIMEOUT_S
) -> None:
    """Have services running; return when all of them answer. Harmless if they do already.

    Parameters
    ----------
    settings : Settings
        The installation.
    words : iterable of str
        Names of services or sets of them; all local ones if empty.
    report : callable
        Takes one line of progress.
    timeout_s : float
        How long to wait for all of them.

    Raises
    ------
    ConfigError
        If something has to be changed first: Java, artifacts, a port, the disk, a damaged folder.
    TransientError
        If a service does not come up.
    """
    words = list(words)
    names = with_database(settings, expand(words)) if words else default_names(settings)
    find_java()
    require_jars()
    settings.home.mkdir(parents=True, exist_ok=True)
    check_disk(settings.home)
    install_date(settings)
    with FileLock(settings.home / "services" / "control.lock", wait_s=30.0):
        before = desired_names(settings)
        set_desired(settings, expand([*before, *names]))
        ensure_supervisor(settings)
    _wait_ready(settings, names, report, timeout_s)


def choose_database(settings: Settings, kind: str) -> None:
    """Write into ``fink.toml`` where Airflow keeps its state.

    Parameters
    ----------
    settings : Settings
        The installation.
    kind : str
        ``sqlite`` or ``postgresql``.

    Raises
    ------
    ConfigError
        If it is neither, or Airflow runs with another one.
    """
    if kind not in ("sqlite", LOCAL):
        raise ConfigError(f"Airflow's state cannot be kept in {kind!r}; choose sqlite or {LOCAL}")
    value = LOCAL if kind == LOCAL else ""
    if value == settings.airflow.database:
        return
    running = [service.name for service in _all(settings) if service.group == "airflow" and service.alive()]
    if running:
        raise ConfigError(f"{running[0]} runs with another database; end it first: fink down airflow")
    write_setting(settings.home, "airflow", "database", value)


def bring_down(settings: Settings, words: Iterable[str] = (), report: Report = print) -> None:
    """Drain the streams and end the services, whether or not a supervisor lives; leave no process behind.

    Parameters
    ----------
    settings : Settings
        The installation.
    words : iterable of str
        Names of services or sets of them; everything, the streams too, if empty.
    report : callable
        Takes one line of progress.
    """
    given = expand_alone(words)
    with FileLock(settings.home / "services" / "control.lock", wait_s=30.0):
        set_desired(settings, [name for name in desired_names(settings) if given and name not in given])
        _end_supervisor(settings)
        with supervisor_lock(settings, wait_s=10.0):
            for groups in _END_ORDER:
                _end_services([service for service in _all(settings) if _chosen(service, groups, given)], report)
                if groups == _END_ORDER[0] and not given:
                    drain_streams(settings, report)
            if not given:
                end_all(marked_processes(settings.home))
        ensure_supervisor(settings)


def drain_streams(settings: Settings, report: Report = print) -> None:
    """Ask all stream drivers to end between two batches, and see to it that they do."""
    living = [
        (survey, stage) for survey, stage in _streams(settings) if launcher.observe(settings, survey, stage).alive
    ]
    for survey, stage in living:
        launcher.request_drain(settings, survey, stage)
        report(f"{stage} ({survey}): draining")
    with ThreadPoolExecutor(max_workers=max(1, len(living))) as pool:
        for (survey, stage), _ in zip(living, pool.map(lambda key: launcher.kill(settings, *key), living), strict=True):
            report(f"{stage} ({survey}): ended")


def _streams(settings: Settings) -> list[tuple[str, str]]:
    return [
        (survey, stage)
        for survey in settings.surveys
        for stage in (*STAGES, *OPTIONAL_STAGES)
        if stage in STAGES or settings.run_dir(survey, stage).exists()
    ]


def status(settings: Settings) -> dict[str, Any]:
    """How services and streams are, as plain values.

    Returns
    -------
    dict
        ``supervisor`` (``running``, ``pid``), ``services`` (one row each: name, wanted, state, pid, message, up_s,
        restarts, memory_mb, url), ``streams`` (one row each: survey, stage, state, wanted, pid, age_s, batch, rows_s,
        lag, restarts, error), ``urls``. Restarts of a stream are those that its crash budget counts now.
    """
    supervisor = supervisor_process(settings)
    services = service_rows(settings)
    return {
        "home": str(settings.home),
        "supervisor": {"running": supervisor is not None, "pid": supervisor.pid if supervisor else None},
        "services": services,
        "streams": stream_rows(settings),
        "urls": {row["name"]: row["url"] for row in services if row["url"] and row["state"] == State.READY},
    }


def stream_rows(settings: Settings) -> list[dict[str, Any]]:
    """How the streams are: the rows ``streams`` of :func:`status`."""
    return [_stream_row(settings, survey, stage) for survey, stage in _streams(settings)]


def service_rows(settings: Settings, with_memory: bool = True) -> list[dict[str, Any]]:
    """How the services are: the rows ``services`` of :func:`status`. Memory takes a while to sum up."""
    wanted = desired_names(settings)
    state = read_state(settings) if supervisor_process(settings) is not None else None
    watched = (state or {}).get("services", {})
    rows = [_service_row(service, service.name in wanted, watched) for service in _all(settings)]
    for row, service in zip(rows, _all(settings), strict=True):
        row["memory_mb"] = service.memory_mb() if with_memory and row["pid"] else None
    return rows


def expand_alone(words: Iterable[str]) -> list[str]:
    """Like :func:`expand`, but with those that need the named ones: they cannot go on alone."""
    given: set[str] = set()
    for word in words:
        expand([word])
        given.update(service.name for service in SERVICES if word in (service.group, service.name))
    return [service.name for service in SERVICES if service.name in given or given.intersection(service.needs)]


def _wait_ready(settings: Settings, names: list[str], report: Report, timeout_s: float) -> None:
    begun = time.time()
    deadline = time.monotonic() + timeout_s
    told: dict[str, str] = {}
    while True:
        rows = {row["name"]: row for row in service_rows(settings, with_memory=False)}
        for name in names:
            row = rows[name]
            if told.get(name) != row["state"]:
                told[name] = row["state"]
                report(_line(row, begun))
        states = [rows[name]["state"] for name in names]
        if all(state == State.READY for state in states):
            return
        settled = all(state in (State.READY, State.BLOCKED, State.FAILED, State.WAITING) for state in states)
        # What was known before this call may have been put right since.
        news = [rows[name] for name in names if rows[name]["since_s"] >= begun]
        blocked = [row for row in news if row["state"] == State.BLOCKED]
        if blocked and settled:
            raise ConfigError("; ".join(row["message"] for row in blocked))
        failed = [row for row in news if row["state"] == State.FAILED and row["crashes"] >= _GIVE_UP]
        if failed and settled:
            raise TransientError("; ".join(row["message"] for row in failed))
        if time.monotonic() > deadline:
            late = ", ".join(name for name in names if rows[name]["state"] != State.READY)
            raise TransientError(f"{late} did not come up within {timeout_s:g} s; see {settings.log_dir / 'services'}")
        if not all(rows[name]["wanted"] for name in names):
            raise TransientError("the services were stopped by another command meanwhile; run `fink up` again")
        ensure_supervisor(settings)
        time.sleep(_POLL_S)


def _line(row: dict[str, Any], begun: float) -> str:
    if row["state"] == State.READY:
        return f"{row['name']}: ready after {time.time() - begun:.0f} s {row['url']}".rstrip()
    return f"{row['name']}: {row['state']}" + (f" ({row['message']})" if row["message"] else "")


def _end_supervisor(settings: Settings) -> None:
    process = supervisor_process(settings)
    if process is not None:
        terminate(process, 5.0)


def _end_services(services: list[Service], report: Report) -> None:
    living = [service for service in services if service.record() is not None]
    if not living:
        return
    with ThreadPoolExecutor(max_workers=len(living)) as pool:
        for service, _ in zip(living, pool.map(lambda one: one.stop(), living), strict=True):
            report(f"{service.name}: stopped")


def _all(settings: Settings) -> list[Service]:
    """Give all services of the installation, also one that is not wanted any more and has not been ended yet."""
    shown = with_database(settings, [service.name for service in SERVICES])
    services = [build(settings, service.name) for service in SERVICES]
    return [service for service in services if service.name in shown or service.record() is not None]


def _chosen(service: Service, groups: tuple[str, ...], given: list[str]) -> bool:
    return service.group in groups and (not given or service.name in given)


def _service_row(service: Service, wanted: bool, known: dict[str, Any]) -> dict[str, Any]:
    record = service.record()
    process = record.process if record is not None and record.process.alive() else None
    seen = known.get(service.name, {})
    state = seen.get("state") or (State.WAITING if wanted else State.STOPPED)
    if state in (State.READY, State.DEGRADED) and (process is None or process.pid != seen.get("pid")):
        state = State.STARTING  # it has ended, and the supervisor has not yet said so
    if not known and process is not None:
        # Nobody watches, so ask it directly.
        state = State.READY if service.ready(record.started_s if record else 0.0) else State.DEGRADED
    return {
        "name": service.name,
        "wanted": wanted,
        "state": str(state),
        "pid": process.pid if process else None,
        "message": seen.get("message", ""),
        "up_s": round(time.time() - record.started_s, 1) if process and record else None,
        "since_s": seen.get("since_s", 0.0),
        "restarts": seen.get("restarts", 0),
        "crashes": seen.get("crashes", 0),
        "ports": service.ports(),
        "url": service.url,
    }


def _stream_row(settings: Settings, survey: str, stage: str) -> dict[str, Any]:
    seen = launcher.observe(settings, survey, stage)
    heartbeat = seen.heartbeat
    return {
        "survey": survey,
        "stage": stage,
        "state": str(seen.state),
        "wanted": launcher.desired(settings, survey, stage),
        "pid": seen.identity.process.pid if seen.alive and seen.identity else None,
        "epoch": seen.epoch,
        "age_s": round(seen.age_s, 1) if seen.identity else None,
        "batch": heartbeat.batch if heartbeat else "",
        "rows_s": heartbeat.rows_s if heartbeat else 0.0,
        "lag": heartbeat.lag if heartbeat else None,
        "restarts": len(counted(settings, survey, stage)),
        "error": heartbeat.error if heartbeat else "",
    }
