"""The task that asks a person about a held night: over a real lake and the real command, without a scheduler."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import TaskAwaitingInput
from fastapi import HTTPException

from dags.operators import decide_night
from dags.operators.decide_night import ABANDON, RELEASE, REPLAY, DecideNight
from dags.operators.report_link import REPORTS, ReportingStage, ReportLink
from fink_lib.config import load_settings
from fink_lib.errors import LockedError
from fink_lib.lake import open_lake
from fink_lib.nightly.decisions import decisions
from fink_lib.nightly.nights import night_state, set_state
from fink_lib.nightly.stage import night_lock
from fink_lib.runtime.files import write_json
from tests.unit.dags.test_control_room import ask

NIGHT = "20240312"
NOW = datetime(2024, 3, 13, 16, tzinfo=UTC)
SENTENCE = "raw.offsets_repeated is 1: A message is one row."


@pytest.fixture
def lake(home):
    lake = open_lake(load_settings(home), "ztf")
    lake.ensure()
    return lake


@pytest.fixture
def held(home, lake):
    """A night that validate has held."""
    set_state(lake, NIGHT, "held", "validate", f"night {NIGHT} is held: {SENTENCE}", NOW)
    failure = {"severity": "critical", "sentence": SENTENCE}
    write_json(home / "reports" / "ztf" / NIGHT / "verdicts" / "validate.json", {"failures": [failure]})
    return lake


@pytest.fixture
def asked(monkeypatch):
    """What was asked of people: Airflow's API server is not there to take it."""
    questions: list[dict] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **question: questions.append(question))
    return questions


class Instance(SimpleNamespace):
    """As much of a task instance as branching needs; keeps what it was told to skip."""

    id = "1"
    log_url = "http://airflow/log"
    map_index = -1

    def xcom_push(self, key, value):
        self.pushed = {key: value}


@pytest.fixture
def task(home, monkeypatch):
    made = DecideNight(task_id="decide_night", survey="ztf", night=NIGHT, follow="select", reports_url="http://r")
    branches: list[object] = []
    monkeypatch.setattr(made, "do_branch", lambda context, branches_to_execute: branches.append(branches_to_execute))
    made.branches = branches
    return made


def context():
    return {"ti": Instance(), "task_instance": Instance()}


def answer(choice, reason="they are real", name="", user="operator"):
    return {
        "chosen_options": [choice],
        "params_input": {"reason": reason, "name": name},
        "responded_at": NOW,
        "responded_by_user": {"id": "7", "name": user},
    }


def test_a_night_that_is_not_held_goes_on_at_once(task, lake, asked):
    set_state(lake, NIGHT, "closed", "close_night", "all is in", NOW)
    task.execute(context())
    assert (task.branches, asked) == (["select"], [])


def test_a_held_night_waits_for_ever_and_shows_why(task, held, asked, home):
    with pytest.raises(TaskAwaitingInput) as waiting:
        task.execute(context())
    assert waiting.value.timeout is None and waiting.value.method_name == "execute_complete"
    (question,) = asked
    assert question["options"] == [RELEASE, REPLAY, ABANDON] and question["defaults"] is None
    assert question["subject"] == f"Night {NIGHT} of ztf is held"
    assert SENTENCE in question["body"] and f"http://r/ztf/{NIGHT}/data_docs/index.html" in question["body"]
    assert set(question["params"]) == {"reason", "name"}
    assert SENTENCE in (home / "outbox" / "notifications.jsonl").read_text()


def test_clearing_the_task_asks_again_and_tells_nobody_twice(task, held, asked, home):
    for _ in range(2):
        with pytest.raises(TaskAwaitingInput):
            task.execute(context())
    assert len(asked) == 2
    assert len((home / "outbox" / "notifications.jsonl").read_text().splitlines()) == 1
    assert night_state(held, NIGHT).state == "held"


def test_a_release_is_recorded_with_name_and_reason_and_the_night_goes_on(task, held):
    task.execute_complete(context(), answer(RELEASE, "the broker sent it twice", "ada"))
    assert task.branches == [["select"]]
    state = night_state(held, NIGHT)
    assert (state.state, state.stage, state.by) == ("closed", "validate", "ada")
    (one,) = decisions(held, NIGHT)
    assert (one.decision, one.by, one.reason) == ("release", "ada", "the broker sent it twice")


