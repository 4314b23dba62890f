"""Fault tests: real processes, killed; every folder and process is gone afterwards."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fink_lib.config import Settings
from fink_lib.runtime import control
from tests.faults.harness import Harness
from tests.stack_services import installation

UNDER_FIRE = """
[streams]
max_offsets_per_trigger = 60
max_files_per_trigger = 4
trigger_s = 0.5

[nightly]
quiet_s = 1.0
archive_batch_rows = 50

[spark.extra]
"spark.driver.extraJavaOptions" = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:UseAVX=2"
"spark.sql.codegen.wholeStage" = "false"
"""
"""Batches that a kill often hits; a JVM that is quick to start, which is what such tests spend their time on."""


def pytest_configure(config: pytest.Config) -> None:
    # Whoever ends the run early must not leave its processes behind: fixtures are torn down after an interrupt.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="module")
def home() -> Iterator[Settings]:
    """An installation of its own, with nothing running yet."""
    with installation(Path(tempfile.mkdtemp(prefix="fink-faults-")), UNDER_FIRE) as settings:
        yield settings


@pytest.fixture
def fresh() -> Iterator[Harness]:
    """A harness over a running Kafka of its own, for a test that leaves nothing whole behind."""
    with installation(Path(tempfile.mkdtemp(prefix="fink-faults-")), UNDER_FIRE) as settings:
        control.bring_up(settings, ["kafka"], lambda line: None)
        with Harness(settings) as one:
            yield one


@pytest.fixture(scope="module")
def harness(home: Settings) -> Iterator[Harness]:
    """A harness over a running Kafka."""
    control.bring_up(home, ["kafka"], lambda line: None)
    with Harness(home) as one:
        yield one
