"""DAG files are parsed as Airflow does it, with a database that nobody needs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings

import pytest

from fink_lib.config import project_root

# Airflow reads its configuration when it is imported, which is before any fixture runs.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="fink-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")


@pytest.fixture(scope="session")
def dag_bag():
    """All DAGs of the project."""
    from airflow.dag_processing.dagbag import DagBag

    with warnings.catch_warnings():
        # Airflow reads .airflowignore with a class that its own dependency calls old.
        warnings.filterwarnings("ignore", message="GitWildMatchPattern", category=DeprecationWarning)
        return DagBag(str(project_root() / "dags"))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An installation with short limits, for code that loads settings by itself."""
    (tmp_path / "fink.toml").write_text(
        "[supervision]\nheartbeat_s = 0.1\nstale_s = 1.0\nlaunch_timeout_s = 15.0\ndrain_timeout_s = 3.0\n"
        "poll_s = 0.05\nreport_s = 0.2\nstalled_s = 60.0\ncrash_budget = 3\n[nightly]\nquiet_s = 1.0\n"
    )
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    return tmp_path
