"""Reading positions and columns of sources from the formats in which catalogues are published.

Parquet, FITS, VOTable and CSV give one table: ``ra`` and ``dec`` (ICRS, deg) and the columns that are asked for. A
column is known under several names, because the same catalogue is spelled differently in a journal's table, in VizieR
and in a file that somebody made of it.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.coordinates import Angle, IllegalSecondWarning
from astropy.table import Table

from fink_lib.errors import ConfigError
from fink_lib.science.columns import one_chunk

FORMATS = {".parquet": "parquet", ".csv": "csv", ".fits": "fits", ".fit": "fits", ".vot": "votable", ".xml": "votable"}
"""File endings that can be read."""

NOTHING = ("", "None", "nan", "NaN", "--", "NULL")
"""Texts that stand for a missing value of a column that may be missing."""


@dataclass(frozen=True)
class Column:
    """A column of a catalogue, and how sources spell it.

    Parameters
    ----------
    kind : pyarrow.DataType
        Its type in the catalogue.
    spellings : tuple of str
        Names in sources, compared without case; the first that is there is taken. ``a+b`` joins two texts by a blank.
    required : bool
        Whether a source must have it. Values of one that need not be there may be missing.
    yes : str
        For a flag (an integer): the text that means 1; any other text means 0.
    """

    kind: pa.DataType
    spellings: tuple[str, ...]
    required: bool = True
    yes: str = ""


POSITION = {
    "ra": Column(pa.float64(), ("ra", "RA_ICRS", "RAdeg", "RAJ2000", "_RAJ2000", "RA(J2000)", "R.A.", "ra_deg")),
    "dec": Column(pa.float64(), ("dec", "DE_ICRS", "DEdeg", "DEJ2000", "_DEJ2000", "DEC(J2000)", "declination")),
}
"""Position of a source; text is read as hours and degrees."""


def read_sources(path: Path, columns: Mapping[str, Column], chosen: Mapping[str, str] | None = None) -> pa.Table:
    """Read a file of sources.

    Parameters
    ----------
    path : Path
        Its ending says the format (:data:`FORMATS`).
    columns : mapping of str to Column
        What is wanted beside the position.
    chosen : mapping of str to str, optional
        Column to its name in this file, where that is none of the known spellings.

    Returns
    -------
    pyarrow.Table
        ``ra``, ``dec`` and `columns` with their types. Text has no blanks around it.

    Raises
    ------
    ConfigError
        If the file cannot be read, or lacks a column that is required.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"{path} has no known ending; catalogues are read from {', '.join(FORMATS)}")
    try:
        table = _READERS[kind](path)
    except (OSError, ValueError, TypeError, IndexError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{path} cannot be read as {kind} ({error})") from error
    return pick_columns(table, columns, chosen or {}, str(path))


def pick_columns(table: pa.Table, columns: Mapping[str, Column], chosen: Mapping[str, str], where: str) -> pa.Table:
    """Take position and columns of a table under any of their spellings (see :func:`read_sources`)."""
    wanted = {**POSITION, **columns}
    unknown = sorted(set(chosen) - set(wanted))
    if unknown:
        raise ConfigError(f"there is no column {', '.join(unknown)}; a column map takes: {', '.join(wanted)}")
    there = {name.strip().lower(): name for name in reversed(table.column_names)}
    found = {}
    for name, column in wanted.items():
        spellings = (chosen[name],) if name in chosen else (*column.spellings, name)
        parts = next((parts for parts in map(_parts, spellings) if all(part in there for part in parts)), None)
        if parts is None and (column.required or name in chosen):
            raise ConfigError(
                f"{where} has no column for {name!r} (looked for {', '.join(spellings)}; it has "
                f"{', '.join(table.column_names)}); name it in a column map"
            )
        if parts is None:
            found[name] = pa.nulls(table.num_rows, column.kind)
            continue
        arrays = [one_chunk(table.column(there[part])) for part in parts]
        array = arrays[0] if len(arrays) == 1 else pc.binary_join_element_wise(*arrays, " ")
        try:
            found[name] = _angle(array, name) if name in POSITION else _typed(array, column)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise ConfigError(f"{where}: column {'+'.join(parts)} cannot be read as {name} ({error})") from error
    return pa.table(found)


def _parts(spelling: str) -> Sequence[str]:
    return spelling.lower().split("+")


def _angle(array: pa.Array, name: str) -> pa.Array:
    """Give degrees; text in hours (right ascension) or degrees, minutes and seconds, or as a plain number."""
    if not _is_text(array.type):
        return pc.if_else(pc.is_finite(array.cast(pa.float64())), array.cast(pa.float64()), None)
    text = pc.utf8_trim_whitespace(array.cast(pa.string()))
    parsed = np.full(len(text), np.nan)
    words = text.to_pylist()
    plain = np.array([bool(word) and not (" " in word or ":" in word) for word in words], dtype=bool)
    parts = np.array([bool(word) and (" " in word or ":" in word) for word in words], dtype=bool)
    rows = np.asarray(words, dtype=object)
    parsed[plain] = rows[plain].astype(np.float64)
    if parts.any():
        with warnings.catch_warnings():
            # Sixty seconds, from rounding, are one minute.
            warnings.simplefilter("ignore", IllegalSecondWarning)
            parsed[parts] = Angle(rows[parts].tolist(), unit=u.hourangle if name == "ra" else u.deg).deg
    return pa.array(parsed, from_pandas=True)


def _typed(array: pa.Array, column: Column) -> pa.Array:
    if not _is_text(array.type):
        if pa.types.is_floating(array.type):
            array = pc.if_else(pc.is_finite(array), array, pa.scalar(None, array.type))
        return array.cast(column.kind)
    text = pc.utf8_trim_whitespace(array.cast(pa.string()))
    if column.yes:
        return pc.fill_null(pc.equal(text, column.yes), False).cast(column.kind)
    if not column.required:
        text = pc.if_else(pc.is_in(text, pa.array(NOTHING)), pa.scalar(None, pa.string()), text)
    return text.cast(column.kind)


def _is_text(kind: pa.DataType) -> bool:
    return any(
        check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_null)
    )


