"""Whether each part of the installation is there, and when it last gave a sign of life.

A service is asked in its own protocol; a stream is seen through its heartbeat. Each question has its own time limit
and all are asked at once, so that one part that hangs does not hide the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import happybase
import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from thriftpy2.thrift import TException

from fink_lib.config import Settings
from fink_lib.errors import FinkError
from fink_lib.lake import open_lake
from fink_lib.runtime.launcher import Seen, observe

TIMEOUT_S = 2.0
STAGES = ("stream2raw", "raw2science", "distribution")
SERVICES = ("kafka", "hbase", "airflow", "lake")
API_NEEDS = ("hbase", "lake")
"""What the API itself needs to answer every question."""

UP = "up"
DOWN = "down"
GOOD = frozenset({UP, Seen.RUNNING.value, Seen.STARTING.value, Seen.DRAINING.value, Seen.DRAINED.value})


@dataclass
class Probes:
    """Asks every part of one installation.

    Parameters
    ----------
    settings : Settings
        The installation.
    """

    settings: Settings
    _answered_s: dict[str, float] = field(default_factory=dict, init=False)

    def ask(self, names: Collection[str]) -> dict[str, dict[str, Any]]:
        """Ask some parts at once.

        Parameters
        ----------
        names : collection of str
            Of :attr:`names`.

        Returns
        -------
        dict
            For each part: ``state``; ``age_s``, seconds since it last gave a sign of life (null: never seen);
            ``detail`` for a person; for a stream also ``lag`` (rows) and ``rows_s``.
        """
        with ThreadPoolExecutor(len(names)) as threads:
            return dict(zip(names, threads.map(lambda name: self._questions[name](), names), strict=True))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every part that can be asked."""
        return tuple(self._questions)

    @cached_property
    def _questions(self) -> Mapping[str, Callable[[], dict[str, Any]]]:
        ask = {"kafka": self._kafka, "hbase": self._hbase, "airflow": self._airflow, "lake": self._lake}
        services = {name: partial(self._service, name, question) for name, question in ask.items()}
        streams = {
            f"{survey}.{stage}": partial(self._stream, survey, stage)
            for survey in self.settings.surveys
            for stage in STAGES
        }
        return {**services, **streams}

    def _service(self, name: str, question: Callable[[], str]) -> dict[str, Any]:
        try:
            detail, state = question(), UP
            self._answered_s[name] = time.monotonic()
        except (OSError, FinkError, KafkaException, TException, httpx.HTTPError) as error:
            detail, state = f"{type(error).__name__}: {error}"[:300], DOWN
        last = self._answered_s.get(name)
        age_s = None if last is None else round(time.monotonic() - last, 1)
        return {"state": state, "age_s": age_s, "detail": detail}

    def _kafka(self) -> str:
        brokers = self._kafka_admin.list_topics(timeout=TIMEOUT_S).brokers
        return f"{len(brokers)} broker(s) at {self.settings.kafka.servers}"

    @cached_property
    def _kafka_admin(self) -> AdminClient:
        # log_level 0: a broker that is away is an answer here, not news for the log
        return AdminClient({"bootstrap.servers": self.settings.kafka.servers, "log_level": 0})

    def _hbase(self) -> str:
        hbase = self.settings.hbase
        connection = happybase.Connection(hbase.thrift_host, hbase.thrift_port, timeout=int(TIMEOUT_S * 1000))
        try:
            return f"{len(connection.tables())} table(s) at {hbase.thrift_host}:{hbase.thrift_port}"
        finally:
            connection.close()

    def _airflow(self) -> str:
        airflow = self.settings.airflow
        url = f"http://{airflow.host}:{airflow.port}/api/v2/monitor/health"
        parts = httpx.get(url, timeout=TIMEOUT_S).raise_for_status().json()
        return ", ".join(f"{name} {part.get('status') or 'absent'}" for name, part in parts.items())

    def _lake(self) -> str:
        lake = open_lake(self.settings, self.settings.surveys[0])
        return f"table science at version {lake.table('science').version()}"

    def _stream(self, survey: str, stage: str) -> dict[str, Any]:
        seen = observe(self.settings, survey, stage)
        beat = seen.heartbeat
        return {
            "state": seen.state.value,
            "age_s": None if seen.identity is None else round(seen.age_s, 1),
            "detail": beat.error if beat else "",
            "lag": beat.lag if beat else None,
            "rows_s": round(beat.rows_s, 1) if beat else None,
        }


def healthy(states: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether every part is as it should be; a stream that nobody has started yet is no fault."""
    return all(part["state"] in GOOD or part["state"] == Seen.ABSENT.value for part in states.values())
