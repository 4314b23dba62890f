"""``ops_notify``: hands over again what a mail server or a webhook did not take."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronTriggerTimetable

from dags.operators.policy import OWNER, with_backoff
from dags.operators.process import FinkCommand

DOC = """
### Deliver notifications that wait
A failed task puts a message into the outbox and hands it over at once. What a channel did not take then, it gets here,
every ten minutes, once. `fink notify list` shows what was told and what waits; `fink notify test` tries every channel.

Red: a channel still refuses; the log has its words. Nobody is told of that by the channel that refuses, of course: the
file `outbox/notifications.jsonl` of the installation always has everything.
"""

with DAG(
    "ops_notify",
    schedule=CronTriggerTimetable("*/10 * * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    doc_md=DOC,
    tags=["operations"],
    # it tells nobody that it cannot tell anybody
    default_args={"owner": OWNER, **with_backoff(retries=1, first_s=30, longest_s=60)},
):
    FinkCommand(
        task_id="deliver",
        words=["notify deliver"],
        doc_md="Hands over what waits. Red: a channel refuses; the next run tries again.",
    )
