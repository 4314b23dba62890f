"""Messages as the broker sends them, for tests of clients: packed by the project, of alerts that never were."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from fink_lib.avro.encode import avro_schema, encode_rows
from fink_lib.lake.tables import table_schema
from fink_lib.streams.packet import ROOT_RECORD, Packet
from fink_lib.surveys import get_survey
from tests.night_rows import random_table, replace

FIRST_JD = 2460381.6  # in the night that begins on 2024-03-12
STAMP_PIXELS = 5


def stamp() -> bytes:
    """Give a small gzipped FITS image with a star in the middle."""
    cards = ("SIMPLE  =                    T", "BITPIX  =                  -32", "NAXIS   =                    2",
             f"NAXIS1  = {STAMP_PIXELS:20d}", f"NAXIS2  = {STAMP_PIXELS:20d}", "END")  # fmt: skip
    image = np.zeros((STAMP_PIXELS, STAMP_PIXELS), ">f4")
    image[STAMP_PIXELS // 2, STAMP_PIXELS // 2] = 1.0
    header = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    return gzip.compress(header + image.tobytes().ljust(2880, b"\0"), mtime=0)


@cache
def packet() -> Packet:
    """Give what packs ZTF alerts."""
    return Packet(get_survey("ztf"))


def science(ids: Sequence[int]) -> tuple[pa.Table, pa.Table]:
    """Make rows of ``science`` and their images: names, times and magnitudes in order, everything else random."""
    number = len(ids)
    counting = np.array(ids)
    rows = replace(
        random_table(table_schema("science", get_survey("ztf")), number, seed=7),
        candid=counting,
        objectId=[f"ZTF18{i:07d}" for i in ids],
        candidate={
            "candid": counting,
            "jd": FIRST_JD + counting * 1e-4,
            "fid": counting % 2 + 1,
            "pid": counting,
            "magpsf": 17 + (counting % 40) / 10,
            "sigmapsf": np.full(number, 0.1),
            "diffmaglim": np.full(number, 20.0),
        },
        cdsxmatch=["RRLyr"] * number,
    )
    image = pa.array([stamp()] * number, pa.binary())
    return rows, pa.table({"science": image, "template": image, "difference": image})


def packets(ids: Sequence[int]) -> pa.Table:
    """Give the packets of some alerts as a table."""
    return packet().form.rows(*science(ids))


def messages(ids: Sequence[int]) -> tuple[bytes, list[bytes]]:
    """Give the key of messages of the livestream, and the value of each."""
    return packet().key, packet().values(*science(ids)).to_pylist()


def transfer_messages(ids: Sequence[int]) -> tuple[bytes, list[bytes]]:
    """Give the schema of a transfer of all columns, and the value of each of its messages."""
    table = packets(ids)
    added: dict[str, list[Any]] = {
        "year": [2024] * len(ids),
        "month": [3] * len(ids),
        "day": [12] * len(ids),
        "tnsclass": [("SN Ia", "SN II/x")[i % 2] for i in ids],
    }
    for name, values in added.items():
        kind = pa.string() if name == "tnsclass" else pa.int32()
        table = table.append_column(pa.field(name, kind, nullable=False), pa.array(values, kind))
    return json.dumps(avro_schema(table.schema, ROOT_RECORD)).encode(), encode_rows(table).to_pylist()
