"""The class rule: a SQL file that names each alert's class from the columns that the modules gave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fink_lib.errors import ConfigError
from fink_lib.science.base import STATUS_NAMES
from fink_lib.science.columns import Batch
from fink_lib.science.duck import select

VERSION_COLUMN = "finkclass_version"

_HEADER = re.compile(r"^--\s?(?P<text>.*)$")
_FIELD = re.compile(r"^(?P<key>what|grain|owner|inputs|statuses|version \w+):\s*(?P<value>.*)$")


@dataclass(frozen=True)
class ClassRule:
    """A class rule, read from its file.

    Parameters
    ----------
    sql : str
        One SELECT over table ``alerts`` that gives the class columns.
    inputs : tuple of str
        Dotted paths of the columns it reads; those that no module gives yet are null.
    statuses : tuple of str
        Modules whose status it reads, as ``<module>_status``.
    versions : dict of str to str
        Version of each class column that it gives.
    input_types : dict of str to pyarrow.DataType
        Type of each input, for those that are null.
    """

    sql: str
    inputs: tuple[str, ...]
    statuses: tuple[str, ...]
    versions: dict[str, str]
    input_types: dict[str, pa.DataType]

    def evaluate(self, alerts: pa.Table) -> dict[str, pa.Array]:
        """Apply the rule to a flat table.

        Parameters
        ----------
        alerts : pyarrow.Table
            Inputs under their leaf names, and ``<module>_status``.

        Returns
        -------
        dict of str to pyarrow.Array
            One column per class, rows in the order of the alerts.
        """
        found = select(self.sql, alerts=alerts)
        return {name: found.column(name).combine_chunks() for name in self.versions}

    def apply(self, batch: Batch) -> dict[str, pa.Array]:
        """Apply the rule to a batch whose modules have run, and add the rule's version.

        Parameters
        ----------
        batch : Batch
            The alerts, with the modules' outputs and statuses.
        """
        columns = {path.rsplit(".", 1)[-1]: batch.find(path, self.input_types[path]) for path in self.inputs}
        words = pa.array(STATUS_NAMES)
        for module in self.statuses:
            codes = batch.find_status(module)
            columns[f"{module}_status"] = (
                pa.nulls(batch.size, pa.string()) if codes is None else words.take(pa.array(codes))
            )
        classes = self.evaluate(pa.table(columns))
        first = next(iter(self.versions.values()))
        classes[VERSION_COLUMN] = pa.array(np.full(batch.size, first, dtype=object), pa.string())
        return classes


def read_class_rule(path: Path, schemas: tuple[pa.Schema, ...]) -> ClassRule:
    """Read a class rule.

    Parameters
    ----------
    path : Path
        SQL file; its header gives ``inputs``, ``statuses`` and one ``version <column>`` per class column.
    schemas : tuple of pyarrow.Schema
        Where the inputs' types are looked up.

    Returns
    -------
    ClassRule

    Raises
    ------
    ConfigError
        If the header lacks a part or names a column that does not exist.
    """
    header, key = {}, ""
    sql = path.read_text()
    for line in sql.splitlines():
        comment = _HEADER.match(line)
        if comment is None:
            break
        text = comment["text"]
        found = _FIELD.match(text)
        if found:
            key = found["key"]
            header[key] = found["value"]
        elif key and text.startswith(" "):
            header[key] += " " + text.strip()
        else:
            key = ""
    versions = {key.split()[1]: value for key, value in header.items() if key.startswith("version ")}
    if "inputs" not in header or not versions:
        raise ConfigError(f"{path} needs a header with 'inputs' and 'version <column>' lines")
    inputs = _names(header["inputs"])
    types = {}
    for name in inputs:
        for schema in schemas:
            kind = _type_of(schema, name)
            if kind is not None:
                types[name] = kind
                break
        else:
            raise ConfigError(f"{path} reads {name!r}, which is neither a column of the alert nor of the broker")
    return ClassRule(sql, inputs, _names(header.get("statuses", "")), versions, types)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _type_of(schema: pa.Schema, path: str) -> pa.DataType | None:
    root, *fields = path.split(".")
    if schema.get_field_index(root) < 0:
        return None
    kind = schema.field(root).type
    for name in fields:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind
