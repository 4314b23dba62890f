"""A real Airflow supervises real processes: a driver without Spark, so that what is measured is the supervision.

The tests share one installation and go on where the one before has left it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fink_lib.config import Settings
from fink_lib.runtime import control, launcher
from fink_lib.runtime.launcher import Observation
from fink_lib.runtime.process import ProcessId
from fink_lib.runtime.services import build
from fink_lib.runtime.services.base import session_members
from tests.airflow_rest import AirflowRest, eventually
from tests.stack_services import installation

WHO = ("ztf", "stream2raw")
DAG = "stream_stream2raw_ztf"
TASK = "supervise"
PARTS = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
LIMITS = """
[supervision]
heartbeat_s = 0.5
stale_s = 10.0
poll_s = 1.0
report_s = 3.0
drain_timeout_s = 10.0
launch_timeout_s = 60.0
crash_budget = 3
[nightly]
quiet_s = 2.0
"""

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """An installation whose Airflow launches toys instead of Spark drivers."""
    toy = [sys.executable, "-m", "tests.toy_driver", "--survey", "{survey}", "--stage", "{stage}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINK_DRIVER_COMMAND", json.dumps(toy))
        patch.delenv("TOY", raising=False)
        with installation(Path(tempfile.mkdtemp(prefix="fink-airflow-")), LIMITS) as settings:
            control.bring_up(settings, ["kafka", "airflow"], print)
            yield settings


@pytest.fixture(scope="module")
def airflow(settings) -> AirflowRest:
    """Airflow's REST API, with all DAGs parsed and the watched stream running under a watching trigger."""
    airflow = AirflowRest(settings)
    eventually("all DAGs are parsed", lambda: {DAG, "ops_stream_control", "nightly_ztf"} <= airflow.dags())
    assert airflow.call("GET", "/importErrors")["total_entries"] == 0
    for dag_id in ("stream_raw2science_ztf", "stream_distribution_ztf"):
        airflow.pause(dag_id)
    airflow.pause(DAG, False)
    return airflow


def look(settings) -> Observation:
    return launcher.observe(settings, *WHO)


def driver_of(settings) -> ProcessId:
    identity = look(settings).identity
    assert identity is not None
    return identity.process


def watching(airflow) -> str:
    """Wait until the triggerer watches the driver; return the id of the run that stands for it."""

    def seen() -> bool:
        if not airflow.runs(DAG):
            return False
        run = airflow.runs(DAG)[0]["dag_run_id"]
        task = airflow.tasks(DAG, run).get(TASK)
        if task is None or task["state"] != "deferred":
            return False
        return any("lag_max" in line for line in airflow.log(DAG, run, TASK, task["try_number"])[-3:])

    eventually("the driver is watched", seen)
    return str(airflow.runs(DAG)[0]["dag_run_id"])


def operate(airflow, action: str) -> str:
    run = airflow.trigger("ops_stream_control", {"survey": WHO[0], "stage": WHO[1], "action": action})
    ended = lambda: airflow.run_state("ops_stream_control", run) in ("success", "failed")  # noqa: E731
    eventually(f"{action} is done", ended, 150)
    return airflow.run_state("ops_stream_control", run)


def test_a_stream_is_launched_and_watched(settings, airflow) -> None:
    eventually("a driver runs", lambda: look(settings).healthy)
    run = watching(airflow)
    process = driver_of(settings)
    assert os.getsid(process.pid) == process.pid
    lines = airflow.log(DAG, run, TASK, airflow.tasks(DAG, run)[TASK]["try_number"])
    assert any(line.startswith("launched: epoch 1") for line in lines)
    assert any("rows_in 10" in line and "trigger_ms 100" in line for line in lines)


def test_a_killed_driver_is_replaced_and_its_death_is_in_the_log(settings, airflow) -> None:
    run = watching(airflow)
    driver_of(settings).signal(signal.SIGKILL)
    eventually("another driver runs", lambda: look(settings).healthy and look(settings).epoch == 2)
    lines = airflow.log(DAG, run, TASK, 1)
    assert any(line.startswith("dead: epoch 1") for line in lines)
    assert airflow.tasks(DAG, run)[TASK]["try_number"] == 2


def test_a_stream_is_restarted_stopped_and_started_from_its_form(settings, airflow) -> None:
    watching(airflow)
    assert operate(airflow, "restart") == "success"
    assert look(settings).epoch == 3
    watching(airflow)
    assert operate(airflow, "drain") == "success"
    assert look(settings).state == "drained"
    eventually("the stage is held by one deferred run", lambda: held(airflow))
    runs = [run["dag_run_id"] for run in airflow.runs(DAG)]
    time.sleep(8)
    assert [run["dag_run_id"] for run in airflow.runs(DAG)] == runs, "a held stage must not spin"
    assert operate(airflow, "start") == "success"
    assert look(settings).epoch == 4
    assert {run["state"] for run in airflow.runs(DAG)} <= {"success", "running", "queued"}


