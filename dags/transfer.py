"""Bulk transfers of past nights: one run for each, and the end of those whose life is over."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronTriggerTimetable, Param

from dags.operators.policy import WATCHED, with_backoff
from dags.operators.process import FinkCommand

TRANSFER = """
### Send past nights to a user
One run for each `fink transfer submit`. It reads the lake as it was when the transfer was submitted, writes the topics
`ftransfer_…_schema` and `ftransfer_…`, and compares what they hold with what was planned. What was asked for, and how
far it is: `fink transfer show ftransfer_…`. The parameter is the name of a transfer that was submitted before.

Clearing it is always safe: the run looks at what the topic holds and goes on there. A transfer that is done or
cancelled ends green at once. It takes nothing from the streams and writes nothing into the lake.

| the log says | do |
|---|---|
| *Kafka … failed*, *took nothing for …* | Kafka is away: `fink status`, `fink up kafka`; *Clear* |
| *process … holds …* | nothing: another run is at work on it, and this one is tried again |
| *have changed meanwhile*, *no longer holds version* | tell the user to submit it again |
| *is gone*, *is not what was planned*, *holds too much*, *arrived at offset* | `fink transfer cancel`, submit again |
"""

EXPIRE = """
### Delete transfers whose life is over
Every day at 12:00 UTC: deletes, whole, the topics of transfers that ended more than `transfer.life_days` ago, and
finishes what people have cancelled while Kafka was away. Topics of transfers have no retention of their own, so if this
DAG is paused for long, Kafka's disk fills.

Red: Kafka was away. *Clear* asks again; so does the next day.
"""

with DAG(
    "ops_transfer",
    schedule=None,
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=2,
    is_paused_upon_creation=False,
    doc_md=TRANSFER,
    tags=["operations", "transfer"],
    default_args={**WATCHED, **with_backoff(retries=4, first_s=15, longest_s=600)},
    params={
        "transfer": Param(
            "",
            type="string",
            pattern=r"^(ftransfer_[a-z]+_\d{4}-\d{2}-\d{2}_\d{1,6})?$",
            title="Transfer",
            description="name of a submitted transfer, as `fink transfer list` shows it",
        )
    },
):
    FinkCommand(
        task_id="transfer",
        words=["transfer run {{ params.transfer }}"],
        doc_md="Writes the topics, or the files, and counts them. Red: the log says what to do; *Clear* goes on.",
    )

with DAG(
    "ops_transfer_expire",
    schedule=CronTriggerTimetable("0 12 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    doc_md=EXPIRE,
    tags=["operations", "transfer"],
    default_args={**WATCHED, **with_backoff(retries=4, first_s=60, longest_s=3600)},
):
    FinkCommand(
        task_id="expire",
        words=["transfer expire"],
        doc_md="Deletes topics whose life is over. Red: Kafka was away; *Clear* asks again.",
    )
