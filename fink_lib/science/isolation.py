"""Running one module on one batch so that nothing it does can harm more than its own column of the guilty alerts.

An exception is bisected: the batch is halved until the alerts that cause it stand alone, and only these become
``failed``. What comes back is checked against the declaration.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.errors import TransientError
from fink_lib.science.base import (
    STATUS_NAMES,
    ContractError,
    Declaration,
    LengthError,
    ModuleReport,
    ModuleResult,
    ScienceModule,
    Status,
    UndeclaredError,
    statuses,
)
from fink_lib.science.columns import CUTOUTS, HISTORY, Batch, Columns
from fink_lib.science.duck import select

LOG = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]

ERRORS_KEPT = 3
"""Causes of ``failed`` that one report keeps per module and batch."""


@dataclass(frozen=True)
class Outcome:
    """A module's checked result for a whole batch.

    Parameters
    ----------
    outputs : dict of str to pyarrow.Array
        Declared columns with their declared types; null wherever the status is not ``ok``.
    status : ndarray of int8
        One :class:`Status` per alert.
    separation_arcsec : ndarray of float64
        Distance to the matched source, NaN where there is none.
    """

    outputs: dict[str, pa.Array]
    status: npt.NDArray[np.int8]
    separation_arcsec: npt.NDArray[np.float64]


def run_isolated(module: ScienceModule, batch: Batch, report: ModuleReport) -> Outcome:
    """Run a module on a batch; never raises for what the module does.

    Parameters
    ----------
    module : ScienceModule
        The module; what it is upstream of has run.
    batch : Batch
        The alerts.
    report : ModuleReport
        Takes the causes of failures.

    Returns
    -------
    Outcome
    """
    declaration = module.declaration
    try:
        status, rows = _eligible(declaration, batch)
        if any(path.startswith(f"{CUTOUTS}.") for path in declaration.inputs):
            batch.read_cutouts(rows)
    except (duckdb.Error, TransientError) as error:
        _note(report, declaration, f"before the module: {type(error).__name__}: {error}", error)
        away = isinstance(error, TransientError)
        return _without_value(declaration, batch.size, Status.UNAVAILABLE if away else Status.FAILED)
    pieces: list[tuple[Ints, Outcome]] = []
    if len(rows):
        _compute(module, batch, rows, report, pieces)
    return _merge(declaration, status, pieces)


def _eligible(declaration: Declaration, batch: Batch) -> tuple[npt.NDArray[np.int8], Ints]:
    """Give the statuses of alerts that the module need not see, and the rows of those that it must."""
    status = statuses(batch.size)
    for name in declaration.requires:
        upstream = batch.status(name)
        status[(upstream == Status.UNAVAILABLE) | (upstream == Status.FAILED)] = Status.UNAVAILABLE
    if declaration.applies and batch.size:
        verdicts = select(applies_sql(declaration), alerts=predicate_columns(declaration, batch))
        passes, waits = (column.to_numpy() for column in verdicts.columns)
        left_out = ~passes & (status == Status.OK)
        status[left_out] = np.where(waits[left_out], Status.UNAVAILABLE, Status.NOT_APPLICABLE)
    return status, np.flatnonzero(status == Status.OK)


def applies_sql(declaration: Declaration) -> str:
    """Give the query that evaluates ``applies`` and ``waits``; null is false."""
    waits = declaration.waits or "false"
    return (
        f"SELECT coalesce(({declaration.applies}), false) AS applies, coalesce(({waits}), false) AS waits FROM alerts"
    )


def predicate_columns(declaration: Declaration, batch: Batch) -> pa.Table:
    """Give what ``applies`` sees: scalar inputs under their leaf names, and ``<module>_status`` of upstream modules."""
    named = {path.rsplit(".", 1)[-1]: path for path in declaration.inputs if not path.startswith((HISTORY, CUTOUTS))}
    arrays = {leaf: batch.column(path) for leaf, path in named.items()}
    words = pa.array(STATUS_NAMES)
    for name in declaration.upstream:
        codes = batch.find_status(name)
        arrays[f"{name}_status"] = pa.nulls(batch.size, pa.string()) if codes is None else words.take(pa.array(codes))
    return pa.table({leaf: array for leaf, array in arrays.items() if not pa.types.is_nested(array.type)})


def _compute(
    module: ScienceModule, batch: Batch, rows: Ints, report: ModuleReport, pieces: list[tuple[Ints, Outcome]]
) -> None:
    declaration = module.declaration
    columns = Columns(batch, declaration, None if len(rows) == batch.size else rows)
    try:
        pieces.append((rows, check_result(declaration, module.run(columns), batch.ids[rows], report)))
        return
    except TransientError as error:
        LOG.warning("module %s: service away for %d alerts: %s", declaration.name, len(rows), error)
        pieces.append((rows, _without_value(declaration, len(rows), Status.UNAVAILABLE)))
        return
    except (UndeclaredError, LengthError) as error:
        _note(report, declaration, str(error))
        pieces.append((rows, _without_value(declaration, len(rows), Status.FAILED)))
        return
    except Exception as error:  # whatever a module raises costs the guilty alerts, nothing else
        if len(rows) == 1:
            _note(report, declaration, f"alert {batch.ids[rows[0]]}: {type(error).__name__}: {error}", error)
            pieces.append((rows, _without_value(declaration, 1, Status.FAILED)))
            return
        cause = error
    middle, before = len(rows) // 2, len(pieces)
    _compute(module, batch, rows[:middle], report, pieces)
    _compute(module, batch, rows[middle:], report, pieces)
    if not report.errors and not any((outcome.status == Status.FAILED).any() for _, outcome in pieces[before:]):
        text = f"{type(cause).__name__} with {len(rows)} alerts together, and with none of them alone: {cause}"
        _note(report, declaration, text, cause)


def _note(report: ModuleReport, declaration: Declaration, text: str, error: Exception | None = None) -> None:
    if len(report.errors) < ERRORS_KEPT:
        report.errors.append(text)
        LOG.error("module %s failed: %s", declaration.name, text, exc_info=error)


def _without_value(declaration: Declaration, size: int, status: Status) -> Outcome:
    outputs = {name: pa.nulls(size, declaration.outputs.field(name).type) for name in declaration.outputs.names}
    return Outcome(outputs, statuses(size, status), np.full(size, np.nan))


def _merge(declaration: Declaration, status: npt.NDArray[np.int8], pieces: list[tuple[Ints, Outcome]]) -> Outcome:
    """Put the pieces of a bisected or partly eligible batch back into the batch's order."""
    size = len(status)
    if len(pieces) == 1 and len(pieces[0][0]) == size:
        return pieces[0][1]
    if not pieces:
        return Outcome(_without_value(declaration, size, Status.OK).outputs, status, np.full(size, np.nan))
    rows = np.concatenate([piece[0] for piece in pieces])
    place = np.full(size, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    take = pa.array(place, mask=place < 0)
    outputs = {
        name: pa.concat_arrays([piece[1].outputs[name] for piece in pieces]).take(take)
        for name in declaration.outputs.names
    }
    separation = np.full(size, np.nan)
    for piece_rows, outcome in pieces:
        status[piece_rows] = outcome.status
        separation[piece_rows] = outcome.separation_arcsec
    return Outcome(outputs, status, separation)


def check_result(declaration: Declaration, result: ModuleResult, ids: Ints, report: ModuleReport) -> Outcome:
    """Hold a module to its declaration.

    Parameters
    ----------
    declaration : Declaration
        What it promised.
    result : ModuleResult
        What it gave.
    ids : ndarray of int64
        The alerts it was given.
    report : ModuleReport
        Takes the alerts for which it gave NaN beside ``ok``; these become ``failed``.

    Returns
    -------
    Outcome
        Null wherever the status is not ``ok``.

    Raises
    ------
    ContractError
        If columns are missing or undeclared, types differ, or a status is none of the five.
    LengthError
        If a length is not that of the batch.
    """
    size = len(ids)
    name = declaration.name
    status = np.array(result.status, dtype=np.int8)
    if status.shape != (size,):
        raise LengthError(f"module {name} gave {status.size} statuses for {size} alerts")
    if size and not ((status >= Status.OK) & (status <= Status.FAILED)).all():
        raise ContractError(f"module {name} gave a status outside 0..{int(Status.FAILED)}; use science.base.Status")
    missing = set(declaration.outputs.names) - set(result.outputs)
    undeclared = set(result.outputs) - set(declaration.outputs.names)
    if missing or undeclared:
        raise ContractError(
            f"module {name} declares {sorted(declaration.outputs.names)} but gave {sorted(result.outputs)}"
        )
    outputs = {field.name: _typed(name, field, result.outputs[field.name], size) for field in declaration.outputs}
    for column, array in outputs.items():
        broken = _not_finite(array) & (status == Status.OK)
        if broken.any():
            first = ids[np.flatnonzero(broken)[0]]
            _note(report, declaration, f"alert {first}: NaN or infinity in {column} beside status ok")
            status[broken] = Status.FAILED
    separation = np.full(size, np.nan) if result.separation_arcsec is None else result.separation_arcsec
    if separation.shape != (size,):
        raise LengthError(f"module {name} gave {separation.size} separations for {size} alerts")
    valid = status == Status.OK
    if not valid.all():
        keep = pa.array(np.arange(size), mask=~valid)
        outputs = {column: array.take(keep) for column, array in outputs.items()}
    return Outcome(outputs, status, np.where(valid, separation, np.nan))


def _typed(module: str, field: pa.Field, given: pa.Array | npt.NDArray[Any], size: int) -> pa.Array:
    where = f"module {module}, column {field.name}"
    if len(given) != size:
        raise LengthError(f"{where}: {len(given)} values for {size} alerts")
    if isinstance(given, pa.ChunkedArray):
        given = given.combine_chunks()
    if isinstance(given, pa.Array):
        if given.type != field.type:
            raise ContractError(f"{where}: type {given.type}, declared {field.type}")
        return given
    try:
        return pa.array(given, type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ContractError(f"{where}: {given.dtype} is not {field.type} ({error})") from error


def _not_finite(array: pa.Array) -> npt.NDArray[np.bool_]:
    """Mark the values that hold a NaN or an infinity, however deep."""
    kind = array.type
    bad = np.zeros(len(array), dtype=bool)
    if pa.types.is_floating(kind):
        finite: npt.NDArray[np.bool_] = pc.fill_null(pc.is_finite(array), True).to_numpy(zero_copy_only=False)
        return ~finite
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            bad |= _not_finite(pc.struct_field(array, index))
    elif pa.types.is_map(kind):
        lists = pa.ListArray.from_arrays(array.offsets, array.items)
        bad |= _not_finite(lists)
    elif pa.types.is_list(kind):
        inner = _not_finite(array.flatten())
        bad[pc.list_parent_indices(array).to_numpy()[inner]] = True
    return bad
