"""Alert packets to be sent: from files, in order of time, their bytes unchanged."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from fink_lib.errors import ConfigError
from fink_lib.surveys import Survey

ARCHIVES = (".tar.gz", ".tgz", ".tar")
PACKED = ".avro.gz"
_READ_AT_ONCE = 200
_KEPT_IN_MEMORY_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Packet:
    """One alert as a telescope would send it.

    Parameters
    ----------
    value : bytes
        The message.
    alert_id : int or None
        None if the bytes cannot be read; such a packet is sent as it is.
    object_id, night : str
        Empty if the bytes cannot be read.
    time : float
        Days on the survey's scale; infinite if the bytes cannot be read.
    """

    value: bytes
    alert_id: int | None
    object_id: str
    time: float
    night: str

    @property
    def order(self) -> tuple[float, int]:
        """Sort key: time, then id."""
        return self.time, self.alert_id or 0


@dataclass(frozen=True, slots=True)
class _Entry:
    packet: Packet
    at: int
    size: int


class PacketStore:
    """Packets of a run, kept in a temporary file so that a night need not fit in memory.

    Use it in a ``with`` statement; iterating gives the packets in order of time, then id.
    """

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(_KEPT_IN_MEMORY_BYTES)
        self._entries: list[_Entry] = []

    def __enter__(self) -> PacketStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, packets: Iterable[Packet]) -> None:
        """Take packets in."""
        for packet in packets:
            at = self._spool.seek(0, 2)
            self._spool.write(packet.value)
            bare = Packet(b"", packet.alert_id, packet.object_id, packet.time, packet.night)
            self._entries.append(_Entry(bare, at, len(packet.value)))

    def bare(self) -> Iterator[Packet]:
        """Give the packets without their bytes."""
        return (entry.packet for entry in self._entries)

    def __iter__(self) -> Iterator[Packet]:
        for entry in sorted(self._entries, key=lambda entry: entry.packet.order):
            self._spool.seek(entry.at)
            bare = entry.packet
            yield Packet(self._spool.read(entry.size), bare.alert_id, bare.object_id, bare.time, bare.night)


def read_packets(paths: Sequence[Path], survey: Survey) -> Iterator[Packet]:
    """Read alert packets from files, folders and tar archives, in the order of their names.

    Of a folder only files that end in ``.avro`` or ``.avro.gz`` are taken, and archives are opened, of which only
    ``.avro`` files are taken; a file that is named is always taken. Bytes that no decoder can read become packets
    without an id.

    Raises
    ------
    ConfigError
        If a path does not exist, is a broken archive, or nothing is found.
    """
    batch: list[bytes] = []
    found = 0
    for value in _values(paths):
        found += 1
        batch.append(value)
        if len(batch) == _READ_AT_ONCE:
            yield from as_packets(batch, survey)
            batch = []
    yield from as_packets(batch, survey)
    if not found:
        places = ", ".join(map(str, paths))
        raise ConfigError(f"no .avro file in {places}; give files, folders or tar archives of alerts")


def as_packets(values: Sequence[bytes], survey: Survey) -> list[Packet]:
    """Read id, object, time and night out of messages."""
    decoded = survey.decode(values)
    packets = [Packet(value, None, "", float("inf"), "") for value in values]
    columns = (
        decoded.positions,
        decoded.alerts.column(survey.id_field),
        decoded.alerts.column(survey.object_field),
        survey.times(decoded.alerts),
        survey.nights(decoded.alerts),
    )
    for position, alert_id, object_id, time, night in zip(*(c.to_pylist() for c in columns), strict=True):
        packets[position] = Packet(values[position], alert_id, object_id, time, night)
    return packets


def _values(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        if path.is_dir():
            for inner in sorted(path.rglob("*")):
                if inner.is_file() and inner.name.endswith((".avro", PACKED, *ARCHIVES)):
                    yield from _values_of_file(inner)
        elif path.is_file():
            yield from _values_of_file(path)
        else:
            raise ConfigError(f"{path} does not exist; give a file, a folder or a tar archive of alerts")


def _values_of_file(path: Path) -> Iterator[bytes]:
    if path.name.endswith(PACKED):
        try:
            yield gzip.decompress(path.read_bytes())
        except (EOFError, OSError, zlib.error) as error:
            raise ConfigError(f"{path} cannot be unpacked ({error}); fetch it again") from error
        return
    if not path.name.endswith(ARCHIVES):
        yield path.read_bytes()
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None and member.name.endswith(".avro"):
                    yield file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ConfigError(f"archive {path} cannot be read ({error}); fetch it again") from error
