"""What is read again only when it is older than it may be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Remembered(Generic[T]):
    """Something that is read again only when it is older than it may be.

    Parameters
    ----------
    read : callable
        Reads it.
    kept_s : float
        How old it may be, in seconds.
    """

    read: Callable[[], T]
    kept_s: float
    _last: tuple[float, T] | None = field(default=None, init=False)
    _reading: threading.Lock = field(default_factory=threading.Lock, init=False)

    def get(self) -> T:
        """Give it."""
        now_s = time.monotonic()
        last = self._last
        if last is not None and now_s - last[0] <= self.kept_s:
            return last[1]
        with self._reading:  # one reads, the others wait for what it finds
            last = self._last
            if last is None or now_s - last[0] > self.kept_s:
                self._last = last = (now_s, self.read())
            return last[1]
