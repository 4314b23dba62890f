"""A survey and science modules made for tests: small, and wrong in one way each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from fink_lib.science import ModuleResult, Runner, ScienceModule
from fink_lib.science.base import Declaration, statuses
from fink_lib.science.columns import Columns
from fink_lib.surveys import get_survey
from fink_lib.surveys.base import Survey
from fink_lib.surveys.ztf import Ztf

PAIR = pa.struct([("a", pa.float64()), ("b", pa.float64())])


class ToySurvey(Ztf):
    """ZTF's alerts with a few columns of its own to fill."""

    fink_schema = pa.schema(
        [
            ("number", pa.int32()),
            ("score", pa.float64()),
            ("other", pa.float64()),
            ("text", pa.string()),
            ("pair", PAIR),
            ("floats", pa.map_(pa.string(), pa.float64())),
            ("xm_sep", pa.map_(pa.string(), pa.float32())),
            ("gal_lat", pa.float64()),
            ("ecl_lat", pa.float64()),
            ("fink_status", pa.map_(pa.string(), pa.string())),
            ("fink_versions", pa.map_(pa.string(), pa.string())),
        ]
    )


def toy_survey() -> Survey:
    """Give the survey."""
    assert get_survey("ztf").name == ToySurvey.name
    return ToySurvey(1 << 20)


class Toy(ScienceModule):
    """A module whose ``run`` is a function."""

    def __init__(
        self,
        run: Callable[[Columns], ModuleResult | Mapping[str, Any]],
        name: str = "toy",
        outputs: Mapping[str, pa.DataType] | None = None,
        resources: Mapping[str, str] | None = None,
        **declared: Any,
    ) -> None:
        schema = pa.schema(list((outputs or {"score": pa.float64()}).items()))
        declared.setdefault("inputs", ("candidate.magpsf", "candidate.ra"))
        self.declaration = Declaration(name=name, version="1", outputs=schema, **declared)
        self._run = run
        self._resources = resources or {}

    @property
    def resources(self) -> Mapping[str, str]:
        """Give what the test says."""
        return self._resources

    def run(self, columns: Columns) -> ModuleResult:
        """Call the function; a mapping alone means that all is well."""
        given = self._run(columns)
        return given if isinstance(given, ModuleResult) else ModuleResult(given, statuses(len(columns)))


def good(name: str = "good", output: str = "score", **declared: Any) -> Toy:
    """Give a module without a fault: the magnitude doubled."""
    return Toy(
        lambda columns: {output: 2 * columns.floats("candidate.magpsf")},
        name=name,
        outputs={output: pa.float64()},
        **declared,
    )


def toy_runner(*modules: ScienceModule) -> Runner:
    """Give a runner of toy modules."""
    return Runner(toy_survey(), modules)


def status_of(table: pa.Table, module: str) -> list[str]:
    """Give a module's status of each alert."""
    return [dict(row)[module] for row in table.column("fink_status").to_pylist()]


def values(table: pa.Table, column: str) -> list[Any]:
    """Give a column's values."""
    return np.asarray(table.column(column).to_pylist(), dtype=object).tolist()
