"""What the demo shows at its end, each count from the system that has the last word on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fink_lib.demo.airflow import Airflow
from fink_lib.errors import ConfigError
from fink_lib.nightly.kafka import KafkaView
from fink_lib.runtime.files import read_json

if TYPE_CHECKING:
    from fink_lib.config import Settings

OPERATOR = "operator"


def airflow_session(settings: Settings) -> Airflow:
    """Log in to the local Airflow as its operator.

    Raises
    ------
    ConfigError
        If Airflow was never started here.
    """
    passwords = read_json(settings.service_dir("airflow") / "passwords.json") or {}
    if OPERATOR not in passwords:
        raise ConfigError("Airflow has no operator yet; run `fink up` first")
    return Airflow(f"http://{settings.airflow.host}:{settings.airflow.port}", OPERATOR, str(passwords[OPERATOR]))


def topic_counts(settings: Settings, survey: str) -> dict[str, int]:
    """Count the committed messages of each output topic of a survey."""
    prefix = settings.streams.substream_prefix
    return KafkaView(settings.kafka).committed(rf"^{prefix}_.*_{survey}$")
