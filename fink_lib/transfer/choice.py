"""Which alerts a transfer takes: class, a filter's predicate, further predicates; an alert has to fulfil all of them.

Predicates are checked and compiled as those of the stream are, and run by the same plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.errors import ConfigError
from fink_lib.filters import Filter, FilterSet, check_predicate, read_filter
from fink_lib.filters.files import documented_columns, filter_files, survey_terms
from fink_lib.filters.night import NightSelection
from fink_lib.filters.terms import NO_TERMS, Terms
from fink_lib.filters.values import Reference, similar
from fink_lib.science.simbad_types import code_of, simbad_types
from fink_lib.surveys.base import Survey
from fink_lib.transfer.content import form_of
from fink_lib.transfer.job import Selection

Mask = npt.NDArray[np.bool_]

TNS, SIMBAD = "(TNS) ", "(SIMBAD) "


class Choice:
    """A compiled selection.

    Parameters
    ----------
    selection : Selection
        What is asked for.
    survey : Survey
        Whose alerts.
    home : Path, optional
        An installation whose own filters may be named too.

    Raises
    ------
    FilterError
        If a predicate may not run; it points at the place.
    ConfigError
        If there is no such filter or class.
    """

    def __init__(self, selection: Selection, survey: Survey, home: Path | None = None) -> None:
        terms = survey_terms(survey) if selection.where or selection.filter else NO_TERMS
        predicates = [
            Filter(f"where_{number}", survey.name, {"version": "1"}, text,
                   check_predicate(text, documented_columns(survey), "--where", terms))
            for number, text in enumerate(selection.where, start=1)
        ]  # fmt: skip
        self._form = form_of(survey.name)
        self._survey = survey
        self._names, self._labels = _classes(selection.classes)
        named = [_named(selection.filter, survey, terms, home)] if selection.filter else []
        # one that orders and limits looks at the whole night before it takes an alert
        self._of_night = FilterSet(tuple(f for f in named if f.selection is not None))
        self._plan = FilterSet((*(f for f in named if f.selection is None), *predicates))
        self.references: tuple[Reference, ...] = self._plan.references
        classes = self._form.class_inputs if self._names or self._labels else ()
        self.columns = tuple(dict.fromkeys((survey.id_field, *classes)))
        digests = (self._plan.digest, self._of_night.digest, *sorted(selection.classes))
        self.digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def night(self, parts: Callable[[tuple[Reference, ...]], Iterable[pa.Table]]) -> Callable[[pa.Table], Mask]:
        """Get ready for a night.

        Parameters
        ----------
        parts : callable
            Takes references, and gives the alerts of the night with at least these values, a part at a time.

        Returns
        -------
        callable
            Takes rows with :attr:`references` and :attr:`columns`, and tells which of them are taken.
        """
        chosen: pa.Array | None = None
        if self._of_night.filters:
            selection = NightSelection(self._of_night, self._survey.id_field, self._survey.object_field)
            for rows in parts(selection.references):
                selection.feed(rows)
            ids = {one.alert_id for found in selection.chosen().values() for one in found}
            chosen = pa.array(sorted(ids), pa.int64())
        return lambda rows: self._takes(rows, chosen)

    def _takes(self, rows: pa.Table, chosen: pa.Array | None) -> Mask:
        taken = np.ones(rows.num_rows, np.bool_)
        if chosen is not None:
            taken &= _mask(pc.is_in(rows.column(self._survey.id_field), chosen))
        if self._names or self._labels:
            name, label = (self._form.classes(rows)[column] for column in self._form.class_columns)
            own = pc.is_in(name, pa.array(sorted(self._names), pa.string()))
            taken &= _mask(pc.or_(own, pc.is_in(label, pa.array(sorted(self._labels), pa.string()))))
        if self._plan.filters and rows.num_rows:
            for column in self._plan.evaluate(rows).columns:
                taken &= _mask(column)
        return taken


def _mask(column: pa.ChunkedArray) -> Mask:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)


def _classes(asked: Iterable[str]) -> tuple[set[str], set[str]]:
    """Sort what is asked for into classes of the broker and of the Transient Name Server."""
    names: set[str] = set()
    labels: set[str] = set()
    for one in asked:
        if one.startswith(TNS):
            labels.add(one.removeprefix(TNS))
        elif one.startswith(SIMBAD):
            label = one.removeprefix(SIMBAD)
            code = code_of(label)
            names |= {label, *(name for kind in simbad_types() if kind.code == code for name in kind.spellings)}
        elif one.startswith("("):
            raise ConfigError(f"{one!r} is not the class of an alert; choose with a filter or a condition instead")
        elif one:
            names.add(one)
    return names, labels


def _named(name: str, survey: Survey, terms: Terms, home: Path | None) -> Filter:
    files = {file.stem: file for file in filter_files(survey.name, home)}
    if name not in files:
        raise ConfigError(f"no filter is called {name!r}{similar(name, list(files))}; see `fink filter list`")
    return read_filter(files[name], survey, terms)
