from __future__ import annotations

import json
import sys

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from dags.operators.driver_trigger import DriverTrigger, WantedTrigger
from dags.operators.stream_control import control_stream
from dags.operators.stream_supervisor import StreamSupervisor
from fink_lib.config import load_settings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.runtime import crashes, driver, launcher
from fink_lib.runtime.heartbeat import DrainRequest, write_drain_request

WHO = ("ztf", "raw2science")


@pytest.fixture
def settings(home, monkeypatch):
    monkeypatch.setattr(launcher, "_JVM_GRACE_S", 0.2)
    monkeypatch.setattr(driver, "_JVM_GRACE_S", 0.2)
    monkeypatch.setenv(
        "FINK_DRIVER_COMMAND",
        json.dumps([sys.executable, "-m", "tests.toy_driver", "--survey", "{survey}", "--stage", "{stage}"]),
    )
    monkeypatch.setenv("TOY", "{}")
    settings = load_settings(home)
    yield settings
    launcher.kill(settings, *WHO, drain_s=0.0)


@pytest.fixture
def supervisor() -> StreamSupervisor:
    return StreamSupervisor(task_id="supervise", survey=WHO[0], stage=WHO[1])


def execute(supervisor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        supervisor.execute({})
    return deferred.value


def event(kind: str, epoch: int = 1, up_s: float = 10.0, error: str = "", error_kind: str = "") -> dict:
    state = f"epoch {epoch} {kind}"
    return {"kind": kind, "epoch": epoch, "up_s": up_s, "error": error, "error_kind": error_kind, "state": state}


def test_it_launches_then_adopts_and_defers_each_time(settings, supervisor) -> None:
    first = execute(supervisor)
    assert isinstance(first.trigger, DriverTrigger)
    assert first.method_name == "resume"
    process = launcher.observe(settings, *WHO).identity.process
    execute(supervisor)
    assert launcher.observe(settings, *WHO).identity.process == process
    assert launcher.observe(settings, *WHO).epoch == 1


def test_a_stopped_stage_is_held_without_a_driver(settings, supervisor) -> None:
    launcher.set_desired(settings, *WHO, "stopped")
    held = execute(supervisor)
    assert isinstance(held.trigger, WantedTrigger)
    assert launcher.observe(settings, *WHO).epoch == 0
    assert getattr(supervisor, held.method_name)({}, {"kind": "wanted"}) == "wanted"


def test_a_driver_of_a_stopped_stage_is_asked_to_drain(settings, supervisor) -> None:
    execute(supervisor)
    launcher.set_desired(settings, *WHO, "stopped")
    assert isinstance(execute(supervisor).trigger, WantedTrigger)
    assert launcher.wait_ended(settings, *WHO, timeout_s=10.0)
    assert launcher.observe(settings, *WHO).state == "drained"


def test_a_rotation_and_a_drain_that_was_asked_for_end_green(settings, supervisor) -> None:
    assert supervisor.resume({}, event("rotate")) == "rotate"
    write_drain_request(settings, *WHO, DrainRequest(epoch=1))
    assert supervisor.resume({}, event("drained")) == "drained"
    launcher.set_desired(settings, *WHO, "stopped")
    assert supervisor.resume({}, event("drained", epoch=2)) == "drained"
    assert crashes.counted(settings, *WHO) == []


def test_an_end_that_nobody_asked_for_is_a_crash(settings, supervisor) -> None:
    with pytest.raises(TransientError, match="nobody asked"):
        supervisor.resume({}, event("drained"))
    assert len(crashes.counted(settings, *WHO)) == 1


@pytest.mark.parametrize("kind", ["dead", "stalled", "failed"])
def test_a_crash_is_retried_once_and_its_cause_named(settings, supervisor, kind) -> None:
    with pytest.raises(TransientError, match=f"epoch 1, {kind} after 10.0 s: no disk"):
        supervisor.resume({}, event(kind, error="no disk", error_kind="fault"))
    assert len(crashes.counted(settings, *WHO)) == 1


def test_a_config_error_of_a_driver_is_a_config_error_here(settings, supervisor) -> None:
    with pytest.raises(ConfigError, match="set the topic"):
        supervisor.resume({}, event("failed", error="set the topic", error_kind="config"))


def test_a_crash_after_a_long_healthy_life_spends_no_retry(settings, supervisor) -> None:
    assert supervisor.resume({}, event("dead", up_s=7200.0)) == "dead"


def test_a_spent_crash_budget_asks_for_a_person_until_forgiven(settings, supervisor) -> None:
    for epoch in (1, 2):
        with pytest.raises(TransientError):
            supervisor.resume({}, event("dead", epoch=epoch))
    with pytest.raises(AirflowFailException, match="3 crashes"):
        supervisor.resume({}, event("dead", epoch=3))
    with pytest.raises(AirflowFailException, match="3 crashes"):
        supervisor.execute({})
    assert launcher.observe(settings, *WHO).epoch == 0
    crashes.forgive_crashes(settings, *WHO)
    execute(supervisor)


def test_services_that_are_away_do_not_spend_the_budget(settings, supervisor) -> None:
    for epoch in range(1, 8):
        with pytest.raises(TransientError):
            supervisor.resume({}, event("failed", epoch=epoch, error="broker away", error_kind="transient"))


def test_drivers_that_end_before_they_have_an_epoch_count_too(settings, supervisor, monkeypatch) -> None:
    monkeypatch.setenv("FINK_DRIVER_COMMAND", json.dumps([sys.executable, "-c", "raise SystemExit('broken import')"]))
    for _ in range(3):
        with pytest.raises(TransientError, match="broken import"):
            supervisor.execute({})
    with pytest.raises(AirflowFailException):
        supervisor.execute({})


def test_a_worker_that_is_killed_leaves_the_driver_alone(settings, supervisor) -> None:
    execute(supervisor)
    supervisor.on_kill()
    assert launcher.observe(settings, *WHO).healthy


def test_people_can_stop_start_restart_and_drain(settings, supervisor) -> None:
    execute(supervisor)
    assert control_stream(*WHO, "drain") == "drained"
    assert control_stream(*WHO, "drain") == "drained"
    assert launcher.desired(settings, *WHO) == "stopped"
    launcher.launch(settings, *WHO)  # what the supervisor does as soon as the stage is wanted
    assert control_stream(*WHO, "start") == "running"
    assert launcher.desired(settings, *WHO) == "running"
    assert control_stream(*WHO, "stop") == "drained"


def test_stop_ends_a_driver_that_will_not_drain(settings, supervisor, monkeypatch) -> None:
    monkeypatch.setenv("TOY", json.dumps({"deaf": True}))
    execute(supervisor)
    assert control_stream(*WHO, "stop") == "dead"


def test_a_start_without_a_supervisor_says_so(settings, monkeypatch) -> None:
    monkeypatch.setenv("FINK__SUPERVISION__LAUNCH_TIMEOUT_S", "0.3")
    monkeypatch.setenv("FINK__SUPERVISION__DRAIN_TIMEOUT_S", "0.3")
    with pytest.raises(TransientError, match="stream_raw2science_ztf paused"):
        control_stream(*WHO, "start")


def test_an_unknown_action_is_refused(settings) -> None:
    with pytest.raises(ConfigError, match="explode"):
        control_stream(*WHO, "explode")
