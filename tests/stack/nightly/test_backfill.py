"""Airflow's own backfill over a range of nights: two at a time, each run about its own night, to the end."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fink_lib.config import Settings
from fink_lib.lake import open_lake
from fink_lib.nightly.nights import night_state
from tests.airflow_rest import AirflowRest, eventually

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("kafka"), pytest.mark.timeout(400)]

NIGHTS = ["20240611", "20240612", "20240613"]
"""Older than the installation, which has nothing of them."""


def backfill(rest: AirflowRest, dag_id: str, conf: dict[str, Any]) -> dict[str, str]:
    """Backfill the nights as the form in Airflow does; gives the end of each run by its night."""
    eventually(f"{dag_id} is parsed", lambda: dag_id in rest.dags())
    rest.pause(dag_id, False)
    asked = {
        "dag_id": dag_id,
        "from_date": "2024-06-11T00:00:00Z",
        "to_date": "2024-06-13T23:00:00Z",
        "max_active_runs": 2,
        "reprocess_behavior": "none",
        "run_backwards": False,
        "dag_run_conf": conf,
    }
    rest.call("POST", "/backfills", json=asked)
    deadline_s = time.monotonic() + 200
    while time.monotonic() < deadline_s:
        runs = [run for run in rest.runs(dag_id) if run["run_type"] == "backfill"]
        states = {run["logical_date"][:10].replace("-", ""): run["state"] for run in runs}
        assert sum(state == "running" for state in states.values()) <= 2
        if len(states) == len(NIGHTS) and set(states.values()) <= {"success", "failed"}:
            return states
        time.sleep(0.5)
    raise AssertionError(f"the backfill of {dag_id} did not end: {states}")


def test_nights_are_closed_or_made_again_two_at_a_time(airflow: Settings) -> None:
    rest = AirflowRest(airflow)
    assert backfill(rest, "nightly_ztf", {}) == dict.fromkeys(NIGHTS, "success")
    lake = open_lake(airflow, "ztf")
    states = [night_state(lake, night) for night in NIGHTS]
    assert [state.state if state else "" for state in states] == ["empty"] * 3
    # each run of the other one says of its own night that there is nothing to make again
    assert backfill(rest, "ops_replay_night", {"then": "keep"}) == dict.fromkeys(NIGHTS, "failed")
    runs = [run for run in rest.runs("ops_replay_night") if run["run_type"] == "backfill"]
    for run in runs:
        night = run["logical_date"][:10].replace("-", "")
        lines = rest.log("ops_replay_night", run["dag_run_id"], "make_replay", 1)
        assert any(f"night {night} is empty" in line for line in lines), lines[-5:]
