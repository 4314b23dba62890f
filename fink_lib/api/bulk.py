"""Whole tables as files: written group by group, so that memory stays bounded however many nights there are.

The lake keeps every night for good, the archived ones too, in columns; so it is read here for all nights.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fink_lib.api.stores import Stores

OBJECTS_AT_ONCE = 5_000
KNOWN_TO_MPC = 3
FIELDS = {"cra": "ra", "cdec": "dec", "cmagpsf": "magpsf", "csigmapsf": "sigmapsf", "cfid": "fid", "cjd": "jd"}
"""Columns of the file and fields of the packet; each is a list, in order of time."""
NAME = "ssnamenr"

_making = threading.Lock()


def light_curves(stores: Stores) -> Path:
    """Give a file with a row for each known Solar System object: its name and its points.

    Parameters
    ----------
    stores : Stores
        The lake, and the installation's folder, where the file is kept until the lake changes.
    """
    folder = stores.settings.service_dir("api") / "bulk"
    with _making:
        version = stores.lake.table("science").version()
        path = folder / f"sso_light_curves_{version}.parquet"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            try:
                _write(stores, part)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            for old in folder.glob("sso_light_curves_*.parquet"):
                if old != path:
                    old.unlink()  # whoever reads it keeps it open
        return path


def _write(stores: Stores, path: Path) -> None:
    dataset = stores.lake.dataset("science")
    known = (pc.field("roid") == KNOWN_TO_MPC) & pc.field("candidate", NAME).is_valid()
    names = _names(dataset, known)
    schema: pa.Schema | None = None
    writer: pq.ParquetWriter | None = None
    try:
        for start in range(0, max(len(names), 1), OBJECTS_AT_ONCE):
            some = pa.array(names[start : start + OBJECTS_AT_ONCE], pa.string())
            columns = {NAME: pc.field("candidate", NAME)}
            columns |= {column: pc.field("candidate", field) for column, field in FIELDS.items()}
            rows = dataset.to_table(columns=columns, filter=known & pc.field("candidate", NAME).isin(some))
            curves = _lists(rows.sort_by([(NAME, "ascending"), ("cjd", "ascending")]))
            if writer is None:
                schema = curves.schema
                writer = pq.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(curves.cast(schema))
    finally:
        if writer is not None:
            writer.close()


def _names(dataset: pa.dataset.Dataset, known: pc.Expression) -> list[str]:
    found: set[str] = set()
    for batch in dataset.to_batches(columns={NAME: pc.field("candidate", NAME)}, filter=known):
        found.update(name for name in pc.unique(batch.column(NAME)).to_pylist() if name != "null")
    return sorted(found)


def _lists(rows: pa.Table) -> pa.Table:
    """Gather sorted rows into one row for each name."""
    rows = rows.combine_chunks()
    names = rows.column(NAME).combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.diff(names, prepend=-1)) if len(names) else np.zeros(0, np.int64)
    offsets = pa.array(np.append(starts, len(names)).astype(np.int32))
    columns = {NAME: rows.column(NAME).take(pa.array(starts))}
    for column in FIELDS:
        columns[column] = pa.ListArray.from_arrays(offsets, rows.column(column).combine_chunks())
    return pa.table(columns)
