"""Links from a task of the night to what it has left for people."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink

from dags.operators.night_stage import NightStage
from fink_lib.config import load_settings

REPORTS_PREFIX = "/fink-reports"
"""Where Airflow's own web server gives the folder of reports (see ``dags/plugins/reports.py``)."""

REPORTS = {
    "reconcile": "ledger.html",
    "validate": "data_docs/index.html",
    "summarise": "summary.html",
    "validate_archive": "data_docs_archive/index.html",
}
"""What each stage leaves, below ``reports/<survey>/<night>``."""


def reports_url() -> str:
    """Give the address of the folder of reports."""
    airflow = load_settings().airflow
    return f"http://{airflow.host}:{airflow.port}{REPORTS_PREFIX}"


class ReportLink(BaseOperatorLink):
    """The button *Report* of a task."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Give the address of the report of a task's stage and night."""
        file = REPORTS.get(operator.stage, "")
        return f"{reports_url()}/{operator.survey}/{operator.night}/{file}"


class ReportingStage(NightStage):
    """A stage that leaves something to read."""

    operator_extra_links = (ReportLink(),)
