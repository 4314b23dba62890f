"""On-call's clicks on a whole installation: whatever task of the night is pressed, and how often, the night stays."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fink_lib.config import Settings, project_root
from tests.airflow_rest import AirflowRest, eventually
from tests.faults.archive import Archive
from tests.faults.evidence import Lake, read_table, read_topics
from tests.faults.summary import read_statistics
from tests.stack_services import installation

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

DAG = "nightly_ztf"
TASKS = (
    "close_night",
    "list_tables",
    "reconcile",
    "compact",
    "validate",
    "decide_night",
    "select",
    "archive",
    "verify_archive",
    "summarise",
    "validate_archive",
    "publish",
)
LIMITS = """
[nightly]
quiet_s = 2.0
archive_batch_rows = 50
"""
RUN_S = 300.0


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """Everything, as `fink demo` leaves it."""
    with installation(Path(tempfile.mkdtemp(prefix="fink-clicks-")), LIMITS) as settings:
        command = [sys.executable, "-m", "fink_lib.cli", "demo", "--count", "300"]
        done = subprocess.run(command, cwd=project_root(), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        yield settings


@pytest.fixture(scope="module")
def airflow(settings: Settings) -> AirflowRest:
    return AirflowRest(settings)


@pytest.fixture(scope="module")
def run_id(airflow: AirflowRest) -> str:
    (run,) = [run for run in airflow.runs(DAG) if run["dag_run_id"].startswith("demo__")]
    return str(run["dag_run_id"])


@pytest.fixture(scope="module")
def content(settings: Settings) -> dict[str, Any]:
    return everything(settings)


def everything(settings: Settings) -> dict[str, Any]:
    """All that a click must leave as it is: lake, summary, archive, messages."""
    lake = Lake.read(settings.lake_root)
    tables = {name: sorted(map(repr, getattr(lake, name))) for name in ("raw", "science", "rejected", "sent")}
    summaries = read_table(settings.lake_root, "night_summary")
    for row in summaries:
        del row["computed"]
    hbase = settings.hbase
    archive = Archive.read(hbase.thrift_host, hbase.thrift_port, "ztf", hbase.table_prefix)
    cells = sorted((row.key, sorted((name, value) for name, (value, _) in row.cells.items())) for row in archive.rows)
    nights = sorted({row["night"] for row in lake.science})
    statistics = [read_statistics(hbase.thrift_host, hbase.thrift_port, night, hbase.table_prefix) for night in nights]
    outputs = read_topics(settings.kafka.servers, "fink_.*_ztf")
    counts = {topic: len(messages) for topic, messages in outputs.items()}
    return {**tables, "summary": summaries, "archive": cells, "statistics": statistics, "topics": counts}


def await_success(airflow: AirflowRest, run_id: str) -> None:
    eventually("the run ends", lambda: airflow.run_state(DAG, run_id) in ("success", "failed"), RUN_S)
    tasks = airflow.tasks(DAG, run_id)
    assert airflow.run_state(DAG, run_id) == "success", {name: task["state"] for name, task in tasks.items()}


def test_the_demo_leaves_a_whole_night(content: dict[str, Any]) -> None:
    assert content["science"]
    assert len(content["archive"]) == len(content["science"])
    assert sum(content["topics"].values()) == len(content["sent"])


@pytest.mark.parametrize("task", TASKS)
def test_a_task_cleared_twice_changes_nothing(
    settings: Settings, airflow: AirflowRest, run_id: str, content: dict[str, Any], task: str
) -> None:
    for _ in range(2):
        airflow.clear(DAG, run_id, task)
        await_success(airflow, run_id)
    assert everything(settings) == content


@pytest.mark.parametrize("task", TASKS)
def test_a_task_marked_failed_and_cleared_changes_nothing(
    settings: Settings, airflow: AirflowRest, run_id: str, content: dict[str, Any], task: str
) -> None:
    if task != "archive":  # a mapped task is marked instance by instance
        airflow.mark(DAG, run_id, task, "failed")
    airflow.clear(DAG, run_id, task)
    await_success(airflow, run_id)
    assert everything(settings) == content


def test_the_whole_run_cleared_again_and_again_while_it_runs_changes_nothing(
    settings: Settings, airflow: AirflowRest, run_id: str, content: dict[str, Any]
) -> None:
    for pause_s in (3.0, 9.0, 17.0):
        for task in TASKS:
            airflow.clear(DAG, run_id, task)
        time.sleep(pause_s)
    await_success(airflow, run_id)
    assert everything(settings) == content
