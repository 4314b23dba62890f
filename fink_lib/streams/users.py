"""Who reads at the broker's listener for users: names with passwords, and what each of them may see.

A user has a password (SCRAM-SHA-512, of which Kafka keeps a salted hash) and rules (ACLs). What no rule allows is
forbidden, and a topic that is forbidden is not even listed. So input topics, Kafka's own and those of the commit
markers stay hidden.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from fink_lib.client.credentials import SURVEYS
from fink_lib.config import KafkaSettings, Settings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.streams.kafka import client_options
from fink_lib.streams.kafka_errors import kafka_error, translate
from fink_lib.streams.topics import marker_topic

OUTPUT_PREFIXES = ("fink_", "ftest_", "ftransfer_", "fxmatch_")
"""How topics begin that users may read."""
ANSWER_S = 10.0
SETTLED_S = 10.0
POLL_S = 0.1
ITERATIONS = 8192
"""Rounds of the password's hash; Kafka takes 4096 to 16384."""
LEAST_CHARACTERS = 8

# The hyphen is kept for groups: `ann-laptop` is a group of ann, and cannot be the name of somebody else.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]{0,63}")
_TOPICS = re.compile(r"[A-Za-z0-9._-]+\*?")
# Whoever comes without a password has this name, and at the broker's own listener all rights.
_NOBODY = "anonymous"


@dataclass(frozen=True)
class User:
    """Somebody who may read.

    Attributes
    ----------
    name : str
        As it is given with the password.
    topics : tuple of str
        Names, and beginnings of names with ``*`` behind.
    password : bool
        Whether there is one; without, an earlier command was interrupted.
    """

    name: str
    topics: tuple[str, ...]
    password: bool


def check_name(name: str) -> str:
    """Give the name of a user if it can be one.

    Raises
    ------
    ConfigError
        If it cannot.
    """
    if not _NAME.fullmatch(name) or name.lower() == _NOBODY:
        raise ConfigError(
            f"{name!r} cannot be the name of a user; take up to 64 letters, digits, dots and underscores, "
            "a letter or digit first"
        )
    return name


def check_password(password: str) -> str:
    """Give a password if every client spells it the same way.

    Raises
    ------
    ConfigError
        If it is short, or holds anything but printable ASCII characters.
    """
    if len(password) < LEAST_CHARACTERS or not (password.isascii() and password.isprintable()):
        raise ConfigError(
            f"the password must have at least {LEAST_CHARACTERS} characters, all printable ASCII; choose another, "
            "or let one be made"
        )
    return password


def readable_topics(settings: Settings, asked: Iterable[str] = ()) -> tuple[str, ...]:
    """Give the topics that a user is to read, all output topics if none are asked for.

    Parameters
    ----------
    settings : Settings
        Knows how the names of output topics begin here.
    asked : iterable of str
        Names, or beginnings of names with ``*`` behind.

    Raises
    ------
    ConfigError
        If one of them is no output topic.
    """
    own = f"{settings.streams.substream_prefix}_"
    prefixes = OUTPUT_PREFIXES if own in OUTPUT_PREFIXES or own.startswith("_") else (*OUTPUT_PREFIXES, own)
    wanted = sorted(set(asked)) or [f"{prefix}*" for prefix in prefixes]
    for name in wanted:
        if not _TOPICS.fullmatch(name) or not name.startswith(prefixes):
            raise ConfigError(
                f"{name!r} is no output topic, and users read no others; name a topic, or the beginning of names with "
                f"a * behind, that begins with {', '.join(prefixes)}"
            )
    return tuple(wanted)


def rules(name: str, topics: Iterable[str], hidden: Iterable[str]) -> frozenset[AclBinding]:
    """Give the rules of one user.

    Parameters
    ----------
    name : str
        The user.
    topics : iterable of str
        What may be read: as :func:`readable_topics` gives it. Whatever may be read may be listed.
    hidden : iterable of str
        Topics that are neither read nor listed although they begin like these.

    Returns
    -------
    frozenset
        Also those of the groups: the one that is called as the user, and all that begin so with a hyphen behind.
    """

    def rule(kind: ResourceType, resource: str, operation: AclOperation, allowed: bool = True) -> AclBinding:
        pattern = ResourcePatternType.PREFIXED if resource.endswith("*") else ResourcePatternType.LITERAL
        permission = AclPermissionType.ALLOW if allowed else AclPermissionType.DENY
        return AclBinding(kind, resource.removesuffix("*"), pattern, f"User:{name}", "*", operation, permission)

    return frozenset(
        [
            *(rule(ResourceType.TOPIC, topic, AclOperation.READ) for topic in topics),
            *(rule(ResourceType.TOPIC, topic, AclOperation.ALL, allowed=False) for topic in hidden),
            *(rule(ResourceType.GROUP, group, AclOperation.READ) for group in (name, f"{name}-*")),
        ]
    )


def topics_in(bindings: Iterable[AclBinding]) -> tuple[str, ...]:
    """Give the topics that rules let a user read, as :func:`readable_topics` spells them."""
    return tuple(
        sorted(
            one.name + ("*" if one.resource_pattern_type == ResourcePatternType.PREFIXED else "")
            for one in bindings
            if one.restype == ResourceType.TOPIC and one.permission_type == AclPermissionType.ALLOW
        )
    )


