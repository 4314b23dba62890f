"""Runs the broker's real processes, kills them where and when a test says, and collects what the checker needs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fink_lib.config import Settings, project_root
from fink_lib.runtime.services import build
from tests.faults.checker import check_all
from tests.faults.evidence import Lake, read_manifest, read_topics

SURVEY = "ztf"
STAGES = ("stream2raw", "raw2science", "distribution")
INPUT = "ztf_[0-9]{8}_programid[0-9]+"
START_S = 90.0
POLL_S = 0.2
ENDED_S = 30.0


@dataclass
class Harness:
    """One installation under fire: its settings, its processes, and what was fed into it.

    Parameters
    ----------
    settings : Settings
        Of an installation whose Kafka runs; its home also holds the logs.
    """

    settings: Settings
    manifests: list[Path] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    born_s: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every process of the streams and of this harness; the services are somebody else's."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for pid in self.strays():
            _kill(pid)

    def note(self, what: str) -> None:
        """Write an event into ``logs/events.log``, with the seconds since the first one."""
        self.settings.log_dir.mkdir(parents=True, exist_ok=True)
        with (self.settings.log_dir / "events.log").open("a") as file:
            file.write(f"{time.monotonic() - self.born_s:8.1f} s  {what}\n")

    # -- processes -----------------------------------------------------------------------------------------------

    def start(self, *command: str, name: str, failpoint: str = "") -> subprocess.Popen[bytes]:
        """Start ``python -m <command>`` as its own process, with its output in ``logs/<name>.log``."""
        environment = {**os.environ, "FINK_HOME": str(self.settings.home), "PYTHONUNBUFFERED": "1"}
        environment.pop("FINK_FAILPOINT", None)
        if failpoint:
            environment["FINK_FAILPOINT"] = failpoint
        self.settings.log_dir.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=project_root(),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        self.note(f"{name} started, pid {process.pid}")
        return process

    def run(self, *command: str, name: str, failpoint: str = "", timeout_s: float = 600.0) -> int:
        """Start a process, wait for its end and give its exit code (negative: the signal that ended it)."""
        process = self.start(*command, name=name, failpoint=failpoint)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{' '.join(command)} took more than {timeout_s:g} s\n{self.tail(name)}") from None

    def driver(self, stage: str, failpoint: str = "") -> subprocess.Popen[bytes]:
        """Start the driver of a stage, to run until it is stopped or dies."""
        return self.start(f"jobs.{stage}", "--survey", SURVEY, name=stage, failpoint=failpoint)

    def once(self, stage: str, failpoint: str = "") -> int:
        """Let a stage read all there is; give its exit code."""
        return self.run(f"jobs.{stage}", "--survey", SURVEY, "--once", name=stage, failpoint=failpoint)

    def await_end(self, process: subprocess.Popen[bytes], stage: str, code: int, timeout_s: float) -> str:
        """Wait until a driver ends with a code; give a sentence if it ends otherwise, or not at all."""
        try:
            seen = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f"{stage} did not end within {timeout_s:g} s\n{self.tail('events')}\n{self.tail(stage)}"
        self.note(f"{stage} ended with {seen}")
        return "" if seen == code else f"{stage} ended with {seen}\n{self.tail(stage)}"

    def drain(self, process: subprocess.Popen[bytes], name: str) -> None:
        """Ask a driver to end between two batches, and insist that it ended well."""
        process.terminate()
        try:
            code = process.wait(self.settings.supervision.drain_timeout_s + ENDED_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} did not drain\n{self.tail(name)}") from None
        assert code == 0, f"{name} ended with code {code} when it was drained\n{self.tail(name)}"

    def jvms(self, stage: str) -> list[int]:
        """Pids of the live Spark JVMs of a stage, whoever started them.

        A JVM runs shell commands; until its child has become the command it has the JVM's own command line. Such a
        child may be gone by the time its parent is asked for.
        """
        named = {
            pid
            for pid, words in _own_processes(self.settings.home)
            if words[0].endswith(b"java") and any(b"spark.app.name=" + stage.encode() in word for word in words)
        }
        return [pid for pid in named if _parent(pid) not in {None, *named}]

    def drivers(self, stage: str) -> list[int]:
        """Pids of the live Python drivers of a stage, whoever started them."""
        return [
            pid
            for pid, words in _own_processes(self.settings.home)
            if b"-m" in words and f"jobs.{stage}".encode() in words
        ]

    def service_pid(self, name: str) -> int:
        """Pid of a service that runs now."""
        record = build(self.settings, name).record()
        assert record is not None, f"{name} is not running"
        return record.process.pid

    def nightly(self, stage: str, night: str, table: str = "") -> int:
        """Run one stage of the nightly chain; give its exit code."""
        return self.run(*self._nightly(stage, night, table), name=stage)

    def start_nightly(self, stage: str, night: str, table: str = "") -> subprocess.Popen[bytes]:
        """Start one stage of the nightly chain."""
        return self.start(*self._nightly(stage, night, table), name=stage)

    @staticmethod
    def _nightly(stage: str, night: str, table: str) -> list[str]:
        words = ["jobs.nightly", "--survey", SURVEY, "--stage", stage, "--night", night]
        return [*words, "--table", table] if table else words

    def strays(self) -> list[int]:
        """Pids of drivers, their JVMs and their workers."""
        words_of_streams = (b"jobs.", b"pyspark", b"spark.app.name=")
        return [
            pid
            for pid, words in _own_processes(self.settings.home)
            if any(part in word for word in words for part in words_of_streams)
        ]

    # -- state ---------------------------------------------------------------------------------------------------

    def heartbeat(self, stage: str) -> dict[str, Any]:
        """Give a driver's last words; nothing if it never spoke."""
        return self._run_file(stage, "heartbeat.json")

    def identity(self, stage: str) -> dict[str, Any]:
        """Say who the last driver of a stage was."""
        return self._run_file(stage, "identity.json")

    def arm(self, stage: str, failpoint: str) -> None:
        """Let the driver that runs now die once at a failpoint."""
        folder = self.settings.run_dir(SURVEY, stage)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "failpoint.new").write_text(failpoint)
        (folder / "failpoint.new").rename(folder / "failpoint")
        self.note(f"{stage} shall die at {failpoint}")

    def log(self, name: str) -> Path:
        """File that takes a process's output."""
        return self.settings.log_dir / f"{name}.log"

    def tail(self, name: str, lines: int = 30) -> str:
        """Last lines of a process's output."""
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])

    def _run_file(self, stage: str, name: str) -> dict[str, Any]:
        try:
            values: dict[str, Any] = json.loads((self.settings.run_dir(SURVEY, stage) / name).read_text())
        except FileNotFoundError:
            return {}
        return values

    # -- input and verdict ---------------------------------------------------------------------------------------

    def feeder(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the simulator; what it delivers counts as input."""
        manifest = self.settings.home / f"manifest-{len(self.manifests)}.jsonl"
        self.manifests.append(manifest)
        return self.start("fink_lib.cli", "simulate", *options, "--manifest", str(manifest), name="simulate")

    def stop_feeder(self, process: subprocess.Popen[bytes]) -> None:
        """End a simulator that runs for ever; what it has sent is acknowledged before it ends."""
        process.send_signal(signal.SIGINT)
        process.wait(ENDED_S)

    def feed(self, *options: str, timeout_s: float = 600.0) -> None:
        """Run the simulator to its end."""
        process = self.feeder(*options)
        assert process.wait(timeout_s) == 0, self.tail("simulate")

    def problems(self) -> list[str]:
        """Let the checker compare all that was sent in with all that is there."""
        topics = read_topics(self.settings.kafka.servers, INPUT)
        outputs = read_topics(self.settings.kafka.servers, "fink_.*_ztf")
        manifest = [row for path in self.manifests for row in read_manifest(path)]
        messages = [message for records in topics.values() for message in records]
        return check_all(messages, Lake.read(self.settings.lake_root), outputs, manifest)


def wait_settled(harness: Harness, timeout_s: float = START_S) -> list[str]:
    """Wait until the checker has nothing to say, and give what it says at last."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            problems = harness.problems()
        except AssertionError as error:  # a transaction is open: the batch is on its way
            problems = [str(error)]
        if not problems or time.monotonic() > deadline:
            return problems
        time.sleep(1.0)


class Keeper:
    """Keeps a driver of each stage alive, as a supervisor would, and remembers how long each gap was."""

    def __init__(self, harness: Harness) -> None:
        self.ends: list[tuple[str, int]] = []
        self.drivers: dict[str, subprocess.Popen[bytes]] = {}
        self._harness = harness
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper")

    def __enter__(self) -> Self:
        self.drivers = {stage: self._harness.driver(stage) for stage in STAGES}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(0.5):
            for stage, driver in list(self.drivers.items()):
                code = driver.poll()
                if code is not None:
                    self._harness.note(f"{stage} ended with {code}")
                    self.ends.append((stage, code))
                    self.drivers[stage] = self._harness.driver(stage)


class Watcher(ABC):
    """A thread that looks at something as long as its block runs."""

    def __init__(self, name: str) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @abstractmethod
    def _look(self) -> None: ...


class Sampler(Watcher):
    """Looks ten times a second whether two drivers of a stage are at work at once.

    At work is a driver that has its JVM; the loser of a double start never gets one. The JVM of a driver that was
    killed may end a moment after it, so the winner waits for that end before it starts its own. The list of
    processes is read one by one: only two that are both there in two looks running were there together.
    """

    def __init__(self, harness: Harness) -> None:
        super().__init__("sampler")
        self.seen: Counter[str] = Counter()
        self._harness = harness
        self._before: dict[str, set[int]] = {}

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            for stage in STAGES:
                now = set(self._harness.jvms(stage))
                both = now & self._before.get(stage, set())
                if len(both) > 1:
                    self.seen[stage] += 1
                    self._harness.note(f"two JVMs of {stage} at once: {sorted(both)}")
                self._before[stage] = now


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = START_S) -> None:
    """Wait for a condition, or fail with its name."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(POLL_S)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Freeze a process (SIGSTOP) for the time of a block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _parent(pid: int) -> int | None:
    """Pid of a process's parent; nothing if the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _own_processes(home: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Give pid and command line of each live process that belongs to one installation."""
    mark = f"FINK_HOME={home}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            mine = mark in (folder / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if mine and words[0]:  # the command line of a zombie is empty
            yield int(folder.name), words


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
