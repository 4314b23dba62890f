"""Finding pairs in the lake: new files of ``science`` against all triggers, and new triggers against all files.

What was looked at is remembered in memory only. After a restart, and after a compaction, files are looked at again;
what was sent before is known from table ``sent``, so this costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.lake.lookup import open_file
from fink_lib.lake.tables import PARTITION
from fink_lib.science.multimessenger.coincidence import INPUTS, NOTICE_COLUMNS, WINDOW_D, Trigger, join, newest

if TYPE_CHECKING:
    from fink_lib.filters import FilterSet
    from fink_lib.lake import Lake

SELECTION = "selection"
_NOTICE_PLACE = ("kafka_timestamp", "topic", "partition", "offset")


class PairSearch:
    """Finds the pairs that selections take, each time only what is new.

    Parameters
    ----------
    lake : Lake
        Holds ``science`` and ``gcn``.
    selections : FilterSet
        Of :func:`fink_lib.streams.messengers.selection.load_selections`.
    """

    def __init__(self, lake: Lake, selections: FilterSet) -> None:
        self._lake = lake
        self._selections = selections
        self._looked: dict[str, set[str]] = {}

    def find(self) -> tuple[pa.Table, int]:
        """Give the pairs not looked at before that some selection takes.

        Returns
        -------
        pairs : pyarrow.Table
            Columns of the join, ``selection`` (one row for each selection that takes the pair) and ``night``.
        alerts : int
            Rows of ``science`` that were read.
        """
        nights = window(self._lake.nights("science"))
        triggers = read_triggers(self._lake, nights)
        files = self._files(nights)
        self._looked = {path: seen for path, seen in self._looked.items() if path in files}
        found: list[pa.Table] = []
        alerts = 0
        for path, night in sorted(files.items()):
            seen = self._looked.setdefault(path, set())
            new = [trigger for trigger in triggers if trigger.key not in seen and may_meet(trigger, night)]
            if new:
                rows = read_alerts(self._lake, path)
                alerts += rows.num_rows
                taken = self._taken(join(rows, new))
                if taken.num_rows:
                    found.append(taken.append_column(PARTITION, pa.array([night] * taken.num_rows, pa.string())))
            seen.update(trigger.key for trigger in new)
        return pa.concat_tables(found) if found else pa.table({}), alerts

    def _files(self, nights: Sequence[str]) -> dict[str, str]:
        actions = pa.table(self._lake.table("science").get_add_actions(flatten=True))
        if f"partition.{PARTITION}" not in actions.column_names:
            return {}
        pairs = zip(
            actions.column("path").to_pylist(), actions.column(f"partition.{PARTITION}").to_pylist(), strict=True
        )
        return {path: night for path, night in pairs if night in nights}

    def _taken(self, pairs: pa.Table) -> pa.Table:
        verdicts = self._selections.evaluate(pairs)
        parts = []
        for name in self._selections.names:
            mine = pairs.filter(verdicts.column(name))
            parts.append(mine.append_column(SELECTION, pa.array([name] * mine.num_rows, pa.string())))
        return pa.concat_tables(parts)


def window(nights: Sequence[str]) -> list[str]:
    """Give the newest night and those that can share a trigger with it.

    >>> window(["20240301", "20240305", "20240312"])
    ['20240305', '20240312']
    """
    if not nights:
        return []
    first = _date(max(nights)) - timedelta(days=ceil(WINDOW_D))
    return [night for night in sorted(nights) if _date(night) >= first]


def may_meet(trigger: Trigger, night: str) -> bool:
    """Tell whether alerts of a night can lie within the window after a trigger; a night may begin a day before."""
    begun = _julian_date(_date(night))
    return trigger.jd - 2 <= begun <= trigger.jd + WINDOW_D + 1


def read_triggers(lake: Lake, nights: Sequence[str]) -> list[Trigger]:
    """Give the triggers that alerts of some nights can belong to."""
    if not nights:
        return []
    first = _date(min(nights)) - timedelta(days=ceil(WINDOW_D) + 1)
    wanted = [night for night in lake.nights("gcn") if _date(night) >= first]
    if not wanted:
        return []
    columns = [*(name for name in NOTICE_COLUMNS if name != "sequence"), *_NOTICE_PLACE]
    rows = lake.read("gcn", wanted, columns, pc.field("reason").is_null())
    rows = rows.sort_by([(name, "ascending") for name in _NOTICE_PLACE])
    return newest(rows.append_column("sequence", pa.array(np.arange(rows.num_rows))))


def read_alerts(lake: Lake, path: str) -> pa.Table:
    """Read what the join needs of one file of ``science``."""
    schema = lake.schema("science")
    inside = pa.schema([field for field in schema if field.name != PARTITION])
    columns = {name: pc.field(*name.split(".")) for name in INPUTS}
    return open_file(lake.uri("science"), path).to_table(schema=inside, columns=columns)


def _date(night: str) -> datetime:
    return datetime.strptime(night, "%Y%m%d")


def _julian_date(day: datetime) -> float:
    return day.toordinal() + 1721424.5
