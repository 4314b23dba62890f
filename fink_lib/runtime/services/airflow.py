"""Airflow as four processes: API server (and web pages), scheduler, DAG processor, triggerer.

All of them read one ``airflow.cfg``, so that ``AIRFLOW_HOME=<FINK_HOME>/services/airflow airflow …`` works by hand too.
"""

from __future__ import annotations

import configparser
import json
import os
import sys
import threading
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from fink_lib.config import Settings, project_root
from fink_lib.errors import TransientError
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.installation import install_date, keep_secrets
from fink_lib.runtime.services.base import Service, http_get
from fink_lib.runtime.services.postgres import Postgres, is_local, local_uri

USERS = {"viewer": "viewer", "operator": "op", "admin": "admin"}
POOL = "spark_local"
_SETUP_TIMEOUT_S = 300.0
_DATABASE_S = 90.0
_DATABASE_POLL_S = 0.5
_HEALTH_CACHE_S = 0.5
# The four are prepared by four threads of one supervisor; the first one does it.
_PREPARING = threading.Lock()
_ASKING = threading.Lock()
_health: dict[int, tuple[float, dict[str, Any] | None]] = {}


class _Airflow(Service):
    """One process of Airflow."""

    group: ClassVar[str] = "airflow"
    arguments: ClassVar[tuple[str, ...]]
    component: ClassVar[str]

    @property
    def host(self) -> str:
        """Where the web server listens."""
        return self.settings.airflow.host

    def ports(self) -> dict[str, int]:
        """Only the API server listens."""
        return {}

    def prepare(self) -> None:
        """Write the configuration; make the database and the pool once for each version of Airflow."""
        with _PREPARING:
            self._await_database()
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_configuration(self.folder / "airflow.cfg", configuration(self.settings))
            done = self.folder / "initialised.json"
            wanted = {"airflow": version("apache-airflow-core"), "database": database_uri(self.settings)}
            if read_json(done) != wanted:
                airflow = [sys.executable, "-m", "airflow"]
                self.run_tool([*airflow, "db", "migrate"], _SETUP_TIMEOUT_S)
                what = "Spark jobs of the nightly chain, one at a time"
                self.run_tool([*airflow, "pools", "set", POOL, "1", what], _SETUP_TIMEOUT_S)
                write_json(done, wanted)

    def _await_database(self) -> None:
        """Wait for the PostgreSQL server of this installation, if its state is there."""
        deadline = time.monotonic() + _DATABASE_S
        while is_local(self.settings) and not Postgres(self.settings).ready(0.0):
            if self.cancelled.wait(_DATABASE_POLL_S) or time.monotonic() > deadline:
                raise TransientError(f"PostgreSQL did not answer within {_DATABASE_S:g} s; see its log")

    def command(self) -> list[str]:
        """The ``airflow`` command line of this process."""
        return [sys.executable, "-m", "airflow", *self.arguments]

    def environment(self) -> dict[str, str]:
        """Adds what Airflow and the DAG files read from the environment."""
        return {
            **super().environment(),
            "AIRFLOW_HOME": str(self.folder),
            "FINK_INSTALL_DATE": install_date(self.settings),
            "NO_COLOR": "1",
        }

    def ready(self, started_s: float) -> bool | None:
        """Whether Airflow itself counts this process as healthy, by a heartbeat of this start."""
        health = airflow_health(self.settings)
        if health is None:
            return None
        part = health.get(self.component) or {}
        beat = part.get(f"latest_{self.component}_heartbeat")
        if part.get("status") != "healthy" or not beat:
            return False
        return datetime.fromisoformat(beat).timestamp() >= started_s


class AirflowApiServer(_Airflow):
    """Web pages, REST API, and the API that running tasks talk to."""

    name: ClassVar[str] = "airflow-api-server"
    arguments: ClassVar[tuple[str, ...]] = ("api-server",)
    component: ClassVar[str] = "metadatabase"

    @property
    def url(self) -> str:
        """The web pages."""
        return f"http://{self.host}:{self.settings.airflow.port}"

    def ports(self) -> dict[str, int]:
        """The web server's port."""
        return {"airflow.port": self.settings.airflow.port}

    def ready(self, started_s: float) -> bool:
        """Whether it answers, and reaches its database."""
        health = airflow_health(self.settings)
        return health is not None and (health.get("metadatabase") or {}).get("status") == "healthy"


