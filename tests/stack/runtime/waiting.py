"""Kill real services and wait until they are back."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from fink_lib.config import Settings
from fink_lib.runtime import control


def rows(settings: Settings) -> dict[str, dict[str, Any]]:
    """Rows of ``fink status`` by service."""
    return {row["name"]: row for row in control.service_rows(settings, with_memory=False)}


def pid_of(settings: Settings, name: str) -> int | None:
    """Process of a service that lives."""
    pid: int | None = rows(settings)[name]["pid"]
    return pid


def kill_and_wait(settings: Settings, names: list[str], timeout_s: float = 120.0) -> float:
    """Kill services with -9 and return how many seconds it took until all were ready in new processes."""
    before = {name: pid_of(settings, name) for name in names}
    for pid in before.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    while True:
        now = rows(settings)
        if all(now[name]["state"] == "ready" and now[name]["pid"] not in (None, before[name]) for name in names):
            return time.monotonic() - began
        assert time.monotonic() - began < timeout_s, {
            name: (now[name]["state"], now[name]["message"]) for name in names
        }
        time.sleep(0.2)
