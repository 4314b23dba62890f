"""The page *Control room*: streams, nights and services at a glance.

Streams and services are read from the small files that they keep themselves, so the page works while everything else is
down. Nights come from the API; without it the page says so and shows the rest.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from fink_lib.config import Settings, load_settings
from fink_lib.runtime import control

PAGE = Path(__file__).with_suffix(".html")
ASK_S = 5.0


def api_url(settings: Settings) -> str:
    """Where the API is, seen from this machine."""
    return f"http://{settings.api.host}:{settings.api.port}"


def read_nights(settings: Settings) -> tuple[list[dict[str, Any]], str]:
    """Ask the API for all nights.

    Returns
    -------
    list of dict
        As ``/api/v1/nights`` gives them; none if the API is away.
    str
        Why it is away, or nothing.
    """
    url = f"{api_url(settings)}/api/v1/nights"
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:
            nights: list[dict[str, Any]] = json.load(answer)
    except (OSError, urllib.error.URLError, ValueError) as error:
        return [], f"the API at {url} does not answer ({error}); press `fink up api`, or look at its log"
    return nights, ""


def build_app() -> FastAPI:
    """Make the two addresses of the page: itself, and what it shows."""
    app = FastAPI(title="Control room", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return PAGE.read_text()

    @app.get("/state")
    def state(user: GetUserDep) -> dict[str, Any]:
        settings = load_settings()
        now = control.status(settings)
        nights, trouble = read_nights(settings)
        return {"streams": now["streams"], "services": now["services"], "nights": nights, "trouble": trouble,
                "api": api_url(settings)}  # fmt: skip

    return app
