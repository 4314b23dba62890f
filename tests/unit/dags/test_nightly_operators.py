from __future__ import annotations

import asyncio
import importlib
import json
import sys
import threading
import time

import pytest
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskDeferred

from dags.operators import close_night, night_stage
from dags.operators.close_night import CloseNight, NightClosedTrigger
from dags.operators.night_stage import NightStage, judge
from fink_lib.errors import ConfigError, LockedError, TransientError

NIGHT = "20181129"

# A stage that prints its command's environment, writes the verdict it is given, and ends with the code it is given.
PROGRAM = """
import json, os, sys
file, code, *verdicts = sys.argv[1:]
turn = os.path.join(os.environ["FINK_HOME"], "turn")
n = int(open(turn).read()) if os.path.exists(turn) else 0
open(turn, "w").write(str(n + 1))
print("working on it", "AIRFLOW_HOME" in os.environ, flush=True)
verdict = verdicts[min(n, len(verdicts) - 1)]
if verdict: open(file, "w").write(verdict)
sys.exit(int(code))
"""


@pytest.fixture
def job(home, monkeypatch):
    """Put a small program in the place of the job; it gives the verdicts in turn."""

    def give(*verdicts: dict | None, code: int = 0) -> None:
        texts = [json.dumps(verdict) if verdict else "" for verdict in verdicts]

        def command(survey, stage, night, file, table=""):
            return [sys.executable, "-c", PROGRAM, str(file), str(code), *texts]

        monkeypatch.setattr(night_stage, "stage_command", command)
        monkeypatch.setattr(close_night, "stage_command", command)
        monkeypatch.setattr(close_night, "_SHORTEST_S", 0.05)
        monkeypatch.setattr(close_night, "_LEAST_S", 0.1)

    return give


def task(**kwargs) -> NightStage:
    return NightStage(task_id="reconcile", survey="ztf", stage="reconcile", night=NIGHT, **kwargs)


def test_a_verdict_is_returned_and_the_output_is_in_the_log(job, capfd) -> None:
    job({"ok": True, "message": "it fits", "rows": 7})
    assert task().execute({})["rows"] == 7
    output = capfd.readouterr().out
    assert "working on it False" in output
    assert "it fits" in output


def test_one_value_of_the_verdict_can_be_the_result(job) -> None:
    job({"ok": True, "message": "", "tables": ["ztf", "ztf.jd"]})
    assert task(result_key="tables").execute({}) == ["ztf", "ztf.jd"]


@pytest.mark.parametrize(
    ("code", "verdict", "error"),
    [
        (75, None, LockedError),
        (2, None, ConfigError),
        (1, {"ok": False, "message": "set it", "error_kind": "config"}, ConfigError),
        (1, {"ok": False, "message": "broker away", "error_kind": "transient"}, TransientError),
        (1, {"ok": False, "message": "raw: 3 missing"}, AirflowFailException),
        (1, None, TransientError),
        (-9, None, TransientError),
        (0, None, TransientError),
    ],
)
def test_codes_and_verdicts_decide_whether_a_task_is_tried_again(code, verdict, error) -> None:
    with pytest.raises(error, match=f"reconcile of night {NIGHT}"):
        judge("reconcile", NIGHT, code, verdict)


def test_the_message_of_a_failed_stage_is_the_tasks_error(job) -> None:
    job({"ok": False, "message": "raw: 3 messages missing"}, code=1)
    with pytest.raises(AirflowFailException, match="raw: 3 messages missing"):
        task().execute({})


def test_a_stage_that_holds_the_night_is_done_and_the_next_task_asks(job) -> None:
    job({"ok": False, "held": True, "message": "night is held: rb is constant"}, code=1)
    assert task().execute({})["held"]


def test_publishing_tells_the_night_to_whoever_waits_for_it(job) -> None:
    from types import SimpleNamespace

    from airflow.sdk import Asset

    job({"ok": True, "message": "done"})
    asset = Asset(name="nights_ztf", uri="fink://ztf/nights")
    events = {asset: SimpleNamespace(extra={})}
    publish = task(asset=asset)
    publish.execute({"outlet_events": events})
    assert events[asset].extra == {"night": NIGHT, "survey": "ztf"}
    assert publish.outlets == [asset]


