from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
import time

import pytest

from dags.operators.driver_trigger import DriverTrigger, WantedTrigger
from fink_lib.config import load_settings
from fink_lib.runtime import launcher
from fink_lib.runtime.heartbeat import Heartbeat, Identity, boot_clock_s, write_heartbeat, write_identity
from fink_lib.runtime.process import ProcessId

WHO = ("ztf", "raw2science")
GONE = ProcessId(pid=1, start_ticks=-1, boot_id="a boot long ago")


def trigger(home, kind=DriverTrigger, since_s: float | None = None):
    return kind(*WHO, home=str(home), since_s=time.time() if since_s is None else since_s)


def fake_driver(home, process: ProcessId | None = None, age_s: float = 0.0, epoch: int = 3, **beat: object) -> None:
    settings = load_settings(home)
    now = boot_clock_s()
    identity = Identity(
        process=process or ProcessId.current(), stage=WHO[1], survey=WHO[0], epoch=epoch, started_s=now - 100
    )
    write_identity(settings, identity)
    fields = {"state": "running", "epoch": epoch, "time_s": time.time() - age_s, "clock_s": now - age_s, **beat}
    write_heartbeat(settings, *WHO, Heartbeat.model_validate(fields))


def first_event(made, timeout_s: float = 5.0) -> dict:
    async def wait() -> dict:
        return (await asyncio.wait_for(anext(made.run()), timeout_s)).payload

    return asyncio.run(wait())


@pytest.mark.parametrize("kind", [DriverTrigger, WantedTrigger])
def test_a_trigger_is_made_again_from_its_serialized_form(home, kind) -> None:
    path, arguments = trigger(home, kind).serialize()
    module, name = path.rsplit(".", 1)
    assert path == f"dags.operators.driver_trigger.{kind.__name__}"
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)


@pytest.mark.parametrize(
    ("driver", "kind"),
    [
        ({"process": GONE}, "dead"),
        ({"process": GONE, "state": "failed", "error": "no disk", "error_kind": "fault"}, "failed"),
        ({"process": GONE, "state": "drained"}, "drained"),
        ({"age_s": 2.0}, "stalled"),
        ({"busy_s": 61.0}, "stalled"),
        ({"idle_s": 61.0, "lag": 5}, "stalled"),
    ],
)
def test_what_needs_an_act_becomes_one_event(home, driver, kind) -> None:
    fake_driver(home, **driver)
    event = first_event(trigger(home))
    assert event["kind"] == kind
    assert event["epoch"] == 3
    assert event["error"] == driver.get("error", "")
    assert json.loads(json.dumps(event)) == event


@pytest.mark.parametrize("beat", [{}, {"idle_s": 9999.0, "lag": 0}, {"state": "draining"}, {"busy_s": 59.0, "lag": 9}])
def test_a_driver_that_does_well_is_left_alone(home, beat) -> None:
    fake_driver(home, **beat)
    with pytest.raises(TimeoutError):
        first_event(trigger(home), timeout_s=0.7)


def test_a_day_of_watching_ends_in_a_rotation(home) -> None:
    fake_driver(home)
    assert first_event(trigger(home, since_s=time.time() - 25 * 3600))["kind"] == "rotate"


def test_a_stage_never_started_is_dead_to_its_watcher(home) -> None:
    assert first_event(trigger(home))["kind"] == "dead"


def test_the_log_tells_batch_rows_lag_and_time(home, capfd) -> None:
    fake_driver(home, batch="g1-000000017", rows_in=4000, rows_s=612.3, lag=7, trigger_ms=6532)
    with pytest.raises(TimeoutError):
        first_event(trigger(home), timeout_s=0.9)
    lines = [line for line in capfd.readouterr().out.splitlines() if "batch" in line]
    assert 2 <= len(lines) <= 6
    assert "epoch 3" in lines[0]
    assert "batch g1-000000017 rows_in 4000 rows_s 612 lag_max 7 trigger_ms 6532" in lines[0]


def test_a_held_stage_waits_until_it_is_wanted(home) -> None:
    settings = load_settings(home)
    launcher.set_desired(settings, *WHO, "stopped")
    with pytest.raises(TimeoutError):
        first_event(trigger(home, WantedTrigger), timeout_s=0.5)
    launcher.set_desired(settings, *WHO, "running")
    assert first_event(trigger(home, WantedTrigger)) == {"kind": "wanted"}


def test_a_users_kill_drains_the_driver_and_a_cleanup_does_not(home, monkeypatch) -> None:
    settings = load_settings(home)
    monkeypatch.setenv("TOY", "{}")
    toy = [sys.executable, "-m", "tests.toy_driver", "--survey", WHO[0], "--stage", WHO[1]]
    process = launcher.launch(settings, *WHO, toy)
    try:
        asyncio.run(trigger(home).cleanup())
        time.sleep(0.5)
        assert process.alive()
        asyncio.run(trigger(home).on_kill())
        assert process.wait_gone(10.0)
        assert launcher.observe(settings, *WHO).state == "drained"
        assert launcher.drain_was_asked(settings, *WHO, epoch=1)
    finally:
        launcher.kill(settings, *WHO, drain_s=0.0)


def test_a_users_kill_without_a_driver_is_harmless(home) -> None:
    asyncio.run(trigger(home).on_kill())


def test_a_driver_that_dies_while_watched_is_seen(home, monkeypatch) -> None:
    settings = load_settings(home)
    monkeypatch.setenv("TOY", "{}")
    toy = [sys.executable, "-m", "tests.toy_driver", "--survey", WHO[0], "--stage", WHO[1]]
    process = launcher.launch(settings, *WHO, toy)

    async def watch() -> dict:
        events = trigger(home).run()
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        os.kill(process.pid, signal.SIGKILL)
        return (await asyncio.wait_for(waiting, 5.0)).payload

    assert asyncio.run(watch())["kind"] == "dead"