def held(airflow) -> bool:
    run = airflow.runs(DAG)[0]["dag_run_id"]
    task = airflow.tasks(DAG, run).get(TASK)
    if task is None or task["state"] != "deferred":
        return False
    return any("is held" in line for line in airflow.log(DAG, run, TASK, task["try_number"]))


def test_a_night_without_alerts_ends_green_and_skips_the_rest(airflow) -> None:
    run = airflow.trigger("nightly_ztf", {"night": "20010101"})
    ended = lambda: airflow.run_state("nightly_ztf", run) in ("success", "failed")  # noqa: E731
    eventually("an empty night ends", ended, 150)
    tasks = airflow.tasks("nightly_ztf", run)
    states = {task_id: task["state"] for task_id, task in tasks.items()}
    log = airflow.log("nightly_ztf", run, "close_night", tasks["close_night"]["try_number"])
    assert states.pop("close_night") == "success", log
    assert set(states.values()) == {"skipped"}, states
    assert airflow.run_state("nightly_ztf", run) == "success"
    assert any("no data" in line for line in log)


def test_a_night_that_is_no_date_is_refused_by_the_form(airflow) -> None:
    with pytest.raises(AssertionError, match="400"):
        airflow.trigger("nightly_ztf", {"night": "tonight"})


@pytest.mark.long
def test_a_driver_outlives_all_of_airflow_and_is_watched_again(settings, airflow) -> None:
    run = watching(airflow)
    attempt = airflow.tasks(DAG, run)[TASK]["try_number"]
    process, epoch = driver_of(settings), look(settings).epoch
    for name in PARTS:
        record = build(settings, name).record()
        assert record is not None
        for member in session_members(record.process):
            member.signal(signal.SIGKILL)
    begun = time.monotonic()
    time.sleep(1)
    eventually("Airflow is back", airflow.health, 150)
    before = len(airflow.log(DAG, run, TASK, attempt))
    eventually("the driver is watched again", lambda: len(airflow.log(DAG, run, TASK, attempt)) > before + 2, 120)
    print(f"blind for {time.monotonic() - begun:.1f} s")
    assert (driver_of(settings), look(settings).epoch) == (process, epoch)
    assert process.alive()
    assert airflow.runs(DAG)[0]["dag_run_id"] == run
    assert airflow.tasks(DAG, run)[TASK]["try_number"] == attempt


@pytest.mark.long
def test_clear_is_a_restart_and_pause_then_mark_failed_is_a_stop(settings, airflow) -> None:
    run, epoch = watching(airflow), look(settings).epoch
    airflow.clear(DAG, run, TASK)
    eventually("cleared: another driver", lambda: look(settings).healthy and look(settings).epoch == epoch + 1)
    run = watching(airflow)
    airflow.mark(DAG, run, TASK, "failed")
    eventually("marked: another driver", lambda: look(settings).healthy and look(settings).epoch == epoch + 2)
    run = watching(airflow)
    airflow.pause(DAG)
    airflow.mark(DAG, run, TASK, "failed")
    eventually("paused and marked: drained", lambda: look(settings).state == "drained")
    time.sleep(8)
    assert look(settings).epoch == epoch + 2
    airflow.pause(DAG, False)
    eventually("unpaused: another driver", lambda: look(settings).healthy and look(settings).epoch == epoch + 3)


@pytest.mark.long
def test_a_driver_that_dies_again_and_again_is_given_up_until_a_person_starts_it(settings, airflow) -> None:
    launcher_budget = settings.supervision.crash_budget
    assert operate(airflow, "restart") == "success"  # forgives what earlier tests killed
    for turn in range(launcher_budget):
        epoch = look(settings).epoch
        watching(airflow)
        driver_of(settings).signal(signal.SIGKILL)
        if turn < launcher_budget - 1:
            eventually("another driver", lambda epoch=epoch: look(settings).healthy and look(settings).epoch > epoch)
    eventually("the DAG is paused", lambda: airflow.paused(DAG), 120)
    run = airflow.runs(DAG)[0]["dag_run_id"]
    lines = airflow.log(DAG, run, TASK, airflow.tasks(DAG, run)[TASK]["try_number"])
    assert any("Task failed" in line for line in lines)
    assert not look(settings).alive
    released = airflow.trigger("ops_stream_control", {"survey": WHO[0], "stage": WHO[1], "action": "start"})
    eventually(
        "start forgives", lambda: airflow.tasks("ops_stream_control", released)["control_stream"]["state"] == "running"
    )
    time.sleep(2)
    airflow.pause(DAG, False)
    eventually("a driver runs again", lambda: look(settings).healthy)
    eventually("start is done", lambda: airflow.run_state("ops_stream_control", released) == "success", 150)
