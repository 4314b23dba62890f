"""The lock that keeps two drivers of one stage from running at the same time.

The lock lives in the driver, not in whoever starts it: however a second one is started, it loses.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from fink_lib.errors import LockedError


class DriverLock(Protocol):
    """Mutual exclusion between the drivers of one stage; a cluster may bring another kind than a local file."""

    def acquire(self) -> None:
        """Take the lock for the life of the process, or raise LockedError."""

    def release(self) -> None:
        """Give the lock back; a process that dies gives it back too."""


class FileLock:
    """An exclusive ``flock`` on a file; the kernel frees it when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        The lock file. It holds the owner's pid for people to read, and is never removed.
    wait_s : float
        How long to wait for another owner, seconds.
    """

    def __init__(self, path: Path, wait_s: float = 0.0) -> None:
        self.path = path
        self.wait_s = wait_s
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        LockedError
            If another process (or another object in this one) holds it.
        """
        if self._descriptor is not None:
            raise LockedError(f"this process holds {self.path} already")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Not inheritable (the default): a JVM or a worker that outlives the driver must not keep the lock.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise LockedError(f"process {owner} holds {self.path}; stop it or wait for it") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
