"""Operations: those that people start by hand, and healing, which comes by itself every day."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronTriggerTimetable, Param, get_current_context, task

from dags.operators.night import night_of_run
from dags.operators.night_docs import HEAL_DOC, TASK_DOCS
from dags.operators.night_stage import NightStage
from dags.operators.policy import WATCHED, with_backoff
from dags.operators.stream_control import ACTIONS, control_stream
from dags.operators.stream_list import STREAMS

DOC = """
### Drain, stop, start or restart a stream
| action | does | green when |
|---|---|---|
| `drain` | the driver ends after its current batch and stays down | the driver and its JVM are gone |
| `stop` | the same, but by force after a minute | the driver and its JVM are gone |
| `start` | the stage shall run again; its crash budget begins anew | a driver runs |
| `restart` | drain, then start with the code of now | a driver with a new epoch runs |

A stage that shall not run keeps one deferred run of its `stream_…` DAG: held, not failed. Each action may be repeated.
Red: the effect did not come in time, the log says which. For `start` and `restart`, look whether the stream's DAG is
paused. Nothing is lost by any of these.
"""


with DAG(
    "ops_stream_control",
    schedule=None,
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=3,
    is_paused_upon_creation=False,
    doc_md=DOC,
    tags=["operations"],
    default_args=dict(WATCHED),
    params={
        "stage": Param(STREAMS[0].stage, type="string", enum=list(dict.fromkeys(s.stage for s in STREAMS))),
        "survey": Param(STREAMS[0].survey, type="string", enum=list(dict.fromkeys(s.survey for s in STREAMS))),
        "action": Param("restart", type="string", enum=list(ACTIONS)),
    },
):

    @task(
        task_id="control_stream",
        doc_md="Writes what is wanted, asks the driver, and waits for the effect. Red: press *Clear* to ask again.",
        **with_backoff(retries=1, first_s=5, longest_s=60),
    )
    def control() -> str:
        """Do what the form says."""
        params = get_current_context()["params"]
        return control_stream(params["survey"], params["stage"], params["action"])

    control()


HEALED_SURVEY = "ztf"

with DAG(
    "ops_heal",
    # 20:00 UTC: the night's own chain has had four hours.
    schedule=CronTriggerTimetable("0 20 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    doc_md=HEAL_DOC,
    tags=["operations", HEALED_SURVEY],
    default_args={**WATCHED, **with_backoff(retries=4, first_s=15, longest_s=600)},
    user_defined_macros={"night_of_run": night_of_run},
    params={
        "night": Param(
            "",
            type="string",
            pattern=r"^(\d{8})?$",
            title="Last night",
            description="YYYYMMDD; empty: the night that ended last. Healed are the nights up to this one",
        )
    },
):
    nights = NightStage(
        task_id="list_nights",
        survey=HEALED_SURVEY,
        stage="healable",
        night="{{ night_of_run('" + HEALED_SURVEY + "', params, dag_run) }}",
        result_key="nights",
        doc_md=TASK_DOCS["list_nights"],
    )
    NightStage.partial(
        task_id="heal",
        survey=HEALED_SURVEY,
        stage="heal",
        pool="spark_local",
        max_active_tis_per_dagrun=1,  # there is one producer for corrections
        map_index_template="{{ task.night }}",
        doc_md=TASK_DOCS["heal"],
    ).expand(night=nights.output)
