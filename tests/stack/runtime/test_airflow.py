import json
import stat

import httpx
import pytest

from fink_lib.config import Settings
from tests.stack.runtime.waiting import kill_and_wait, pid_of

PROCESSES = ["airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"]


def session(settings: Settings, user: str) -> httpx.Client:
    """Log in as a person would by the API."""
    passwords = json.loads((settings.service_dir("airflow") / "passwords.json").read_text())
    url = f"http://{settings.airflow.host}:{settings.airflow.port}"
    answer = httpx.post(f"{url}/auth/token", json={"username": user, "password": passwords[user]}, timeout=30)
    answer.raise_for_status()
    token = answer.json()["access_token"]
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def test_all_four_processes_are_healthy(airflow: Settings) -> None:
    health = httpx.get(f"http://{airflow.airflow.host}:{airflow.airflow.port}/api/v2/monitor/health", timeout=30).json()
    assert {part: health[part]["status"] for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")} == {
        "metadatabase": "healthy",
        "scheduler": "healthy",
        "triggerer": "healthy",
        "dag_processor": "healthy",
    }


def test_the_operator_may_act_and_the_viewer_may_only_look(airflow: Settings) -> None:
    pool = {"name": "services_test", "slots": 1}
    with session(airflow, "viewer") as viewer, session(airflow, "operator") as operator:
        assert viewer.post("/api/v2/pools", json=pool).status_code == 403
        assert operator.post("/api/v2/pools", json=pool).status_code == 201
        assert viewer.get("/api/v2/dags").status_code == 200
        slots = {found["name"]: found["slots"] for found in operator.get("/api/v2/pools").json()["pools"]}
    assert slots["spark_local"] == 1


def test_nobody_comes_in_without_a_password(airflow: Settings) -> None:
    url = f"http://{airflow.airflow.host}:{airflow.airflow.port}"
    assert httpx.get(f"{url}/api/v2/dags", timeout=30).status_code == 401
    wrong = {"username": "operator", "password": "operator"}
    assert httpx.post(f"{url}/auth/token", json=wrong, timeout=30).status_code == 401


@pytest.mark.parametrize("name", ["airflow.cfg", "passwords.json", "secrets.json"])
def test_files_with_secrets_are_their_owners_only(airflow: Settings, name: str) -> None:
    assert stat.S_IMODE((airflow.service_dir("airflow") / name).stat().st_mode) == 0o600


@pytest.mark.long
def test_all_of_airflow_killed_is_back_within_a_minute(airflow: Settings) -> None:
    before = {name: pid_of(airflow, name) for name in PROCESSES}
    assert kill_and_wait(airflow, PROCESSES) < 60
    assert all(pid_of(airflow, name) != before[name] for name in PROCESSES)
