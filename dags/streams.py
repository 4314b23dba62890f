"""One DAG for each always-on stream: ``stream_<stage>_<survey>``.

The run that is active now stands for the driver that runs now. Green runs are days without an incident, or drains that
somebody asked for; a red one needs a person.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from dags.operators.policy import WATCHED, with_backoff
from dags.operators.stream_list import STREAMS
from dags.operators.stream_supervisor import StreamSupervisor

DOC = """
### {stage} for {survey}
{does}

The driver is a process of its own (`python -m jobs.{stage} --survey {survey}`); this DAG adopts or launches it, watches
its heartbeat and starts it again when it dies. Restarting Airflow does not touch it. The task log has one line each
30 s: batch, rows, rows/s, lag, batch time. The driver's own output is `logs/{survey}/{stage}.log`.

| you want | do |
|---|---|
| stop it after the current batch | run `ops_stream_control` with action `drain` (`stop`: by force if it does not) |
| start it again | `ops_stream_control`, action `start`; unpause this DAG if it is paused |
| restart it with new code | `ops_stream_control`, action `restart`, or *Clear* the task here |
| stop it from this page | **pause** the DAG first, then *Mark failed*: it drains, and nothing starts it again |

*Mark failed* while the DAG is **not** paused is a restart. Wait until the task has been orange for a few seconds:
before that nobody watches the driver yet, and marking or clearing does not reach it.

**Violet (deferred)** is the normal state. **Up for retry**: the driver died or stalled, the cause is in the log, the
next try launches another; nothing is lost, because a batch is replayed with the same identity. **Red**: it needs you.
*ConfigError* says what to change. *Crash budget spent* gives the last cause. After 5 red runs Airflow pauses the DAG.
When it is repaired: run `ops_stream_control` with action `start`, which forgets the crashes, **then** unpause this DAG.
"""


for stream in STREAMS:
    with DAG(
        f"stream_{stream.stage}_{stream.survey}",
        schedule="@continuous",
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        max_consecutive_failed_dag_runs=5,
        is_paused_upon_creation=stream.optional,
        doc_md=DOC.format(stage=stream.stage, survey=stream.survey, does=stream.does),
        tags=["stream", stream.survey],
        default_args=dict(WATCHED),
    ) as dag:
        StreamSupervisor(
            task_id="supervise",
            survey=stream.survey,
            stage=stream.stage,
            doc_md="Adopts or launches the driver, then watches it. What to press: see the DAG's own page.",
            **with_backoff(retries=8, first_s=5, longest_s=60),
        )
    globals()[dag.dag_id] = dag
