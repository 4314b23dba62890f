"""What is read again only when it is older than it may be."""

from __future__ import annotations

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

    def get(self) -> T:
        """Give it."""
        now_s = time.monotonic()
        if self._last is None or now_s - self._last[0] > self.kept_s:
            self._last = (now_s, self.read())
        return self._last[1]
