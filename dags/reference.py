"""Reference data and models, made anew by schedule or by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from dags.operators.policy import WATCHED, with_backoff
from dags.operators.process import FinkCommand

CATALOGUES = """
### Fetch catalogues from their services
Fetches snapshots with `fink catalogs fetch` (SIMBAD, VizieR, the Transient Name Server) and then checks all digests.
The TNS list changes every day; the others rarely. A snapshot is replaced only when the new one is whole. The streams
use it from their next batch on; its version and digest are in `fink_versions` of every alert.

Red: the service was away or its answer was not whole. The old snapshot stays in use; *Clear* asks again. Without a
network, leave this DAG paused.
"""

MODELS = """
### Train models anew
Runs `fink models train`: simulates alerts, trains, calibrates and measures on held-out objects, and writes artefact and
card below `FINK_HOME/models`, where they come before the project's own. The same seed gives the same model. A running
stream keeps the models it has opened: look at the card with `fink models show NAME`, replay a night, then restart
`raw2science`; or remove the folder to go back.

Red: the log says which model failed, and why. The models in use stay as they are.
"""

with DAG(
    "ops_refresh_catalogs",
    schedule="0 14 * * *",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    doc_md=CATALOGUES,
    tags=["operations", "catalogues"],
    default_args={**WATCHED, **with_backoff(retries=4, first_s=300, longest_s=3600)},
    params={
        "names": Param("tns", type="string", pattern="^[a-z0-9_ ]+$", description="catalogues, with blanks between"),
        "cones": Param(
            "",
            type="string",
            pattern=r"^[0-9., +-]*$",
            description="sky to cover, ra,dec,radius in degrees, with blanks between; needed by large catalogues",
        ),
    },
):
    FinkCommand(
        task_id="fetch",
        words=[
            "catalogs fetch {{ params.names }}",
            "{% for cone in params.cones.split() %}--cone {{ cone }} {% endfor %}",
        ],
        doc_md="Fetches and replaces snapshots. Red: the old ones stay in use; *Clear* asks again.",
    ) >> FinkCommand(
        task_id="check",
        words=["catalogs check"],
        doc_md="Compares all catalogues with their digests. Red: the log names the file; build that catalogue again.",
    )

with DAG(
    "ops_train_models",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    doc_md=MODELS,
    tags=["operations", "models"],
    default_args={**WATCHED, "pool": "spark_local", **with_backoff(retries=1, first_s=60, longest_s=60)},
    params={"names": Param("", type="string", pattern="^[a-z0-9_ ]*$", description="models; empty: all")},
):
    FinkCommand(
        task_id="train",
        words=["models train {{ params.names }}"],
        doc_md="Trains and measures. Red: the log says which model failed; those in use stay.",
    )
