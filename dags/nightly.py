"""The chain that finishes a night: ``nightly_<survey>``, one run per observing night."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param, chain

from dags.operators.close_night import CloseNight
from dags.operators.decide_night import DecideNight
from dags.operators.night import night_of_run
from dags.operators.night_docs import DAG_DOC, TASK_DOCS
from dags.operators.night_stage import NightStage
from dags.operators.notifier import night_deadline
from dags.operators.policy import WATCHED, with_backoff
from dags.operators.report_link import REPORTS, ReportingStage, reports_url

SURVEY = "ztf"
NIGHT = "{{ night_of_run('" + SURVEY + "', params, dag_run) }}"
INSTALLED = os.environ.get("FINK_INSTALL_DATE", "")
FINISHED_NIGHTS = Asset(name=f"nights_{SURVEY}", uri=f"fink://{SURVEY}/nights")


def stage(name: str, task_id: str = "", heavy: bool = False, **kwargs: Any) -> NightStage:
    """Declare one stage; heavy ones run one at a time on this machine."""
    pool: dict[str, Any] = {"pool": "spark_local"} if heavy else {}
    task_id = task_id or name
    kind = ReportingStage if name in REPORTS else NightStage
    return kind(task_id=task_id, survey=SURVEY, stage=name, night=NIGHT, doc_md=TASK_DOCS[task_id], **pool, **kwargs)


with DAG(
    f"nightly_{SURVEY}",
    # 16:00 UTC: the telescope has stopped; a run is about the night that ended before its logical date.
    schedule=CronTriggerTimetable("0 16 * * *", timezone="UTC"),
    start_date=datetime.fromisoformat(INSTALLED or "2025-01-01").replace(tzinfo=UTC),
    # Without a known day of installation there is nothing to catch up with.
    catchup=bool(INSTALLED),
    max_active_runs=2,
    deadline=night_deadline(),
    doc_md=DAG_DOC.format(survey=SURVEY),
    tags=["nightly", SURVEY],
    default_args={**WATCHED, **with_backoff(retries=4, first_s=15, longest_s=600)},
    user_defined_macros={"night_of_run": night_of_run},
    params={
        "night": Param(
            "",
            type="string",
            pattern=r"^(\d{8})?$",
            title="Night",
            description="YYYYMMDD; empty: the night that ended last before the run's logical date",
        )
    },
):
    close_night = CloseNight(task_id="close_night", survey=SURVEY, night=NIGHT, doc_md=TASK_DOCS["close_night"])
    list_tables = stage("tables", task_id="list_tables", result_key="tables")
    reconcile = stage("reconcile")
    decide_night = DecideNight(
        task_id="decide_night",
        survey=SURVEY,
        night=NIGHT,
        follow="select",
        reports_url=reports_url(),
        doc_md=TASK_DOCS["decide_night"],
    )
    archive = NightStage.partial(
        task_id="archive",
        survey=SURVEY,
        stage="archive",
        night=NIGHT,
        pool="spark_local",
        map_index_template="{{ task.table }}",
        doc_md=TASK_DOCS["archive"],
    ).expand(table=list_tables.output)

    chain(
        close_night,
        reconcile,
        stage("compact", heavy=True),
        stage("validate", heavy=True),
        decide_night,
        stage("select", heavy=True),
        archive,
        stage("verify_archive", heavy=True),
        stage("summarise", heavy=True),
        stage("validate_archive", heavy=True),
        stage("publish", asset=FINISHED_NIGHTS),
    )
    chain(close_night, list_tables, archive)
