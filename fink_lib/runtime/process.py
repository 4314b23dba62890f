"""Processes that can be recognised later: a pid alone is no identity, because pids are reused.

Linux only: identities come from ``/proc``, signals go through process descriptors, so that a signal can never reach
another process that got the same pid in between.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_POLL_S = 0.05


def boot_id() -> str:
    """Identity of this boot of the machine: start times count from it."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class ProcessId:
    """One process of one boot of this machine.

    Attributes
    ----------
    pid : int
        The process number.
    start_ticks : int
        Start time in clock ticks since boot: field 22 of ``/proc/<pid>/stat`` (proc_pid_stat(5)).
    boot_id : str
        Identity of the boot.
    """

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Identity of a process that lives now.

        Raises
        ------
        ProcessLookupError
            If there is no such process.
        """
        fields = _stat(pid)
        if fields is None:
            raise ProcessLookupError(f"no process has pid {pid}")
        return cls(pid, int(fields[19]), boot_id())

    @classmethod
    def current(cls) -> ProcessId:
        """Identity of the calling process."""
        return cls.of(os.getpid())

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ProcessId:
        """Inverse of :meth:`to_json`."""
        return cls(int(values["pid"]), int(values["start_ticks"]), str(values["boot_id"]))

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)

    def alive(self) -> bool:
        """Whether exactly this process still runs; a zombie has ended and does not."""
        fields = _stat(self.pid)
        if fields is None or fields[0] in ("Z", "X"):
            return False
        return int(fields[19]) == self.start_ticks and boot_id() == self.boot_id

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to exactly this process; return whether it was there to receive it."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            # The descriptor is bound to whoever has the pid now; checked after binding, it cannot change any more.
            if not self.alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until the process has ended; return whether it has."""
        deadline = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True


def terminate(process: ProcessId, grace_s: float) -> bool:
    """End one process: SIGTERM, then SIGKILL after the grace time. Return when it is gone.

    Parameters
    ----------
    process : ProcessId
        Who; nobody else is signalled, not even its process group.
    grace_s : float
        Time to end by itself, seconds; 0 kills at once.

    Returns
    -------
    bool
        Whether it ended by itself within the grace time.

    Raises
    ------
    TimeoutError
        If the kernel does not end it within 30 s after SIGKILL (blocked in the kernel).
    """
    if grace_s > 0:
        process.signal(signal.SIGTERM)
        if process.wait_gone(grace_s):
            return True
    process.signal(signal.SIGKILL)
    if not process.wait_gone(30.0):
        raise TimeoutError(f"process {process.pid} does not end after SIGKILL; it is blocked in the kernel")
    return False


def _stat(pid: int) -> list[str] | None:
    """Fields of ``/proc/<pid>/stat`` from the state (field 3) on; None if there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold blanks and parentheses, so the fields start after the last one.
    return text[text.rindex(")") + 2 :].split()
