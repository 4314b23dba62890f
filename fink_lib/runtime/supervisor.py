"""The small resident process that keeps the local services alive.

It starts what ``services/desired.json`` names, in the order of their needs, and starts again what has ended. Services
live in sessions of their own and leave a record each, so they outlive a killed supervisor; the next one adopts them.
What it knows is in ``services/state.json``, written twice a second at most.

``python -m fink_lib.runtime.supervisor`` runs it; ``fink up`` and every later ``fink`` command start one when needed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fink_lib.config import load_settings, project_root
from fink_lib.errors import EXIT_LOCKED, EXIT_OK, LockedError, TransientError
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.lock import FileLock
from fink_lib.runtime.process import ProcessId
from fink_lib.runtime.services import build, expand, with_database
from fink_lib.runtime.services.base import keep_child
from fink_lib.runtime.services.keeper import Health, Keeper, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fink_lib.config import Settings

LOOP_S = 0.5
_TELL_S = 2.0
_LAUNCH_TIMEOUT_S = 20.0


def desired_names(settings: Settings) -> list[str]:
    """Services that people want to run, in the order of their start."""
    values = read_json(_folder(settings) / "desired.json") or {}
    return with_database(settings, expand(values.get("services", [])))


def wishes_time_s(settings: Settings) -> float:
    """When somebody last said what shall run, Unix seconds; also if it was the same as before."""
    return float((read_json(_folder(settings) / "desired.json") or {}).get("time_s", 0.0))


def set_desired(settings: Settings, names: Sequence[str]) -> None:
    """Say which services shall run; nothing else."""
    write_json(_folder(settings) / "desired.json", {"services": list(names), "time_s": time.time()})


def read_state(settings: Settings) -> dict[str, Any] | None:
    """What the last supervisor wrote; None if there was none."""
    return read_json(_folder(settings) / "state.json")


def supervisor_process(settings: Settings) -> ProcessId | None:
    """The living supervisor, or None."""
    state = read_state(settings)
    if state is None:
        return None
    try:
        process = ProcessId.from_json(state["supervisor"])
    except (KeyError, TypeError, ValueError):
        return None
    return process if process.alive() else None


def supervisor_lock(settings: Settings, wait_s: float = 0.0) -> FileLock:
    """The lock that the supervisor holds for life, and whoever ends the services meanwhile."""
    return FileLock(_folder(settings) / "supervisor.lock", wait_s)


def ensure_supervisor(settings: Settings) -> bool:
    """Start a supervisor if services are wanted and none lives; return whether one was started.

    Raises
    ------
    TransientError
        If it does not come up.
    """
    if not desired_names(settings) or supervisor_process(settings) is not None:
        return False
    log = settings.log_dir / "services" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = keep_child(
            subprocess.Popen(
                [sys.executable, "-m", "fink_lib.runtime.supervisor"],
                cwd=project_root(),
                env={**os.environ, "FINK_HOME": str(settings.home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
        )
    deadline = time.monotonic() + _LAUNCH_TIMEOUT_S
    while time.monotonic() < deadline:
        if supervisor_process(settings) is not None:
            return True
        if child.poll() not in (None, EXIT_LOCKED):
            break
        time.sleep(0.05)
    raise TransientError(f"the supervisor of the services did not come up; see {log}")


class Supervisor:
    """Keepers for all wanted services, and the state file.

    Parameters
    ----------
    settings : Settings
        The installation.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stop_asked = threading.Event()
        self.healths: dict[str, Health] = {}
        self.keepers: dict[str, Keeper] = {}
        self._told: dict[str, Any] = {}
        self._told_s = 0.0
        self._asked_s = wishes_time_s(settings)

    def run(self) -> None:
        """Keep the services until asked to stop; they live on."""
        while not self.stop_asked.is_set():
            self.follow_wishes()
            self.tell()
            self.stop_asked.wait(LOOP_S)
        for keeper in self.keepers.values():
            keeper.leave()

    def follow_wishes(self) -> None:
        """Have a keeper for each wanted service, and for no other."""
        wanted = desired_names(self.settings)
        for name in [name for name in self.keepers if name not in wanted]:
            self.keepers.pop(name).leave()
            self.healths.pop(name, None)
        for name in wanted:
            keeper = self.keepers.get(name)
            if keeper is None or not keeper.is_alive():
                self.keepers[name] = Keeper(build(self.settings, name), self.healths)
        asked_s = wishes_time_s(self.settings)
        for keeper in self.keepers.values():
            if keeper.ident is None:
                keeper.start()
            elif asked_s > self._asked_s and keeper.health.state in (State.FAILED, State.BLOCKED):
                keeper.hurry.set()
        self._asked_s = asked_s

    def tell(self) -> None:
        """Write the state file if something changed, and now and then to show that somebody is there."""
        services = {name: health.to_json() for name, health in sorted(self.healths.items())}
        if services != self._told or time.monotonic() - self._told_s > _TELL_S:
            me = ProcessId.current().to_json()
            state = {"supervisor": me, "time_s": time.time(), "services": services}
            write_json(_folder(self.settings) / "state.json", state, durable=False)
            self._told, self._told_s = services, time.monotonic()


def main() -> int:
    """Run the supervisor of ``$FINK_HOME``."""
    settings = load_settings()
    lock = supervisor_lock(settings)
    try:
        lock.acquire()
    except LockedError:
        return EXIT_LOCKED
    supervisor = Supervisor(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop_asked.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor.run()
    sys.stdout.flush()
    # Keepers may be in the middle of a question; nothing they do needs an orderly end.
    os._exit(EXIT_OK)


def _folder(settings: Settings) -> Path:
    return settings.home / "services"


if __name__ == "__main__":
    sys.exit(main())
