"""Images of single alerts, straight from the lake.

The table's log says which file may hold an alert, the file's own statistics which part of it; so an image is one small
read wherever it lies. What was read is kept in memory for a while: an image of an alert never changes.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from fink_lib.errors import DataError
from fink_lib.lake import Lake
from fink_lib.lake.lookup import open_file
from fink_lib.lake.tables import PARTITION

KINDS = {"Science": "science", "Template": "template", "Difference": "difference"}
"""Names that clients use, and columns of table ``cutouts``."""

REFRESH_S = 1.0
MOST_KEPT_BYTES = 64 * 1024 * 1024
Images = dict[str, bytes]
_GZIP = b"\x1f\x8b"
_LARGEST = 8 * 1024 * 1024


@dataclass
class Stamps:
    """Finds images by the id of their alert.

    Parameters
    ----------
    lake : Lake
        Holds table ``cutouts``.
    """

    lake: Lake
    _files: pa.Table | None = field(default=None, init=False)
    _table: DeltaTable | None = field(default=None, init=False)
    _version: int = field(default=-1, init=False)
    _seen: float = field(default=float("-inf"), init=False)
    _kept: OrderedDict[int, Images] = field(default_factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def find(self, alert_id: int, night: str) -> Images:
        """Give the images of an alert by kind, as the survey sent them; those that it has not are left out.

        Parameters
        ----------
        alert_id : int
            Which alert.
        night : str
            Its night (``YYYYMMDD``).
        """
        with self._lock:
            if alert_id in self._kept:
                self._kept.move_to_end(alert_id)
                return self._kept[alert_id]
        for last_try in (False, True):
            try:
                images = self._read(alert_id, night, at_once=last_try)
            except FileNotFoundError:  # compacted and cleaned up a moment ago
                if last_try:
                    raise
            else:
                if images:
                    self._keep(alert_id, images)
                return images
        raise AssertionError("unreachable")

    def _read(self, alert_id: int, night: str, at_once: bool) -> Images:
        schema = pa.schema([entry for entry in self.lake.schema("cutouts") if entry.name != PARTITION])
        for path in self._paths(alert_id, night, at_once):
            rows = open_file(self.lake.uri("cutouts"), path).to_table(
                schema=schema, columns=["batch", *KINDS.values()], filter=pc.field("alert_id") == alert_id
            )
            if rows.num_rows:
                row = rows.sort_by("batch").slice(0, 1).to_pylist()[0]
                return {kind: row[column] for kind, column in KINDS.items() if row[column]}
        return {}

    def _paths(self, alert_id: int, night: str, at_once: bool) -> list[str]:
        with self._lock:
            files = self._follow(at_once)
        here = pc.equal(files.column(f"partition.{PARTITION}"), night)
        if {"min.alert_id", "max.alert_id"} <= set(files.column_names):
            inside = pc.and_(
                pc.less_equal(files.column("min.alert_id"), alert_id),
                pc.greater_equal(files.column("max.alert_id"), alert_id),
            )
            here = pc.and_(here, pc.fill_null(inside, True))  # a file without statistics may hold anything
        paths: list[str] = files.filter(here).column("path").to_pylist()
        return paths

    def _follow(self, at_once: bool) -> pa.Table:
        now = time.monotonic()
        if self._files is not None and not at_once and now - self._seen < REFRESH_S:
            return self._files
        if self._table is None:
            self._table = self.lake.table("cutouts")
        else:
            self._table.update_incremental()
        if self._files is None or self._table.version() != self._version:
            self._files = pa.table(self._table.get_add_actions(flatten=True))
            self._version = self._table.version()
        self._seen = now
        return self._files

    def _keep(self, alert_id: int, images: Images) -> None:
        with self._lock:
            self._kept[alert_id] = images
            self._bytes += sum(map(len, images.values()))
            while self._bytes > MOST_KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= sum(map(len, oldest.values()))


def unpacked(image: bytes) -> bytes:
    """Give an image as a plain FITS file.

    Raises
    ------
    DataError
        If it is damaged, or larger than any image of a survey.
    """
    if not image.startswith(_GZIP):
        return image
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(image, _LARGEST)
    except zlib.error as error:
        raise DataError("bad_cutout", f"the image is not gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise DataError("bad_cutout", f"the image is larger than {_LARGEST} bytes")
    return plain
