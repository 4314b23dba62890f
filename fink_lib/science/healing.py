"""Rows of ``science`` that could not be computed in full, computed as far as is possible now.

A module that was ``unavailable`` is run again; if it answers, so are the modules that read from it, and the class rule.
Every other value stays as it was computed then. So a healed row is the row that the stream would have written if
nothing had been missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.science.base import STATUS_NAMES, ModuleReport, ScienceModule, Status
from fink_lib.science.columns import CUTOUTS, HISTORY, Batch, CutoutReader, one_chunk
from fink_lib.science.declarations import SEPARATION_COLUMN, STATUS_COLUMN, VERSIONS_COLUMN
from fink_lib.science.isolation import Outcome, run_isolated
from fink_lib.science.runner import Runner

Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

WAITING = STATUS_NAMES[Status.UNAVAILABLE]
ABSENT = -1
"""Instead of a status: the row is older than the module, which therefore leaves it alone."""

ANSWERS = (Status.OK, Status.NO_MATCH, Status.NOT_APPLICABLE)
INGEST = "ingest"


@dataclass(frozen=True)
class Healed:
    """What became of some rows.

    Parameters
    ----------
    rows : pyarrow.Table
        The rows, in their order.
    changed : ndarray of bool
        Which of them have new values.
    modules : list of list of str
        For each row that has, the modules that were waiting and have answered.
    """

    rows: pa.Table
    changed: Bools
    modules: list[list[str]]


class Healer:
    """Heals rows of one survey.

    Parameters
    ----------
    runner : Runner
        The modules, catalogues and models of now.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._modules = {module.declaration.name: module for module in runner.modules}

    def waiting(self, statuses: pa.Array) -> Bools:
        """Tell which rows wait for a module.

        Parameters
        ----------
        statuses : pyarrow.MapArray
            Column ``fink_status``.
        """
        found = np.zeros(len(statuses), dtype=bool)
        for name in self._modules:
            found |= _lookup(statuses, name) == Status.UNAVAILABLE
        return found

    def awaited(self, statuses: pa.Array) -> Counter[str]:
        """Count the rows that wait, by module."""
        counts = Counter({name: int((_lookup(statuses, name) == Status.UNAVAILABLE).sum()) for name in self._modules})
        return +counts

    def columns(self, names: Collection[str]) -> list[str]:
        """Give what :meth:`answering` reads of the rows, as paths of Parquet columns.

        Parameters
        ----------
        names : collection of str
            Modules that some of the rows wait for.
        """
        survey, layout = self._runner.survey, self._runner.layout
        paths = {survey.id_field, STATUS_COLUMN}
        for name in names:
            declaration = self._modules[name].declaration
            for upstream in declaration.upstream:
                paths |= set(self._modules[upstream].declaration.outputs.names)
            for path in declaration.inputs:
                root = path.split(".", 1)[0]
                if root == HISTORY:
                    paths |= {layout.previous, layout.own}
                elif root == CUTOUTS:
                    paths.add(INGEST)
                else:
                    paths.add(root if root in survey.fink_schema.names else path)
        return sorted(path for path in paths if path.split(".", 1)[0] not in paths or "." not in path)

    def answering(self, rows: pa.Table, cutouts: CutoutReader | None = None) -> Bools:
        """Tell for which rows a module answers now that did not; far less work than :meth:`heal`.

        Parameters
        ----------
        rows : pyarrow.Table
            At least :meth:`columns` of the modules that they wait for.
        cutouts : CutoutReader, optional
            Where images come from.
        """
        found = np.zeros(rows.num_rows, dtype=bool)
        for members, names, codes in self._groups(rows):
            if names:
                group = _Group(self._runner, rows.take(pa.array(members)), codes, cutouts)
                group.run([self._modules[name] for name in self._modules if name in names], names)
                found[members] = group.changed
        return found

    def heal(self, rows: pa.Table, cutouts: CutoutReader | None = None) -> Healed:
        """Compute what can be computed now.

        Parameters
        ----------
        rows : pyarrow.Table
            Rows of ``science``, all columns of alert and broker.
        cutouts : CutoutReader, optional
            Where images come from.

        Returns
        -------
        Healed
        """
        changed = np.zeros(rows.num_rows, dtype=bool)
        modules: dict[int, list[str]] = {}
        parts, places = [], []
        for members, names, codes in self._groups(rows):
            part = rows.take(pa.array(members))
            if names:
                group = _Group(self._runner, part, codes, cutouts)
                group.run(list(self._modules.values()), names)
                part = group.healed(part)
                changed[members] = group.changed
                for row in np.flatnonzero(group.changed):
                    modules[int(members[row])] = sorted(one for one in names if group.took(one)[row])
            parts.append(part)
            places.append(members)
        if not changed.any():
            return Healed(rows, changed, [])
        order = np.argsort(np.concatenate(places), kind="stable")
        whole = pa.concat_tables(parts).combine_chunks().take(pa.array(order))
        return Healed(whole, changed, [modules[int(row)] for row in np.flatnonzero(changed)])

    def _groups(self, rows: pa.Table) -> Iterator[tuple[npt.NDArray[np.int64], frozenset[str], dict[str, Codes]]]:
        """Give the rows in groups that wait for the same modules, with these and with all statuses."""
        if not rows.num_rows:
            return
        statuses = one_chunk(rows.column(STATUS_COLUMN))
        names = list(self._modules)
        codes = {name: _lookup(statuses, name) for name in names}
        waits = np.stack([codes[name] == Status.UNAVAILABLE for name in names], axis=1)
        kinds, kind_of = np.unique(waits, axis=0, return_inverse=True)
        for number, kind in enumerate(kinds):
            members = np.flatnonzero(kind_of.reshape(-1) == number)
            waited = frozenset(name for name, waiting in zip(names, kind, strict=True) if waiting)
            yield members, waited, {name: code[members] for name, code in codes.items()}


