"""Fixtures for real services, shared by a whole test run; each starts only what it names, and all are stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fink_lib.config import Settings
from fink_lib.runtime import control, launcher
from tests.stack_services import installation


@pytest.fixture(scope="session")
def stack_home() -> Iterator[Settings]:
    """An installation on free ports with nothing running; what is started in it is ended after the last test."""
    with installation(Path(tempfile.mkdtemp(prefix="fink-stack-"))) as settings:
        yield settings


@pytest.fixture(scope="session")
def kafka(stack_home: Settings) -> Settings:
    """Settings of an installation whose Kafka answers."""
    control.bring_up(stack_home, ["kafka"])
    return stack_home


@pytest.fixture(scope="session")
def hbase(stack_home: Settings) -> Settings:
    """Settings of an installation whose HBase and Thrift server answer."""
    control.bring_up(stack_home, ["hbase"])
    return stack_home


@pytest.fixture(scope="session")
def airflow(stack_home: Settings) -> Settings:
    """Settings of an installation whose four Airflow processes are healthy. Its DAGs are those of the project.

    The streams are held: a test that wants one lets it run with ``launcher.set_desired``.
    """
    for survey in stack_home.surveys:
        for stage in control.STAGES:
            launcher.set_desired(stack_home, survey, stage, "stopped", "held by the test run")
    control.bring_up(stack_home, ["airflow"])
    return stack_home


@pytest.fixture(scope="session")
def api(stack_home: Settings) -> Settings:
    """Settings of an installation whose API answers."""
    control.bring_up(stack_home, ["api"])
    return stack_home
