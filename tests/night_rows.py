"""Made-up rows for the nightly chain and the archive: every column of the lake filled, nulls and extremes included.

Nothing here imitates the sky; the values are there to be carried exactly and counted by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from fink_lib.lake import Lake
from fink_lib.lake.tables import PARTITION

NIGHT = "20240312"
NIGHT_JD = 2460381.5  # 2024-03-12T00:00 UTC
TOPIC = f"ztf_{NIGHT}_programid1"
ALERTS_PER_EXPOSURE = 20


def random_array(kind: pa.DataType, number: int, random: np.random.Generator) -> pa.Array:
    """Fill a column of any type that the lake has; about one value in eight is null."""
    null = random.random(number) < 0.125
    if pa.types.is_struct(kind):
        fields = [random_array(field.type, number, random) for field in kind]
        return pa.StructArray.from_arrays(fields, fields=list(kind), mask=pa.array(null))
    if pa.types.is_map(kind):
        items = random_array(kind.item_type, 3 * number, random).to_pylist()
        values: list[Any] = [
            None if gone else [(f"key_{k}", items[3 * i + k]) for k in range(i % 4)] for i, gone in enumerate(null)
        ]
        return pa.array(values, kind)
    if pa.types.is_list(kind):
        return pa.array([None if gone else [] for gone in null], kind)
    if pa.types.is_boolean(kind):
        return pa.array(random.random(number) < 0.5, kind, mask=null)
    if pa.types.is_string(kind):
        words = random.choice(["", "Unknown", "Sy1", "RR Lyr", "α Cen_b%", "x" * 300], number)
        return pa.array(words.tolist(), kind, mask=null)
    if pa.types.is_binary(kind):
        return pa.array([None if gone else random.bytes(5) for gone in null], kind)
    if pa.types.is_floating(kind):
        numbers = random.choice([0.0, -0.0, np.inf, -np.inf, 1e-300, 0.1], number)
        numbers = np.where(random.random(number) < 0.7, random.normal(0, 1e3, number), numbers)
        return pa.array(numbers.astype(kind.to_pandas_dtype()), mask=null)
    if pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        return pa.array(random.integers(limits.min, limits.max, number, dtype=kind.to_pandas_dtype()), mask=null)
    if pa.types.is_timestamp(kind):
        return pa.array(random.integers(0, 2**50, number), mask=null).cast(kind)
    raise TypeError(f"no values for {kind}")


def random_table(schema: pa.Schema, number: int, seed: int) -> pa.Table:
    """Fill all columns of a schema."""
    random = np.random.default_rng(seed)
    return pa.table([random_array(field.type, number, random) for field in schema], schema=schema)


def replace(rows: pa.Table, **columns: Any) -> pa.Table:
    """Replace whole columns, or fields of structs given as ``{"field": values}``."""
    for name, values in columns.items():
        place = rows.schema.get_field_index(name)
        kind = rows.schema.field(place).type
        if isinstance(values, dict):
            old = rows.column(name).combine_chunks()
            fields = [
                pa.array(values[field.name], field.type) if field.name in values else old.field(i)
                for i, field in enumerate(kind)
            ]
            new: pa.Array = pa.StructArray.from_arrays(fields, fields=list(kind))
        else:
            new = pa.array(values, kind)
        rows = rows.set_column(place, rows.schema.field(place), new)
    return rows


def science_rows(lake: Lake, number: int, seed: int = 0, night: str = NIGHT, first_id: int = 1) -> pa.Table:
    """Make rows of ``science`` with ids, names, times and offsets in order and everything else random."""
    rows = random_table(lake.schema("science"), number, seed)
    counting = np.arange(number)
    ids = counting + first_id
    return replace(
        rows,
        candid=ids,
        objectId=[f"ZTF18{_letters(i % 997)}" for i in range(number)],
        candidate={
            "candid": ids,
            "jd": NIGHT_JD + 0.1 + (counting // ALERTS_PER_EXPOSURE) * 4e-4,
            "fid": counting % 2 + 1,
            "field": 400 + counting // ALERTS_PER_EXPOSURE,
            "ra": (counting * 7.1) % 360,
            "dec": (counting * 3.3) % 180 - 90,
            "rb": np.full(number, 0.9),
            "nbad": np.zeros(number, int),
            "magpsf": 18 + (counting % 20) / 10,
        },
        ingest={
            "topic": [TOPIC] * number,
            "partition": np.zeros(number, int),
            "offset": counting,
            "kafka_time": [1_700_000_000_000_000] * number,
        },
        **{PARTITION: [night] * number},
    )


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + (number // 26**k) % 26) for k in reversed(range(7)))
