"""A held night in a real Airflow: it waits for a person, whose answer is carried out and recorded."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest

from fink_lib.lake import open_lake
from fink_lib.nightly.decisions import decisions
from fink_lib.nightly.nights import night_state, set_state
from fink_lib.nightly.stage import verdict_path
from fink_lib.runtime.files import write_json
from tests.airflow_rest import AirflowRest, eventually

DAG = "nightly_ztf"
NIGHT = "20190704"
SENTENCE = "raw.rb_mode_share is 1 (rb = 0.7000): The classifier was not run."
BEFORE = ("close_night", "list_tables", "reconcile", "compact", "validate")
WAITING = "awaiting_input"


@pytest.fixture
def held(airflow):
    """Give the lake, with a night that validate has held."""
    lake = open_lake(airflow, "ztf")
    lake.ensure()
    set_state(lake, NIGHT, "held", "validate", f"night {NIGHT} is held: {SENTENCE}", datetime.now(UTC))
    file = verdict_path(airflow, "ztf", NIGHT, "validate")
    write_json(file, {"failures": [{"severity": "critical", "sentence": SENTENCE}]})
    (file.parent.parent / "data_docs").mkdir()
    (file.parent.parent / "data_docs" / "index.html").write_text("<p>rules</p>")
    return lake


@pytest.mark.long
def test_a_held_night_waits_for_a_person_and_the_answer_is_kept(airflow, held):
    rest = AirflowRest(airflow)
    eventually("the DAG is parsed", lambda: DAG in rest.dags(), 180)
    run = rest.trigger(DAG, {"night": NIGHT})
    place = f"/dags/{DAG}/dagRuns/{quote(run)}/taskInstances/decide_night"
    state = lambda: rest.tasks(DAG, run).get("decide_night", {}).get("state")  # noqa: E731
    eventually("the run has begun", lambda: "close_night" in rest.tasks(DAG, run))
    for task in BEFORE:  # there is nothing for them to do here
        rest.mark(DAG, run, task, "success")
    eventually("it waits", lambda: state() == WAITING, 180)
    asked = rest.call("GET", f"{place}/-1/hitlDetails")
    assert asked["subject"] == f"Night {NIGHT} of ztf is held" and SENTENCE in asked["body"]
    assert asked["options"] == ["Release", "Replay", "Abandon"]

    assert night_state(held, NIGHT).state == "held"

    with contextlib.suppress(AssertionError):  # Airflow 3.3 may answer 500, and then has changed nothing
        rest.clear(DAG, run, "decide_night")
    assert night_state(held, NIGHT).state == "held"

    answer = {"chosen_options": ["Abandon"], "params_input": {"reason": "the sky was bright", "name": "admin"}}

    def answered() -> bool:
        """Answer whenever it asks: Airflow asks again if the answer came before it saw the asking process end."""
        if state() == WAITING and not rest.call("GET", f"{place}/-1/hitlDetails")["response_received"]:
            rest.call("PATCH", f"{place}/-1/hitlDetails", json=answer)
        return state() == "success"

    eventually("the answer is carried out", answered, 300)
    eventually("nothing follows", lambda: rest.tasks(DAG, run)["publish"]["state"] == "skipped", 90)
    (one,) = decisions(held, NIGHT)
    assert (one.decision, one.by, one.reason) == ("abandon", "admin", "the sky was bright")
    assert night_state(held, NIGHT).state == "abandoned"

    page = f"{rest.url}/fink-reports/ztf/{NIGHT}/data_docs/index.html"
    assert httpx.get(page, timeout=60).status_code == 401
