"""The page in Airflow's navigation: what it shows, to whom, and that registering it costs other processes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from fink_lib.config import project_root
from tests.stack_services import write_home

# Airflow imports a test client of Starlette, which wants another package.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx`")


def ask(app: Any, path: str) -> httpx.Response:
    """Ask a web application for one thing."""

    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as client:
            return await client.get(path)

    return anyio.run(once)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page over an installation in which nothing runs, for somebody who has logged in."""
    from airflow.api_fastapi.core_api.security import get_user

    from dags.pages.control_room import build_app

    write_home(tmp_path)
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    app = build_app()
    app.dependency_overrides[get_user] = lambda: "viewer"
    return app


def test_it_shows_streams_and_services_while_nothing_runs(page: Any) -> None:
    seen = ask(page, "/state").json()
    assert [row["stage"] for row in seen["streams"]][:3] == ["stream2raw", "raw2science", "distribution"]
    assert {row["state"] for row in seen["streams"]} == {"absent"}
    assert {"kafka", "hbase", "api"} <= {row["name"] for row in seen["services"]}
    assert {"restarts", "lag", "rows_s", "batch"} <= set(seen["streams"][0])


def test_without_the_api_it_says_so_and_has_no_nights(page: Any) -> None:
    seen = ask(page, "/state").json()
    assert seen["nights"] == []
    assert "does not answer" in seen["trouble"] and "fink up api" in seen["trouble"]


def test_the_page_loads_nothing_from_outside(page: Any) -> None:
    text = ask(page, "/").text
    assert "Control room" in text
    assert "http://" not in text and "https://" not in text


def test_registering_it_imports_no_web_framework() -> None:
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import dags.plugins.control_room; "
        "print([name for name in sys.modules if name not in before and not name.startswith('dags')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=project_root(), capture_output=True, text=True, check=True)
    assert ran.stdout.strip().splitlines()[-1] == "[]"
