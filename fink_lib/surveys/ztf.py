"""The Zwicky Transient Facility: packets of versions 1.8 to 4.02, one public topic per night."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.avro.schemas import AvroSchema, load_schema
from fink_lib.surveys.base import DecodedBatch
from fink_lib.surveys.decoding import AlertDecoder, AlertShape
from fink_lib.surveys.ztf_columns import FINK_SCHEMA

TOPIC_PATTERN = r"^ztf_[0-9]{8}_programid[0-9]+$"
SCHEMA_FILE = Path(__file__).parent / "schemas" / "ztf_4_02.avsc"
SCHEMA_ID = 402  # major * 100 + minor

QUALITY_CUTS = (
    ("nbad", "candidate.nbad = 0"),
    ("rb", "candidate.rb >= 0.55"),
    ("fid", "candidate.fid <> 3"),
)

SHAPE = AlertShape(
    id_field="candid",
    object_field="objectId",
    ra=("candidate", "ra"),
    dec=("candidate", "dec"),
    time=("candidate", "jd"),
    time_range=(2_450_000.5, 2_500_000.5),  # 1995 to 2132
    version_field="schemavsn",
    oldest_version="1.8",
    cutouts={"science": "cutoutScience", "template": "cutoutTemplate", "difference": "cutoutDifference"},
)

_UNIX_EPOCH_JD = 2_440_587.5
_TOPIC_NIGHT = re.compile(r"^ztf_([0-9]{8})_")


@cache
def packet_schema() -> AvroSchema:
    """Give the schema of a packet of the newest version that the table columns follow."""
    return load_schema(SCHEMA_FILE)


class Ztf:
    """ZTF as the broker sees it (see :class:`fink_lib.surveys.base.Survey`).

    Parameters
    ----------
    oversize_bytes : int
        Largest message that is decoded.
    """

    name = "ztf"
    topic_pattern = TOPIC_PATTERN
    id_field = SHAPE.id_field
    object_field = SHAPE.object_field
    fink_schema = FINK_SCHEMA
    quality_cuts = QUALITY_CUTS

    def __init__(self, oversize_bytes: int) -> None:
        self._oversize_bytes = oversize_bytes
        schema = packet_schema()
        self._decoder = AlertDecoder(SHAPE, schema, {SCHEMA_ID: schema}, oversize_bytes)

    def __reduce__(self) -> tuple[type[Ztf], tuple[int]]:
        return Ztf, (self._oversize_bytes,)  # parsed schemas stay in their process

    @property
    def alert_schema(self) -> pa.Schema:
        """Columns of a decoded alert, without cutouts."""
        return self._decoder.schema

    def decode(self, values: Sequence[bytes | None]) -> DecodedBatch:
        """Decode a batch of messages; never raises for a bad message."""
        return self._decoder.decode(values)

    def times(self, alerts: pa.Table) -> pa.DoubleArray:
        """Give each alert's ``candidate.jd`` (JD, UTC)."""
        return _one(pc.struct_field(alerts.column("candidate"), "jd"))

    def nights(self, alerts: pa.Table) -> pa.StringArray:
        """Give the UT date (``YYYYMMDD``) of each alert's ``candidate.jd``."""
        days = pc.cast(pc.floor(pc.subtract(self.times(alerts), _UNIX_EPOCH_JD)), pa.int32())
        return pc.strftime(pc.cast(days, pa.date32()), format="%Y%m%d")

    def night_of_topic(self, topic: str) -> str | None:
        """Give the night in a topic's name, or None."""
        found = _TOPIC_NIGHT.match(topic)
        return found.group(1) if found else None

    def input_topic(self, night: str) -> str:
        """Give the public topic of a night."""
        return f"ztf_{night}_programid1"


def _one(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def cutout_names(candid: int, pid: int, positive: bool) -> dict[str, str]:
    """Give the file names that ZTF writes beside an alert's cutouts.

    Parameters
    ----------
    candid, pid : int
        ``candid`` and ``candidate.pid``.
    positive : bool
        Whether the difference is positive (``candidate.isdiffpos`` in ``t``, ``1``).

    Returns
    -------
    dict
        Packet field to ``fileName``.
    """
    difference = "scimref" if positive else "refmsci"
    return {
        "cutoutScience": f"candid{candid}_pid{pid}_targ_sci.fits.gz",
        "cutoutTemplate": f"candid{candid}_ref.fits.gz",
        "cutoutDifference": f"candid{candid}_pid{pid}_targ_{difference}.fits.gz",
    }
