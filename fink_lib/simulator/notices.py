"""GCN notices for the simulator: read from files, sent to the topics in which GCN has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.simulator.delivery import Delivery
from fink_lib.simulator.faults import Outgoing
from fink_lib.simulator.packets import Packet

JSON_TOPIC = "igwn.gwalert"
XML_TOPIC = "gcn.classic.voevent.SIMULATED"
RAW = "raw_event"
SUFFIXES = (".xml", ".json", ".parquet")


def read_notices(paths: Iterable[Path]) -> Iterator[bytes]:
    """Give the notices of some files, in the order of their names.

    Parameters
    ----------
    paths : iterable of Path
        VOEvents (``.xml``), alerts of LVK (``.json``), tables with a column ``raw_event`` (``.parquet``), or folders of
        these.

    Raises
    ------
    ConfigError
        If a file is none of these.
    """
    for path in paths:
        files = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES) if path.is_dir() else [path]
        for file in files:
            if file.suffix not in SUFFIXES:
                raise ConfigError(f"{file} is no notice; use files that end in {', '.join(SUFFIXES)}")
            if file.suffix != ".parquet":
                yield file.read_bytes()
                continue
            if RAW not in pq.read_schema(file).names:
                raise ConfigError(f"{file} has no column {RAW}")
            for value in pq.read_table(file, columns=[RAW]).column(RAW).to_pylist():
                yield value.encode() if isinstance(value, str) else value


def topic_of(notice: bytes) -> str:
    """Topic of a notice: that of LVK for JSON, else one of the VOEvents."""
    return JSON_TOPIC if notice.lstrip()[:1] == b"{" else XML_TOPIC


def send_notices(delivery: Delivery, notices: Iterable[bytes]) -> bool:
    """Send notices, and tell whether each one arrived.

    Parameters
    ----------
    delivery : Delivery
        Where to; makes the topics that are missing.
    notices : iterable of bytes
        Their bytes.
    """
    for notice in notices:
        delivery.send(topic_of(notice), Outgoing(Packet(notice, None, "", 0.0, "")))
    return delivery.finish()
