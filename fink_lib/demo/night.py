"""The demo: services up, streams supervised, one night replayed, the nightly chain run, the result shown.

Every step is what an operator would do by hand, through the same commands and the same Airflow; nothing is skipped
when a step was done before, so a second run shows that a night that comes twice changes nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fink_lib.config import Settings, project_root
from fink_lib.errors import FinkError, TransientError
from fink_lib.runtime import launcher
from fink_lib.transfer.airflow import ENDED, Airflow

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGES = ("stream2raw", "raw2science", "distribution")
POLL_S = 2.0
STREAMS_TIMEOUT_S = 300.0
NIGHT_TIMEOUT_S = 1800.0

DEMO_SETTINGS = """\
# Written by the demo. A replayed night is over a few seconds after its last alert; a live one after half an hour.
[nightly]
quiet_s = 5.0
"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Played:
    """What the simulator sent.

    Parameters
    ----------
    nights : tuple of str
        Nights of the topics it wrote to, in order.
    messages : int
        How many messages Kafka acknowledged.
    """

    nights: tuple[str, ...]
    messages: int


def prepare(settings: Settings) -> None:
    """Give a new installation the settings of a replay."""
    file = settings.home / "fink.toml"
    if not file.exists():
        settings.home.mkdir(parents=True, exist_ok=True)
        file.write_text(DEMO_SETTINGS)


def start_streams(settings: Settings, airflow: Airflow, survey: str, say: Say) -> None:
    """Unpause the supervisors and wait until each stage has a driver that runs.

    Raises
    ------
    TransientError
        If a stage is not up in time; the message names its log.
    """
    dags = [f"stream_{stage}_{survey}" for stage in STAGES] + [f"nightly_{survey}", "ops_stream_control"]
    _wait("Airflow has not parsed the DAGs", 120.0, lambda: all(airflow.has(dag) for dag in dags))
    for dag in dags:
        airflow.unpause(dag)
    began_s = time.monotonic()
    waiting = list(STAGES)
    while waiting:
        for stage in list(waiting):
            seen = launcher.observe(settings, survey, stage)
            if seen.state == "running":
                waiting.remove(stage)
                say(f"  {stage} runs (pid {seen.identity.process.pid if seen.identity else '?'})")
        if waiting and time.monotonic() - began_s > STREAMS_TIMEOUT_S:
            raise TransientError(
                f"{', '.join(waiting)} did not start within {STREAMS_TIMEOUT_S:g} s; "
                f"see {settings.log_dir / survey} and the task log of the DAG in Airflow"
            )
        time.sleep(0.5 if waiting else 0.0)


def play(settings: Settings, alerts: Sequence[str], count: int, say: Say) -> Played:
    """Send the alerts with the simulator and give the nights it met.

    Raises
    ------
    TransientError
        If the simulator did not deliver everything.
    """
    manifest = settings.home / "reports" / "demo_manifest.jsonl"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    source = ["--data", *alerts] if alerts else ["--synthetic", str(count), "--seed", "1"]
    command = [sys.executable, "-m", "fink_lib.cli", "simulate", *source, "--clock", "max"]
    say(f"  fink {' '.join(command[3:])}")
    done = subprocess.run([*command, "--manifest", str(manifest)], cwd=project_root(), check=False)
    if done.returncode:
        raise TransientError(f"the simulator ended with code {done.returncode}; its output is above")
    return read_manifest(manifest)


def read_manifest(manifest: Path) -> Played:
    """Read what was sent where."""
    nights: set[str] = set()
    messages = 0
    with manifest.open() as lines:
        for line in lines:
            entry = json.loads(line)
            if "topic" in entry:
                messages += 1
                nights.add(str(entry["topic"]).split("_")[1])
    return Played(tuple(sorted(nights)), messages)


def run_nights(airflow: Airflow, survey: str, nights: Iterable[str], say: Say) -> list[str]:
    """Trigger the nightly chain of each night and follow it; gives the nights that failed."""
    dag_id = f"nightly_{survey}"
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    runs = {night: airflow.trigger(dag_id, f"demo__{night}__{stamp}", {"night": night}) for night in nights}
    said: dict[str, str] = {}
    failed = []
    began_s = time.monotonic()
    while runs:
        states = airflow.states(dag_id)
        for night, run_id in list(runs.items()):
            state = states.get(run_id, "unknown")
            if state in ENDED or state == "running":
                _say_tasks(airflow.tasks(dag_id, run_id), night, said, say)
            if state in ENDED:
                say(f"  night {night}: {state}")
                del runs[night]
                began_s = time.monotonic()
                if state == "failed":
                    failed.append(night)
        if runs and time.monotonic() - began_s > NIGHT_TIMEOUT_S:
            raise TransientError(f"no night ended within {NIGHT_TIMEOUT_S:g} s; look at {airflow.url}/dags/{dag_id}")
        time.sleep(POLL_S if runs else 0.0)
    return failed


def _say_tasks(tasks: dict[str, str], night: str, said: dict[str, str], say: Say) -> None:
    for task, state in tasks.items():
        key = f"{night}/{task}"
        if state in ("success", "failed", "skipped", "up_for_retry") and said.get(key) != state:
            said[key] = state
            say(f"    {night} {task}: {state}")


def _wait(what: str, timeout_s: float, ready: Callable[[], bool]) -> None:
    began_s = time.monotonic()
    while True:
        try:
            if ready():
                return
        except FinkError:
            if time.monotonic() - began_s > timeout_s:
                raise
        if time.monotonic() - began_s > timeout_s:
            raise TransientError(f"{what} within {timeout_s:g} s")
        time.sleep(1.0)
