"""The local services: real Kafka, HBase, Airflow and the API as processes on loopback.

Each is one :class:`Service`. Where the settings name servers elsewhere, the local one is not part of the default set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fink_lib.errors import ConfigError
from fink_lib.runtime.services.airflow import AirflowApiServer, AirflowDagProcessor, AirflowScheduler, AirflowTriggerer
from fink_lib.runtime.services.api import Api
from fink_lib.runtime.services.base import Service
from fink_lib.runtime.services.hbase import HBase, Thrift
from fink_lib.runtime.services.kafka import Kafka
from fink_lib.runtime.services.postgres import Postgres, is_local

if TYPE_CHECKING:
    from fink_lib.config import Settings

__all__ = ["SERVICES", "Service", "build", "default_names", "expand", "group_names", "with_database"]

# In the order of their start; they end in the opposite order.
SERVICES: tuple[type[Service], ...] = (
    Kafka,
    HBase,
    Thrift,
    Postgres,
    AirflowApiServer,
    AirflowScheduler,
    AirflowDagProcessor,
    AirflowTriggerer,
    Api,
)
_BY_NAME = {service.name: service for service in SERVICES}
_LOOPBACK = ("127.0.0.1", "localhost")


def build(settings: Settings, name: str) -> Service:
    """The service of that name in an installation."""
    return _BY_NAME[name](settings)


def group_names() -> list[str]:
    """The words a person may use for whole sets."""
    return list(dict.fromkeys(service.group for service in SERVICES))


def default_names(settings: Settings) -> list[str]:
    """Services that this installation runs itself: all but those that its settings place elsewhere."""
    elsewhere = {"postgres"}  # it comes with Airflow, if it is wanted at all
    if settings.kafka.bootstrap_servers:
        elsewhere.add("kafka")
    if settings.hbase.thrift_host not in _LOOPBACK:
        elsewhere.add("hbase")
    return with_database(settings, [service.name for service in SERVICES if service.group not in elsewhere])


def with_database(settings: Settings, names: Iterable[str]) -> list[str]:
    """Add the PostgreSQL server to services that need it here, and leave it out where nobody does."""
    given = set(names) - {"postgres"}
    if is_local(settings) and any(_BY_NAME[name].group == "airflow" for name in given):
        given.add("postgres")
    return [service.name for service in SERVICES if service.name in given]


def expand(words: Iterable[str]) -> list[str]:
    """Turn names of services and sets into names of services, with all that they need, in the order of their start.

    Raises
    ------
    ConfigError
        If a word is neither.
    """
    wanted: set[str] = set()
    for word in words:
        names = [service.name for service in SERVICES if word in (service.group, service.name)]
        if not names:
            raise ConfigError(f"there is no service {word}; choose from {', '.join(group_names())}")
        wanted.update(names)
    for service in reversed(SERVICES):
        if service.name in wanted:
            wanted.update(service.needs)
    return [service.name for service in SERVICES if service.name in wanted]
