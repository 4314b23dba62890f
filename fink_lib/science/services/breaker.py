"""A circuit breaker: a service that keeps failing is left alone for a while, so that nobody waits for it.

Closed, every call is let through. After a number of failures in a row it opens and none is, until a pause is over; then
one call is let through as a probe. If that one succeeds the breaker closes, else the next pause is twice as long.
"""

from __future__ import annotations

import threading

LONGEST_PAUSES = 16
"""The longest pause, in units of the first one."""


class Breaker:
    """Counts outcomes and says whether a call may be made; it asks no clock and may be used by several threads.

    Parameters
    ----------
    failures : int
        Failures in a row that open it.
    pause_s : float
        How long it stays open the first time.
    """

    def __init__(self, failures: int, pause_s: float) -> None:
        self._limit = failures
        self._first_pause_s = pause_s
        self._pause_s = pause_s
        self._failures = 0
        self._opened_s: float | None = None
        self._probing = False
        self._lock = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether every call is let through."""
        return self._opened_s is None

    def admits(self, now_s: float) -> bool:
        """Tell whether a call may be made now; one that is admitted has to report how it ended.

        Parameters
        ----------
        now_s : float
            The present time; of whatever clock, as long as it is always the same one.
        """
        with self._lock:
            if self._rests(now_s):
                return False
            self._probing = self._opened_s is not None
            return True

    def rests(self, now_s: float) -> bool:
        """Tell whether no call would be let through now; unlike :meth:`admits` this claims nothing."""
        with self._lock:
            return self._rests(now_s)

    def _rests(self, now_s: float) -> bool:
        if self._opened_s is None:
            return False
        # A clock that was set back must not keep the breaker open.
        return self._probing or self._opened_s <= now_s < self._opened_s + self._pause_s

    def succeeded(self) -> None:
        """Report that an admitted call was answered."""
        with self._lock:
            self._failures = 0
            self._opened_s = None
            self._probing = False
            self._pause_s = self._first_pause_s

    def failed(self, now_s: float) -> bool:
        """Report that an admitted call failed, or took too long.

        Returns
        -------
        bool
            Whether this has opened the breaker.
        """
        with self._lock:
            if self._opened_s is not None:
                if self._probing:
                    self._probing = False
                    self._opened_s = now_s
                    self._pause_s = min(2 * self._pause_s, LONGEST_PAUSES * self._first_pause_s)
                return False
            self._failures += 1
            if self._failures < self._limit:
                return False
            self._failures = 0
            self._opened_s = now_s
            return True
