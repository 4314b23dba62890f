"""What each suite judges, computed by the SQL beside it: one row of numbers of the night, or a sample of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pyarrow as pa
from deltalake import Schema as DeltaSchema

from fink_lib.config import project_root
from fink_lib.nightly.quality import pairs_table, past_nights, past_numbers, past_versions
from fink_lib.nightly.sql import open_night

if TYPE_CHECKING:
    import pandas as pd

    from fink_lib.lake import Lake

NIGHT_SUITES = ("raw", "science", "science_sample", "distribution", "drift")
"""What is judged before anything of the night is archived, in this order."""

ARCHIVE_SUITES = ("archive", "night_summary")
"""What is judged when the night is in the archive, before it is published."""

JUDGED_COLUMNS = ("raw", "science", "rejected", "quarantine", "sent")
"""Tables whose columns are compared with what they are declared to be."""

_TYPE_CHARACTERS = 40
_NUMBERS = pa.schema([("name", pa.string()), ("value", pa.float64())])
_VERIFIED = pa.schema(
    [
        ("table_name", pa.string()),
        ("current", pa.bool_()),
        ("rows", pa.int64()),
        ("found", pa.int64()),
        ("differing", pa.int64()),
        ("lake_digest", pa.string()),
        ("archive_digest", pa.string()),
    ]
)


def suite_folder(survey: str) -> Path:
    """Give the folder of a survey's suites."""
    return project_root() / "expectations" / survey


def frames_of_night(
    lake: Lake,
    night: str,
    folder: Path,
    installed: Mapping[str, str] | None = None,
    suites: Sequence[str] = NIGHT_SUITES,
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Compute what suites about a night judge.

    Parameters
    ----------
    lake : Lake
        Of the survey.
    night : str
        ``YYYYMMDD``.
    folder : Path
        Where the SQL is.
    installed : mapping of str to str, optional
        Version of every module and model that is installed; without, versions are not judged.
    suites : sequence of str
        Some of :data:`NIGHT_SUITES`.

    Returns
    -------
    dict of str to DataFrame
        One frame for each suite.
    dict of str to float
        The numbers of the night, to be kept for later ones.
    """
    before = past_nights(lake, night)
    session = open_night(lake, night)
    session.register("columns", columns_table(lake))
    session.register("installed", pairs_table(sorted((installed or {}).items())))
    session.register("past_versions", past_versions(lake, before))
    session.register("past", past_numbers(lake, before))
    numbers = session.sql((folder / "numbers.sql").read_text()).to_arrow_table()
    session.register("numbers", numbers)
    frames = {name: session.sql((folder / f"{name}.sql").read_text()).to_arrow_table() for name in suites}
    session.close()
    told = dict(zip(numbers.column("name").to_pylist(), numbers.column("value").to_pylist(), strict=True))
    return {name: table.to_pandas() for name, table in frames.items()}, told


def frames_of_archive(
    lake: Lake,
    night: str,
    folder: Path,
    verified: list[dict[str, Any]],
    statistics: Mapping[str, int],
) -> dict[str, pd.DataFrame]:
    """Compute what the suites of :data:`ARCHIVE_SUITES` judge.

    Parameters
    ----------
    lake : Lake
        Of the survey.
    night : str
        ``YYYYMMDD``.
    folder : Path
        Where the SQL is.
    verified : list of dict
        One for each archive table: ``table_name``; ``current``, whether its last check passed and the night is the
        same since; and what that check found, or nulls: ``rows`` (of the lake), ``found``, ``differing``,
        ``lake_digest``, ``archive_digest``.
    statistics : mapping of str to int
        The night's row of the archive, ``family:name`` to count.
    """
    cells = [{"name": name, "value": value} for name, value in statistics.items()]
    session = open_night(lake, night)
    session.register("verified", pa.Table.from_pylist(verified, schema=_VERIFIED))
    session.register("statistics", pa.Table.from_pylist(cells, schema=_NUMBERS))
    session.register("night_summary", lake.read("night_summary", [night]))
    frames = {name: session.sql((folder / f"{name}.sql").read_text()).to_arrow_table() for name in ARCHIVE_SUITES}
    session.close()
    return {name: table.to_pandas() for name, table in frames.items()}


def columns_table(lake: Lake) -> pa.Table:
    """Compare the columns of the lake's tables with their declaration: one row per column, types in Delta's words."""
    rows = []
    for table in JUDGED_COLUMNS:
        declared, found = _types(DeltaSchema.from_arrow(lake.schema(table))), _types(lake.table(table).schema())
        rows += [
            {
                "table_name": table,
                "column_name": name,
                "declared": declared.get(name, "nothing"),
                "found": found.get(name, "nothing"),
            }
            for name in sorted({*declared, *found})
        ]
    return pa.Table.from_pylist(rows)


def _types(schema: DeltaSchema) -> dict[str, str]:
    """Give the type of each column, short where it is not the whole that is told, equal only if the whole is."""
    names = {}
    for field in schema.fields:
        text = field.type.to_json()
        long = len(text) > _TYPE_CHARACTERS
        names[field.name] = f"{text[:_TYPE_CHARACTERS]}… ({crc32(text.encode()):08x})" if long else text.strip('"')
    return names
