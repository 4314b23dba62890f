"""Making nights again: ``ops_replay_night``, by hand for one night or by backfill for a range."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronTriggerTimetable, Param

from dags.operators.night import night_of_run
from dags.operators.night_stage import NightStage
from dags.operators.policy import WATCHED, with_backoff
from dags.operators.replay_night import ASK, THEN, DecideReplay, MakeReplay

SURVEY = "ztf"
NIGHT = "{{ night_of_run('" + SURVEY + "', params, dag_run) }}"

DOC = """
### Make a night again
`make_replay → decide_replay → promote_replay` or `discard_replay`

The night is computed once more beside the live one, by the code of now and by the catalogues and models of now or by
pinned ones, and compared: how many alerts change, in which columns, by which module, why, and which filters they enter
or leave. Nobody sees anything of it before it is promoted, and nothing live is touched.

| parameter | is |
|---|---|
| `night` | YYYYMMDD; empty: the night of the run's logical date, so that a backfill goes over nights |
| `start` | `raw`: cuts, duplicates and all modules again; `science`: what needs the whole night, and the filters |
| `pins` | versions with blanks between: `live`, `catalog.simbad=…`, `model.snn=…` (as `fink_versions` has them) |
| `then` | `ask` a person; `promote` at once; `keep` it for a decision later (`fink replay promote NIGHT`) |

- **A range of nights**: *Backfill*, over the dates of the nights, with `then` in the configuration; two at a time.
- A replay that equals the live night is discarded by itself.
- Each task may be cleared as often as you like. A promotion that was cut short keeps the night's other stages away
  until it is cleared and ends.
- A run that the clock brings does nothing.
"""

with DAG(
    "ops_replay_night",
    # Backfills need dates to go over; a run that comes by the clock ends at once.
    schedule=CronTriggerTimetable("0 16 * * *", timezone="UTC"),
    start_date=datetime(2018, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=2,
    is_paused_upon_creation=False,
    doc_md=DOC,
    tags=["operations", SURVEY],
    default_args={**WATCHED, **with_backoff(retries=4, first_s=15, longest_s=600)},
    user_defined_macros={"night_of_run": night_of_run},
    params={
        "night": Param(
            "",
            type="string",
            pattern=r"^(\d{8})?$",
            title="Night",
            description="YYYYMMDD; empty: the night that ended last before the run's logical date",
        ),
        "start": Param("raw", type="string", enum=["raw", "science"], title="From"),
        "pins": Param("", type="string", pattern=r"^[\w.=@:+ -]*$", title="Pins", description="with blanks between"),
        "then": Param(ASK, type="string", enum=list(THEN), title="Then"),
    },
):
    made = MakeReplay(
        task_id="make_replay",
        survey=SURVEY,
        night=NIGHT,
        start="{{ params.start }}",
        pins="{{ params.pins }}",
        pool="spark_local",
        doc_md="**Does**: computes the night again and compares. A killed one goes on where it was.\n\n**Fails** when "
        "a version is not there (the log names those that are), or the disk is full. **Press**: *Clear*.",
    )
    decided = DecideReplay(
        task_id="decide_replay",
        survey=SURVEY,
        night=NIGHT,
        then="{{ params.then }}",
        made="make_replay",
        promote="promote_replay",
        discard="discard_replay",
        doc_md="**Does**: waits for a person, without a worker: *Required actions*, *Promote* or *Discard*. Read the "
        "report first (button *Report*).",
    )
    promoted = NightStage(
        task_id="promote_replay",
        survey=SURVEY,
        stage="promote",
        night=NIGHT,
        pool="spark_local",
        doc_md="**Does**: lets the replay stand for the night, tells users, reconciles, and runs the stages from "
        "`compact` on.\n\n**Fails** when Kafka or HBase is away, or a stage refuses the night. **Press**: *Clear*.",
    )
    discarded = NightStage(
        task_id="discard_replay",
        survey=SURVEY,
        stage="discard",
        night=NIGHT,
        doc_md="**Does**: throws the replay away. **Press**: *Clear* is harmless.",
    )
    made >> decided >> [promoted, discarded]
