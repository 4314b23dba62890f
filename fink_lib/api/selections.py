"""What filters of the night would choose from nights that are not over yet.

In the archive these selections are tables; until a night gets there, its filters run over what the night has so far.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.alerts import Bools, Test
from fink_lib.api.live import NIGHT
from fink_lib.api.remembered import Remembered
from fink_lib.config import Settings
from fink_lib.filters import FilterSet, load_filters
from fink_lib.filters.night import select_night
from fink_lib.lake import Lake

if TYPE_CHECKING:
    from fink_lib.filters.files import Filter

KEPT_S = 30.0


@dataclass
class Selections:
    """Alerts that filters of the night choose, as of :data:`KEPT_S` ago at most.

    Parameters
    ----------
    settings : Settings
        The installation; its filters count too.
    lake : Lake
        Holds the nights.
    """

    settings: Settings
    lake: Lake
    _chosen: dict[tuple[str, str], Remembered[list[int]]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def test(self, name: str) -> Test:
        """Make the test for the alerts that a filter chooses.

        Parameters
        ----------
        name : str
            The filter; one that there is not chooses nothing.
        """

        def chosen(index: pa.Table) -> Bools:
            nights = pc.unique(index.column(NIGHT)).to_pylist()
            ids = pa.array([one for night in nights for one in self._of(name, night)], pa.int64())
            taken: Bools = pc.is_in(index.column("i:candid"), value_set=ids).to_numpy()
            return taken

        return chosen

    def _of(self, name: str, night: str) -> list[int]:
        with self._lock:
            key = (name, night)
            if key not in self._chosen:
                self._chosen[key] = Remembered(lambda: self._select(name, night), KEPT_S)
            remembered = self._chosen[key]
        return remembered.get()

    def _select(self, name: str, night: str) -> list[int]:
        filters = FilterSet(tuple(one for one in self._filters if one.name == name))
        chosen = select_night(self.lake, night, filters)
        return [one.alert_id for one in chosen.get(name, ())]

    @cached_property
    def _filters(self) -> tuple[Filter, ...]:
        return load_filters(self.lake.survey, ["night"], home=self.settings.home).filters
