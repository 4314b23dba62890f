"""PostgreSQL of an installation: made once, killed and there again with what it held, ended without a trace."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError
from fink_lib.runtime import control
from fink_lib.runtime.services.postgres import Postgres, local_uri
from tests.airflow_rest import AirflowRest, eventually
from tests.stack_services import installation, write_home

START_S = 30.0


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A server that is not running yet; whatever runs is ended."""
    write_home(tmp_path)
    service = Postgres(load_settings(tmp_path))
    try:
        yield service
    finally:
        service.stop(0.0)


def start(service: Postgres) -> None:
    """Start it as its keeper does."""
    service.prepare()
    service.spawn()
    deadline = time.monotonic() + START_S
    while not service.ready(0.0):
        assert time.monotonic() < deadline, service.last_words()
        time.sleep(0.1)


def ask(settings: Settings, query: str) -> object:
    """Ask the server something, as Airflow's user."""
    connection = psycopg2.connect(local_uri(settings).replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor:
        cursor.execute(query)
        answer = cursor.fetchone() if cursor.description else None
    connection.close()
    return answer


def test_a_killed_server_comes_back_with_what_was_committed(postgres: Postgres) -> None:
    start(postgres)
    ask(postgres.settings, "create table kept as select 42 as number")
    record = postgres.record()
    assert record is not None
    os.kill(record.process.pid, signal.SIGKILL)
    record.process.wait_gone(10.0)
    start(postgres)
    assert ask(postgres.settings, "select number from kept") == (42,)
    postgres.stop()
    assert not postgres.alive()


def test_a_making_that_was_cut_short_begins_again(postgres: Postgres) -> None:
    (postgres.data / "base").mkdir(parents=True)
    (postgres.data / "PG_VERSION").write_text("16")
    start(postgres)
    assert ask(postgres.settings, "select 1") == (1,)


def test_nobody_comes_in_without_the_password(postgres: Postgres) -> None:
    start(postgres)
    place = f"host=127.0.0.1 port={postgres.settings.airflow.database_port} dbname=postgres user=airflow"
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(f"{place} password=guess")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_airflow_works_on_it_and_survives_its_death(tmp_path: Path) -> None:
    with installation(tmp_path / "home") as settings:
        control.choose_database(settings, "postgresql")
        settings = load_settings(settings.home)
        control.bring_up(settings, ["airflow"], lambda line: None)
        rest = AirflowRest(settings)
        eventually("the DAGs are parsed", lambda: "ops_notify" in rest.dags())
        assert ask(settings, "select count(*) > 0 from dag") == (True,)
        with pytest.raises(ConfigError, match="fink down airflow"):
            control.choose_database(settings, "sqlite")
        record = Postgres(settings).record()
        assert record is not None
        os.kill(record.process.pid, signal.SIGKILL)
        control.bring_up(settings, ["airflow"], lambda line: None)
        eventually("Airflow is well again", rest.health)
