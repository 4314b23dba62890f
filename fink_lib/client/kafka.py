"""Connection to a Kafka that may be ours or Fink's: options, and what an error means to its user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicCollection
from confluent_kafka.admin import AdminClient

from fink_lib.errors import ConfigError, FinkError, TransientError

ANSWER_S = 10.0
"""How long a question to the servers (topics, offsets) may take."""
_CONNECTION = ("bootstrap.servers", "client.id", "log_level", "security.", "sasl.", "ssl.")
DEFAULT_SERVERS = "localhost:9093,localhost:9094,localhost:9095"
_NAMES = ("username", "password", "group_id", "group.id")
_REFUSED = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}
_FORBIDDEN = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}
_UNKNOWN = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_GONE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}


def kafka_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the configuration of a client into options of librdkafka.

    Parameters
    ----------
    config : mapping
        ``group.id`` or ``group_id``; ``bootstrap.servers``; ``username`` and ``password`` together switch SASL on
        (SCRAM-SHA-512, without encryption unless ``security.protocol`` says otherwise); the rest is handed through.

    Raises
    ------
    ConfigError
        If no group is given.
    """
    group = config.get("group.id") or config.get("group_id")
    if not group:
        raise ConfigError("the configuration has no `group.id`; choose a name, under which your place is remembered")
    options: dict[str, Any] = {
        "bootstrap.servers": DEFAULT_SERVERS,
        "client.id": "fink-client",
        "auto.offset.reset": "earliest",
        "log_level": 2,  # what goes wrong is said by errors, once
        "isolation.level": "read_committed",
        # a reader that was killed leaves its partitions to the next one after this time
        "session.timeout.ms": 10_000,
        # what is committed in the background is what the caller is done with, never what was only fetched
        "enable.auto.commit": True,
        "enable.auto.offset.store": False,
    }
    if config.get("username") and config.get("password"):
        options |= {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": config["username"],
            "sasl.password": config["password"],
        }
    return {**options, **{name: value for name, value in config.items() if name not in _NAMES}, "group.id": group}


def topic_identity(options: Mapping[str, Any], topic: str) -> str:
    """Give what tells a topic from a later one of the same name: the ids of the cluster and of the topic.

    Raises
    ------
    ConfigError, TransientError
        If the topic is not there, or the servers do not answer.
    """
    admin = AdminClient({name: value for name, value in options.items() if name.startswith(_CONNECTION)})
    try:
        cluster = admin.list_topics(timeout=ANSWER_S).cluster_id
        (future,) = admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_S).values()
        return f"{cluster}/{future.result().topic_id}"
    except KafkaException as error:
        raise explain(error.args[0], str(options["bootstrap.servers"])) from error


def place_of(message: Message) -> tuple[str, int, int]:
    """Give topic, partition and offset of a message that was received."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None
    return topic, partition, offset


def is_refusal(error: KafkaError) -> bool:
    """Tell whether the servers refused who asks; trying again would not help."""
    return error.code() in _REFUSED


def explain(error: KafkaError, servers: str) -> FinkError:
    """Say what an error of the Kafka client means to its user.

    Returns
    -------
    FinkError
        :class:`ConfigError` if the user has to act, :class:`TransientError` otherwise.
    """
    code, said = error.code(), error.str()
    if code in _REFUSED:
        return ConfigError(
            f"Kafka at {servers} refused user name and password ({said}); correct them with `fink client register`"
        )
    if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
        return ConfigError(
            f"Kafka at {servers} does not let you read under this group ({said}); take one that is called as your user "
            "name, or begins with it and a hyphen (`fink client register --groupid …`)"
        )
    if code in _FORBIDDEN:
        return ConfigError(f"Kafka at {servers} does not let you read this ({said}); ask its operator for access")
    if code in _UNKNOWN:
        return ConfigError(f"there is no such topic at {servers} ({said}); `fink client topics` lists them")
    if code in _GONE:
        return ConfigError(
            f"the place that was read last is no longer in the topic ({said}); begin with `--from earliest`"
        )
    return TransientError(
        f"Kafka at {servers} failed ({said}); check that it runs and that this is its address, or try again"
    )
