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
    -- budget: 20 %
    roid = 3

A filter of the night may say more: ``order``, an expression by which its alerts are ordered, the smallest first;
``limit``, how many of them are taken; ``per``, a column of which each value is taken once (``objectId``).

``targets: sn_ia, sn_ii`` names the kinds of injected objects that a filter is meant for; only ``fink filter recall``
reads it.
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
from fink_lib.filters.check import check_predicate, check_value
from fink_lib.filters.plan import FilterSet
from fink_lib.filters.predicate import FilterError, Predicate
from fink_lib.filters.terms import Terms
from fink_lib.filters.values import Reference, UnknownValueError, type_of
from fink_lib.filters.vocabulary import load_terms

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey

HEADER_KEYS = ("topic", "title", "description", "author", "contact", "version", "references", "kinds")
OPTIONAL_KEYS = ("budget", "order", "limit", "per", "targets")
MAX_LIMIT = 1000
KINDS = ("live", "night")
"""Where a filter runs: in the stream, or once over a closed night."""

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,80}$")
_VERSION = re.compile(r"^[0-9]+(\.[0-9]+){0,2}$")
_BUDGET = re.compile(r"^([0-9]{1,3}(?:\.[0-9]+)?) ?%$")
_TARGETS = re.compile(r"^[a-z][a-z0-9_]*( *, *[a-z][a-z0-9_]*)*$")
_ENTRY = re.compile(r"^--\s?(\w+):\s*(.*)$")
_CONTINUATION = re.compile(r"^--\s{2,}(\S.*)$")


@dataclass(frozen=True)
class Selection:
    """What a filter of the night takes of the alerts that fulfil its predicate.

    Parameters
    ----------
    order : str
        Expression over flat columns; the smallest come first, a null is never taken. Empty: by the alerts' ids.
    limit : int, optional
        How many.
    per : Reference, optional
        Each value of this is taken once.
    references : tuple of Reference
        Everything that `order` and `per` read.
    """

    order: str
    limit: int | None
    per: Reference | None
    references: tuple[Reference, ...]


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
        The entries of :data:`HEADER_KEYS`, and those of :data:`OPTIONAL_KEYS` that are there.
    text : str
        The file.
    predicate : Predicate
        What was checked and is run.
    selection : Selection, optional
        Which of the night's alerts that fulfil it are taken; all without.
    """

    name: str
    survey: str
    header: dict[str, str] = field(hash=False)
    text: str = field(repr=False)
    predicate: Predicate
    selection: Selection | None = None

    @property
    def version(self) -> str:
        """Version that its author gives it, on each message."""
        return self.header["version"]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Where it runs."""
        return tuple(kind.strip() for kind in self.header["kinds"].split(","))

    @property
    def targets(self) -> tuple[str, ...]:
        """Kinds of injected objects that it is meant for; none if its author has not said."""
        return tuple(kind.strip() for kind in self.header.get("targets", "").split(",") if kind.strip())

    @property
    def budget(self) -> float | None:
        """Largest share of a night's alerts that it may take, if its author promised one."""
        found = _BUDGET.match(self.header.get("budget", ""))
        return float(found[1]) / 100 if found else None

    @property
    def digest(self) -> str:
        """SHA-256 over name, version and the predicate as it is run; comments and layout do not count."""
        text = f"{self.name}\n{self.version}\n{self.predicate.sql}"
        if self.selection is not None:
            text += f"\n{self.selection}"
        return hashlib.sha256(text.encode()).hexdigest()

    def topic(self, prefix: str) -> str:
        """Name of the topic under a prefix (``fink``, or ``ftest`` for a replay)."""
        return f"{prefix}_{self.name}_{self.survey}"


def filter_folder(survey_name: str) -> Path:
    """Folder of the filters that come with the broker."""
    return project_root() / "sql" / "filters" / survey_name


def documented_columns(survey: Survey) -> pa.Schema:
    """Give the columns that a predicate may name: the alert's and the broker's, not those of its transport."""
    return pa.schema([*survey.alert_schema, *survey.fink_schema])


def filter_files(survey_name: str, home: Path | None = None) -> list[Path]:
    """Give the files of a survey's filters, in the order of their names.

    Parameters
    ----------
    survey_name : str
        Which survey.
    home : Path, optional
        An installation; its own filters are in ``filters/<survey>`` below it, beside those of the broker.
    """
    folders = [filter_folder(survey_name), *([home / "filters" / survey_name] if home else [])]
    return sorted((file for folder in folders for file in folder.rglob("*.sql")), key=lambda file: (file.stem, file))


def survey_terms(survey: Survey) -> Terms:
    """Read the terms that the filters of a survey may use."""
    return load_terms(survey.name, documented_columns(survey))


