from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from fink_lib.config import Settings, SupervisionSettings
from fink_lib.errors import ConfigError, DataError, LockedError, TransientError
from fink_lib.runtime import driver
from fink_lib.runtime.driver import DriverSession
from fink_lib.runtime.heartbeat import State, read_heartbeat, read_identity
from fink_lib.runtime.process import ProcessId

WHO = ("ztf", "raw2science")


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path, supervision=SupervisionSettings(heartbeat_s=0.05))


def heartbeat(settings):
    beat = read_heartbeat(settings, *WHO)
    assert beat is not None
    return beat


def test_a_session_tells_its_whole_life(settings) -> None:
    with DriverSession(settings, *WHO) as session:
        identity = read_identity(settings, *WHO)
        assert identity is not None
        assert identity.process == ProcessId.current()
        assert heartbeat(settings).state is State.STARTING
        session.set_checkpoint("/somewhere/g3", 3)
        session.progress(batch="g3-000000007", rows_in=40, rows_s=20.0, lag=2, trigger_ms=2000)
        beat = heartbeat(settings)
        assert (beat.state, beat.batch, beat.rows_in, beat.lag, beat.epoch) == ("running", "g3-000000007", 40, 2, 1)
    assert heartbeat(settings).state is State.DRAINED
    assert heartbeat(settings).batch == "g3-000000007"
    identity = read_identity(settings, *WHO)
    assert identity is not None
    assert identity.generation == 3


def test_epochs_rise_even_without_the_identity_file(settings) -> None:
    epochs = []
    for turn in range(4):
        with DriverSession(settings, *WHO) as session:
            epochs.append(session.epoch)
        if turn == 2:
            (settings.run_dir(*WHO) / "identity.json").unlink()
    assert epochs == [1, 2, 3, 4]


def test_the_loser_of_a_double_start_touches_nothing(settings) -> None:
    with DriverSession(settings, *WHO):
        before = (settings.run_dir(*WHO) / "identity.json").stat().st_mtime_ns
        with pytest.raises(LockedError), DriverSession(settings, *WHO):
            pass
        assert (settings.run_dir(*WHO) / "identity.json").stat().st_mtime_ns == before
        assert heartbeat(settings).epoch == 1


def test_the_liveness_thread_goes_on_while_a_batch_runs(settings) -> None:
    with DriverSession(settings, *WHO) as session:
        session.working()
        time.sleep(0.3)
        assert heartbeat(settings).busy_s > 0.1
        session.progress(batch="g1-000000000", rows_in=1, rows_s=1.0)
        assert heartbeat(settings).busy_s == 0.0


def test_lag_is_told_without_counting_as_progress(settings) -> None:
    with DriverSession(settings, *WHO) as session:
        session.running()
        session.lagging(7)
        time.sleep(0.2)
        assert heartbeat(settings).lag == 7
        assert heartbeat(settings).last_progress_s is None
        session.progress(batch="g1-000000000", rows_in=1, rows_s=1.0)
        assert heartbeat(settings).lag == 7


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConfigError("set x"), "config"),
        (TransientError("away"), "transient"),
        (DataError("truncated", "at 3"), "data"),
        (ValueError("first line\nsecond line"), "fault"),
    ],
)
def test_a_failure_is_told_in_one_line_with_its_kind(settings, error, kind) -> None:
    with pytest.raises(type(error)), DriverSession(settings, *WHO):
        raise error
    beat = heartbeat(settings)
    assert (beat.state, beat.error_kind) == (State.FAILED, kind)
    assert beat.error == str(error).splitlines()[0]


def test_the_first_failure_counts(settings) -> None:
    with DriverSession(settings, *WHO) as session:
        session.fail(ConfigError("the cause"))
        session.fail(ValueError("a consequence"))
    assert heartbeat(settings).error == "the cause"


def test_sigterm_asks_to_drain_and_the_old_handler_returns(settings) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with DriverSession(settings, *WHO) as session:
        session.running()
        os.kill(os.getpid(), signal.SIGTERM)
        assert session.draining.wait(5)
        session.beat()
        assert heartbeat(settings).state is State.DRAINING
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_jvm_that_outlived_its_driver_ends_before_the_next_session(settings, monkeypatch) -> None:
    monkeypatch.setattr(driver, "_JVM_GRACE_S", 0.2)
    jvm = subprocess.Popen(["sleep", "60"])
    try:
        with DriverSession(settings, *WHO) as session:
            session.set_jvm(jvm.pid)
        with DriverSession(settings, *WHO):
            assert jvm.poll() is not None
    finally:
        jvm.kill()
        jvm.wait()


def test_a_heartbeat_that_cannot_be_written_does_not_end_the_driver(settings) -> None:
    with DriverSession(settings, *WHO) as session:
        path = settings.run_dir(*WHO) / "heartbeat.json"
        path.unlink()
        path.mkdir()
        session.progress(batch="g1-000000000", rows_in=1, rows_s=1.0)
        time.sleep(0.15)
        path.rmdir()
        time.sleep(0.3)
        assert heartbeat(settings).batch == "g1-000000000"
