"""Late alerts: a night that was finished and receives more is gone over once more, without anybody asking."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable

from dags.operators.night import last_night
from dags.operators.night_stage import NightStage
from dags.operators.policy import WATCHED, with_backoff

SURVEY = "ztf"

DOC = """
### Go over nights again that have received late alerts
`list_nights → reopen_night` (once for each night)

Every half hour: a night that was archived, or had no data, and has more messages now than when it was closed gets a run
of `nightly_ztf`. That run takes it back to *closing*, and through all stages; what has not changed stays as it is. Each
lateness starts one run: if that fails, the night is red and waits for a person as any other.

Green with nothing done is the rule. Clearing it is harmless.
"""


def one_run(late: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments of the run for one night; the same late alerts give the same run."""
    return {"conf": {"night": late["night"]}, "trigger_run_id": f"late__{late['night']}__{late['received']}"}


with DAG(
    "ops_late_alerts",
    schedule=CronTriggerTimetable("15,45 * * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    doc_md=DOC,
    tags=["operations", SURVEY],
    default_args={**WATCHED, **with_backoff(retries=2, first_s=15, longest_s=120)},
    user_defined_macros={"last_night": last_night},
):
    nights = NightStage(
        task_id="list_nights",
        survey=SURVEY,
        stage="reopenable",
        night="{{ last_night('" + SURVEY + "', dag_run.run_after) }}",
        result_key="nights",
        doc_md="**Does**: compares the messages of finished nights with those that they had when they were closed.\n\n"
        "**Fails** only when the lake cannot be read. **Press**: *Clear*.",
    )
    TriggerDagRunOperator.partial(
        task_id="reopen_night",
        trigger_dag_id=f"nightly_{SURVEY}",
        skip_when_already_exists=True,
        doc_md="**Does**: starts `nightly_ztf` for one night; skipped if these late alerts have started one already.",
    ).expand_kwargs(nights.output.map(one_run))
