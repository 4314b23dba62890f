"""How the broker's processes reach Kafka: one place for the connection settings of both client families."""

from __future__ import annotations

from fink_lib.config import KafkaSettings


def client_options(kafka: KafkaSettings) -> dict[str, str]:
    """Give the connection options of a confluent-kafka client."""
    return {"bootstrap.servers": kafka.servers, "client.id": "fink"}


def spark_options(kafka: KafkaSettings) -> dict[str, str]:
    """Give the connection options of Spark's Kafka source.

    The fetch sizes only bound how much is asked for at once; Kafka always hands over at least one whole message.
    """
    return {
        "kafka.bootstrap.servers": kafka.servers,
        "kafka.max.partition.fetch.bytes": str(8 * 1024 * 1024),
        "kafka.fetch.max.bytes": str(64 * 1024 * 1024),
        "fetchOffset.numRetries": "10",
        "fetchOffset.retryIntervalMs": "500",
    }
