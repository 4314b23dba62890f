"""One module per survey behind the protocol of :mod:`fink_lib.surveys.base`.

A new survey is a new file here and a line in the table below.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from fink_lib.errors import ConfigError
from fink_lib.surveys.base import BadMessage, DecodedBatch, Survey
from fink_lib.surveys.ztf import Ztf

if TYPE_CHECKING:
    from fink_lib.config import Settings

__all__ = ["BadMessage", "DecodedBatch", "Survey", "get_survey"]

DEFAULT_OVERSIZE_BYTES = 8 * 1024 * 1024

_SURVEYS: dict[str, Callable[[int], Survey]] = {"ztf": Ztf}


def get_survey(name: str, settings: Settings | None = None) -> Survey:
    """Give a survey by its short name.

    Parameters
    ----------
    name : str
        As in topics and folders, ``ztf`` for one.
    settings : Settings, optional
        Gives the size above which a message is quarantined; 8 MiB without.

    Raises
    ------
    ConfigError
        If no survey has that name.
    """
    return _survey(name, settings.kafka.oversize_bytes if settings else DEFAULT_OVERSIZE_BYTES)


@cache  # a survey remembers the schemas it has met, which a worker meets again in its next batch
def _survey(name: str, oversize_bytes: int) -> Survey:
    try:
        make = _SURVEYS[name]
    except KeyError:
        known = ", ".join(sorted(_SURVEYS))
        raise ConfigError(f"no survey is called {name!r}; use one of: {known}") from None
    return make(oversize_bytes)
