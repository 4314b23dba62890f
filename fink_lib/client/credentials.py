"""Who reads, as whom, from where: the credentials file that ``fink-client`` and this client share.

``~/.finkclient/<survey>_credentials.yml`` is a YAML mapping of ``survey, username, groupid, servers, maxtimeout,
password`` and ``topics`` (a mapping of names, whose values other programs fill), and of ``api``, which is ours. What
this client does not know it keeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fink_lib.errors import ConfigError

SURVEYS = ("ztf", "lsst")
MAX_TIMEOUT_S = 10.0


@dataclass
class Credentials:
    """What one user needs to read one survey.

    Parameters
    ----------
    survey : str
        ``ztf`` or ``lsst``.
    username : str
        Name at the servers.
    groupid : str
        Group whose place in the topics is remembered.
    servers : str
        Bootstrap servers, ``name:port``, separated by commas.
    maxtimeout : float
        Seconds without an alert after which a poll gives up.
    password : str, optional
        With it, the connection is authenticated (SCRAM-SHA-512).
    topics : dict
        Subscribed topics.
    api : str
        Address of the REST API.
    other : dict
        Entries of the file that this client does not use.
    """

    survey: str
    username: str
    groupid: str
    servers: str
    maxtimeout: float = MAX_TIMEOUT_S
    password: str | None = None
    topics: dict[str, Any] = field(default_factory=dict)
    api: str = ""
    other: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of an :class:`~fink_lib.client.consumer.AlertConsumer`."""
        config = {"bootstrap.servers": self.servers, "group.id": self.groupid}
        if self.username and self.password:
            config |= {"username": self.username, "password": self.password}
        return config

    def entries(self) -> dict[str, Any]:
        """Give what the file holds."""
        known = {
            "survey": self.survey,
            "username": self.username,
            "groupid": self.groupid,
            "servers": self.servers,
            "maxtimeout": self.maxtimeout,
        }
        optional = {"password": self.password, "topics": self.topics, "api": self.api}
        return {**self.other, **known, **{name: value for name, value in optional.items() if value}}

    def subscribe(self, names: Iterable[str]) -> list[str]:
        """Add topics and give those that were not there before."""
        new = [name for name in names if name not in self.topics]
        self.topics |= {name: {} for name in new}
        return new

    def unsubscribe(self, names: Iterable[str]) -> list[str]:
        """Remove topics and give those that were there."""
        return [name for name in names if self.topics.pop(name, None) is not None]


def credentials_path(survey: str) -> Path:
    """Give the file of a survey.

    Raises
    ------
    ConfigError
        If there is no such survey.
    """
    if survey not in SURVEYS:
        raise ConfigError(f"there is no survey {survey!r}; name one of {', '.join(SURVEYS)}")
    return Path.home() / ".finkclient" / f"{survey}_credentials.yml"


def load_credentials(survey: str) -> Credentials:
    """Read the file of a survey.

    Raises
    ------
    ConfigError
        If it is missing, cannot be read, or lacks an entry.
    """
    path = credentials_path(survey)
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"there are no credentials for survey {survey} in {path}; "
            f"run `fink client register --survey {survey}` first"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read ({cause}); run `fink client register` again") from error
    return parse_credentials(entries, str(path))


def parse_credentials(entries: object, place: str) -> Credentials:
    """Check the entries of a file.

    Parameters
    ----------
    entries : object
        What the YAML text holds.
    place : str
        Where it came from, for the message.

    Raises
    ------
    ConfigError
        If an entry is missing or has the wrong form.
    """
    if not isinstance(entries, dict):
        raise ConfigError(f"{place} is not a mapping of entries; run `fink client register` again")
    rest = dict(entries)
    if "groupid" not in rest and "group_id" in rest:  # the older spelling
        rest["groupid"] = rest.pop("group_id")
    missing = [name for name in ("survey", "username", "groupid", "servers") if not rest.get(name)]
    if missing:
        raise ConfigError(f"{place} lacks {', '.join(missing)}; run `fink client register` again")
    topics = rest.pop("topics", None) or {}
    if not isinstance(topics, dict):
        raise ConfigError(f"`topics` in {place} is not a mapping of names; subscribe again")
    timeout_s = rest.pop("maxtimeout", None)
    try:
        maxtimeout = MAX_TIMEOUT_S if timeout_s is None else float(timeout_s)
    except (TypeError, ValueError):
        raise ConfigError(f"`maxtimeout` in {place} is {timeout_s!r}, which is not a number of seconds") from None
    password = rest.pop("password", None)
    text = {name: str(rest.pop(name)) for name in ("survey", "username", "groupid", "servers")}
    return Credentials(
        **text,
        maxtimeout=maxtimeout,
        password=None if password is None else str(password),
        topics={str(name): value for name, value in topics.items()},
        api=str(rest.pop("api", None) or ""),
        other={str(name): value for name, value in rest.items()},
    )


def save_credentials(credentials: Credentials) -> Path:
    """Write the file, for its owner's eyes only, in one step, and give its place.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    path = credentials_path(credentials.survey)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yaml.safe_dump(credentials.entries(), file, sort_keys=False)
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); make room or permit it") from error
    return path
