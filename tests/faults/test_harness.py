"""The harness itself: two JVMs of one stage are seen, one is not taken for two."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fink_lib.config import Settings
from tests.faults.harness import Harness, Sampler, wait_until

LOOKS_S = 0.5


@contextmanager
def _jvm(home: Path, stage: str) -> Iterator[None]:
    """Something that has the command line of a stage's JVM."""
    words = ["java", "-c", "import time; time.sleep(60)", f"spark.app.name={stage}"]
    process = subprocess.Popen(words, executable=sys.executable, env={**os.environ, "FINK_HOME": str(home)})
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_one_jvm_of_each_stage_is_no_double(tmp_path: Path) -> None:
    harness = Harness(Settings(home=tmp_path))
    with _jvm(tmp_path, "raw2science"), _jvm(tmp_path, "distribution"), Sampler(harness) as sampler:
        wait_until(lambda: harness.jvms("raw2science"), "the process has its name", 10.0)
        time.sleep(LOOKS_S)
    assert sampler.seen == {}


def test_two_jvms_of_one_stage_are_seen_and_named_in_the_log(tmp_path: Path) -> None:
    harness = Harness(Settings(home=tmp_path))
    with _jvm(tmp_path, "raw2science"), _jvm(tmp_path, "raw2science"), Sampler(harness) as sampler:
        wait_until(lambda: sampler.seen["raw2science"], "the two are seen", 10.0)
    assert set(sampler.seen) == {"raw2science"}
    assert "two JVMs of raw2science at once" in harness.tail("events")


def test_two_jvms_that_follow_each_other_are_no_double(tmp_path: Path) -> None:
    harness = Harness(Settings(home=tmp_path))
    with Sampler(harness) as sampler:
        for _ in range(5):
            with _jvm(tmp_path, "raw2science"):
                time.sleep(LOOKS_S / 2)
    assert sampler.seen == {}
