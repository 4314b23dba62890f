"""Finds the images of a few alerts among those of a night, reading few files and few row groups.

A row of ``science`` carries the batch that brought its images (``ingest.batch``). Files of table ``cutouts`` hold one
batch each until the night is compacted, and are sorted by id afterwards; the least and greatest batch and id of every
file and row group are known without reading it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fink_lib.lake.tables import PARTITION

if TYPE_CHECKING:
    from fink_lib.lake import Lake
    from fink_lib.science.columns import CutoutReader, Ints

IMAGES = ("science", "template", "difference")


class StampReader:
    """Reads images for one batch of the stream.

    Parameters
    ----------
    lake : Lake
        Holds table ``cutouts``; each night is opened once.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._nights: dict[str, ds.Dataset] = {}

    def fetch(self, night: str, ids: pa.Array, batches: pa.Array) -> pa.Table:
        """Give the images of alerts of one night.

        Parameters
        ----------
        night : str
            ``YYYYMMDD``.
        ids, batches : pyarrow.Array
            Alert id and ``ingest.batch`` of each alert.

        Returns
        -------
        pyarrow.Table
            :data:`IMAGES`, one row for each alert in the given order; null where an alert has no image.
        """
        schema = pa.schema([self._lake.schema("cutouts").field(name) for name in IMAGES])
        wanted = {pair: row for row, pair in enumerate(zip(batches.to_pylist(), ids.to_pylist(), strict=True))}
        place = np.full(len(ids), -1, np.int64)
        found: list[pa.Table] = []
        held = 0
        if wanted:
            for group in self._groups(night, ids, batches):
                hits = self._hits(group, wanted)
                if hits:
                    rows = group.to_table(schema=self._schema, columns=list(IMAGES)).take(pa.array(list(hits)))
                    found.append(rows)
                    place[list(hits.values())] = np.arange(held, held + rows.num_rows)
                    held += rows.num_rows
        images = pa.concat_tables(found) if found else schema.empty_table()
        indices = pa.array(place, mask=place < 0)
        return pa.table({name: images.column(name).take(indices) for name in IMAGES}, schema=schema)

    @property
    def _schema(self) -> pa.Schema:
        return self._lake.schema("cutouts")

    def _groups(self, night: str, ids: pa.Array, batches: pa.Array) -> list[ds.ParquetFileFragment]:
        """Give the row groups whose statistics do not rule all of the alerts out."""
        if night not in self._nights:
            self._nights[night] = self._lake.dataset("cutouts", [night])
        edges, keys = pc.min_max(ids), pc.min_max(batches)
        near = (
            (pc.field(PARTITION) == night)
            & (pc.field("batch") >= keys["min"])
            & (pc.field("batch") <= keys["max"])
            & (pc.field("alert_id") >= edges["min"])
            & (pc.field("alert_id") <= edges["max"])
        )
        fragments = self._nights[night].get_fragments(filter=near)
        return [
            group for fragment in fragments for group in fragment.split_by_row_group(filter=near, schema=self._schema)
        ]

    def _hits(self, group: ds.ParquetFileFragment, wanted: dict[tuple[str, int], int]) -> dict[int, int]:
        """Tell which rows of a row group are wanted, and by which alert."""
        rows = group.to_table(schema=self._schema, columns=["batch", "alert_id"])
        pairs = zip(rows.column("batch").to_pylist(), rows.column("alert_id").to_pylist(), strict=True)
        return {row: wanted[pair] for row, pair in enumerate(pairs) if pair in wanted}


def cutout_reader(lake: Lake, alerts: pa.Table) -> CutoutReader:
    """Give what reads the images of some of these alerts, for the modules that ask for them.

    Parameters
    ----------
    lake : Lake
        Holds table ``cutouts``.
    alerts : pyarrow.Table
        Rows of ``raw``: alert id, ``ingest`` and ``night``; each id once.

    Returns
    -------
    CutoutReader
        Opens a night only when an image of it is asked for.
    """
    stamps = StampReader(lake)
    ids = alerts.column(lake.survey.id_field).combine_chunks()
    places = pa.table(
        {
            PARTITION: alerts.column(PARTITION),
            "batch": pc.struct_field(alerts.column("ingest").combine_chunks(), "batch"),
            "alert_id": ids,
        }
    )

    def read(wanted: Ints) -> pa.Table:
        chosen = places.take(pc.index_in(pa.array(wanted), value_set=ids))
        parts = []
        for night in pc.unique(chosen.column(PARTITION)).to_pylist():
            mine = chosen.filter(pc.equal(chosen.column(PARTITION), night))
            batches = mine.column("batch").combine_chunks()
            images = stamps.fetch(night, mine.column("alert_id").combine_chunks(), batches)
            parts.append(images.append_column("alert_id", mine.column("alert_id")))
        return pa.concat_tables(parts)

    return read
