"""``ops_retention``: every day, removes what nobody needs any more."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronTriggerTimetable

from dags.operators.policy import WATCHED, with_backoff
from dags.operators.process import FinkCommand

DOC = """
### Remove what nobody needs any more
Every day at 13:00 UTC: files of the lake that were rewritten more than `retention.versions_days` ago, and logs of tasks
older than `retention.logs_days`. No row goes, and no night. While a night older than the window is not archived,
nothing of the lake is removed: the log names the night. Messages go by Kafka's own retention, topics of transfers by
`ops_transfer_expire`.

Red: another writer got in the way, or the disk is read-only; *Clear* goes on. `fink retention --dry-run` shows what
would go.
"""

with DAG(
    "ops_retention",
    schedule=CronTriggerTimetable("0 13 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    doc_md=DOC,
    tags=["operations"],
    default_args={**WATCHED, **with_backoff(retries=4, first_s=60, longest_s=3600)},
):
    FinkCommand(
        task_id="retention",
        words=["retention"],
        doc_md="Removes old files. Red: the log says which writer got in the way; *Clear* goes on.",
    )
