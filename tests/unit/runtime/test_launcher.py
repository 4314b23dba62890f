from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from fink_lib.config import Settings, SupervisionSettings
from fink_lib.errors import ConfigError, LockedError, TransientError
from fink_lib.runtime import driver, launcher
from fink_lib.runtime.heartbeat import read_identity
from fink_lib.runtime.launcher import Seen

WHO = ("ztf", "raw2science")
TOY = [sys.executable, "-m", "tests.toy_driver", "--survey", "ztf", "--stage", "raw2science"]
LIMITS = SupervisionSettings(heartbeat_s=0.1, stale_s=1.0, launch_timeout_s=15.0, drain_timeout_s=3.0)


@pytest.fixture(autouse=True)
def short_grace(monkeypatch) -> None:
    # The toy's "JVM" does not end with its driver, as a real one does within 2 s: no need to wait for that.
    monkeypatch.setattr(launcher, "_JVM_GRACE_S", 0.2)
    monkeypatch.setattr(driver, "_JVM_GRACE_S", 0.2)


@pytest.fixture
def settings(tmp_path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path, supervision=LIMITS)
    yield settings
    launcher.kill(settings, *WHO, drain_s=0.0)


@pytest.fixture
def toy(monkeypatch):
    def behave(**how: object) -> list[str]:
        monkeypatch.setenv("TOY", json.dumps(how))
        return TOY

    return behave


def seen(settings) -> Seen:
    return launcher.observe(settings, *WHO).state


