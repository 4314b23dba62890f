"""The arguments of Fink's own simulator, and its configuration file, as options of ``fink simulate``.

Whoever uses one of them gets Fink's defaults too: three alerts in each observation, three observations. What stands on
the command line wins over the file.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fink_lib.errors import ConfigError

CONFIG = "-c"
ALIASES = {
    "-servers": "--servers",
    "-topic": "--topic",
    "-datasimpath": "--data",
    "-tinterval_kafka": "--interval",
    "-nalerts_per_obs": "--per-visit",
    "-nobservations": "--visits",
    "-to_display": "--display",
    "-external_schema": "--schema",
    "-npartitions": "--partitions",
}
"""By Fink's name."""

NAMES = {
    "KAFKA_IPPORT_SIM": "--servers",
    "KAFKA_IPPORT": "--servers",  # of a real cluster; it wins where it is set
    "KAFKA_TOPIC_SIM": "--topic",
    "KAFKA_TOPIC": "--topic",
    "FINK_DATA_SIM": "--data",
    "TIME_INTERVAL": "--interval",
    "NALERTS_PER_OBS": "--per-visit",
    "NOBSERVATIONS": "--visits",
    "DISPLAY_FIELD": "--display",
    "EXTERNAL_SCHEMA": "--schema",
    "NPARTITIONS": "--partitions",
}
"""By the names of the file; a later one wins over an earlier one, an empty value is none."""

DEFAULTS = {"--per-visit": "3", "--visits": "3"}
NOTHING = "None"
"""What Fink writes for no field to show, and for no schema."""

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def from_fink(arguments: Sequence[str]) -> list[str]:
    """Translate arguments; those that Fink does not have stay as they are.

    Raises
    ------
    ConfigError
        If an argument lacks its value, or the file cannot be read.
    """
    own: list[str] = []
    given: dict[str, str] = {}
    file: Path | None = None
    left = list(arguments)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            own += [word, *left]
            break
        if name != CONFIG and name not in ALIASES:
            own.append(word)
            continue
        if not equals:
            if not left:
                raise ConfigError(f"{name} needs a value")
            value = left.pop(0)
        if name == CONFIG:
            file = Path(value)
        else:
            given[ALIASES[name]] = value
    if not given and file is None:
        return own
    typed = {word.partition("=")[0] for word in own}
    # A synthetic night is data too.
    typed |= {"--data"} if "--synthetic" in typed else set()
    options = {**DEFAULTS, **(read_config(file) if file is not None else {}), **given}
    return [*_words(options, typed), *own]


def read_config(path: Path) -> dict[str, str]:
    """Read the options that a configuration file of Fink's simulator sets.

    Parameters
    ----------
    path : Path
        Assignments as a shell has them: quotes, comments, ``$NAME`` and ``${NAME}`` of the file or the environment.

    Raises
    ------
    ConfigError
        If it cannot be read, or a line is no assignment.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    values: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
        words = [word for word in words if word != "export"]
        if not words:
            continue
        found = _ASSIGNMENT.fullmatch(words[0])
        if found is None or len(words) > 1:
            raise ConfigError(f"{path}:{number}: a line is NAME=value, not {line.strip()!r}")
        values[found[1]] = _expanded(found[2], {**os.environ, **values})
    return {option: values[name] for name, option in NAMES.items() if values.get(name)}


def _expanded(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)


def _words(options: Mapping[str, str], typed: Iterable[str]) -> list[str]:
    """Write options that are not typed."""
    known = set(typed)
    return [
        word
        for option, value in options.items()
        if option not in known and value != NOTHING
        for word in (option, value)
    ]
