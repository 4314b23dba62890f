"""One pass of all science modules over a batch of alerts.

Modules run in the order of their dependencies, each isolated from the others; then the class rule; then the columns of
the survey's ``fink_schema`` are put together, null where no module gave a value.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib import __version__
from fink_lib.science.base import STATUS_NAMES, ModuleReport, ScienceModule
from fink_lib.science.classes import ClassRule
from fink_lib.science.columns import Batch, CutoutReader
from fink_lib.science.declarations import (
    PLACE_COLUMNS,
    SEPARATION_COLUMN,
    STATUS_COLUMN,
    VERSIONS_COLUMN,
    check_class_inputs,
    check_declarations,
    check_predicates,
    in_order,
)
from fink_lib.science.isolation import Outcome, run_isolated
from fink_lib.science.layout import Layout, layout_of
from fink_lib.surveys.base import Survey


@dataclass(frozen=True)
class ScienceResult:
    """What one pass gives.

    Parameters
    ----------
    table : pyarrow.Table
        Exactly the columns of the survey's ``fink_schema``, one row per alert, in the order of the alerts.
    timings : dict of str to float
        Seconds per module, and of ``class_rule`` and ``assembly``.
    statuses : dict of str to dict of str to int
        Alerts per module and status.
    errors : dict of str to list of str
        First causes of ``failed``, per module that has any.
    """

    table: pa.Table
    timings: dict[str, float]
    statuses: dict[str, dict[str, int]]
    errors: dict[str, list[str]]


class Runner:
    """All science of one survey, ready to be applied to batches.

    Parameters
    ----------
    survey : Survey
        Whose alerts.
    modules : sequence of ScienceModule
        In any order.
    class_rule : ClassRule, optional
        The rule that names each alert's class.

    Attributes
    ----------
    version : str
        Of the set of modules; two runners with one version and the same catalogues give the same results.

    Raises
    ------
    ConfigError
        If a module reads or gives a column that does not exist or has another type, if two give the same column, or if
        their dependencies have a cycle or a gap.
    """

    def __init__(self, survey: Survey, modules: Sequence[ScienceModule], class_rule: ClassRule | None = None) -> None:
        self.survey = survey
        self.layout: Layout = layout_of(survey.name)
        self.class_rule = class_rule
        check_declarations([module.declaration for module in modules], survey, self.layout)
        self.modules = in_order(modules)
        check_predicates(self.modules, survey, self.layout)
        if class_rule is not None:
            check_class_inputs(class_rule.inputs, self.modules)
        self.version = _version(self.modules, class_rule)

    def versions(self) -> dict[str, str]:
        """Give what ``fink_versions`` says now: modules, class rule, catalogues and models, each with its version."""
        found = dict(self.class_rule.versions) if self.class_rule else {}
        for module in self.modules:
            found |= {module.declaration.name: module.declaration.version, **module.resources}
        return found

    def apply(self, alerts: pa.Table, cutouts: CutoutReader | None = None) -> ScienceResult:
        """Compute all Fink columns of a batch.

        Parameters
        ----------
        alerts : pyarrow.Table
            Columns of the survey's ``alert_schema``; further ones are ignored.
        cutouts : CutoutReader, optional
            Gives images by alert id, to the modules that declare them and for the alerts that they apply to.

        Returns
        -------
        ScienceResult
        """
        batch = Batch(alerts, self.layout, self.survey.id_field, cutouts)
        columns: dict[str, pa.Array] = {}
        for name, latitude in PLACE_COLUMNS.items():
            values = latitude(batch.floats(self.layout.ra), batch.floats(self.layout.dec))
            columns[name] = pa.array(values, mask=~np.isfinite(values))
            batch.add(name, columns[name])
        reports: dict[str, ModuleReport] = {}
        outcomes: dict[str, Outcome] = {}
        versions = self.versions()
        for module in self.modules:
            name = module.declaration.name
            report = reports[name] = ModuleReport()
            start = time.perf_counter()
            outcome = outcomes[name] = run_isolated(module, batch, report)
            report.seconds = time.perf_counter() - start
            counts = np.bincount(outcome.status, minlength=len(STATUS_NAMES))
            report.counts = {word: int(count) for word, count in zip(STATUS_NAMES, counts, strict=True) if count}
            batch.add_status(name, outcome.status)
            for column, array in outcome.outputs.items():
                columns[column] = array
                batch.add(column, array)
        timings = {name: report.seconds for name, report in reports.items()}
        start = time.perf_counter()
        if self.class_rule is not None:
            columns |= self.class_rule.apply(batch)
            timings["class_rule"] = time.perf_counter() - start
        start = time.perf_counter()
        columns[STATUS_COLUMN] = _status_map({name: outcome.status for name, outcome in outcomes.items()}, batch.size)
        columns[VERSIONS_COLUMN] = _constant_map(versions, batch.size)
        if SEPARATION_COLUMN in self.survey.fink_schema.names:
            columns[SEPARATION_COLUMN] = _separation_map(outcomes, batch.size)
        table = _assemble(columns, self.survey.fink_schema, batch.size)
        timings["assembly"] = time.perf_counter() - start
        return ScienceResult(
            table,
            timings,
            {name: report.counts for name, report in reports.items()},
            {name: report.errors for name, report in reports.items() if report.errors},
        )


def _version(modules: Sequence[ScienceModule], class_rule: ClassRule | None) -> str:
    """Name this set of modules: the package's version, and a digest that changes when any module's version does."""
    parts = {module.declaration.name: module.declaration.version for module in modules}
    parts |= class_rule.versions if class_rule else {}
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{__version__}+{digest[:8]}"


def _status_map(by_module: Mapping[str, npt.NDArray[np.int8]], size: int) -> pa.MapArray:
    names = sorted(by_module)
    words = pa.array(STATUS_NAMES)
    codes = np.stack([by_module[name] for name in names], axis=1) if names else np.zeros((size, 0), dtype=np.int8)
    return _full_map(names, words.take(pa.array(codes.ravel())), size)


def _constant_map(values: Mapping[str, str], size: int) -> pa.MapArray:
    names = sorted(values)
    items = pa.array([values[name] for name in names], pa.string())
    return _full_map(names, items.take(pa.array(np.tile(np.arange(len(names)), size))), size)


def _full_map(names: Sequence[str], items: pa.Array, size: int) -> pa.MapArray:
    """Give a map column that has every key in every row; `items` goes row by row."""
    keys = pa.array(names, pa.string()).take(pa.array(np.tile(np.arange(len(names)), size)))
    offsets = np.arange(size + 1, dtype=np.int32) * len(names)
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items)


def _separation_map(outcomes: Mapping[str, Outcome], size: int) -> pa.MapArray:
    names = sorted(name for name, outcome in outcomes.items() if np.isfinite(outcome.separation_arcsec).any())
    if not names:
        return _full_map([], pa.array([], pa.float32()), size)
    values = np.stack([outcomes[name].separation_arcsec for name in names], axis=1)
    present = np.isfinite(values)
    offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1))))
    keys = pa.array(names, pa.string()).take(pa.array(np.nonzero(present)[1]))
    items = pa.array(values[present].astype(np.float32))
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items)


def _assemble(columns: Mapping[str, pa.Array], schema: pa.Schema, size: int) -> pa.Table:
    arrays = []
    for field in schema:
        array = columns.get(field.name)
        if array is None:
            array = pa.nulls(size, field.type)
        elif array.type != field.type:
            array = array.cast(field.type)
        arrays.append(array)
    return pa.table(arrays, schema=schema)
