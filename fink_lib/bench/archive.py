"""How fast a night goes into HBase: a night of copies, written into every table of the archive, then verified."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.bench.backtest import science_of
from fink_lib.bench.usage import Usage
from fink_lib.config import Settings
from fink_lib.errors import TransientError
from fink_lib.lake import Lake, open_lake
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.archive import archive, verify_archive
from fink_lib.nightly.stage import NightContext
from fink_lib.runtime.services import build

NIGHT = "20260115"
NIGHT_JD = 2461055.5
FIRST_ID = 10**17
FILE_ROWS = 20_000
ALERTS_PER_EXPOSURE = 400
EXPOSURE_D = 40 / 86_400
ALERTS_PER_OBJECT = 1.5
JITTER_DEG = 3.0
LETTERS = 26


@dataclass
class ArchiveRates:
    """What was measured.

    Parameters
    ----------
    alerts : int
        In the night.
    seconds, verify_s : float
        Of writing all tables, and of comparing every row.
    rows : dict of str to int
        Written, by table.
    usage, database : Usage
        Processor time and memory of the writing processes, and of HBase with its Thrift server.
    """

    alerts: int
    seconds: float
    verify_s: float
    usage: Usage
    database: Usage
    rows: dict[str, int] = field(default_factory=dict)


def archive_rates(
    settings: Settings, survey: str, alerts: int, data: Sequence[Path], say: Callable[[str], None]
) -> ArchiveRates:
    """Fill a lake with one night of copies of alerts and their science, and archive it.

    Parameters
    ----------
    settings : Settings
        An empty installation whose HBase answers.
    survey : str
        Which survey.
    alerts : int
        How many.
    data : sequence of Path
        Recorded alerts; synthetic ones if empty.
    say : callable
        Takes a line of progress.

    Raises
    ------
    TransientError
        If the archive does not hold what the lake holds.
    """
    lake = open_lake(settings, survey)
    lake.ensure()
    pattern = science_of(lake, settings, data)
    say(f"writing {alerts} copies of {pattern.num_rows} alerts into one night")
    for start in range(0, alerts, FILE_ROWS):
        numbers = np.arange(start, min(start + FILE_ROWS, alerts))
        lake.append("science", copies(lake, pattern, numbers))
    context = NightContext(settings, lake.survey, lake, NIGHT, datetime.now(UTC), say)
    archive(_one_table(context))  # makes the tables: that is done once in a life
    began_s = time.monotonic()
    with Usage([os.getpid()]) as usage, Usage(_database_pids(settings)) as database:
        written = archive(context)
        seconds = time.monotonic() - began_s
    say(written.message)
    began_s = time.monotonic()
    compared = verify_archive(context)
    if not compared.ok:
        raise TransientError(f"the archive is not as it should be: {compared.message}")
    say(compared.message)
    rows = {name: one["rows"] for name, one in written.details["tables"].items() if one["rows"]}
    return ArchiveRates(alerts, seconds, time.monotonic() - began_s, usage, database, rows)


def _database_pids(settings: Settings) -> list[int]:
    records = [build(settings, name).record() for name in ("hbase", "thrift")]
    return [record.process.pid for record in records if record is not None]


def _one_table(context: NightContext) -> NightContext:
    """Give the same without a night, so that nothing but empty tables comes of it."""
    return NightContext(context.settings, context.survey, context.lake, "20000101", context.now, context.progress)


def copies(lake: Lake, pattern: pa.Table, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Table:
    """Copy alerts under new ids, names, times and places: exposures of some hundred alerts, as a survey makes them."""
    rows = pattern.take(pa.array(numbers % pattern.num_rows)).combine_chunks()
    random = np.random.default_rng(int(numbers[0]))
    candidate = rows.column("candidate").combine_chunks()
    ids = pa.array(FIRST_ID + numbers, pa.int64())
    jd = NIGHT_JD + 0.1 + (numbers // ALERTS_PER_EXPOSURE) * EXPOSURE_D
    ra, dec = (candidate.field(name).to_numpy(zero_copy_only=False) for name in ("ra", "dec"))
    replaced = {
        "candid": ids,
        "jd": pa.array(jd),
        "ra": pa.array((ra + random.uniform(-JITTER_DEG, JITTER_DEG, len(ra))) % 360),
        "dec": pa.array(np.clip(dec + random.uniform(-JITTER_DEG, JITTER_DEG, len(dec)), -90, 90)),
    }
    fields = [replaced.get(f.name, candidate.field(place)) for place, f in enumerate(candidate.type)]
    columns = {
        lake.survey.id_field: ids,
        lake.survey.object_field: pa.array([_name(int(number / ALERTS_PER_OBJECT)) for number in numbers]),
        "candidate": pa.StructArray.from_arrays(fields, fields=list(candidate.type)),
        "finkclass": pc.fill_null(rows.column("finkclass").combine_chunks(), "Unknown"),
        PARTITION: pa.array([NIGHT] * len(numbers)),
    }
    for name, values in columns.items():
        place = rows.schema.get_field_index(name)
        kind = pa.field(name, values.type)
        rows = rows.append_column(kind, values) if place < 0 else rows.set_column(place, kind, values)
    schema = lake.schema("science")
    for kind in schema:
        if kind.name not in rows.column_names:
            rows = rows.append_column(kind, pa.nulls(rows.num_rows, kind.type))
    return rows.select(schema.names)


def _name(number: int) -> str:
    letters = "".join(chr(ord("a") + number // LETTERS**place % LETTERS) for place in reversed(range(7)))
    return f"ZTF{17 + number % 9}{letters}"