def load_filters(
    survey: Survey, kinds: Iterable[str] = ("live",), folder: Path | None = None, home: Path | None = None
) -> FilterSet:
    """Read and check every filter of a survey.

    Parameters
    ----------
    survey : Survey
        Gives the columns.
    kinds : iterable of str
        Which of :data:`KINDS` to take.
    folder : Path, optional
        Where the files are; ``sql/filters/<survey>`` if not given.
    home : Path, optional
        An installation whose own filters are taken too.

    Returns
    -------
    FilterSet
        In the order of names.

    Raises
    ------
    FilterError
        If one of the files may not run: a set with a hole in it would lose alerts in silence. Or if two have one name.
    """
    wanted, terms = set(kinds), survey_terms(survey)
    files = sorted(folder.rglob("*.sql")) if folder else filter_files(survey.name, home)
    filters: dict[str, Filter] = {}
    for file in files:
        if file.stem in filters:
            raise FilterError("there is a filter of this name already", source=str(file))
        filters[file.stem] = read_filter(file, survey, terms)
    return FilterSet(tuple(f for _, f in sorted(filters.items()) if wanted & set(f.kinds)))


def read_filter(file: Path, survey: Survey, terms: Terms | None = None) -> Filter:
    """Read and check one file.

    Parameters
    ----------
    file : Path
        Header and predicate.
    survey : Survey
        Gives the columns.
    terms : Terms, optional
        Of the survey, if they are read already.

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
    return parse_filter(file.stem, text, survey, terms, source)


def parse_filter(name: str, text: str, survey: Survey, terms: Terms | None = None, source: str = "") -> Filter:
    """Check the text of a file.

    Parameters
    ----------
    name : str
        Name of the file, without its ending.
    text : str
        Header and predicate.
    survey : Survey
        Gives the columns.
    terms : Terms, optional
        Of the survey, if they are read already.
    source : str
        Where the text is from, for messages.

    Raises
    ------
    FilterError
        With line and column of what is wrong.
    """
    if not _NAME.match(name):
        raise FilterError(
            f"the name '{name}' cannot be part of a topic: use lower-case letters, digits and _", source=source
        )
    header = _read_header(text, source)
    expected = f"fink_{name}_{survey.name}"
    if header["topic"] != expected:
        raise _at(text, "topic", f"the topic of this file has to be {expected}", source)
    if not _VERSION.match(header["version"]):
        raise _at(text, "version", "a version is a number such as 1 or 1.2", source)
    for kind in header["kinds"].split(","):
        if kind.strip() not in KINDS:
            raise _at(text, "kinds", f"'{kind.strip()}' is none of {', '.join(KINDS)}", source)
    if "budget" in header and not _BUDGET.match(header["budget"]):
        raise _at(text, "budget", "a budget is a share of a night's alerts, such as 2 % or 0.5 %", source)
    if "targets" in header and not _TARGETS.match(header["targets"]):
        raise _at(text, "targets", "targets are kinds of injected objects, such as sn_ia, sn_ii", source)
    words = survey_terms(survey) if terms is None else terms
    predicate = check_predicate(text, documented_columns(survey), source, words)
    return Filter(name, survey.name, header, text, predicate, _read_selection(header, text, source, survey, words))


def _read_selection(header: dict[str, str], text: str, source: str, survey: Survey, words: Terms) -> Selection | None:
    if not {"order", "limit", "per"} & set(header):
        return None
    for key in ("order", "limit", "per"):
        if key in header and "live" in header["kinds"]:
            raise _at(text, key, f"only a filter of kind 'night' alone may have '{key}'", source)
    limit = header.get("limit")
    if limit is not None and not (limit.isdigit() and 0 < int(limit) <= MAX_LIMIT):
        raise _at(text, "limit", f"a limit is a number from 1 to {MAX_LIMIT}", source)
    columns = documented_columns(survey)
    references: set[Reference] = set()
    per = Reference(tuple(header["per"].split("."))) if "per" in header else None
    try:
        if per is not None:
            type_of(columns, per)
            references.add(per)
    except UnknownValueError as error:
        raise _at(text, "per", str(error), source) from None
    order = ""
    if "order" in header:
        try:
            checked = check_value(header["order"], columns, "", words)
        except FilterError as refusal:
            raise _at(text, "order", refusal.message, source) from None
        order = checked.sql
        references.update(checked.references)
    return Selection(order, int(limit) if limit else None, per, tuple(sorted(references)))


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
            if key not in (*HEADER_KEYS, *OPTIONAL_KEYS):
                known = ", ".join((*HEADER_KEYS, *OPTIONAL_KEYS))
                raise FilterError(f"'{key}' is none of {known}", number, 4, source, line)
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
