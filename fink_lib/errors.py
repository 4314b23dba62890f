"""The three kinds of error the broker knows, and what each one makes the caller do.

* :class:`ConfigError`: a person must change something. Never retried; the message says what to do.
* :class:`TransientError`: a service is away or busy. Retried with backoff.
* :class:`DataError`: one message or row is bad. It is quarantined with its reason, and the batch goes on.

Every exception that is none of these is a fault of the code and ends the process.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOTHING = 3
EXIT_LOCKED = 75


class FinkError(Exception):
    """Base of the errors that the broker raises on purpose."""


class ConfigError(FinkError):
    """Something a person has to change; the message names the next step."""


class TransientError(FinkError):
    """A service is away, busy or slow; the same call may succeed later."""


class LockedError(FinkError):
    """Another live process holds the lock that this one needs (exit code 75)."""


class DataError(FinkError):
    """One message or row cannot be used.

    Parameters
    ----------
    reason : str
        One of the words that the quarantine table allows (``survey`` documentation lists them).
    detail : str
        What was seen, for a person.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
