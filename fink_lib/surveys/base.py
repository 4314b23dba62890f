"""What a survey is to the broker. One file per survey implements :class:`Survey`; no job is ever forked for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True)
class BadMessage:
    """A message that could not become a row.

    Parameters
    ----------
    position : int
        Its place in the decoded batch.
    wire_format, schema_id : str
        What was recognised of it; empty if nothing was.
    reason, detail : str
        One of :data:`QUARANTINE_REASONS`, and what was seen.
    """

    position: int
    wire_format: str
    schema_id: str
    reason: str
    detail: str


@dataclass(frozen=True)
class DecodedBatch:
    """The outcome of decoding a batch of messages, columnwise.

    Parameters
    ----------
    alerts : pyarrow.Table
        One row per good message, columns of :attr:`Survey.alert_schema` (no cutouts).
    cutouts : pyarrow.Table
        ``alert_id``, ``science``, ``template``, ``difference``: one row per good message that has images.
    positions : pyarrow.Int64Array
        For each row of `alerts`, the place of its message in the batch.
    cutout_positions : pyarrow.Int64Array
        The same for the rows of `cutouts`.
    wire_formats, schema_versions : pyarrow.StringArray
        For each row of `alerts`.
    bad : sequence of BadMessage
        Every other message.
    """

    alerts: pa.Table
    cutouts: pa.Table
    positions: pa.Int64Array
    cutout_positions: pa.Int64Array
    wire_formats: pa.StringArray
    schema_versions: pa.StringArray
    bad: Sequence[BadMessage]


QUARANTINE_REASONS = (
    "empty",
    "not_avro",
    "truncated",
    "trailing_bytes",
    "container_records",
    "unknown_schema",
    "schema_mismatch",
    "missing_id",
    "bad_position",
    "bad_time",
    "oversize",
)
"""Every reason that table ``quarantine`` may give."""


class Survey(Protocol):
    """One telescope's alert stream."""

    @property
    def name(self) -> str:
        """Short name, as in topics and folders (``ztf``)."""

    @property
    def topic_pattern(self) -> str:
        """Regular expression of the input topics."""

    @property
    def id_field(self) -> str:
        """Root column that holds the alert's id (int64)."""

    @property
    def object_field(self) -> str:
        """Root column that holds the object's name."""

    @property
    def alert_schema(self) -> pa.Schema:
        """Columns of a decoded alert, names and nesting of the packet, without cutouts."""

    @property
    def fink_schema(self) -> pa.Schema:
        """Columns that the broker adds, under the names that clients know."""

    @property
    def quality_cuts(self) -> Sequence[tuple[str, str]]:
        """Name and SQL predicate of each cut, in order; a null fails its cut."""

    def decode(self, values: Sequence[bytes | None]) -> DecodedBatch:
        """Decode a batch of messages in whatever wire formats they have; never raises for a bad message."""

    def times(self, alerts: pa.Table) -> pa.DoubleArray:
        """Time of each alert in days, on the survey's own scale (JD UTC, MJD TAI)."""

    def nights(self, alerts: pa.Table) -> pa.StringArray:
        """Observing night (``YYYYMMDD``) of each alert, from the alert's own time."""

    def night_of_topic(self, topic: str) -> str | None:
        """Night that a topic's name gives, if it does."""

    def input_topic(self, night: str) -> str:
        """Topic on which the survey publishes a night."""
