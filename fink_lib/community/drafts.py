"""Filters that users write: each change is a new version, and a version goes live only through the gate.

A version is kept in the store and as a file with the header of the broker's own filters, below ``drafts/`` of the
installation. The stream reads ``filters/`` alone, where :func:`fink_lib.filters.promotion.promote` puts what passes
the gate; so nothing that was only written down can ever send an alert.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fink_lib.community import fields
from fink_lib.community.annotations import Writer
from fink_lib.community.refusals import RefusedError, refuse_argument
from fink_lib.community.store import Row, Store, Transaction, text_of
from fink_lib.filters import Filter, FilterError, check_predicate
from fink_lib.filters.files import documented_columns, filter_folder, parse_filter, survey_terms
from fink_lib.filters.grammar import MAX_CHARACTERS
from fink_lib.filters.promotion import live_path
from fink_lib.surveys.base import Survey

VISIBILITIES = ("private", "public")
RESERVED = ("backtest",)
"""Words that are paths of the API."""
MOST_FILTERS = 100
"""Filters of one owner that are not deleted."""

_NAME = re.compile(r"[a-z][a-z0-9_]{2,60}")


@dataclass(frozen=True)
class Said:
    """What the author says of a version.

    Parameters
    ----------
    predicate : str
        The condition, in SQL.
    title, description, contact, references : str
        For people.
    budget_percent : float, optional
        Largest share of a night's alerts that it may take.
    """

    predicate: str
    title: str
    description: str
    contact: str
    references: str
    budget_percent: float | None


@dataclass(frozen=True)
class Draft:
    """One version of one filter.

    Parameters
    ----------
    survey, name, owner, visibility : str
        Of the filter.
    version : int
        Counted from 1.
    said : Said
        What the author says.
    text : str
        The file.
    digest : str
        Of the predicate as it is run.
    created : str
        When (ISO, UTC).
    """

    survey: str
    name: str
    owner: str
    visibility: str
    version: int
    said: Said
    text: str
    digest: str
    created: str


def read_name(raw: Any, survey_name: str) -> str:
    """Read the name of a new filter.

    Raises
    ------
    RefusedError
        If it cannot be part of a topic, or is the broker's own.
    """
    name = fields.read_text("name", raw, 61, required=True)
    if not _NAME.fullmatch(name):
        raise refuse_argument("name", "must be 3 to 61 lower-case letters, digits and _, a letter first")
    if name in RESERVED or (filter_folder(survey_name) / f"{name}.sql").exists():
        raise RefusedError("conflict", f"the broker itself uses the name {name}; choose another", "name")
    return name


def read_said(raw: Mapping[str, Any], survey: Survey) -> Said:
    """Read and check what the author says.

    Raises
    ------
    RefusedError
        For the first thing that cannot be used; of a predicate, with line and column.
    """

    def line(name: str, most: int, default: str, required: bool = False) -> str:
        # one line: an entry of a header ends with its line
        return " ".join(fields.read_text(name, raw.get(name), most, required, default).split()) or default

    description = line("description", 2000, "", required=True)
    budget = raw.get("budget")
    return Said(
        predicate=read_predicate(raw.get("predicate"), survey),
        title=line("title", 120, description[:120]),
        description=description,
        contact=line("contact", 200, "through the API"),
        references=line("references", 500, "none"),
        budget_percent=None if budget in (None, "") else fields.read_number("budget", budget, 0.001, 100),
    )


def read_predicate(raw: Any, survey: Survey) -> str:
    """Read a predicate, and check that it may run.

    Raises
    ------
    RefusedError
        If it may not, with line and column.
    """
    if not isinstance(raw, str) or not raw.strip():
        raise refuse_argument("predicate", "must be a condition in SQL")
    if len(raw) > MAX_CHARACTERS:
        raise refuse_argument("predicate", f"must not be longer than {MAX_CHARACTERS} characters")
    try:
        raw.encode()
        check_predicate(raw, documented_columns(survey), "", survey_terms(survey))
    except UnicodeEncodeError:
        raise refuse_argument("predicate", "must be valid Unicode") from None
    except FilterError as refusal:
        place = f"line {refusal.line}, column {refusal.column}"
        raise refuse_argument("predicate", f"may not run, {place}: {refusal.message}") from refusal
    return raw.strip()


def compose(name: str, survey: Survey, said: Said, author: str, version: int) -> Filter:
    """Write the file of a version, and check it as every filter is checked.

    Raises
    ------
    RefusedError
        If it may not run.
    """
    header = {
        "topic": f"fink_{name}_{survey.name}",
        "title": said.title,
        "description": said.description,
        "author": author,
        "contact": said.contact,
        "version": str(version),
        "references": said.references,
        "kinds": "live",
    }
    if said.budget_percent is not None:
        header["budget"] = f"{said.budget_percent:.3f}".rstrip("0").rstrip(".") + " %"
    # a blank line ends the header, so no comment of the predicate can become an entry
    text = "".join(f"-- {key}: {value}\n" for key, value in header.items()) + "\n" + said.predicate + "\n"
    try:
        return parse_filter(name, text, survey)
    except FilterError as refusal:
        raise refuse_argument("predicate", f"makes no filter: {refusal.message}") from refusal


class Drafts:
    """The filters of an installation's users.

    Parameters
    ----------
    store : Store
        Keeps versions and owners.
    home : Path
        The installation.
    survey : Survey
        Whose alerts.
    """

    def __init__(self, store: Store, home: Path, survey: Survey) -> None:
        self._store = store
        self._home = home
        self._survey = survey

    def create(self, name: str, said: Said, visibility: str, writer: Writer, now: datetime) -> Draft:
        """Keep the first version of a filter; of one that was deleted, the next.

        Raises
        ------
        RefusedError
            If the name is taken, or the owner has too many filters.
        """
        survey = self._survey.name
        with self._store.transaction() as change:
            present = change.row("SELECT * FROM filters WHERE survey = ? AND name = ?", survey, name)
            # a topic keeps its messages, so the name stays with whoever sent them
            taken = present is not None and (present["deleted"] is None or present["owner"] != writer.owner)
            if taken or (present is None and live_path(self._home, survey, name).exists()):
                raise RefusedError("conflict", f"there is a filter {name} already; choose another name", "name")
            count = change.row(
                "SELECT COUNT(*) AS n FROM filters WHERE survey = ? AND owner = ? AND deleted IS NULL",
                survey,
                writer.owner,
            )
            if count is not None and count["n"] >= MOST_FILTERS:
                raise RefusedError("conflict", f"you have {MOST_FILTERS} filters; delete one first")
            if present is None:
                change.add("filters", survey=survey, name=name, owner=writer.owner, visibility=visibility,
                           created=text_of(now))  # fmt: skip
            self._describe(change, name, visibility)
            version = self._add(change, name, said, writer, now)
        return self._kept(name, version)

    def change(self, name: str, said: Said, visibility: str | None, writer: Writer, now: datetime) -> Draft:
        """Keep the next version of a filter; what is live stays as it is.

        Raises
        ------
        RefusedError
            If there is no such filter, or it belongs to somebody else.
        """
        present = self.find(name)
        writer.insist(present.owner, f"the filter {name}")
        with self._store.transaction() as change:
            self._describe(change, name, visibility or present.visibility)
            version = self._add(change, name, said, writer, now)
        return self._kept(name, version)

    def delete(self, name: str, writer: Writer, now: datetime) -> None:
        """Take a filter away; its versions stay in the store.

        Raises
        ------
        RefusedError
            If there is no such filter, or it belongs to somebody else.
        """
        writer.insist(self.find(name).owner, f"the filter {name}")
        live_path(self._home, self._survey.name, name).unlink(missing_ok=True)
        with self._store.transaction() as change:
            change.run(
                "UPDATE filters SET deleted = ? WHERE survey = ? AND name = ?", text_of(now), self._survey.name, name
            )

    def find(self, name: str, version: int | None = None) -> Draft:
        """Give a version, the latest without.

        Raises
        ------
        RefusedError
            If there is none.
        """
        found = [one for one in self.versions(name) if version in (None, one.version)]
        if not found:
            raise RefusedError("not-found", f"no filter of a user is called {name[:80]}", "name")
        return found[-1]

    def versions(self, name: str) -> list[Draft]:
        """Give all versions of a filter, the oldest first; none if it was deleted."""
        query = (
            "SELECT v.*, f.owner AS of, f.visibility FROM filter_versions v JOIN filters f USING (survey, name) "
            "WHERE f.deleted IS NULL AND f.survey = ? AND f.name = ? ORDER BY v.version"
        )
        return [_draft(row) for row in self._store.rows(query, self._survey.name, name)]

    def latest(self) -> list[Draft]:
        """Give the latest version of each filter, in the order of names."""
        query = (
            "SELECT v.*, f.owner AS of, f.visibility, MAX(v.version) FROM filter_versions v "
            "JOIN filters f USING (survey, name) WHERE f.deleted IS NULL AND f.survey = ? GROUP BY name ORDER BY name"
        )
        return [_draft(row) for row in self._store.rows(query, self._survey.name)]

    def file(self, draft: Draft) -> Path:
        """Give the file of a version; written if it is not there, as after a kill between store and disk."""
        path = self._home / "drafts" / draft.survey / draft.name / str(draft.version) / f"{draft.name}.sql"
        if not path.exists() or path.read_text(encoding="utf-8") != draft.text:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}.new")
            unfinished.write_text(draft.text, encoding="utf-8")
            os.replace(unfinished, path)
        return path

    def _add(self, change: Transaction, name: str, said: Said, writer: Writer, now: datetime) -> int:
        survey = self._survey.name
        row = change.row("SELECT MAX(version) AS n FROM filter_versions WHERE survey = ? AND name = ?", survey, name)
        version = 1 + (row["n"] or 0 if row else 0)
        made = compose(name, self._survey, said, writer.owner, version)
        change.add(
            "filter_versions", survey=survey, name=name, version=version, said=json.dumps(said.__dict__),
            text=made.text, digest=made.digest, owner=writer.owner, token=writer.token, created=text_of(now),
        )  # fmt: skip
        return version

    def _describe(self, change: Transaction, name: str, visibility: str) -> None:
        change.run(
            "UPDATE filters SET deleted = NULL, visibility = ? WHERE survey = ? AND name = ?",
            visibility,
            self._survey.name,
            name,
        )

    def _kept(self, name: str, version: int) -> Draft:
        draft = self.find(name, version)
        self.file(draft)
        return draft


def _draft(row: Row) -> Draft:
    said = Said(**json.loads(row["said"]))
    return Draft(
        row["survey"], row["name"], row["of"], row["visibility"], row["version"], said, row["text"], row["digest"],
        row["created"],
    )  # fmt: skip
