"""What a Spark worker tells the driver about its share of a batch: files it wrote, rows it counted.

A worker returns one row with one JSON text; the driver adds the shares up and commits.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from fink_lib.lake import NewFile

REPORT_DDL = "report string"
"""Spark's schema of a worker's answer."""


class Share:
    """Files and counts of one worker's share of a batch."""

    def __init__(self) -> None:
        self.files: dict[str, list[NewFile]] = defaultdict(list)
        self.counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.ranges: dict[str, dict[str, list[int]]] = defaultdict(dict)

    def count(self, night: str, what: str, rows: int = 1) -> None:
        """Add `rows` of kind `what` to a night."""
        self.counts[night][what] += rows

    def saw(self, night: str, place: str, first: int, last: int, rows: int) -> None:
        """Widen the range of offsets of a night; `place` is ``topic/partition``."""
        known = self.ranges[night].get(place, [first, last, 0])
        self.ranges[night][place] = [min(known[0], first), max(known[1], last), known[2] + rows]

    def to_batch(self) -> pa.RecordBatch:
        """Give the share as the one row that crosses back to the driver."""
        text = json.dumps(
            {
                "files": {t: [asdict(f) for f in files] for t, files in self.files.items()},
                "counts": self.counts,
                "ranges": self.ranges,
            }
        )
        return pa.record_batch({"report": pa.array([text])})


def add_up(reports: Iterable[str]) -> Share:
    """Add the workers' shares up."""
    total = Share()
    for text in reports:
        part: dict[str, Any] = json.loads(text)
        for table, files in part["files"].items():
            total.files[table].extend(NewFile(**f) for f in files)
        for night, counts in part["counts"].items():
            for what, rows in counts.items():
                total.count(night, what, rows)
        for night, places in part["ranges"].items():
            for place, (first, last, rows) in places.items():
                total.saw(night, place, first, last, rows)
    return total