def test_without_a_name_the_log_in_is_recorded(task, held):
    task.execute_complete(context(), answer(RELEASE))
    assert decisions(held, NIGHT)[0].by == "operator"


def test_an_abandoned_night_ends_here_however_often_it_is_cleared(task, held, asked):
    task.execute_complete(context(), answer(ABANDON, "clouds"))
    task.execute(context())
    assert (task.branches, asked) == ([None, None], [])
    assert night_state(held, NIGHT).state == "abandoned"


def test_an_answer_without_a_reason_is_asked_for_again(task, held, asked):
    with pytest.raises(TaskAwaitingInput):
        task.execute_complete(context(), answer(RELEASE, "  "))
    assert asked[0]["subject"].startswith("Release takes a name and a reason.")
    assert night_state(held, NIGHT).state == "held" and decisions(held, NIGHT) == []


def test_a_replay_runs_the_checks_again_and_asks_again_if_they_fail(task, held, asked, monkeypatch):
    words: list[list[str]] = []
    real = task.run_process
    monkeypatch.setattr(task, "run_process", lambda command: words.append(command) or 1 if "recheck" in command
                        else real(command))  # fmt: skip
    with pytest.raises(TaskAwaitingInput):
        task.execute_complete(context(), answer(REPLAY, "the broker was repaired", "ada"))
    assert words[0][2:] == ["fink_lib.cli", "night", "recheck", NIGHT, "--survey", "ztf", "--by", "ada", "--reason",
                            "the broker was repaired"]  # fmt: skip
    set_state(held, NIGHT, "closed", "validate", "passes", NOW)
    task.execute_complete(context(), answer(REPLAY, "the broker was repaired", "ada"))
    assert task.branches == ["select"]


def test_an_answer_after_somebody_has_decided_from_a_terminal_changes_nothing(task, held):
    set_state(held, NIGHT, "closed", "validate", "released: seen", NOW, by="bob")
    task.execute_complete(context(), answer(ABANDON, "clouds"))
    assert task.branches == ["select"]
    assert (night_state(held, NIGHT).state, decisions(held, NIGHT)) == ("closed", [])


def test_an_answer_while_a_stage_runs_is_tried_again(task, held, home, monkeypatch):
    monkeypatch.setattr(decide_night, "_LOCKED_TRIES", 1)
    monkeypatch.setattr(decide_night, "_LOCKED_PAUSE_S", 0.0)
    with night_lock(load_settings(home), "ztf", NIGHT), pytest.raises(LockedError, match="answer again"):
        task.execute_complete(context(), answer(RELEASE))
    assert night_state(held, NIGHT).state == "held"


def test_stages_that_leave_a_report_link_to_it(dag_bag, home):
    dag = dag_bag.dags["nightly_ztf"]
    for name in REPORTS:
        assert isinstance(dag.task_dict[name], ReportingStage)
    stage = ReportingStage(task_id="validate", survey="ztf", stage="validate", night=NIGHT)
    link = ReportLink().get_link(stage, ti_key=None)
    assert link.endswith(f"/fink-reports/ztf/{NIGHT}/data_docs/index.html")


# Airflow imports a test client of Starlette, which wants another package.
@pytest.mark.filterwarnings("ignore:Using `httpx`")
def test_reports_are_shown_to_who_has_logged_in_and_nothing_else_is(home):
    from airflow.api_fastapi.core_api.security import get_user

    from dags.pages.reports import build_app

    folder = home / "reports" / "ztf" / NIGHT
    folder.mkdir(parents=True)
    (folder / "summary.html").write_text("<p>night</p>")
    app = build_app()
    app.dependency_overrides[get_user] = refuse
    assert ask(app, f"/ztf/{NIGHT}/summary.html").status_code == 401
    app.dependency_overrides[get_user] = lambda: "viewer"
    assert ask(app, f"/ztf/{NIGHT}/summary.html").text == "<p>night</p>"
    for path in ("/../fink.toml", "/%2e%2e/fink.toml", "/ztf/20240313/summary.html"):
        assert ask(app, path).status_code == 404


def refuse():
    raise HTTPException(401, "log in")
