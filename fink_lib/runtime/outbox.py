"""The outbox: what leaves the system for people, kept until each channel has taken it, and told once.

A message is a file ``outbox/messages/<digest of its incident>.json``. It is there before anything is sent, so a process
that dies in between leaves it to the next delivery. A channel that has taken it is noted in the file. Between a
channel's yes and that note a kill can make the message come again; it then bears the same id, by which mail servers and
webhooks know it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from fink_lib.errors import TransientError
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.lock import FileLock

LOCK_S = 30.0


@dataclass(frozen=True)
class Message:
    """Something that a person should know.

    Parameters
    ----------
    incident : str
        What it is about; the same trouble has the same name, however often it is met.
    subject : str
        One line.
    text : str
        What happened.
    next_step : str
        What to press or to read.
    link : str
        Where to look.
    created_s : float
        Unix seconds.
    met : int
        How often the trouble was met since it was told.
    taken_by : dict
        Channel to the time (Unix seconds) at which it took the message.
    troubles : dict
        Channel to the last reason why it did not.
    """

    incident: str
    subject: str
    text: str
    next_step: str = ""
    link: str = ""
    created_s: float = field(default_factory=time.time)
    met: int = 1
    taken_by: dict[str, float] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of this message, the same at each attempt to deliver it."""
        return f"{_digest(self.incident)}-{int(self.created_s)}"

    @property
    def body(self) -> str:
        """The text with the next step and the link."""
        parts = [self.text, f"Next: {self.next_step}" if self.next_step else "", self.link]
        return "\n\n".join(part for part in parts if part)


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """What it is called, in settings and in the outbox."""

    def send(self, message: Message) -> None:
        """Hand a message over; raises TransientError if that fails."""


class Outbox:
    """The messages of one installation.

    Parameters
    ----------
    home : Path
        The installation.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "outbox" / "messages"

    def put(self, message: Message, quiet_s: float) -> bool:
        """Keep a message for delivery, unless its incident was told a short while ago.

        Parameters
        ----------
        message : Message
            What to tell.
        quiet_s : float
            How long the same incident is not told again, seconds.

        Returns
        -------
        bool
            False if the incident is known; it is counted.
        """
        with self._lock():
            known = self._read(self._path(message.incident))
            if known is not None and message.created_s - known.created_s < quiet_s:
                self._write(replace(known, met=known.met + 1))
                return False
            self._write(message)
        return True

    def messages(self) -> Iterator[Message]:
        """Give all messages, oldest first."""
        found = (self._read(path) for path in self._folder.glob("*.json"))
        yield from sorted((one for one in found if one is not None), key=lambda one: one.created_s)

    def deliver(self, channels: Mapping[str, Channel]) -> int:
        """Hand over what a channel has not taken yet.

        Returns
        -------
        int
            How many messages a channel has taken now.

        Raises
        ------
        TransientError
            If a channel refused; all others got theirs, and the rest waits for the next delivery.
        """
        taken, refused = 0, []
        with self._lock():
            for message in self.messages():
                for name, channel in channels.items():
                    if name in message.taken_by:
                        continue
                    try:
                        channel.send(message)
                    except TransientError as error:
                        refused.append(f"{name}: {error}")
                        message = replace(message, troubles={**message.troubles, name: str(error)})
                    else:
                        taken += 1
                        message = replace(message, taken_by={**message.taken_by, name: time.time()})
                    self._write(message)
        if refused:
            raise TransientError(f"{len(refused)} message(s) wait; {refused[0]}")
        return taken

    def forget(self, older_than_s: float) -> int:
        """Remove messages that were told and are old; gives their number.

        Parameters
        ----------
        older_than_s : float
            Age, seconds.
        """
        now, gone = time.time(), 0
        with self._lock():
            for message in self.messages():
                if message.taken_by and now - message.created_s > older_than_s:
                    self._path(message.incident).unlink()
                    gone += 1
        return gone

    def _lock(self) -> FileLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self._folder.parent / "messages.lock", LOCK_S)

    def _path(self, incident: str) -> Path:
        return self._folder / f"{_digest(incident)}.json"

    def _write(self, message: Message) -> None:
        write_json(self._path(message.incident), asdict(message))

    @staticmethod
    def _read(path: Path) -> Message | None:
        told: dict[str, Any] | None = read_json(path)
        return None if told is None else Message(**told)


def _digest(incident: str) -> str:
    return hashlib.sha256(incident.encode()).hexdigest()[:24]