def _read_parquet(path: Path) -> pa.Table:
    return pq.read_table(path)


def _read_csv(path: Path) -> pa.Table:
    """Read every value as text: catalogues quote numbers, and put blanks around commas."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = [[cell.strip() for cell in line] for line in csv.reader(file, skipinitialspace=True) if line]
    # The Transient Name Server writes the date of the list above the names of its columns.
    head = next((place for place, line in enumerate(lines) if len(line) > 2), None)
    if head is None:
        raise ValueError("there are no columns")
    names, rows = lines[head], lines[head + 1 :]
    if any(len(line) != len(names) for line in rows):
        raise ValueError(f"some lines have not {len(names)} values")
    return pa.table({name: pa.array([line[place] for line in rows], pa.string()) for place, name in enumerate(names)})


def _read_astropy(path: Path) -> pa.Table:
    return from_astropy(Table.read(path, format="fits" if FORMATS[path.suffix.lower()] == "fits" else "votable"))


def from_astropy(table: Any) -> pa.Table:
    """Give the one-dimensional columns of an astropy table; masked values are null."""
    arrays = {}
    for name in table.colnames:
        values = np.ma.asarray(table[name])
        if values.ndim != 1:
            continue
        data, mask = np.asarray(values.data), np.ma.getmaskarray(values)
        if data.dtype.kind in "SUO":
            data = np.array([cell.decode() if isinstance(cell, bytes) else str(cell) for cell in data], dtype=object)
            arrays[name] = pa.array(data, pa.string(), mask=mask)
        else:
            # FITS is big-endian; Arrow is not.
            arrays[name] = pa.array(data.astype(data.dtype.newbyteorder("=")), mask=mask)
    return pa.table(arrays)


_READERS = {"parquet": _read_parquet, "csv": _read_csv, "fits": _read_astropy, "votable": _read_astropy}
