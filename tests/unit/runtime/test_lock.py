from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fink_lib.errors import LockedError
from fink_lib.runtime.lock import FileLock

HOLD = (
    "import sys, time; from pathlib import Path; from fink_lib.runtime.lock import FileLock\n"
    "FileLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
)


def test_the_second_of_two_locks_loses_and_learns_who_has_it(tmp_path) -> None:
    first, second = FileLock(tmp_path / "x.lock"), FileLock(tmp_path / "x.lock")
    first.acquire()
    with pytest.raises(LockedError, match=str(os.getpid())):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_lock_is_not_taken_twice_by_the_same_object(tmp_path) -> None:
    with FileLock(tmp_path / "x.lock") as lock, pytest.raises(LockedError):
        lock.acquire()


def test_a_killed_owner_frees_the_lock(tmp_path) -> None:
    path = tmp_path / "x.lock"
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"held\n"
    with pytest.raises(LockedError, match=str(owner.pid)):
        FileLock(path).acquire()
    owner.kill()
    owner.wait()
    owner.stdout.close()
    with FileLock(path):
        pass


def test_a_child_of_the_owner_does_not_keep_the_lock(tmp_path) -> None:
    lock = FileLock(tmp_path / "x.lock")
    lock.acquire()
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        lock.release()
        FileLock(tmp_path / "x.lock").acquire()
    finally:
        child.kill()
        child.wait()


def test_a_lock_can_be_waited_for(tmp_path) -> None:
    path = tmp_path / "x.lock"
    code = HOLD.replace("sleep(60)", "sleep(0.5)")
    owner = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    owner.stdout.readline()
    with FileLock(path, wait_s=10.0):
        pass
    owner.wait()
    owner.stdout.close()
