"""What all local services have in common: a record, a lock, a log, a way to start, to answer and to end."""

from __future__ import annotations

import atexit
import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fink_lib.config import Settings, project_root
from fink_lib.errors import ConfigError, TransientError
from fink_lib.runtime.files import read_json
from fink_lib.runtime.process import ProcessId, boot_id, terminate
from fink_lib.runtime.services.checks import check_disk, check_port

MARK = "FINK_SERVICE"
_LEADER = Path(__file__).with_name("leader.py")
_LOG_LIMIT_BYTES = 50 * 1024 * 1024
_LOG_TAIL_BYTES = 4000
_TOOL_POLL_S = 0.1
# Children of this process, kept until they have ended, so that none stays as a zombie.
_CHILDREN: list[subprocess.Popen[bytes]] = []
_CHILDREN_LOCK = threading.Lock()
_TELLING = ("ERROR", "FATAL", "Exception", "Error:", "error:")


@dataclass(frozen=True)
class Record:
    """The process that a service runs, or ran, in.

    Attributes
    ----------
    process : ProcessId
        Its first process; also the leader of its session.
    started_s : float
        When it started, Unix seconds.
    """

    process: ProcessId
    started_s: float


class Service(ABC):
    """One local service: one program in a session of its own.

    Attributes
    ----------
    name, group : str
        Its own name, and that of the set it belongs to; a person may ask for either.
    needs : tuple of str
        Services that must be ready before this one can start.
    start_timeout_s, stop_grace_s : float
        How long it may take until it answers, and to end by itself.
    """

    name: ClassVar[str]
    group: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    start_timeout_s: ClassVar[float] = 120.0
    stop_grace_s: ClassVar[float] = 10.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cancelled = threading.Event()

    @property
    def folder(self) -> Path:
        """Data and configuration."""
        return self.settings.service_dir(self.group)

    @property
    def run_folder(self) -> Path:
        """Lock and record of the running process."""
        return self.settings.home / "run" / "services" / self.name

    @property
    def log_file(self) -> Path:
        """Everything the program prints."""
        return self.settings.log_dir / "services" / f"{self.name}.log"

    @property
    def host(self) -> str:
        """Where it listens."""
        return "127.0.0.1"

    def host_of(self, setting: str) -> str:
        """Where one of its ports listens, by the name of its setting."""
        return self.host

    @property
    def url(self) -> str:
        """Where a person or a client reaches it; empty if nobody needs to."""
        return ""

    @abstractmethod
    def ports(self) -> dict[str, int]:
        """Ports it listens on, by the name of their setting."""

    @abstractmethod
    def prepare(self) -> None:
        """Make its folder ready, as often as wanted: configuration, storage, repair of what a killed start left."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def ready(self, started_s: float) -> bool | None:
        """Ask it something in its own protocol.

        Parameters
        ----------
        started_s : float
            Start of the process that must be the one to answer, Unix seconds.

        Returns
        -------
        bool or None
            Whether it works; None if that cannot be known at the moment.
        """

    def settled(self) -> None:  # noqa: B027 (most services have nothing to note)
        """Called each time it has become ready."""

    def environment(self) -> dict[str, str]:
        """Environment of the program."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
        return {
            **kept,
            "FINK_HOME": str(self.settings.home),
            MARK: self.name,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "/usr/bin:/bin")]),
            "PYTHONPATH": str(project_root()),
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "2",
        }

    def record(self, folder: Path | None = None) -> Record | None:
        """Who runs the service, or ran it last; None if that is not known."""
        values = read_json((folder or self.run_folder) / "process.json")
        if values is None:
            return None
        try:
            return Record(ProcessId.from_json(values), float(values["started_s"]))
        except (KeyError, TypeError, ValueError):
            return None  # written by another version of the code: nobody to be found by it

    def alive(self) -> bool:
        """Whether the recorded process lives."""
        record = self.record()
        return record is not None and record.process.alive()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the program; do not wait.

        Raises
        ------
        ConfigError
            If a port is taken or the disk is full.
        """
        self.end_leftovers()
        self.run_folder.mkdir(parents=True, exist_ok=True)
        check_disk(self.settings.home)
        for setting, port in self.ports().items():
            check_port(self.host_of(setting), port, setting)
        return self._popen(self.run_folder, self.command())

    def run_tool(self, command: Sequence[str], timeout_s: float) -> None:
        """Run a program that prepares something for the service, and wait for it.

        Raises
        ------
        TransientError
            If it fails, does not end, or still runs from an earlier try.
        """
        folder = self.run_folder / "tool"
        folder.mkdir(parents=True, exist_ok=True)
        tool = self._popen(folder, command)
        deadline = time.monotonic() + timeout_s
        while tool.poll() is None:
            if self.cancelled.is_set() or time.monotonic() > deadline:
                tool.kill()
                tool.wait()
                raise TransientError(f"{Path(command[0]).name} for {self.name} was stopped before its end")
            time.sleep(_TOOL_POLL_S)
        if tool.returncode != 0:
            raise TransientError(f"{Path(command[0]).name} failed with code {tool.returncode}: {self.last_words()}")

    def stop(self, grace_s: float | None = None) -> None:
        """End the service and everything in its session; return when all of it is gone."""
        record = self.record()
        if record is not None:
            terminate(record.process, self.stop_grace_s if grace_s is None else grace_s)
        self.end_leftovers()
        (self.run_folder / "process.json").unlink(missing_ok=True)

    def end_leftovers(self) -> None:
        """Kill what a dead service left behind: workers that it forked, a tool of a killed start."""
        for folder in (self.run_folder, self.run_folder / "tool"):
            record = self.record(folder)
            if record is not None and (folder != self.run_folder or not record.process.alive()):
                for process in session_members(record.process):
                    terminate(process, 0.0)

    def memory_mb(self) -> int:
        """Resident memory of the whole session, in MB; pages that its processes share are counted once (PSS)."""
        record = self.record()
        members = session_members(record.process) if record is not None else []
        return sum(_pss_kb(process.pid) for process in members) // 1024

    def last_words(self) -> str:
        """The last telling line of the log, for a message."""
        try:
            with self.log_file.open("rb") as file:
                file.seek(max(0, self.log_file.stat().st_size - _LOG_TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return "no log"
        telling = [line for line in lines if any(word in line for word in _TELLING)]
        return (telling or lines or ["no log"])[-1].strip()[:300]

    def _popen(self, folder: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        if shutil.which(command[0]) is None:
            raise ConfigError(f"{command[0]} is missing; run `make setup`")
        with self.log_file.open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LEADER), str(folder), *command],
                cwd=project_root(),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
        return keep_child(child)


def keep_child(child: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Remember a child that outlives the call that started it."""
    reap_children()
    with _CHILDREN_LOCK:
        _CHILDREN.append(child)
    return child


