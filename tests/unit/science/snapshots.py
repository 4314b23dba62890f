"""Installations with small catalogues of their own, for cross-match tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from fink_lib.config import Settings, load_settings
from fink_lib.science import Runner
from fink_lib.science.catalogs.known import KNOWN
from fink_lib.science.catalogs.reading import POSITION
from fink_lib.science.catalogs.snapshots import write_snapshot
from fink_lib.science.loading import find_modules
from fink_lib.surveys import get_survey

ARCSEC = 1 / 3600
HERE = {"ra": 150.0, "dec": 2.0}
AROUND = [(150.0, 2.0, 0.5)]
"""The sky that the snapshots of these tests cover: half a degree around :data:`HERE`."""


def write(
    settings: Settings,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    coverage: list[tuple[float, float, float]] | None = AROUND,
) -> Path:
    """Write the snapshot of one catalogue; columns that a row does not have are null."""
    columns = {**POSITION, **KNOWN[name].columns}
    schema = pa.schema([(column, kind.kind) for column, kind in columns.items()])
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    return write_snapshot(name, table, settings.catalog_dir, "a test", coverage=coverage)


def runner_with(
    home: Path,
    modules: Sequence[str],
    catalogs: Mapping[str, Sequence[Mapping[str, Any]]],
    coverage: list[tuple[float, float, float]] | None = AROUND,
) -> Runner:
    """Give a runner of some modules over snapshots with some rows; its catalogues are built."""
    settings = load_settings(home)
    for name, rows in catalogs.items():
        write(settings, name, rows, coverage)
    return built_runner(settings, modules)


def built_runner(settings: Settings, modules: Sequence[str]) -> Runner:
    """Give a runner of some modules of an installation; its catalogues are built."""
    survey = get_survey("ztf")
    runner = Runner(survey, [one for one in find_modules(survey, settings) if one.declaration.name in modules])
    runner.versions()
    return runner
