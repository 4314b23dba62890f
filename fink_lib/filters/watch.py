"""The live filters of a running stream: read again when their files change, without a restart."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from fink_lib.filters.files import filter_files, load_filters
from fink_lib.filters.plan import FilterSet
from fink_lib.filters.predicate import FilterError

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey

log = logging.getLogger(__name__)

Signature = tuple[tuple[Path, int, int], ...]


class LiveFilters:
    """The live filters of a survey: those of the broker and those that were promoted.

    Parameters
    ----------
    survey : Survey
        Whose alerts.
    home : Path
        The installation.

    Attributes
    ----------
    current : FilterSet
        The filters as they were when they were read last.

    Raises
    ------
    FilterError
        If one of them may not run.
    """

    def __init__(self, survey: Survey, home: Path) -> None:
        self._survey = survey
        self._home = home
        self._seen = self._signature()
        self.current: FilterSet = load_filters(survey, home=home)

    def refresh(self) -> FilterSet | None:
        """Look at the files; give the new set if it is another one now.

        A set with a filter that may not run is not taken: the refusal is logged once, and the present set stays.
        """
        signature = self._signature()
        if signature == self._seen:
            return None
        self._seen = signature
        try:
            found = load_filters(self._survey, home=self._home)
        except FilterError as refusal:
            log.error("the filters changed and are not taken over: %s", refusal)
            return None
        if found.digest == self.current.digest:
            return None
        added, gone = set(found.names) - set(self.current.names), set(self.current.names) - set(found.names)
        log.info("filters are read again: %d, new %s, gone %s", len(found.filters), sorted(added), sorted(gone))
        self.current = found
        return found

    def _signature(self) -> Signature:
        found = []
        for file in filter_files(self._survey.name, self._home):
            try:
                state = file.stat()
            except FileNotFoundError:  # withdrawn this moment
                continue
            found.append((file, state.st_mtime_ns, state.st_size))
        return tuple(found)