def test_a_killed_task_ends_its_process(home, monkeypatch) -> None:
    monkeypatch.setattr(
        night_stage, "stage_command", lambda *words: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    killed = task()
    threading.Timer(1.0, killed.on_kill).start()
    begun = time.monotonic()
    with pytest.raises(TransientError, match="code -15"):
        killed.execute({})
    assert time.monotonic() - begun < 20


def test_the_real_job_lists_its_tables(home) -> None:
    tables = NightStage(task_id="list_tables", survey="ztf", stage="tables", night=NIGHT, result_key="tables").execute(
        {}
    )
    assert {"main", "index", "limits"} <= set(tables)


def trigger(home) -> NightClosedTrigger:
    return NightClosedTrigger("ztf", NIGHT, str(home), since_s=time.time())


def event_of(made, timeout_s: float = 20.0) -> dict:
    async def wait() -> dict:
        return (await asyncio.wait_for(anext(made.run()), timeout_s)).payload

    return asyncio.run(wait())


def test_waiting_for_a_night_is_left_to_the_triggerer(home) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        CloseNight(task_id="close_night", survey="ztf", night=NIGHT).execute({})
    path, arguments = deferred.value.trigger.serialize()
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert arguments["night"] == NIGHT


def test_the_log_says_once_why_a_night_is_open_and_then_it_closes(home, job, capfd) -> None:
    waiting = {"ok": True, "closed": False, "why": "raw2science is 40 rows behind"}
    job(waiting, waiting, {"ok": True, "closed": True, "why": "all in", "empty": False})
    verdict = event_of(trigger(home))["verdict"]
    assert verdict["closed"]
    assert capfd.readouterr().out.count("raw2science is 40 rows behind") == 1


def test_a_service_that_comes_back_does_not_end_the_wait(home, job) -> None:
    away = {"ok": False, "message": "broker away", "error_kind": "transient"}
    job(away, away, {"ok": True, "closed": True, "why": "all in"})
    assert event_of(trigger(home))["verdict"]["closed"]


@pytest.mark.parametrize(("kind", "polls"), [("transient", 5), ("config", 1)])
def test_a_wait_that_cannot_succeed_ends_with_its_cause(home, job, kind, polls) -> None:
    job({"ok": False, "message": "broken", "error_kind": kind}, code=1)
    event = event_of(trigger(home))
    assert event["error_kind"] == kind
    assert "broken" in event["error"]
    assert int((home / "turn").read_text()) == polls


def test_a_night_that_stays_open_too_long_fails_and_says_why(home, job, monkeypatch) -> None:
    monkeypatch.setenv("FINK__NIGHTLY__CLOSE_TIMEOUT_S", "0.2")
    job({"ok": True, "closed": False, "why": "stream2raw is held"})
    event = event_of(trigger(home))
    assert event["error_kind"] == "transient"
    assert "stream2raw is held" in event["error"]


@pytest.mark.parametrize(("kind", "error"), [("config", ConfigError), ("transient", TransientError)])
def test_a_failed_wait_fails_the_task(home, kind, error) -> None:
    with pytest.raises(error, match=f"night {NIGHT}: broken"):
        CloseNight(task_id="close_night", survey="ztf", night=NIGHT).resume({}, {"error": "broken", "error_kind": kind})


def test_a_night_with_alerts_goes_on_and_one_without_ends_here(dag_bag) -> None:
    class Pushed(dict):
        def xcom_push(self, key, value) -> None:
            self[key] = value

    close = dag_bag.dags["nightly_ztf"].task_dict["close_night"]
    full = {"closed": True, "empty": False, "why": "all in"}
    assert close.resume({}, {"verdict": full}) == full
    ti = Pushed()
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        close.resume({"ti": ti}, {"verdict": {"closed": True, "empty": True, "why": "no data"}})
    assert skipped.value.tasks == ["list_tables", "reconcile"]
    assert ti["return_value"]["empty"]
