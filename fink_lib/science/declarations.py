"""Whether modules fit together and fit their survey; asked once, before the first alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import duckdb
import pyarrow as pa

from fink_lib.errors import ConfigError
from fink_lib.science.base import Declaration, ScienceModule
from fink_lib.science.columns import CUTOUTS, HISTORY, Batch
from fink_lib.science.coordinates import ecliptic_latitude, galactic_latitude
from fink_lib.science.duck import select
from fink_lib.science.isolation import applies_sql, predicate_columns
from fink_lib.science.layout import Layout
from fink_lib.surveys.base import Survey

STATUS_COLUMN = "fink_status"
VERSIONS_COLUMN = "fink_versions"
SEPARATION_COLUMN = "xm_sep"
PLACE_COLUMNS = {"gal_lat": galactic_latitude, "ecl_lat": ecliptic_latitude}

RUNNER_COLUMNS = (STATUS_COLUMN, VERSIONS_COLUMN, SEPARATION_COLUMN, *PLACE_COLUMNS)
"""Columns that the runner fills itself."""


def in_order(modules: Sequence[ScienceModule]) -> list[ScienceModule]:
    """Sort so that each module follows those it reads from; by name where nothing else decides.

    Raises
    ------
    ConfigError
        If they depend on each other in a circle.
    """
    by_name = {module.declaration.name: module for module in sorted(modules, key=lambda one: one.declaration.name)}
    try:
        sorter = TopologicalSorter({name: module.declaration.upstream for name, module in by_name.items()})
        return [by_name[name] for name in sorter.static_order()]
    except CycleError as error:
        raise ConfigError(f"science modules depend on each other in a circle: {' -> '.join(error.args[1])}") from error


def check_declarations(declarations: Sequence[Declaration], survey: Survey, layout: Layout) -> None:
    """Refuse modules whose declarations do not fit together or do not fit the survey.

    Parameters
    ----------
    declarations : sequence of Declaration
        Of all modules of a survey.
    survey : Survey
        Whose columns they read and fill.
    layout : Layout
        Where the survey keeps position and light curve.

    Raises
    ------
    ConfigError
        With the module, the column and what to change.
    """
    by_name: dict[str, Declaration] = {}
    givers: dict[str, str] = dict.fromkeys(RUNNER_COLUMNS, "the runner")
    for declaration in declarations:
        name = declaration.name
        if name in by_name:
            raise ConfigError(f"two science modules are called {name!r}; rename one")
        by_name[name] = declaration
        for field in declaration.outputs:
            if field.name in givers:
                raise ConfigError(f"module {name} and {givers[field.name]} both give column {field.name!r}")
            givers[field.name] = name
            place = survey.fink_schema.get_field_index(field.name)
            if place < 0:
                raise ConfigError(
                    f"module {name} gives column {field.name!r}, which the fink_schema of {survey.name} does not have; "
                    "declare it there (a new column of the lake) or rename it"
                )
            if survey.fink_schema.field(place).type != field.type:
                raise ConfigError(
                    f"module {name} gives column {field.name!r} as {field.type}, "
                    f"the fink_schema of {survey.name} has {survey.fink_schema.field(place).type}"
                )
    for declaration in declarations:
        for upstream in declaration.upstream:
            if upstream not in by_name:
                raise ConfigError(f"module {declaration.name} needs module {upstream!r}, which does not exist")
            if by_name[upstream].archive_d:
                raise ConfigError(
                    f"module {declaration.name} reads from {upstream!r}, which is computed anew after the night "
                    "(archive_d); nothing in the stream may build on it"
                )
        _check_inputs(declaration, by_name, survey, layout)


def _check_inputs(declaration: Declaration, by_name: Mapping[str, Declaration], survey: Survey, layout: Layout) -> None:
    given = {field.name: field for name in declaration.upstream for field in by_name[name].outputs}
    given |= {name: pa.field(name, pa.float64()) for name in PLACE_COLUMNS}
    for path in declaration.inputs:
        root, *fields = path.split(".")
        if root == HISTORY:
            entry = survey.alert_schema.field(layout.previous).type.value_type
            known = len(fields) == 1 and (
                entry.get_field_index(fields[0]) >= 0
                or survey.alert_schema.field(layout.own).type.get_field_index(fields[0]) >= 0
            )
        elif root == CUTOUTS:
            known = fields in (["science"], ["template"], ["difference"])
        elif root in given:
            known = _resolves(given[root].type, fields)
        else:
            known = root in survey.alert_schema.names and _resolves(survey.alert_schema.field(root).type, fields)
        if not known:
            raise ConfigError(
                f"module {declaration.name} reads {path!r}, which is neither a column of a {survey.name} alert "
                "nor an output of a module in its requires or uses"
            )


def check_class_inputs(inputs: Sequence[str], modules: Sequence[ScienceModule]) -> None:
    """Refuse a class rule that builds on what is computed anew after the night.

    Raises
    ------
    ConfigError
        With the module and the column.
    """
    for module in modules:
        for column in module.declaration.outputs.names if module.declaration.archive_d else ():
            if column in inputs:
                raise ConfigError(
                    f"the class rule reads {column!r} of module {module.declaration.name}, which is computed anew "
                    "after the night (archive_d); nothing in the stream may build on it"
                )


def _resolves(kind: pa.DataType, fields: Sequence[str]) -> bool:
    for name in fields:
        if pa.types.is_list(kind):
            kind = kind.value_type
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return False
        kind = kind.field(name).type
    return True


def check_predicates(modules: Sequence[ScienceModule], survey: Survey, layout: Layout) -> None:
    """Try each module's ``applies`` on no alerts at all.

    Raises
    ------
    ConfigError
        If it is not SQL, or names what is not among the module's inputs.
    """
    batch = Batch(survey.alert_schema.empty_table(), layout, survey.id_field)
    for name in PLACE_COLUMNS:
        batch.add(name, pa.array([], pa.float64()))
    for module in modules:
        for field in module.declaration.outputs:
            batch.add(field.name, pa.array([], field.type))
    for module in modules:
        declaration = module.declaration
        if not declaration.applies:
            continue
        seen = predicate_columns(declaration, batch)
        try:
            select(applies_sql(declaration), alerts=seen)
        except duckdb.Error as error:
            raise ConfigError(
                f"module {declaration.name}: applies = {declaration.applies!r}, waits = {declaration.waits!r} "
                f"cannot be evaluated; they see the scalar inputs by their last names "
                f"({', '.join(seen.column_names) or 'there are none'}): {error}"
            ) from error
