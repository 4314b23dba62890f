"""Submitting: a selection is checked, counted and weighed before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from fink_lib.errors import ConfigError
from fink_lib.filters.backtest import parse_nights
from fink_lib.lake import open_lake
from fink_lib.nightly.nights import night_state
from fink_lib.streams.stamps import StampReader
from fink_lib.transfer.choice import Choice
from fink_lib.transfer.content import Content
from fink_lib.transfer.files import refuse_used
from fink_lib.transfer.job import Job, JobStore, Plan, Selection
from fink_lib.transfer.run import table_of
from fink_lib.transfer.source import Source

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

SAMPLE_ROWS = 100
STILL_OPEN = ("live", "closing")


def plan(settings: Settings, selection: Selection) -> Plan:
    """Check a selection, count its rows and estimate their size.

    Parameters
    ----------
    settings : Settings
        The installation.
    selection : Selection
        What is asked for.

    Raises
    ------
    FilterError
        If a predicate may not run; it points at the place.
    ConfigError
        If there is no such night, filter or column.
    """
    lake = open_lake(settings, selection.survey)
    choice = Choice(selection, lake.survey, settings.home)
    content = Content(lake.survey, selection.columns)
    source = Source(lake)
    nights = tuple(parse_nights(selection.nights, source.nights))
    expected = source.counts(choice, nights, settings.kafka.partitions)
    row_bytes = _row_bytes(lake, source, choice, content, nights) if sum(expected) else 0
    return Plan(source.version, nights, expected, choice.digest, content.schema_id, row_bytes)


def submit(settings: Settings, selection: Selection, now: datetime, parquet: Path | None = None) -> Job:
    """Plan a job and keep it; :func:`fink_lib.transfer.run.run_job` does it.

    Parameters
    ----------
    settings : Settings
        The installation.
    selection : Selection
        What is asked for.
    now : datetime
        The present time; the topic is named after it.
    parquet : Path, optional
        Write files into this empty folder, and no topic.

    Raises
    ------
    FilterError, ConfigError
        As :func:`plan`; or if the rows are more than a topic may take, or the folder is not empty.
    """
    if parquet is not None:
        refuse_used(parquet)
    planned = plan(settings, selection)
    limit = settings.transfer.max_gb
    if parquet is None and planned.size_bytes > limit * 1e9:
        raise ConfigError(
            f"about {planned.size_bytes / 1e9:.1f} GB are more than transfer.max_gb ({limit:g}); a topic keeps them "
            "until it is deleted; choose fewer nights or columns, or write files with --parquet"
        )
    return JobStore(settings.home).create(selection, planned, now, str(parquet.resolve()) if parquet else "")


def open_nights(lake: Lake, nights: Sequence[str]) -> list[str]:
    """Give the nights that may still get alerts, which will not be part of a transfer that is submitted now."""
    lake.ensure()
    states = {night: night_state(lake, night) for night in nights}
    return [night for night, state in states.items() if state is None or state.state in STILL_OPEN]


def _row_bytes(lake: Lake, source: Source, choice: Choice, content: Content, nights: Sequence[str]) -> int:
    """Pack the first rows, and give their mean size."""
    for piece in source.pieces(choice, nights, content.inputs, (0,), SAMPLE_ROWS):
        sizes = pc.binary_length(content.encode(table_of(lake, content, piece, StampReader(lake))))
        return int(pc.mean(sizes).as_py()) + 1
    return 0