def reap_children() -> None:
    """Collect the children that have ended."""
    with _CHILDREN_LOCK:
        _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]


atexit.register(reap_children)


def session_members(leader: ProcessId) -> list[ProcessId]:
    """Living processes of the session that ``leader`` leads or led, the leader among them.

    The kernel keeps a session's number out of use while the session has members, so a process that has the number now
    and is not the leader means that the whole session is gone.
    """
    if leader.boot_id != boot_id():
        return []
    try:
        if ProcessId.of(leader.pid) != leader:
            return []
    except ProcessLookupError:
        pass
    return [process for process, fields in _processes() if int(fields[3]) == leader.pid]


def marked_processes(home: Path) -> list[ProcessId]:
    """Living processes that some service of this installation started, in whatever session; never the caller."""
    mark, where = f"{MARK}=".encode(), f"FINK_HOME={home}".encode()
    found = []
    for process, _ in _processes():
        try:
            words = Path("/proc", str(process.pid), "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone meanwhile, or somebody else's
        if where in words and any(word.startswith(mark) for word in words) and process.pid != os.getpid():
            found.append(process)
    return found


def end_all(processes: Iterable[ProcessId]) -> None:
    """Kill processes at once and wait until they are gone."""
    known = list(processes)
    for process in known:
        process.signal(signal.SIGKILL)
    for process in known:
        process.wait_gone(10.0)


def _pss_kb(pid: int) -> int:
    try:
        for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass  # gone meanwhile
    return 0


def _processes() -> Iterable[tuple[ProcessId, list[str]]]:
    boot = boot_id()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in ("Z", "X"):
            yield ProcessId(int(entry.name), int(fields[19]), boot), fields


def http_get(host: str, port: int, path: str, timeout_s: float = 3.0) -> bytes | None:
    """Body of a successful answer; None if there is none."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
