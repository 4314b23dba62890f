"""A batch of messages becomes a table of alerts, a table of cutouts and a list of bad messages.

The same for every survey; :class:`AlertShape` says where a survey keeps what every alert must have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.avro.columns import column
from fink_lib.avro.messages import Message, MessageReader
from fink_lib.avro.schemas import AvroSchema, arrow_schema
from fink_lib.errors import DataError
from fink_lib.surveys.base import BadMessage, DecodedBatch

CUTOUT_SCHEMA = pa.schema(
    [
        ("alert_id", pa.int64()),
        ("science", pa.binary()),
        ("template", pa.binary()),
        ("difference", pa.binary()),
    ]
)


@dataclass(frozen=True)
class AlertShape:
    """Where a survey's packet keeps what no alert can be without.

    Parameters
    ----------
    id_field, object_field : str
        Root fields with the alert's id and the object's name; neither may be missing.
    ra, dec, time : tuple of str
        Path of the position (degrees) and of the time (days).
    time_range : tuple of float
        First and last time that can be true.
    version_field : str
        Root field with the packet's version.
    oldest_version : str
        Version of packets that do not have that field.
    cutouts : mapping
        Column of the cutout table to root field of the packet.
    """

    id_field: str
    object_field: str
    ra: tuple[str, ...]
    dec: tuple[str, ...]
    time: tuple[str, ...]
    time_range: tuple[float, float]
    version_field: str
    oldest_version: str
    cutouts: Mapping[str, str]


class AlertDecoder:
    """Decodes batches of one survey.

    Parameters
    ----------
    shape : AlertShape
        What an alert must have.
    schema : AvroSchema
        The survey's current schema: gives the columns, and reads messages that carry no schema.
    registry : mapping of int to AvroSchema
        Schemas of messages that carry an id.
    oversize_bytes : int
        Largest message that is decoded.
    """

    def __init__(
        self, shape: AlertShape, schema: AvroSchema, registry: Mapping[int, AvroSchema], oversize_bytes: int
    ) -> None:
        packet = arrow_schema(schema)
        self._shape = shape
        self.schema = pa.schema([field for field in packet if field.name not in shape.cutouts.values()])
        self._reader = MessageReader(schema, registry, packet, oversize_bytes)

    def decode(self, values: Sequence[bytes | None]) -> DecodedBatch:
        """Decode messages; each one ends as a row, in their order, or in ``bad``, whatever its neighbours are."""
        bad: list[BadMessage] = []
        good: list[tuple[int, Message]] = []
        for position, value in enumerate(values):
            message = Message()
            try:
                self._reader.read(value, message)
            except DataError as error:
                bad.append(_bad(position, message, error))
            else:
                good.append((position, message))
        tables = [self._table(run, bad) for run in _by_writer(good)]
        alerts, kept = _in_order(tables, self.schema)
        messages = dict(good)
        alerts, kept = self._checked(alerts, kept, messages, bad)
        cutouts, cutout_positions = self._cutouts(alerts, kept, messages)
        return DecodedBatch(
            alerts,
            cutouts,
            pa.array(kept, pa.int64()),
            pa.array(cutout_positions, pa.int64()),
            pa.array([messages[position].wire_format for position in kept], pa.string()),
            pc.fill_null(alerts.column(self._shape.version_field), self._shape.oldest_version).combine_chunks(),
            sorted(bad, key=lambda message: message.position),
        )

    def _table(self, run: list[tuple[int, Message]], bad: list[BadMessage]) -> tuple[pa.Table, list[int]]:
        """Build the columns of messages with one writer; a value that fits no column costs its own message only."""
        fields = run[0][1].writer.schema.fields
        records = [message.record for _, message in run]
        try:
            columns = [
                column([record[field.name] for record in records], fields[field.name], field.type)
                if field.name in fields
                else pa.nulls(len(records), field.type)
                for field in self.schema
            ]
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            if len(run) == 1:
                position, message = run[0]
                misfit = DataError("schema_mismatch", f"a value does not fit its column: {error}"[:500])
                bad.append(_bad(position, message, misfit))
                return self.schema.empty_table(), []
            half = len(run) // 2
            first, first_kept = self._table(run[:half], bad)
            second, second_kept = self._table(run[half:], bad)
            return pa.concat_tables([first, second]), first_kept + second_kept
        return pa.Table.from_arrays(columns, schema=self.schema), [position for position, _ in run]

    def _checked(
        self, alerts: pa.Table, kept: list[int], messages: Mapping[int, Message], bad: list[BadMessage]
    ) -> tuple[pa.Table, list[int]]:
        """Take out the alerts that have no id, no position or no time."""
        if not kept:
            return alerts, kept
        shape = self._shape
        names = {
            "missing_id": (shape.id_field, shape.object_field),
            "bad_position": (shape.ra[-1], shape.dec[-1]),
            "bad_time": (shape.time[-1],),
        }
        number, name = alerts.column(shape.id_field), alerts.column(shape.object_field)
        ra, dec, time = (_at(alerts, path) for path in (shape.ra, shape.dec, shape.time))
        passes = {
            "missing_id": pc.and_(pc.is_valid(number), pc.greater(pc.binary_length(pc.fill_null(name, "")), 0)),
            "bad_position": pc.and_(_within(ra, 0.0, 360.0), _within(dec, -90.0, 90.0)),
            "bad_time": _within(time, *shape.time_range),
        }
        faulty: dict[int, DataError] = {}
        seen = {"missing_id": (number, name), "bad_position": (ra, dec), "bad_time": (time,)}
        for reason, ok in passes.items():
            for row in pc.indices_nonzero(pc.invert(ok)).to_pylist():
                pairs = zip(names[reason], seen[reason], strict=True)
                detail = ", ".join(f"{field}={values[row].as_py()}" for field, values in pairs)
                faulty.setdefault(row, DataError(reason, detail))
        if not faulty:
            return alerts, kept
        bad.extend(_bad(kept[row], messages[kept[row]], error) for row, error in faulty.items())
        rows = [row for row in range(len(kept)) if row not in faulty]
        return alerts.take(pa.array(rows, pa.int64())), [kept[row] for row in rows]

    def _cutouts(
        self, alerts: pa.Table, kept: list[int], messages: Mapping[int, Message]
    ) -> tuple[pa.Table, list[int]]:
        shape = self._shape
        images: dict[str, list[bytes | None]] = {name: [] for name in shape.cutouts}
        ids, positions = [], []
        for number, position in zip(alerts.column(shape.id_field).to_pylist(), kept, strict=True):
            record = messages[position].record
            stamps = {name: _stamp(record.get(field)) for name, field in shape.cutouts.items()}
            if any(stamp is not None for stamp in stamps.values()):
                ids.append(number)
                positions.append(position)
                for name, stamp in stamps.items():
                    images[name].append(stamp)
        return pa.table({"alert_id": pa.array(ids, pa.int64()), **images}, schema=CUTOUT_SCHEMA), positions


def _bad(position: int, message: Message, error: DataError) -> BadMessage:
    return BadMessage(position, message.wire_format, message.schema_id, error.reason, error.detail)


def _by_writer(good: list[tuple[int, Message]]) -> Iterator[list[tuple[int, Message]]]:
    runs: dict[int, list[tuple[int, Message]]] = {}
    for position, message in good:
        runs.setdefault(id(message.writer), []).append((position, message))
    yield from runs.values()


def _in_order(tables: list[tuple[pa.Table, list[int]]], schema: pa.Schema) -> tuple[pa.Table, list[int]]:
    if not tables:
        return schema.empty_table(), []
    if len(tables) == 1:
        return tables[0]
    kept = [position for _, positions in tables for position in positions]
    order = sorted(range(len(kept)), key=kept.__getitem__)
    whole = pa.concat_tables([table for table, _ in tables]).combine_chunks()
    return whole.take(pa.array(order, pa.int64())), sorted(kept)


def _at(alerts: pa.Table, path: tuple[str, ...]) -> Any:
    values = alerts.column(path[0])
    return pc.struct_field(values, list(path[1:])) if len(path) > 1 else values


def _within(values: Any, least: float, most: float) -> Any:
    inside = pc.and_(pc.greater_equal(values, least), pc.less_equal(values, most))  # false for NaN
    return pc.fill_null(inside, False)


def _stamp(value: Any) -> Any:
    return value.get("stampData") if isinstance(value, dict) else value
