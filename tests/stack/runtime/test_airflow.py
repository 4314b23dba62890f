import json
import stat

import httpx
import pytest

from fink_lib.config import Settings
from fink_lib.runtime.outbox import Outbox
from tests.airflow_rest import AirflowRest, eventually
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


def test_the_control_room_is_in_the_navigation_and_shown_to_whoever_may_look(airflow: Settings) -> None:
    with session(airflow, "admin") as admin, session(airflow, "viewer") as viewer:
        plugins = admin.get("/api/v2/plugins").json()["plugins"]
        (view,) = [one for plugin in plugins for one in plugin["external_views"] if one["name"] == "Control room"]
        assert viewer.get(view["href"]).status_code == 200
        seen = viewer.get(f"{view['href']}state").json()
        assert {row["name"]: row["state"] for row in seen["services"]}["airflow-scheduler"] == "ready"
        where = str(viewer.base_url).rstrip("/")
        assert httpx.get(f"{where}{view['href']}state", timeout=30).status_code == 401


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_task_that_fails_for_good_is_told_once_with_a_link_and_the_next_step(airflow: Settings) -> None:
    rest = AirflowRest(airflow)
    eventually("the DAG is parsed", lambda: "ops_transfer" in rest.dags())
    run_id = rest.trigger("ops_transfer", {"transfer": "ftransfer_ztf_2020-01-01_999999"})
    eventually("the run fails", lambda: rest.run_state("ops_transfer", run_id) == "failed", 500.0)
    eventually("it is told", lambda: any(run_id in one.incident for one in Outbox(airflow.home).messages()))
    (told,) = [one for one in Outbox(airflow.home).messages() if run_id in one.incident]
    assert told.subject == "Fink: ops_transfer.transfer failed"
    assert "/dags/ops_transfer/runs/" in told.link and "transfer" in told.link
    assert told.next_step
    assert "file" in told.taken_by


@pytest.mark.long
def test_all_of_airflow_killed_is_back_within_a_minute(airflow: Settings) -> None:
    before = {name: pid_of(airflow, name) for name in PROCESSES}
    assert kill_and_wait(airflow, PROCESSES) < 60
    assert all(pid_of(airflow, name) != before[name] for name in PROCESSES)
