"""Scores that need a longer light curve than a packet brings: computed when the night is over, merged into ``science``.

A module says with ``archive_d`` that it wants the points of earlier nights too. The alerts that it applies to get them
from ``science``, the module runs again on these, and what it says now replaces what it said in the stream. The result
follows from the alerts of this night and of earlier ones and from the versions, so doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.lake.patch import patch_rows
from fink_lib.science.archive_history import with_archive
from fink_lib.science.base import STATUS_NAMES, Declaration, ModuleReport, ScienceModule, Status
from fink_lib.science.columns import CUTOUTS, HISTORY, Batch, one_chunk
from fink_lib.science.declarations import STATUS_COLUMN, VERSIONS_COLUMN
from fink_lib.science.duck import select
from fink_lib.science.isolation import applies_sql, run_isolated
from fink_lib.science.loading import build_runner

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake
    from fink_lib.science.runner import Runner

OBJECT = "objectId"
CHUNK_ALERTS = 2000


def judge_night(lake: Lake, night: str, settings: Settings) -> dict[str, dict[str, int]]:
    """Run the modules that want earlier nights on the alerts of a night that they apply to.

    Parameters
    ----------
    lake : Lake
        The survey's lake.
    night : str
        ``YYYYMMDD``.
    settings : Settings
        Where catalogues and models are.

    Returns
    -------
    dict
        For each such module ``asked`` (alerts that it applies to) and ``updated`` (rows of ``science`` written now).

    Raises
    ------
    TransientError
        If other writers keep changing the night.
    """
    runner = build_runner(lake.survey, settings)  # opens the catalogues and models of these modules only
    return {
        module.declaration.name: _judge(lake, night, runner, module)
        for module in runner.modules
        if module.declaration.archive_d
    }


def _judge(lake: Lake, night: str, runner: Runner, module: ScienceModule) -> dict[str, int]:
    key = lake.survey.id_field
    nights = _earlier(lake.nights("science"), night, module.declaration.archive_d)
    chosen = _applicable(lake, night, module.declaration)
    changed = []
    for start in range(0, len(chosen), CHUNK_ALERTS):
        ids = pa.array(chosen[start : start + CHUNK_ALERTS], pa.int64())
        rows = lake.dataset("science", [night]).to_table(filter=pc.field(key).isin(ids)).combine_chunks()
        changed.append(_values(lake, runner, module, rows, _archive(lake, runner, nights, rows)))
    values = pa.concat_tables(changed) if changed else None
    updated = patch_rows(lake, "science", night, key, values) if values is not None and values.num_rows else 0
    return {"asked": len(chosen), "updated": updated}


def _earlier(nights: Sequence[str], night: str, days: float) -> list[str]:
    oldest = (datetime.strptime(night, "%Y%m%d") - timedelta(days=days)).strftime("%Y%m%d")
    return [one for one in nights if oldest <= one < night]


def _applicable(lake: Lake, night: str, declaration: Declaration) -> list[int]:
    """Give the ids of the alerts to which the module applies, from what the stream said of them."""
    key = lake.survey.id_field
    scalars = [path for path in declaration.inputs if not path.startswith((HISTORY, CUTOUTS))]
    named = {path.rsplit(".", 1)[-1]: pc.field(*path.split(".")) for path in scalars}
    rows = lake.dataset("science", [night]).to_table(
        columns={key: pc.field(key), STATUS_COLUMN: pc.field(STATUS_COLUMN)} | named
    )
    words = {name: _word(rows, name) for name in declaration.upstream}
    known = np.ones(rows.num_rows, dtype=bool)
    for name in declaration.requires:
        known &= np.isin(_codes(words[name]), (Status.OK, Status.NO_MATCH, Status.NOT_APPLICABLE))
    seen = rows.drop_columns([STATUS_COLUMN])
    for name, word in words.items():
        seen = seen.append_column(f"{name}_status", word)
    applies = select(applies_sql(declaration), alerts=seen).column("applies").to_numpy() if rows.num_rows else known
    ids: list[int] = rows.column(key).filter(pa.array(known & applies)).to_pylist()
    return sorted(ids)


def _word(rows: pa.Table, module: str) -> pa.Array:
    return pc.map_lookup(one_chunk(rows.column(STATUS_COLUMN)), pa.scalar(module), "first")


def _codes(words: pa.Array) -> npt.NDArray[np.int8]:
    """Give statuses; an alert that is older than the module does not have its result."""
    codes = pc.fill_null(pc.index_in(words, value_set=pa.array(STATUS_NAMES)), int(Status.UNAVAILABLE))
    found: npt.NDArray[np.int8] = codes.to_numpy(zero_copy_only=False).astype(np.int8)
    return found


def _archive(lake: Lake, runner: Runner, nights: list[str], rows: pa.Table) -> pa.Table:
    """Give the alerts of earlier nights that are of the same objects."""
    layout = runner.layout
    columns = [OBJECT, layout.own, layout.previous]
    if not nights:
        return rows.select(columns).slice(0, 0)
    objects = pc.unique(rows.column(OBJECT))
    return lake.dataset("science", nights).to_table(columns=columns, filter=pc.field(OBJECT).isin(objects))


def _values(lake: Lake, runner: Runner, module: ScienceModule, rows: pa.Table, archive: pa.Table) -> pa.Table:
    """Give id, outputs, status and versions of the rows of which the module says something else now."""
    declaration, name, key = module.declaration, module.declaration.name, lake.survey.id_field
    longer = with_archive(rows.select(lake.survey.alert_schema.names), archive, runner.layout, OBJECT)
    batch = Batch(longer, runner.layout, key)
    for upstream in declaration.upstream:
        for column in _outputs(runner, upstream):
            batch.add(column, one_chunk(rows.column(column)))
        batch.add_status(upstream, _codes(_word(rows, upstream)))
    outcome = run_isolated(module, batch, ModuleReport())
    words = [STATUS_NAMES[code] for code in outcome.status]
    versions = {name: declaration.version, **module.resources}
    maps = {
        STATUS_COLUMN: list(_merged(rows, STATUS_COLUMN, [{name: word} for word in words])),
        VERSIONS_COLUMN: list(_merged(rows, VERSIONS_COLUMN, [versions] * len(words))),
    }
    schema = lake.schema("science")
    new = {column: array.cast(schema.field(column).type) for column, array in outcome.outputs.items()}
    new |= {column: pa.array(pairs, schema.field(column).type) for column, pairs in maps.items()}
    values = pa.table({key: rows.column(key)} | new)
    before = rows.select(values.column_names).to_pylist()
    differs = [then != now for then, now in zip(before, values.to_pylist(), strict=True)]
    return values.filter(pa.array(differs, pa.bool_()))


def _outputs(runner: Runner, name: str) -> list[str]:
    (found,) = [module.declaration.outputs.names for module in runner.modules if module.declaration.name == name]
    return list(found)


def _merged(rows: pa.Table, column: str, entries: Sequence[dict[str, str]]) -> Iterator[list[tuple[str, Any]]]:
    for pairs, new in zip(rows.column(column).to_pylist(), entries, strict=True):
        yield sorted({**dict(pairs or ()), **new}.items())
