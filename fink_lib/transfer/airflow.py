"""A small client of Airflow's REST API: what a person would press in the UI."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from fink_lib.errors import ConfigError, TransientError
from fink_lib.runtime.files import read_json

if TYPE_CHECKING:
    from fink_lib.config import Settings

OPERATOR = "operator"
ENDED = ("success", "failed")
LISTED_RUNS = 100


@dataclass
class Airflow:
    """A logged-in session.

    Parameters
    ----------
    url : str
        Of the web server.
    username, password : str
        A user that may trigger and unpause.
    """

    url: str
    username: str
    password: str

    def __post_init__(self) -> None:
        self._token = ""

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def has(self, dag_id: str) -> bool:
        """Tell whether the DAG was parsed already."""
        return self._call("GET", f"/dags/{dag_id}", missing_ok=True) is not None

    def trigger(self, dag_id: str, run_id: str, params: dict[str, Any]) -> str:
        """Start a run and give its id."""
        body = {"dag_run_id": run_id, "logical_date": datetime.now(UTC).isoformat(), "conf": params}
        answer = self._call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return str(answer["dag_run_id"]) if answer else run_id

    def states(self, dag_id: str) -> dict[str, str]:
        """State of each of the DAG's latest runs: queued, running, success or failed."""
        path = f"/dags/{dag_id}/dagRuns?limit={LISTED_RUNS}&order_by=-id"
        answer = self._call("GET", path) or {}
        return {run["dag_run_id"]: str(run["state"]) for run in answer.get("dag_runs", [])}

    def tasks(self, dag_id: str, run_id: str) -> dict[str, str]:
        """State of each task of a run; mapped tasks are told apart by their index."""
        answer = self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances") or {}
        states = {}
        for task in answer.get("task_instances", []):
            index = task.get("map_index", -1)
            states[task["task_id"] + (f"[{index}]" if index >= 0 else "")] = str(task.get("state") or "waiting")
        return states

    def _call(self, method: str, path: str, missing_ok: bool = False, **arguments: Any) -> dict[str, Any] | None:
        try:
            for attempt in range(2):
                if not self._token:
                    self._token = self._login()
                headers = {"Authorization": f"Bearer {self._token}"}
                answer = httpx.request(method, f"{self.url}/api/v2{path}", headers=headers, timeout=60, **arguments)
                if answer.status_code != httpx.codes.UNAUTHORIZED or attempt:
                    break
                self._token = ""  # it had expired
        except httpx.HTTPError as error:
            raise TransientError(f"Airflow at {self.url} does not answer ({error}); see `fink status`") from error
        if answer.status_code == httpx.codes.NOT_FOUND and missing_ok:
            return None
        if answer.is_error:
            raise TransientError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:300]}")
        body: dict[str, Any] = answer.json()
        return body

    def _login(self) -> str:
        answer = httpx.post(
            f"{self.url}/auth/token", json={"username": self.username, "password": self.password}, timeout=60
        )
        if answer.is_error:
            raise TransientError(f"Airflow refused the login of {self.username}: {answer.status_code}")
        return str(answer.json()["access_token"])


def airflow_session(settings: Settings) -> Airflow:
    """Log in to the local Airflow as its operator.

    Raises
    ------
    ConfigError
        If Airflow was never started here.
    """
    passwords = read_json(settings.service_dir("airflow") / "passwords.json") or {}
    if OPERATOR not in passwords:
        raise ConfigError("Airflow has no operator yet; run `fink up` first")
    return Airflow(f"http://{settings.airflow.host}:{settings.airflow.port}", OPERATOR, str(passwords[OPERATOR]))
