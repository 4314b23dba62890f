"""A transfer as users ask for it: the command plans it, Airflow's DAG does it, the command shows how far it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fink_lib.cli import run
from fink_lib.config import Settings
from fink_lib.errors import EXIT_OK
from fink_lib.lake import open_lake
from fink_lib.transfer import life, topics
from fink_lib.transfer.job import JobStore
from tests.airflow_rest import AirflowRest, eventually
from tests.unit.api.community import header
from tests.unit.api.conftest import serving
from tests.unit.transfer.nights import FIRST, NIGHTS, add_nights

pytestmark = pytest.mark.timeout(300)


@pytest.mark.usefixtures("kafka")
def test_airflow_does_what_was_submitted(airflow: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    lake = open_lake(airflow, "ztf")
    lake.ensure()
    if FIRST not in lake.nights("science"):
        add_nights(lake)
    rest = AirflowRest(airflow)
    eventually("the DAG is parsed", lambda: "ops_transfer" in rest.dags())
    words = ["transfer", "submit", "--nights", NIGHTS, "--columns", "light", "--where", "roid = 1", "--wait", "--json"]
    assert run(words) == EXIT_OK
    printed = capsys.readouterr()
    job = json.loads(printed.out[printed.out.index("{") :])
    assert (job["state"], job["sent"]) == ("done", job["expected"])
    assert f"done: {job['expected']} of {job['expected']} rows" in printed.err
    partitions = airflow.kafka.partitions
    assert sum(topics.ends(airflow.kafka, job["id"], partitions)) == job["expected"] == 24
    run_id = f"transfer__{job['id']}"
    eventually("the run ends well", lambda: rest.run_state("ops_transfer", run_id) == "success")
    life.cancel(airflow, job["id"], datetime.now(UTC))
    assert JobStore(airflow.home).find(job["id"]).topics_gone


@pytest.mark.usefixtures("kafka")
@pytest.mark.long
def test_airflow_does_what_was_asked_for_through_the_api(airflow: Settings) -> None:
    lake = open_lake(airflow, "ztf")
    lake.ensure()
    if FIRST not in lake.nights("science"):
        add_nights(lake)
    rest = AirflowRest(airflow)
    eventually("the DAG is parsed", lambda: "ops_transfer" in rest.dags())
    head = header(airflow, "ann", ["transfer"])
    with serving(airflow) as client:
        asked = {"nights": NIGHTS, "content": "light", "conditions": "roid = 1"}
        made = client.post("/api/v1/transfers", json=asked, headers=head)
        assert made.status_code == 202, made.text
        path = f"/api/v1/transfers/{made.json()['id']}"
        eventually("the transfer is done", lambda: client.get(path).json()["state"] == "done")
        job = client.get(path).json()
        assert job["sent"] == job["expected"] == 24
        assert sum(topics.ends(airflow.kafka, job["topic"], airflow.kafka.partitions)) == 24
        gone = client.post(f"{path}/cancel", headers=head).json()
        assert (gone["state"], bool(gone["topics_gone"])) == ("cancelled", True)
        assert not topics.exist(airflow.kafka, [job["topic"]])
