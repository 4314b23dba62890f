"""Avro object containers, as telescopes send them: one record with its schema in front.

Only what a message needs is read here; a stream of thousands of containers shares a few schemas, so the header is
compared as bytes and parsed once.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import NamedTuple

import pyarrow as pa

from fink_lib.errors import DataError

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
CRC_BYTES = 4


class Container(NamedTuple):
    """A container with exactly one record."""

    schema: bytes
    datum: bytes


def read_container(value: bytes, limit: int) -> Container:
    """Take a message apart into the text of its schema and the bytes of its one record.

    Parameters
    ----------
    value : bytes
        A whole container, starting with its magic bytes.
    limit : int
        Largest record, decompressed, that is accepted, in bytes.

    Raises
    ------
    DataError
        ``truncated``, ``trailing_bytes``, ``container_records``, ``not_avro``, ``unknown_schema`` or ``oversize``.
    """
    try:
        schema, codec, at = _header(value)
        sync, at = _take(value, at, SYNC_BYTES)
        if at == len(value):
            raise DataError("container_records", "the container holds no record")
        records, block, at = _block(value, at, sync)
        if at < len(value):
            raise _rest(value, at, sync, records)
    except IndexError as error:
        raise DataError("truncated", f"the container ends after {len(value)} bytes, inside its frame") from error
    if records != 1:
        raise DataError("container_records", f"the container holds {records} records")
    return Container(schema, _decompress(block, codec, limit))


def read_varint(value: bytes, at: int) -> tuple[int, int]:
    """Read an Avro int or long (zigzag, base 128) and give it with the place after it.

    Raises
    ------
    IndexError
        If the bytes end inside the number.
    DataError
        ``not_avro`` if the number has more than 64 bits.
    """
    number = shift = 0
    while True:
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift > 63:
            raise DataError("not_avro", f"a number before byte {at} has more than 64 bits")


def _header(value: bytes) -> tuple[bytes, bytes, int]:
    entries: dict[bytes, bytes] = {}
    at = len(MAGIC)
    while True:
        count, at = read_varint(value, at)
        if count == 0:
            break
        if count < 0:  # then the size of the block in bytes follows
            count = -count
            _, at = read_varint(value, at)
        for _ in range(count):
            size, at = read_varint(value, at)
            key, at = _take(value, at, size)
            size, at = read_varint(value, at)
            entries[key], at = _take(value, at, size)
    schema = entries.get(b"avro.schema")
    if schema is None:
        raise DataError("not_avro", "the container's header has no schema")
    return schema, entries.get(b"avro.codec", b"null"), at


def _block(value: bytes, at: int, sync: bytes) -> tuple[int, bytes, int]:
    records, at = read_varint(value, at)
    size, at = read_varint(value, at)
    if records < 0:
        raise DataError("not_avro", f"a block claims {records} records")
    block, at = _take(value, at, size)
    mark, at = _take(value, at, SYNC_BYTES)
    if mark != sync:
        raise DataError("not_avro", "the block does not end with the container's sync marker")
    return records, block, at


def _rest(value: bytes, at: int, sync: bytes, records: int) -> DataError:
    """Tell further blocks of the container from bytes that do not belong to it."""
    try:
        while at < len(value):
            more, _, at = _block(value, at, sync)
            records += more
    except (IndexError, DataError):
        return DataError("trailing_bytes", f"{len(value) - at} bytes follow the last block")
    return DataError("container_records", f"the container holds {records} records in several blocks")


def _take(value: bytes, at: int, size: int) -> tuple[bytes, int]:
    if size < 0:
        raise DataError("not_avro", f"a length before byte {at} is negative")
    end = at + size
    if end > len(value):
        raise IndexError(end)
    return value[at:end], end


def _decompress(block: bytes, codec: bytes, limit: int) -> bytes:
    try:
        if codec == b"null":
            return block
        if codec == b"deflate":
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            data = inflater.decompress(block, limit + 1)
            if len(data) > limit:
                raise DataError("oversize", f"the record inflates to more than {limit} bytes")
            if not inflater.eof:
                raise DataError("truncated", "the deflated block ends early")
            return data
        if codec == b"snappy":
            return _unsnap(block, limit)
    except (zlib.error, pa.ArrowException, IndexError, OSError) as error:
        raise DataError("not_avro", f"the block is not valid {codec.decode()}: {error}") from error
    raise DataError("unknown_schema", f"the container uses codec {codec[:40]!r}; null, deflate and snappy are read")


def _unsnap(block: bytes, limit: int) -> bytes:
    size = shift = at = 0  # the raw format starts with its decompressed size, base 128
    while True:
        byte = block[at]
        size |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            break
    if size > limit:
        raise DataError("oversize", f"the record expands to {size} bytes")
    data: bytes = pa.decompress(block[:-CRC_BYTES], decompressed_size=size, codec="snappy", asbytes=True)
    if zlib.crc32(data).to_bytes(CRC_BYTES, "big") != block[-CRC_BYTES:]:
        raise DataError("not_avro", "the checksum of the snappy block does not match")
    return data


def write_varint(number: int) -> bytes:
    """Write an Avro int or long."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def container_header(schema: bytes) -> bytes:
    """Give the first bytes of a container without compression, sync marker included.

    The marker is derived from the schema, so that equal records make equal containers.
    """
    entries = ((b"avro.codec", b"null"), (b"avro.schema", schema))
    body = b"".join(write_varint(len(part)) + part for entry in entries for part in entry)
    return MAGIC + write_varint(len(entries)) + body + b"\x00" + hashlib.sha256(schema).digest()[:SYNC_BYTES]


def write_container(header: bytes, datum: bytes) -> bytes:
    """Put one record behind a header of :func:`container_header`."""
    return header + b"\x02" + write_varint(len(datum)) + datum + header[-SYNC_BYTES:]
