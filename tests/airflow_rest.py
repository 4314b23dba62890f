"""What a person presses in Airflow's pages, as calls of its REST API; reads task logs too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx

from fink_lib.config import Settings
from fink_lib.runtime.files import read_json

HEALTHY = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class AirflowRest:
    """A session of the user ``admin`` (which alone may do everything that the tests do)."""

    def __init__(self, settings: Settings) -> None:
        self.url = f"http://{settings.airflow.host}:{settings.airflow.port}"
        self.password = str((read_json(settings.service_dir("airflow") / "passwords.json") or {})["admin"])
        self._token = ""

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """One call of ``/api/v2``; fails the test if it is refused."""
        if not self._token:
            login = {"username": "admin", "password": self.password}
            self._token = httpx.post(f"{self.url}/auth/token", json=login, timeout=60).json()["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = httpx.request(method, f"{self.url}/api/v2{path}", headers=headers, timeout=60, **arguments)
        assert not answer.is_error, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def health(self) -> bool:
        """Whether all four parts say that they are well."""
        try:
            parts = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=10).json()
        except httpx.HTTPError:
            return False
        return all((parts.get(name) or {}).get("status") == "healthy" for name in HEALTHY)

    def dags(self) -> set[str]:
        """Ids of the parsed DAGs."""
        return {dag["dag_id"] for dag in self.call("GET", "/dags")["dags"]}

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause or unpause a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": paused})

    def paused(self, dag_id: str) -> bool:
        """Whether a DAG is paused."""
        return bool(self.call("GET", f"/dags/{dag_id}")["is_paused"])

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run by hand; return its id."""
        body = {"logical_date": None, "conf": conf}
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Runs of a DAG, the newest first."""
        rows: list[dict[str, Any]] = self.call("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after")["dag_runs"]
        return rows

    def run_state(self, dag_id: str, run_id: str) -> str:
        """State of one run."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Task instances of one run by task id (mapped ones overwrite each other)."""
        rows = self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances")["task_instances"]
        return {row["task_id"]: row for row in rows}

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int) -> list[str]:
        """Lines of a task's log, without their times; what the triggerer wrote is among them."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/logs/{attempt}?full_content=true"
        return [str(row.get("event", "")) for row in self.call("GET", path)["content"]]

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task as failed or successful."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"
        self.call("PATCH", path, json={"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task: run it again, in the same run."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json={**body, "reset_dag_runs": True})


def eventually(what: str, condition: Callable[[], Any], timeout_s: float = 90.0) -> float:
    """Wait until a condition holds; return the seconds it took.

    Raises
    ------
    AssertionError
        If it does not within the time.
    """
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < timeout_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.3)
    seconds = time.monotonic() - begun
    print(f"{what}: {seconds:.1f} s")
    return seconds