class AirflowScheduler(_Airflow):
    """Starts tasks, and runs them (LocalExecutor)."""

    name: ClassVar[str] = "airflow-scheduler"
    # Logs are read from the disk they are written to; nobody needs the little web server for them.
    arguments: ClassVar[tuple[str, ...]] = ("scheduler", "--skip-serve-logs")
    component: ClassVar[str] = "scheduler"


class AirflowDagProcessor(_Airflow):
    """Reads the DAG files."""

    name: ClassVar[str] = "airflow-dag-processor"
    arguments: ClassVar[tuple[str, ...]] = ("dag-processor",)
    component: ClassVar[str] = "dag_processor"


class AirflowTriggerer(_Airflow):
    """Waits on behalf of deferred tasks; watches the streams."""

    name: ClassVar[str] = "airflow-triggerer"
    # It waits for its triggers, and those that watch streams never end; being killed costs them nothing.
    stop_grace_s: ClassVar[float] = 3.0
    arguments: ClassVar[tuple[str, ...]] = ("triggerer", "--skip-serve-logs")
    component: ClassVar[str] = "triggerer"


def configuration(settings: Settings) -> dict[str, dict[str, object]]:
    """Contents of ``airflow.cfg``."""
    home = settings.service_dir("airflow")
    passwords = home / "passwords.json"
    keep_secrets(passwords, USERS, length=9)
    keys = keep_secrets(home / "secrets.json", ("fernet", "jwt", "session"))
    url = f"http://{settings.airflow.host}:{settings.airflow.port}"
    return {
        "core": {
            "dags_folder": project_root() / "dags",
            "plugins_folder": project_root() / "dags" / "plugins",
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "executor": "LocalExecutor",
            "parallelism": settings.airflow.parallelism,
            "fernet_key": keys["fernet"] + "=",  # 32 random bytes, with the padding that Airflow asks for
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": ",".join(f"{user}:{role}" for user, role in USERS.items()),
            "simple_auth_manager_passwords_file": passwords,
            "execution_api_server_url": f"{url}/execution/",
        },
        "database": {"sql_alchemy_conn": database_uri(settings), "load_default_connections": False},
        "logging": {
            "base_log_folder": settings.log_dir / "airflow",
            "colored_console_log": False,
            "dag_processor_child_process_log_directory": settings.log_dir / "airflow" / "dag_processor",
        },
        "api": {
            "host": settings.airflow.host,
            "port": settings.airflow.port,
            "base_url": url,
            "workers": 1,
            "secret_key": keys["session"],
            "expose_config": False,
            "instance_name": "Fink",
        },
        "api_auth": {"jwt_secret": keys["jwt"]},
        "scheduler": {
            # Tasks of a killed scheduler are given to its successor at this interval; the default is five minutes.
            "orphaned_tasks_check_interval": 20,
            "catchup_by_default": False,
        },
        "dag_processor": {"parsing_processes": 1, "min_file_process_interval": 30},
        # A killed triggerer's triggers are taken over after the threshold.
        "triggerer": {"on_kill_timeout": 30, "triggerer_health_check_threshold": 15, "job_heartbeat_sec": 3},
        "usage_data_collection": {"enabled": False},
    }


def database_uri(settings: Settings) -> str:
    """Where Airflow keeps its state: the configured database, else an SQLite file that waits for busy writers."""
    if is_local(settings):
        return local_uri(settings)
    return settings.airflow.database or f"sqlite:///{settings.service_dir('airflow') / 'airflow.db'}?timeout=30"


def airflow_health(settings: Settings) -> dict[str, Any] | None:
    """Airflow's own view of its parts, one question for all who ask at about the same time; None if it is away."""
    port = settings.airflow.port
    with _ASKING:
        asked_s, answer = _health.get(port, (0.0, None))
        if time.monotonic() - asked_s > _HEALTH_CACHE_S:
            body = http_get(settings.airflow.host, port, "/api/v2/monitor/health")
            answer = json.loads(body) if body else None
            _health[port] = (time.monotonic(), answer)
    return answer


def _write_configuration(path: Path, sections: dict[str, dict[str, object]]) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    for section, values in sections.items():
        parser[section] = {name: str(value) for name, value in values.items()}
    # It holds keys, so nobody else may read it, not even for a moment.
    descriptor = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        parser.write(file)
    path.with_suffix(".new").replace(path)