def list_users(kafka: KafkaSettings) -> list[User]:
    """Give all users, by name.

    Raises
    ------
    ConfigError, TransientError
        If the broker has no listener for users, or does not answer.
    """
    with _broker(kafka, "looking for users") as admin:
        with_password = _with_password(admin)
        found: dict[str, list[AclBinding]] = {name: [] for name in with_password}
        for one in _rules(admin):
            kind, _, name = one.principal.partition(":")
            if kind == "User" and name != "*":
                found.setdefault(name, []).append(one)
    return [User(name, topics_in(found[name]), name in with_password) for name in sorted(found)]


def add_user(settings: Settings, name: str, topics: Sequence[str], password: str, replace: bool = False) -> User:
    """Let somebody read; return when the broker knows it.

    A call that was interrupted is completed by the same call.

    Parameters
    ----------
    settings : Settings
        Where the broker is.
    name, password : str
        The user.
    topics : sequence of str
        As :func:`readable_topics` gives them.
    replace : bool
        Give a user who is there already another password and these topics.

    Raises
    ------
    ConfigError
        If there is no listener for users, or there is such a user already.
    TransientError
        If the broker does not answer.
    """
    kafka = settings.kafka
    surveys = sorted({*SURVEYS, *settings.surveys})
    wanted = rules(check_name(name), topics, [marker_topic(survey) for survey in surveys])
    with _broker(kafka, f"adding user {name}") as admin:
        if name in _with_password(admin) and not replace:
            raise ConfigError(
                f"there is a user {name} already; --replace gives another password and other topics in place of the "
                f"present ones, `fink user remove {name}` takes everything"
            )
        before = _rules(admin, name)
        _create(admin, wanted - before)
        _delete(admin, before - wanted)
        # Last: whoever has a password has the right rules.
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        _alter(admin, UserScramCredentialUpsertion(name, credential, check_password(password).encode()))
        _wait(kafka, lambda: name in _with_password(admin) and _rules(admin, name) == wanted)
    return User(name, tuple(topics), True)


def remove_user(kafka: KafkaSettings, name: str) -> None:
    """Let somebody read no more; what is connected is refused too.

    Raises
    ------
    ConfigError
        If there is no such user, or no listener for users.
    TransientError
        If the broker does not answer.
    """
    with _broker(kafka, f"removing user {name}") as admin:
        before, known = _rules(admin, name), name in _with_password(admin)
        if not before and not known:
            raise ConfigError(f"there is no user {name}; `fink user list` shows those that there are")
        if known:
            _alter(admin, UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_512))
        _delete(admin, before)
        _wait(kafka, lambda: name not in _with_password(admin) and not _rules(admin, name))


# -- one request each --------------------------------------------------------------------------------------------------


@contextmanager
def _broker(kafka: KafkaSettings, doing: str) -> Iterator[AdminClient]:
    if not kafka.users_server:
        raise ConfigError(_no_listener(kafka))
    try:
        yield AdminClient({**client_options(kafka), "log_level": 2})  # what goes wrong is said by errors, once
    except KafkaException as error:
        cause = kafka_error(error)
        if cause.code() == KafkaError.SECURITY_DISABLED:
            raise ConfigError(_no_listener(kafka)) from error
        raise translate(cause, doing, kafka.servers) from error


def _no_listener(kafka: KafkaSettings) -> str:
    restart = "start the broker anew (`fink down kafka`, `fink up kafka`)"
    if kafka.users_server:
        return f"Kafka at {kafka.servers} was started without a listener for users; {restart}"
    return f"Kafka has no listener for users; set sasl_port in section [kafka] of fink.toml and {restart}"


def _with_password(admin: AdminClient) -> set[str]:
    asked: Any = admin.describe_user_scram_credentials(request_timeout=ANSWER_S)
    return set(asked.result())


def _rules(admin: AdminClient, name: str | None = None) -> frozenset[AclBinding]:
    anything: Any = None
    wanted = AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything if name is None else f"User:{name}",
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    return frozenset(admin.describe_acls(wanted, request_timeout=ANSWER_S).result())


def _create(admin: AdminClient, bindings: Iterable[AclBinding]) -> None:
    if missing := list(bindings):
        for future in admin.create_acls(missing, request_timeout=ANSWER_S).values():
            future.result()


def _delete(admin: AdminClient, bindings: Iterable[AclBinding]) -> None:
    surplus = [
        AclBindingFilter(
            one.restype,
            one.name,
            one.resource_pattern_type,
            one.principal,
            one.host,
            one.operation,
            one.permission_type,
        )
        for one in bindings
    ]
    if surplus:
        for future in admin.delete_acls(surplus, request_timeout=ANSWER_S).values():
            future.result()


def _alter(admin: AdminClient, change: UserScramCredentialUpsertion | UserScramCredentialDeletion) -> None:
    for future in admin.alter_user_scram_credentials([change], request_timeout=ANSWER_S).values():
        future.result()


def _wait(kafka: KafkaSettings, known: Callable[[], bool]) -> None:
    """Wait until the broker goes by a change, which it writes down a moment before."""
    deadline = time.monotonic() + SETTLED_S
    while not known():
        if time.monotonic() > deadline:
            raise TransientError(f"Kafka at {kafka.servers} does not go by the change yet; look at `fink user list`")
        time.sleep(POLL_S)
