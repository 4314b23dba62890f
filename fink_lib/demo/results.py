"""What the demo shows at its end, each count from the system that has the last word on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fink_lib.nightly.kafka import KafkaView

if TYPE_CHECKING:
    from fink_lib.config import Settings


def topic_counts(settings: Settings, survey: str) -> dict[str, int]:
    """Count the committed messages of each output topic of a survey."""
    prefix = settings.streams.substream_prefix
    return KafkaView(settings.kafka).committed(rf"^{prefix}_.*_{survey}$")
