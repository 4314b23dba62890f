from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time

import pytest

from fink_lib.runtime.process import ProcessId, terminate

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
]


def test_the_current_process_is_alive_and_survives_json() -> None:
    me = ProcessId.current()
    assert me.pid == os.getpid()
    assert me.alive()
    assert ProcessId.from_json(me.to_json()) == me


def test_a_reused_pid_is_another_process() -> None:
    me = ProcessId.current()
    assert not dataclasses.replace(me, start_ticks=me.start_ticks - 1).alive()
    assert not dataclasses.replace(me, boot_id="another boot").alive()


def test_a_reused_pid_gets_no_signal() -> None:
    child = subprocess.Popen(SLEEP)
    try:
        other = dataclasses.replace(ProcessId.of(child.pid), start_ticks=1)
        assert terminate(other, grace_s=1.0)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    process = ProcessId.of(child.pid)
    deadline = time.monotonic() + 10
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert os.path.exists(f"/proc/{child.pid}/stat")  # not reaped yet: a zombie
    assert not process.alive()
    child.wait()


def test_a_name_with_blanks_and_parentheses_is_read(tmp_path) -> None:
    program = tmp_path / "a) b (c"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "60"])
    try:
        assert ProcessId.of(child.pid).alive()
        assert ProcessId.of(child.pid).start_ticks > 1
    finally:
        child.kill()
        child.wait()


def test_terminate_is_gentle_first_and_hard_after() -> None:
    willing = subprocess.Popen(SLEEP)
    assert terminate(ProcessId.of(willing.pid), grace_s=10.0)
    assert willing.wait() == -15
    deaf = subprocess.Popen(DEAF, stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    deaf.stdout.readline()
    assert not terminate(ProcessId.of(deaf.pid), grace_s=0.3)
    assert deaf.wait() == -9
    deaf.stdout.close()


def test_a_missing_process_is_named() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    with pytest.raises(ProcessLookupError, match=str(child.pid)):
        ProcessId.of(child.pid)
