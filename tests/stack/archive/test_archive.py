"""The archive in a real HBase: exact values of all columns, repeated writes, a check that sees every difference."""

from __future__ import annotations

import json
import socket
import uuid

import happybase
import pytest

from fink_lib.archive.hbase import HBase
from fink_lib.archive.night import ALONE_ROWS
from fink_lib.archive.reader import ArchiveReader
from fink_lib.archive.registry import find_layout
from fink_lib.archive.rows import Row
from fink_lib.archive.statistics import read_statistics, write_statistics
from fink_lib.archive.tables import REGISTRY_TABLE
from fink_lib.archive.verify import verify_night
from fink_lib.archive.writer import write_night
from fink_lib.config import Settings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.lake import Lake, open_lake
from tests.night_rows import NIGHT, science_rows
from tests.unit.archive.test_codec import bits
from tests.unit.archive.test_rows import science_column

pytestmark = pytest.mark.usefixtures("hbase")

NUMBER = 60


@pytest.fixture
def settings(stack_home: Settings, tmp_path) -> Settings:
    """Give an installation with a lake and HBase tables of its own."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    hbase = stack_home.hbase.model_copy(update={"table_prefix": prefix})
    return stack_home.model_copy(update={"hbase": hbase, "lake_uri": str(tmp_path / "lake")})


@pytest.fixture
def lake(settings: Settings) -> Lake:
    lake = open_lake(settings, "ztf")
    lake.ensure()
    lake.append("science", science_rows(lake, NUMBER))
    return lake


@pytest.fixture
def connection(settings: Settings, lake: Lake):
    with HBase(settings.hbase, attempts=1) as connection:
        yield connection


def everything(settings: Settings, table: str) -> dict:
    """Scan a table with all cells and timestamps, past the code under test."""
    connection = happybase.Connection(settings.hbase.thrift_host, settings.hbase.thrift_port)
    try:
        return dict(connection.table(settings.hbase.table_prefix + table).scan(include_timestamp=True))
    finally:
        connection.close()


def test_every_column_comes_back_with_the_lakes_value(settings, lake, connection):
    assert write_night(settings, "ztf", "ztf", NIGHT).rows == NUMBER
    reader = ArchiveReader(connection, lake.survey, "ztf")
    science = lake.read("science", [NIGHT])
    names = science.column("objectId").to_pylist()
    keys = [
        reader.table.key.format((name, row["jd"], row["candid"]))
        for name, row in zip(names, science.column("candidate").to_pylist(), strict=True)
    ]
    served = reader.by_keys(keys)
    assert served.num_rows == NUMBER
    candidate = science.column("candidate").combine_chunks()
    for column in served.column_names:
        expected = science_column(science, candidate, column.partition(":")[2])
        assert bits(served.column(column).to_pylist()) == bits(expected), column


def test_an_object_is_read_by_its_whole_name_only(settings, lake, connection):
    write_night(settings, "ztf", "ztf", NIGHT)
    reader = ArchiveReader(connection, lake.survey, "ztf")
    found = reader.by_prefix("ZTF18aaaaaab", columns={"i:objectId", "i:candid", "d:roid"})
    assert found.column("i:candid").to_pylist() == [2]
    assert reader.by_prefix("ZTF18aaaaaa").num_rows == 0


def test_writing_twice_leaves_identical_cells(settings, lake):
    first = write_night(settings, "ztf", "ztf", NIGHT)
    once = everything(settings, "ztf")
    second = write_night(settings, "ztf", "ztf", NIGHT)
    assert everything(settings, "ztf") == once
    assert (first.rows, first.digest) == (second.rows, second.digest)
    assert len(once) == NUMBER


def test_what_was_written_is_verified_cell_by_cell(settings, lake):
    written = write_night(settings, "ztf", "ztf", NIGHT)
    found = verify_night(settings, "ztf", "ztf", NIGHT)
    assert found.equal and found.lake_digest == found.archive_digest == written.digest
    assert found.sentence == f"{NUMBER} rows are in the archive as the lake has them"


def test_a_dropped_row_is_named(settings, lake, connection):
    write_night(settings, "ztf", "ztf", NIGHT)
    key, cells = sorted(everything(settings, "ztf").items())[7]
    stamp = cells[b"p:r"][1]
    connection.delete("ztf", key, [b"i", b"d", b"p"], stamp)
    found = verify_night(settings, "ztf", "ztf", NIGHT)
    assert not found.equal and found.missing == [key.decode()] and found.differing == []
    assert key.decode() in found.sentence


@pytest.mark.parametrize("cell", [b"p:r", b"i:candid", b"d:invented"])
def test_an_altered_cell_is_named(settings, lake, connection, cell):
    write_night(settings, "ztf", "ztf", NIGHT)
    key, cells = sorted(everything(settings, "ztf").items())[3]
    connection.put("ztf", [Row(key, {cell: b"altered"}, cells[b"p:r"][1])], 1)
    found = verify_night(settings, "ztf", "ztf", NIGHT)
    assert not found.equal and found.missing == []
    (told,) = found.differing
    assert key.decode() in told and cell.decode() in told


def test_a_cell_with_another_time_is_named(settings, lake, connection):
    write_night(settings, "ztf", "ztf", NIGHT)
    key, cells = sorted(everything(settings, "ztf").items())[3]
    value, stamp = cells[b"i:jd"]
    connection.put("ztf", [Row(key, {b"i:jd": value}, stamp + 1)], 1)
    found = verify_night(settings, "ztf", "ztf", NIGHT)
    assert not found.equal and key.decode() in found.differing[0] and "timestamp" in found.differing[0]


def test_a_dropped_row_comes_back_with_the_next_generation(settings, lake, connection):
    write_night(settings, "ztf", "ztf", NIGHT)
    key, cells = sorted(everything(settings, "ztf").items())[0]
    connection.delete("ztf", key, [b"i", b"d", b"p"], cells[b"p:r"][1])
    write_night(settings, "ztf", "ztf", NIGHT, generation=1)
    assert verify_night(settings, "ztf", "ztf", NIGHT, generation=1).equal


def test_worker_processes_write_the_same_as_one_process(settings, lake):
    lake.append("science", science_rows(lake, ALONE_ROWS + 500, seed=9, night="20240314", first_id=10_000))
    told: list[tuple[int, int]] = []
    written = write_night(settings, "ztf", "ztf", "20240314", progress=lambda done, total: told.append((done, total)))
    assert written.rows == ALONE_ROWS + 500 and told[-1] == (written.rows, written.rows)
    alone = settings.model_copy(update={"nightly": settings.nightly.model_copy(update={"archive_workers": 1})})
    found = verify_night(alone, "ztf", "ztf", "20240314")
    assert found.equal and found.archive_digest == written.digest


def test_the_registry_explains_the_cells(settings, lake, connection):
    write_night(settings, "ztf", "ztf", NIGHT)
    ((key, cells),) = everything(settings, REGISTRY_TABLE).items()
    entry = json.loads(cells[b"s:json"][0])
    schema_id = bytes.fromhex(entry["schema_id"])
    packed = next(iter(everything(settings, "ztf").values()))[b"p:r"][0]
    assert packed.startswith(schema_id) and key == b"ztf_" + schema_id.hex().encode()
    assert find_layout(connection, "ztf", schema_id).to_json() == entry["columns"]


def test_statistics_are_replaced_and_a_class_that_is_gone_counts_zero(settings, lake, connection):
    first = {"basic": {"raw": 3, "sci": 2}, "class": {"QSO": 2}}
    write_statistics(connection, "ztf", NIGHT, first)
    assert read_statistics(connection, "ztf", NIGHT) == {"basic:raw": 3, "basic:sci": 2, "class:QSO": 2}
    write_statistics(connection, "ztf", NIGHT, {"basic": {"raw": 4, "sci": 2}, "class": {"Unknown": 2}})
    assert read_statistics(connection, "ztf", NIGHT) == {
        "basic:raw": 4, "basic:sci": 2, "class:QSO": 0, "class:Unknown": 2,
    }  # fmt: skip
    assert read_statistics(connection, "ztf", "20990101") == {}


def test_a_server_that_is_away_is_said_with_its_address(settings, lake):
    away = settings.hbase.model_copy(update={"thrift_port": 1})
    with HBase(away, attempts=2) as connection, pytest.raises(TransientError, match=r"127\.0\.0\.1:1 failed 2 times"):
        connection.tables()


def test_a_broken_connection_is_replaced(settings, lake, connection):
    before = connection.tables()
    with HBase(settings.hbase, attempts=2) as patient:
        patient.tables()
        patient._connection.transport.sock.shutdown(socket.SHUT_RDWR)  # as a server that was killed does
        assert patient.tables() == before


def test_a_family_that_does_not_exist_is_no_silent_loss(settings, lake, connection):
    write_night(settings, "ztf", "ztf", NIGHT)
    with HBase(settings.hbase) as patient, pytest.raises(ConfigError, match="NoSuchColumnFamily"):
        patient.put("ztf", [Row(b"k", {b"nothing:x": b"1"}, 1)], 1)


def test_a_table_that_does_not_exist_is_said_at_once(settings):
    with HBase(settings.hbase) as patient, pytest.raises(TransientError, match="has no table"):
        patient.scan_prefix("nothing", b"k")
