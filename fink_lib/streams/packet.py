"""The message that users get: one enriched alert as schemaless Avro, with its complete schema in the key.

What the packet of a survey holds is said beside the survey's file (:mod:`fink_lib.surveys.ztf_packet` for one); what
all surveys share is here: the key, the headers, the partition.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from fink_lib.avro.encode import avro_schema, encode_rows
from fink_lib.errors import ConfigError
from fink_lib.surveys.ztf_packet import ZtfPacket

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey

ROOT_RECORD = "topLevelRecord"
SCHEMA_DIGITS = 16

HEADER_ALERT_ID = "fink-alert-id"
HEADER_FILTER = "fink-filter"
HEADER_FILTER_VERSION = "fink-filter-version"
HEADER_SCHEMA = "fink-schema"
HEADER_ALERT_TIME = "fink-alert-time"
HEADER_BATCH = "fink-batch"
HEADER_NIGHT = "fink-night"
HEADER_LATE = "fink-late"


class PacketForm(Protocol):
    """Which columns of a survey go out, and what stands for a missing value."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of table ``science`` that :meth:`rows` needs."""

    @property
    def schema(self) -> pa.Schema:
        """Fields of the packet, in order."""

    def times(self, science: pa.Table) -> pa.Array:
        """Time of each alert, as the survey counts it (JD UTC, or MJD TAI)."""

    def rows(self, science: pa.Table, stamps: pa.Table) -> pa.Table:
        """Rows of ``science`` and their images as a table of :attr:`schema`."""


_FORMS: dict[str, Callable[[pa.Schema], PacketForm]] = {"ztf": ZtfPacket}


@dataclass(frozen=True)
class Packet:
    """Makes the messages of one survey.

    Parameters
    ----------
    survey : Survey
        Whose alerts they are.
    """

    survey: Survey

    @cached_property
    def form(self) -> PacketForm:
        """What the survey's packet holds."""
        try:
            make = _FORMS[self.survey.name]
        except KeyError:
            raise ConfigError(f"survey {self.survey.name!r} has no packet form; add one to {__name__}") from None
        return make(self.survey.alert_schema)

    @cached_property
    def key(self) -> bytes:
        """The complete schema as JSON text: the key of every message. The same code gives the same bytes."""
        return json.dumps(avro_schema(self.form.schema, ROOT_RECORD), separators=(",", ":")).encode()

    @cached_property
    def schema_id(self) -> str:
        """First 16 hex digits of the key's SHA-256."""
        return hashlib.sha256(self.key).hexdigest()[:SCHEMA_DIGITS]

    def values(self, science: pa.Table, stamps: pa.Table) -> pa.LargeBinaryArray:
        """Pack alerts.

        Parameters
        ----------
        science : pyarrow.Table
            Rows of table ``science``, at least the columns of :attr:`form`.
        stamps : pyarrow.Table
            ``science``, ``template``, ``difference`` for each of these rows; null where an alert has no image.

        Returns
        -------
        pyarrow.LargeBinaryArray
            The value of each alert's messages.
        """
        return encode_rows(self.form.rows(science, stamps))

    def headers(
        self, alert_id: int, filter_name: str, filter_version: str, alert_time: float, night: str, batch: str
    ) -> list[tuple[str, bytes]]:
        """Give the headers of one message; their values are text."""
        texts = (
            (HEADER_ALERT_ID, str(alert_id)),
            (HEADER_FILTER, filter_name),
            (HEADER_FILTER_VERSION, filter_version),
            (HEADER_SCHEMA, self.schema_id),
            (HEADER_ALERT_TIME, repr(alert_time)),
            (HEADER_NIGHT, night),
            (HEADER_BATCH, batch),
        )
        return [(name, text.encode()) for name, text in texts]


def partition_of(alert_id: int, partitions: int) -> int:
    """Choose the partition of an alert: CRC-32 of its decimal id, modulo the partitions.

    All messages of an alert in a topic meet in one partition, whoever sends them and whenever.

    Examples
    --------
    >>> partition_of(697251922715010055, 10)
    8
    """
    return zlib.crc32(str(alert_id).encode()) % partitions
