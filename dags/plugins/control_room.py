"""Puts the page *Control room* into Airflow's navigation.

Every process of Airflow reads this file, each task among them, and only one serves the page: it is imported when the
first visitor comes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/control-room"


@cache
def _page() -> Any:
    from dags.pages.control_room import build_app

    return build_app()


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request (ASGI)."""
    await _page()(scope, receive, send)


class ControlRoom(AirflowPlugin):
    """Registers the page."""

    name = "control_room"
    fastapi_apps = [{"app": serve, "url_prefix": PREFIX, "name": "Control room"}]
    external_views = [
        {"name": "Control room", "href": f"{PREFIX}/", "destination": "nav", "url_route": "control-room"},
    ]
