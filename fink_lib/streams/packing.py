"""The workers of distribution: rows of ``science`` in, packets out.

A worker reads the columns that the filters name, evaluates all filters in one query, and only then reads the alerts
that pass, fetches their images and packs each of them once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.filters import FilterSet
from fink_lib.filters.reading import read_values
from fink_lib.lake import open_lake
from fink_lib.lake.lake import conform
from fink_lib.lake.tables import PARTITION
from fink_lib.streams.packet import Packet
from fink_lib.streams.pieces import Piece, groups_of, open_piece
from fink_lib.streams.report import Share
from fink_lib.streams.stamps import StampReader
from fink_lib.surveys import get_survey

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

PACKETS_DDL = (
    f"alert_id long, {PARTITION} string, filters array<string>, alert_time double, value binary, report string"
)
_PACKETS = pa.schema(
    [
        ("alert_id", pa.int64()),
        (PARTITION, pa.string()),
        ("filters", pa.list_(pa.string())),
        ("alert_time", pa.float64()),
        ("value", pa.binary()),
        ("report", pa.string()),
    ]
)
PIECE_ROWS = 1000
"""Rows of ``science`` that one task reads. Spark hands the packets of a task over whole, those of two tasks at once."""
CHUNK_BYTES = 64 * 1024 * 1024
"""Packets that leave a worker together; one alone may be larger."""


def make_kernel(
    settings: Settings, survey_name: str, filters: FilterSet, pieces: list[Piece]
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Build the function that runs in Spark's workers: numbers of pieces in, packets and one report out."""

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        lake = open_lake(settings, survey_name)
        packet = Packet(get_survey(survey_name))
        stamps = StampReader(lake)
        share = Share()
        for numbers in batches:
            for number in numbers.column(0).to_pylist():
                for rows, route in passing(lake, packet, filters, pieces[number], share, settings.streams.arrow_rows):
                    yield from _pack(packet, stamps, rows, route)
        yield conform(pa.table({"report": share.to_batch().column("report")}), _PACKETS).to_batches()[0]

    return kernel


def passing(
    lake: Lake, packet: Packet, filters: FilterSet, piece: Piece, share: Share, chunk_rows: int
) -> Iterator[tuple[pa.Table, pa.Array]]:
    """Read a piece of ``science``: first what the filters look at, then, if there is a hit, what the packet needs.

    Parameters
    ----------
    lake : Lake
        Holds the file.
    packet : Packet
        Says which columns it needs.
    filters : FilterSet
        Decides.
    piece : Piece
        What to read.
    share : Share
        Counts the rows of each night.
    chunk_rows : int
        Rows that are held at once.

    Yields
    ------
    rows, route
        Alerts that at least one filter takes, with their night, and the filters of each.
    """
    schema = lake.schema("science")
    wanted = pa.schema([schema.field(column) for column in packet.form.columns])
    with open_piece(lake, "science", piece) as parquet:
        present = set(parquet.schema_arrow.names)
        for group, begin, end in groups_of(parquet, piece):
            share.count(piece.night, "received", end - begin)
            seen = read_values(parquet, group, filters.references, schema)
            route = filters.route(seen.slice(begin, end - begin))
            if not pc.any(pc.greater(pc.list_value_length(route), 0)).as_py():
                continue
            place = 0
            columns = [c for c in wanted.names if c in present]
            for part in parquet.iter_batches(chunk_rows, row_groups=[group], columns=columns):
                first, last = max(begin, place), min(end, place + part.num_rows)
                if first < last:
                    mine = route.slice(first - begin, last - first)
                    takes = pc.greater(pc.list_value_length(mine), 0)
                    rows = conform(
                        pa.Table.from_batches([part.slice(first - place, last - first).filter(takes)]), wanted
                    )
                    if rows.num_rows:
                        nights = pa.array([piece.night] * rows.num_rows, pa.string())
                        yield rows.append_column(PARTITION, nights), mine.filter(takes)
                place += part.num_rows
                if place >= end:
                    break


def _pack(packet: Packet, stamps: StampReader, rows: pa.Table, route: pa.Array) -> Iterator[pa.RecordBatch]:
    """Pack alerts of one night with their images, and let them go in chunks of bounded size."""
    ids = rows.column(packet.survey.id_field).combine_chunks()
    batches = pc.struct_field(rows.column("ingest"), "batch").combine_chunks()
    values = packet.values(rows, stamps.fetch(rows.column(PARTITION)[0].as_py(), ids, batches))
    times = packet.form.times(rows)
    begin = 0
    for end in _ends(pc.binary_length(values).to_pylist()):
        columns = {
            "alert_id": ids.slice(begin, end - begin),
            PARTITION: rows.column(PARTITION).slice(begin, end - begin),
            "filters": route.slice(begin, end - begin),
            "alert_time": times.slice(begin, end - begin),
            "value": values.slice(begin, end - begin).cast(pa.binary()),
        }
        yield from conform(pa.table(columns), _PACKETS).combine_chunks().to_batches()
        begin = end


def _ends(sizes: list[int]) -> Iterator[int]:
    total = 0
    for place, size in enumerate(sizes):
        if total and total + size > CHUNK_BYTES:
            yield place
            total = 0
        total += size
    if sizes:
        yield len(sizes)