class _Group:
    """Rows that wait for the same modules, while they are computed."""

    def __init__(
        self, runner: Runner, rows: pa.Table, codes: Mapping[str, Codes], cutouts: CutoutReader | None
    ) -> None:
        self._runner = runner
        self._size = rows.num_rows
        self._codes = dict(codes)
        self._values: dict[str, pa.Array] = {}
        self._taken: dict[str, Bools] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._versions: dict[str, dict[str, str]] = {}
        known = [name for name in rows.column_names if name in runner.survey.alert_schema.names]
        self._batch = Batch(rows.select(known), runner.layout, runner.survey.id_field, cutouts)
        for name in runner.survey.fink_schema.names:
            if name in rows.column_names:
                self._values[name] = one_chunk(rows.column(name))
                self._batch.add(name, self._values[name])
        for name, code in codes.items():
            self._batch.add_status(name, _known(code))

    @property
    def changed(self) -> Bools:
        """Rows for which a module answers that did not."""
        found = np.zeros(self._size, dtype=bool)
        for take in self._taken.values():
            found |= take
        return found

    def took(self, name: str) -> Bools:
        """Rows that have a new result of a module."""
        return self._taken.get(name, np.zeros(self._size, dtype=bool))

    def run(self, modules: list[ScienceModule], waited: Collection[str]) -> None:
        """Run those of the modules, in order, that were waited for or that read from one that has answered."""
        for module in modules:
            declaration = module.declaration
            name = declaration.name
            moved = np.zeros(self._size, dtype=bool)
            for upstream in declaration.upstream:
                moved |= self.took(upstream)
            if name not in waited and not moved.any():
                continue
            outcome = run_isolated(module, self._batch, ModuleReport())
            if name in waited:
                # One that fails now goes on waiting: a failure would never be looked at again.
                take: Bools = np.isin(outcome.status, ANSWERS)
            else:
                take = moved & (self._codes[name] != ABSENT)
            if take.any():
                self._take(name, take, outcome)

    def _take(self, name: str, take: Bools, outcome: Outcome) -> None:
        self._taken[name] = take
        self._outcomes[name] = outcome
        for column, array in outcome.outputs.items():
            if column in self._values:
                self._values[column] = _chosen(take, array, self._values[column])
                self._batch.add(column, self._values[column])
            else:
                self._batch.add(column, array)
        self._codes[name] = np.where(take, outcome.status, self._codes[name])
        self._batch.add_status(name, _known(self._codes[name]))

    def healed(self, rows: pa.Table) -> pa.Table:
        """Give the rows with what was computed, classified anew."""
        changed = self.changed
        if not changed.any():
            return rows
        rule = self._runner.class_rule
        if rule is not None:
            for column, array in rule.apply(self._batch).items():
                self._values[column] = _chosen(changed, array, self._values[column])
        places = np.flatnonzero(changed).tolist()
        self._versions = {
            name: {name: module.declaration.version, **module.resources}
            for module in self._runner.modules
            if (name := module.declaration.name) in self._taken
        }
        for column, entries in (
            (STATUS_COLUMN, self._new_statuses),
            (VERSIONS_COLUMN, self._new_versions),
            (SEPARATION_COLUMN, self._new_separations),
        ):
            if column in self._values:
                stored = self._values[column]
                pairs = stored.to_pylist()
                for row in places:
                    merged = {**dict(pairs[row] or ()), **entries(row)}
                    pairs[row] = sorted((key, value) for key, value in merged.items() if value is not None)
                self._values[column] = pa.array(pairs, stored.type)
        for column, array in self._values.items():
            place = rows.schema.get_field_index(column)
            rows = rows.set_column(place, rows.schema.field(place), array)
        return rows

    def _new_statuses(self, row: int) -> dict[str, Any]:
        return {
            name: STATUS_NAMES[outcome.status[row]]
            for name, outcome in self._outcomes.items()
            if self._taken[name][row]
        }

    def _new_versions(self, row: int) -> dict[str, Any]:
        rule = self._runner.class_rule
        found: dict[str, Any] = dict(rule.versions) if rule else {}
        for name, versions in self._versions.items():
            if self._taken[name][row]:
                found |= versions
        return found

    def _new_separations(self, row: int) -> dict[str, Any]:
        return {
            name: float(np.float32(outcome.separation_arcsec[row]))
            if np.isfinite(outcome.separation_arcsec[row])
            else None
            for name, outcome in self._outcomes.items()
            if self._taken[name][row]
        }


def _lookup(statuses: pa.Array, name: str) -> Codes:
    words = pc.map_lookup(statuses, pa.scalar(name), "first")
    codes = pc.fill_null(pc.index_in(words, value_set=pa.array(STATUS_NAMES)), ABSENT)
    found: Codes = codes.to_numpy(zero_copy_only=False).astype(np.int8)
    return found


def _known(codes: Codes) -> Codes:
    """Let a module that a row does not know count as unavailable for those that read from it."""
    known: Codes = np.where(codes == ABSENT, np.int8(Status.UNAVAILABLE), codes)
    return known


def _chosen(take: Bools, new: pa.Array, old: pa.Array) -> pa.Array:
    """Give the new value where `take` says so, else the old one; works for every type."""
    if new.type != old.type:
        new = new.cast(old.type)
    place = np.arange(len(take)) + np.where(take, 0, len(take))
    return pa.concat_arrays([new, old]).take(pa.array(place))
