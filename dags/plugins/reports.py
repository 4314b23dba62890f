"""Lets Airflow's web server give the reports of nights to read: Data Docs, summaries, ledgers.

Every process of Airflow reads this file, each task among them, and only one serves the reports: what serves them is
imported when the first is asked for.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from dags.operators.report_link import REPORTS_PREFIX, ReportLink


@cache
def _files() -> Any:
    from dags.pages.reports import build_app

    return build_app()


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request (ASGI)."""
    await _files()(scope, receive, send)


class Reports(AirflowPlugin):
    """Registers the folder of reports, and the buttons that lead to it."""

    name = "night_reports"
    fastapi_apps = [{"app": serve, "url_prefix": REPORTS_PREFIX, "name": "Reports of nights"}]
    operator_extra_links = [ReportLink()]
