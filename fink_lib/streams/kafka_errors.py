"""What an error of the Kafka client means to the broker: which of its own kinds it is, and what a person does then."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from fink_lib.errors import ConfigError, FinkError, LockedError, TransientError

_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
_REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}


def kafka_error(error: KafkaException) -> KafkaError:
    """Take the client's error out of the exception that carries it."""
    cause = error.args[0]
    if not isinstance(cause, KafkaError):
        raise TypeError(f"a Kafka exception without a Kafka error: {error!r}")
    return cause


def translate(error: KafkaError, doing: str, servers: str) -> FinkError:
    """Give the error as one of the broker's kinds.

    Parameters
    ----------
    error : KafkaError
        What the client said.
    doing : str
        What was being done, as it reads after "while".
    servers : str
        Bootstrap servers, for the message.

    Returns
    -------
    FinkError
        :class:`LockedError` if another producer has taken over, :class:`ConfigError` if a person has to act,
        :class:`TransientError` otherwise.
    """
    code = error.code()
    if code in _FENCED:
        return LockedError(f"another producer with the same transactional id has taken over, seen while {doing}")
    if code in _REFUSED:
        return ConfigError(
            f"Kafka at {servers} refused access while {doing}: {error.str()}; check credentials and ACLs"
        )
    if code in _UNKNOWN_TOPIC:
        return TransientError(f"a topic is gone, seen while {doing}: {error.str()}; the next start makes it again")
    return TransientError(f"Kafka at {servers} failed while {doing}: {error.str()} ({error.name()})")