def wait_for(settings, *states: Seen, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while seen(settings) not in states:
        assert time.monotonic() < deadline, f"still {seen(settings)}, expected {states}"
        time.sleep(0.05)


def test_a_stage_never_started_is_absent(settings) -> None:
    assert seen(settings) is Seen.ABSENT
    assert not launcher.request_drain(settings, *WHO)
    assert launcher.wait_ended(settings, *WHO, timeout_s=0.0)


def test_a_launched_driver_lives_in_a_session_of_its_own_and_is_adopted(settings, toy) -> None:
    process = launcher.launch(settings, *WHO, toy())
    assert os.getsid(process.pid) == process.pid
    wait_for(settings, Seen.RUNNING)
    observation, adopted = launcher.ensure(settings, *WHO, TOY)
    assert adopted
    assert observation.identity is not None
    assert observation.identity.process == process
    assert launcher.log_file(settings, *WHO).exists()


def test_a_second_driver_is_never_started(settings, toy) -> None:
    launcher.launch(settings, *WHO, toy())
    with pytest.raises(LockedError):
        launcher.launch(settings, *WHO, TOY)
    by_hand = subprocess.run(
        TOY, env={**os.environ, "FINK_HOME": str(settings.home)}, capture_output=True, text=True, timeout=30
    )
    assert by_hand.returncode == 75
    assert launcher.observe(settings, *WHO).epoch == 1


def test_a_drain_ends_between_batches_and_is_remembered(settings, toy) -> None:
    launcher.launch(settings, *WHO, toy())
    wait_for(settings, Seen.RUNNING)
    assert launcher.request_drain(settings, *WHO, reason="test")
    assert launcher.wait_ended(settings, *WHO, timeout_s=10.0)
    assert seen(settings) is Seen.DRAINED
    assert launcher.drain_was_asked(settings, *WHO, epoch=1)
    assert not launcher.drain_was_asked(settings, *WHO, epoch=2)


def test_a_killed_driver_is_dead_and_its_successor_has_the_next_epoch(settings, toy) -> None:
    process = launcher.launch(settings, *WHO, toy())
    process.signal(signal.SIGKILL)
    assert process.wait_gone(5.0)
    assert seen(settings) is Seen.DEAD
    observation, adopted = launcher.ensure(settings, *WHO, TOY)
    assert not adopted
    assert observation.epoch == 2


def test_a_jvm_that_outlives_its_driver_is_gone_before_the_next_launch(settings, toy) -> None:
    process = launcher.launch(settings, *WHO, toy(jvm=True))
    wait_for(settings, Seen.RUNNING)
    identity = read_identity(settings, *WHO)
    assert identity is not None
    assert identity.jvm is not None
    process.signal(signal.SIGKILL)
    assert process.wait_gone(5.0)
    assert identity.jvm.alive()
    launcher.launch(settings, *WHO, toy())
    assert not identity.jvm.alive()


def test_a_frozen_driver_is_stale_and_is_replaced_with_its_jvm(settings, toy) -> None:
    process = launcher.launch(settings, *WHO, toy(jvm=True))
    wait_for(settings, Seen.RUNNING)
    jvm = read_identity(settings, *WHO).jvm
    process.signal(signal.SIGSTOP)
    wait_for(settings, Seen.STALE)
    observation, adopted = launcher.ensure(settings, *WHO, toy())
    assert not adopted
    assert observation.epoch == 2
    assert not process.alive()
    assert not jvm.alive()


def test_a_driver_that_does_not_drain_is_killed(settings, toy) -> None:
    process = launcher.launch(settings, *WHO, toy(deaf=True))
    wait_for(settings, Seen.RUNNING)
    launcher.kill(settings, *WHO, drain_s=0.5)
    assert not process.alive()
    assert seen(settings) is Seen.DEAD


def test_a_batch_that_never_ends_is_a_stall_although_the_process_lives(settings, toy) -> None:
    short = settings.model_copy(update={"supervision": LIMITS.model_copy(update={"stalled_s": 1.0})})
    launcher.launch(short, *WHO, toy(hang_after=2))
    wait_for(short, Seen.STALLED)
    observation, adopted = launcher.ensure(short, *WHO, toy())
    assert not adopted
    assert observation.epoch == 2


def test_a_draining_driver_is_waited_for_and_not_adopted(settings, toy) -> None:
    launcher.launch(settings, *WHO, toy())
    wait_for(settings, Seen.RUNNING)
    launcher.request_drain(settings, *WHO)
    observation, adopted = launcher.ensure(settings, *WHO, TOY)
    assert not adopted
    assert observation.epoch == 2


def test_a_driver_that_needs_a_person_is_told_apart_from_one_that_may_be_retried(settings, toy) -> None:
    program = "import sys; print('no such option'); sys.exit(2)"
    with pytest.raises(TransientError, match="code 2.*no such option"):
        launcher.launch(settings, *WHO, [sys.executable, "-c", program])
    for kind in ("config", "fault"):
        try:
            launcher.launch(settings, *WHO, toy(fail=kind))
        except (ConfigError, TransientError) as error:
            assert isinstance(error, ConfigError) == (kind == "config")
        wait_for(settings, Seen.FAILED)
        heartbeat = launcher.observe(settings, *WHO).heartbeat
        assert heartbeat is not None
        assert (heartbeat.error, heartbeat.error_kind) == (f"toy failure of kind {kind}", kind)


def test_a_driver_without_a_heartbeat_is_ended_after_the_launch_timeout(settings) -> None:
    quick = settings.model_copy(update={"supervision": LIMITS.model_copy(update={"launch_timeout_s": 0.5})})
    with pytest.raises(TransientError, match="no heartbeat within 0.5 s"):
        launcher.launch(quick, *WHO, [sys.executable, "-c", "import time; time.sleep(60)"])
    assert all(child.poll() is not None or child.wait(5) is not None for child in launcher._CHILDREN)


def test_the_command_is_the_job_unless_the_environment_says_otherwise(monkeypatch) -> None:
    monkeypatch.delenv("FINK_DRIVER_COMMAND", raising=False)
    assert launcher.driver_command("ztf", "raw2science")[1:] == ["-m", "jobs.raw2science", "--survey", "ztf"]
    monkeypatch.setenv("FINK_DRIVER_COMMAND", '["taskset", "1", "run-{stage}", "{survey}"]')
    assert launcher.driver_command("ztf", "raw2science") == ["taskset", "1", "run-raw2science", "ztf"]
    for wrong in ("run it", "[]", '"word"', '["{nothing}"]'):
        monkeypatch.setenv("FINK_DRIVER_COMMAND", wrong)
        with pytest.raises(ConfigError, match="FINK_DRIVER_COMMAND"):
            launcher.driver_command("ztf", "raw2science")


def test_people_can_want_a_stage_stopped(settings) -> None:
    assert launcher.desired(settings, *WHO) == "running"
    launcher.set_desired(settings, *WHO, "stopped", reason="maintenance")
    assert launcher.desired(settings, *WHO) == "stopped"
