"""A storm: all streams at work, alerts coming, and each driver killed at one place after the other."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fink_lib.errors import EXIT_FAILED
from tests.faults.harness import Harness, Sampler, wait_settled, wait_until

EVERYWHERE = {
    "stream2raw": (
        "after_raw",
        "in_pass",
        "after_cutouts",
        "before_read",
        "after_quarantine",
        "between_sink_and_ledger",
        "between_ledger_and_checkpoint",
    ),
    "raw2science": (
        "after_science",
        "in_pass",
        "between_sink_and_ledger",
        "before_read",
        "between_ledger_and_checkpoint",
    ),
    "distribution": (
        "between_produce_and_commit",
        "in_pass",
        "between_commit_and_sent",
        "before_read",
        "between_sink_and_ledger",
        "between_ledger_and_checkpoint",
    ),
}
"""Every failpoint of every stream."""

WORST = {
    "stream2raw": ("after_cutouts", "in_pass", "after_quarantine", "between_ledger_and_checkpoint"),
    "raw2science": ("after_science", "between_ledger_and_checkpoint", "in_pass"),
    "distribution": ("between_produce_and_commit", "between_commit_and_sent", "between_ledger_and_checkpoint"),
}
"""Those that leave some sinks written and others not: what a few minutes are best spent on."""

FEED = ("--synthetic", "400", "--loop", "--clock", "flat:5", "--seed", "11")
KINDS = ("truncated", "garbage", "empty", "unknown-schema", "missing-id", "nan-position", "duplicate", "schema-bump")
SHARE = 0.02
IN_A_WORKER = {("stream2raw", "in_pass"), ("raw2science", "in_pass")}
"""Failpoints that lie in a worker of Spark: its death ends the driver with a failure of its own."""

PATIENCE_S = 240.0


@dataclass(frozen=True)
class Aftermath:
    """What a storm left; the drivers run and have nothing left to do."""

    survived: list[str]
    problems: list[str]
    doubled: Counter[str]


def rage(harness: Harness, failpoints: Mapping[str, Sequence[str]]) -> Aftermath:
    """Kill each stage at each of its failpoints, all stages at the same time, and let everything settle."""
    faults = ",".join(f"{kind}:{SHARE}" for kind in KINDS)
    feeder = harness.feeder(*FEED, "--fault", faults)
    with Sampler(harness) as sampler, ThreadPoolExecutor(len(failpoints)) as pool:
        lanes = pool.map(lambda stage: _kill_at_each(harness, stage, failpoints[stage]), failpoints)
        survived = [line for lane in lanes for line in lane]
        harness.stop_feeder(feeder)
        harness.note("no more alerts")
        problems = wait_settled(harness, PATIENCE_S)
        harness.note("settled")
    return Aftermath(survived, problems, sampler.seen)


def _kill_at_each(harness: Harness, stage: str, failpoints: Sequence[str]) -> list[str]:
    """Run a stage's driver again and again; each dies at the next failpoint, the last one lives."""
    survived = []
    for number, name in enumerate(failpoints):
        in_the_first_batch = number % 2 == 0  # which is the one that the predecessor left unfinished
        if in_the_first_batch:
            harness.arm(stage, name)
        before = harness.heartbeat(stage).get("batch", "")
        process = harness.driver(stage)
        if not in_the_first_batch:
            _wait_for_batch(harness, stage, before, process)
            harness.arm(stage, name)
        code = EXIT_FAILED if (stage, name) in IN_A_WORKER else -signal.SIGKILL
        other_end = harness.await_end(process, stage, code, PATIENCE_S)
        if other_end:
            survived.append(f"not killed at {name}: {other_end}")
    harness.driver(stage)
    return survived


def _wait_for_batch(harness: Harness, stage: str, before: str, process: subprocess.Popen[bytes]) -> None:
    wait_until(
        lambda: harness.heartbeat(stage).get("batch", "") > before or process.poll() is not None,
        f"{stage} finishes a batch after {before or 'its start'}",
        PATIENCE_S,
    )
