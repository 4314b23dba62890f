"""Containers with one record are taken apart; every other shape is named for what it is."""

from __future__ import annotations

import io
import zlib

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.avro.container import (
    SYNC_BYTES,
    container_header,
    read_container,
    read_varint,
    write_container,
    write_varint,
)
from fink_lib.errors import DataError

SCHEMA = {"type": "record", "name": "r", "fields": [{"name": "x", "type": "long"}, {"name": "s", "type": "string"}]}
LIMIT = 1_000_000
ROW = {"x": 7, "s": "seven" * 20}


def written(rows: list[dict[str, object]], codec: str = "null") -> bytes:
    out = io.BytesIO()
    fastavro.writer(out, SCHEMA, rows, codec=codec)
    return out.getvalue()


def row_of(datum: bytes) -> object:
    return fastavro.schemaless_reader(io.BytesIO(datum), SCHEMA, None)


def reason(value: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(DataError) as caught:
        read_container(value, limit)
    return caught.value.reason


def snappy(value: bytes, spoil: bool = False) -> bytes:
    """The same container with a snappy block, which the test environment cannot write otherwise."""
    datum = read_container(value, LIMIT).datum
    block = pa.compress(datum, codec="snappy", asbytes=True) + (zlib.crc32(datum) ^ spoil).to_bytes(4, "big")
    entries = {b"avro.codec": b"snappy", b"avro.schema": read_container(value, LIMIT).schema}
    head = b"Obj\x01" + write_varint(len(entries))
    head += b"".join(write_varint(len(part)) + part for entry in entries.items() for part in entry) + b"\x00"
    sync = b"s" * SYNC_BYTES
    return head + sync + write_varint(1) + write_varint(len(block)) + block + sync


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_one_record_is_read_from_every_codec(codec: str) -> None:
    assert row_of(read_container(written([ROW], codec), LIMIT).datum) == ROW


def test_one_record_is_read_from_snappy() -> None:
    assert row_of(read_container(snappy(written([ROW])), LIMIT).datum) == ROW


def test_a_wrong_checksum_is_no_avro() -> None:
    assert reason(snappy(written([ROW]), spoil=True)) == "not_avro"


def test_what_is_written_here_is_read_by_others() -> None:
    inner = read_container(written([ROW]), LIMIT)
    made = write_container(container_header(inner.schema), inner.datum)
    assert list(fastavro.reader(io.BytesIO(made))) == [ROW]


def test_equal_records_make_equal_containers() -> None:
    inner = read_container(written([ROW]), LIMIT)
    assert len({write_container(container_header(inner.schema), inner.datum) for _ in range(3)}) == 1


def test_no_record_and_several_records_are_counted() -> None:
    assert reason(written([])) == "container_records"
    assert reason(written([ROW, ROW])) == "container_records"


def test_several_blocks_are_counted() -> None:
    value = written([ROW])
    start = value.index(value[-SYNC_BYTES:]) + SYNC_BYTES
    assert reason(value + value[start:]) == "container_records"


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_every_cut_is_truncated_except_just_after_the_header(codec: str) -> None:
    value = written([ROW], codec)
    after_header = value.index(value[-SYNC_BYTES:]) + SYNC_BYTES
    for size in range(4, len(value)):
        assert reason(value[:size]) == ("container_records" if size == after_header else "truncated"), size


def test_bytes_after_the_last_block_are_trailing() -> None:
    assert reason(written([ROW]) + b"x") == "trailing_bytes"
    assert reason(written([ROW]) * 2) == "trailing_bytes"


def test_a_lost_sync_marker_is_no_avro() -> None:
    assert reason(written([ROW])[:-1] + b"?") == "not_avro"


def test_a_header_without_a_schema_is_no_avro() -> None:
    assert reason(b"Obj\x01\x00" + b"s" * SYNC_BYTES + b"\x00") == "not_avro"


def test_an_unknown_codec_is_named() -> None:
    value = written([ROW]).replace(b"avro.codec\x08null", b"avro.codec\x08lzma")
    assert reason(value) == "unknown_schema"


@pytest.mark.parametrize("make", [lambda v: v, snappy])
def test_a_record_that_expands_beyond_the_limit_is_oversize(make: object) -> None:
    value = make(written([{"x": 1, "s": "a" * 10_000}], "deflate"))  # type: ignore[operator]
    assert reason(value, limit=5_000) == "oversize"


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=4))
def test_numbers_come_back(number: int, after: bytes) -> None:
    value = write_varint(number)
    assert read_varint(value + after, 0) == (number, len(value))


def test_a_number_without_end_is_no_avro() -> None:
    with pytest.raises(DataError, match="64 bits"):
        read_varint(b"\xff" * 20, 0)
