"""A filter is a file: a header in SQL comments, then one predicate.

::

    -- topic: fink_sso_ztf_candidates_ztf
    -- title: Known Solar System objects
    -- description: Alerts within 5 arcsec of a known asteroid or comet,
    --   after the cuts of module roid.
    -- author: A. Person
    -- contact: contact@example.org
    -- version: 1
    -- references: none
    -- kinds: live
    roid = 3
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fink_lib.config import project_root
from fink_lib.filters.check import FilterError, Predicate, check_predicate
from fink_lib.filters.plan import FilterSet

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey

HEADER_KEYS = ("topic", "title", "description", "author", "contact", "version", "references", "kinds")
KINDS = ("live", "night")
"""Where a filter runs: in the stream, or once over a closed night."""

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,80}$")
_VERSION = re.compile(r"^[0-9]+(\.[0-9]+){0,2}$")
_ENTRY = re.compile(r"^--\s?(\w+):\s*(.*)$")
_CONTINUATION = re.compile(r"^--\s{2,}(\S.*)$")


@dataclass(frozen=True)
class Filter:
    """One filter of one survey.

    Parameters
    ----------
    name : str
        Name of the file, as in the topic and in table ``sent``.
    survey : str
        Whose alerts it reads.
    header : dict
        The entries of :data:`HEADER_KEYS`.
    text : str
        The file.
    predicate : Predicate
        What was checked and is run.
    """

    name: str
    survey: str
    header: dict[str, str] = field(hash=False)
    text: str = field(repr=False)
    predicate: Predicate

    @property
    def version(self) -> str:
        """Version that its author gives it, on each message."""
        return self.header["version"]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Where it runs."""
        return tuple(kind.strip() for kind in self.header["kinds"].split(","))

    @property
    def digest(self) -> str:
        """SHA-256 over name, version and the predicate as it is run; comments and layout do not count."""
        return hashlib.sha256(f"{self.name}\n{self.version}\n{self.predicate.sql}".encode()).hexdigest()

    def topic(self, prefix: str) -> str:
        """Name of the topic under a prefix (``fink``, or ``ftest`` for a replay)."""
        return f"{prefix}_{self.name}_{self.survey}"


def filter_folder(survey_name: str) -> Path:
    """Folder of the filters that come with the broker."""
    return project_root() / "sql" / "filters" / survey_name


def documented_columns(survey: Survey) -> pa.Schema:
    """Give the columns that a predicate may name: the alert's and the broker's, not those of its transport."""
    return pa.schema([*survey.alert_schema, *survey.fink_schema])


def load_filters(survey: Survey, kinds: Iterable[str] = ("live",), folder: Path | None = None) -> FilterSet:
    """Read and check every filter of a survey.

    Parameters
    ----------
    survey : Survey
        Gives the columns.
    kinds : iterable of str
        Which of :data:`KINDS` to take.
    folder : Path, optional
        Where the files are; ``sql/filters/<survey>`` if not given.

    Returns
    -------
    FilterSet
        In the order of names.

    Raises
    ------
    FilterError
        If one of the files may not run: a set with a hole in it would lose alerts in silence.
    """
    wanted = set(kinds)
    files = sorted((folder or filter_folder(survey.name)).glob("*.sql"))
    filters = [read_filter(file, survey) for file in files]
    return FilterSet(tuple(f for f in filters if wanted & set(f.kinds)))


def read_filter(file: Path, survey: Survey) -> Filter:
    """Read and check one file.

    Raises
    ------
    FilterError
        With file, line and column of what is wrong.
    """
    source = str(file)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FilterError(f"the file cannot be read: {error}", source=source) from error
    if not _NAME.match(file.stem):
        raise FilterError(
            f"the name '{file.stem}' cannot be part of a topic: use lower-case letters, digits and _", source=source
        )
    header = _read_header(text, source)
    expected = f"fink_{file.stem}_{survey.name}"
    if header["topic"] != expected:
        raise _at(text, "topic", f"the topic of this file has to be {expected}", source)
    if not _VERSION.match(header["version"]):
        raise _at(text, "version", "a version is a number such as 1 or 1.2", source)
    for kind in header["kinds"].split(","):
        if kind.strip() not in KINDS:
            raise _at(text, "kinds", f"'{kind.strip()}' is none of {', '.join(KINDS)}", source)
    return Filter(file.stem, survey.name, header, text, check_predicate(text, documented_columns(survey), source))


def _read_header(text: str, source: str) -> dict[str, str]:
    header: dict[str, str] = {}
    key = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("--"):
            break
        entry, more = _ENTRY.match(line), _CONTINUATION.match(line)
        if more and key:
            header[key] = f"{header[key]} {more[1].strip()}".strip()
        elif entry:
            key = entry[1].lower()
            if key not in HEADER_KEYS:
                raise FilterError(f"'{key}' is none of {', '.join(HEADER_KEYS)}", number, 4, source, line)
            if key in header:
                raise FilterError(f"'{key}' is there twice", number, 4, source, line)
            header[key] = entry[2].strip()
        else:
            raise FilterError(
                "a line of the header is '-- key: value', or '--   ' and more of it", number, 1, source, line
            )
    for key in HEADER_KEYS:
        if not header.get(key):
            raise FilterError(f"the header has no '{key}': add a line '-- {key}: ...'", source=source)
    return header


def _at(text: str, key: str, message: str, source: str) -> FilterError:
    for number, line in enumerate(text.splitlines(), start=1):
        entry = _ENTRY.match(line)
        if entry and entry[1].lower() == key:
            return FilterError(message, number, line.index(":") + 3, source, line)
    return FilterError(message, source=source)
