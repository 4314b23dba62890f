"""The archive in a real HBase: exact values of all columns, repeated writes, a check that sees every difference."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from contextlib import suppress

import happybase
import pyarrow as pa
import pytest

from fink_lib.archive.hbase import HBase
from fink_lib.archive.journal import present_generation
from fink_lib.archive.night import ALONE_ROWS
from fink_lib.archive.reader import ArchiveReader
from fink_lib.archive.registry import find_layout, register
from fink_lib.archive.rows import Row
from fink_lib.archive.statistics import read_statistics, write_statistics
from fink_lib.archive.tables import REGISTRY_TABLE, archive_table
from fink_lib.archive.verify import verify_night, verify_tables
from fink_lib.archive.writer import put_rows, write_night, write_tables
from fink_lib.config import Settings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.lake import Lake, open_lake
from tests.faults.archive import Archive, check_archive
from tests.faults.archived import TABLES
from tests.night_rows import NIGHT, science_rows
from tests.unit.archive.nights import archive_night
from tests.unit.archive.test_codec import bits
from tests.unit.archive.test_rows import science_column

pytestmark = pytest.mark.usefixtures("hbase")

NUMBER = 60
CHOSEN = {"anomaly": [2, 40, 41], "low_blazar_state": [3], "high_blazar_state": [5], "slsn": [7]}


@pytest.fixture
def settings(stack_home: Settings, tmp_path) -> Settings:
    """Give an installation with a lake and HBase tables of its own."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    hbase = stack_home.hbase.model_copy(update={"table_prefix": prefix, "pre_split": False})
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
    connection.delete("ztf", key, [b"p"], stamp)
    found = verify_night(settings, "ztf", "ztf", NIGHT)
    assert not found.equal and found.missing == [key.decode()] and found.differing == []
    assert key.decode() in found.sentence


@pytest.mark.parametrize("cell", [b"p:r", b"p:invented"])
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
    value, stamp = cells[b"p:r"]
    connection.put("ztf", [Row(key, {b"p:r": value}, stamp + 1)], 1)
    found = verify_night(settings, "ztf", "ztf", NIGHT)
    assert not found.equal and key.decode() in found.differing[0] and "timestamp" in found.differing[0]


def test_a_dropped_row_comes_back_when_the_night_is_made_anew(settings, lake, connection):
    write_night(settings, "ztf", "ztf", NIGHT)
    key, cells = sorted(everything(settings, "ztf").items())[0]
    connection.delete("ztf", key, [b"p"], cells[b"p:r"][1])
    lake.replace_night("science", NIGHT, science_rows(lake, NUMBER))
    assert write_night(settings, "ztf", "ztf", NIGHT).generation == 1
    assert verify_night(settings, "ztf", "ztf", NIGHT).equal


def problems(settings: Settings, lake: Lake) -> list[str]:
    """Ask an independent witness what is wrong with any table."""
    science = lake.read("science").to_pylist(maps_as_pydicts="strict")
    host, port, prefix = settings.hbase.thrift_host, settings.hbase.thrift_port, settings.hbase.table_prefix
    told = []
    for table in TABLES:
        told += check_archive(science, Archive.read(host, port, table, prefix), table, CHOSEN)
    return told


def test_a_replay_replaces_the_night_in_every_table_and_leaves_no_ghost(settings, lake, connection):
    lake.replace_night("science", NIGHT, archive_night(NUMBER))
    other = archive_night(NUMBER, night="20240314", first_id=1001, days=2)
    lake.append("science", other)
    first = write_tables(settings, "ztf", TABLES, NIGHT, CHOSEN)
    write_tables(settings, "ztf", TABLES, "20240314", CHOSEN)
    assert all(first[table].rows for table in TABLES)
    assert problems(settings, lake) == []
    for rows, generation in ((archive_night(NUMBER, seed=1).slice(0, 25), 1), (archive_night(NUMBER), 2)):
        lake.replace_night("science", NIGHT, rows)
        again = write_tables(settings, "ztf", TABLES, NIGHT, CHOSEN)
        assert {one.generation for one in again.values()} == {generation}
        assert sum(one.ghosts for one in again.values()) > 0
        assert problems(settings, lake) == []
        compared = verify_tables(settings, "ztf", TABLES, NIGHT, CHOSEN)
        assert all(found.equal and found.archive_digest == again[t].digest for t, found in compared.items())
    assert all(found.equal for found in verify_tables(settings, "ztf", TABLES, "20240314", CHOSEN).values())
    assert present_generation(connection, "ztf.class", "20240314") == 0


class Cutter:
    """A way to a port on which every connection breaks after some thousand bytes."""

    def __init__(self, behind: tuple[str, int], most_bytes: int) -> None:
        self._behind, self._most_bytes = behind, most_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = 0
        self._threads = [threading.Thread(target=self._let_in)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _let_in(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._behind)
                for source, target, most in ((near, far, self._most_bytes), (far, near, 1 << 40)):
                    self._threads.append(threading.Thread(target=self._carry, args=(source, target, most)))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, target: socket.socket, most: int) -> None:
        with suppress(OSError):
            while most > 0 and (data := source.recv(65536)):
                target.sendall(data[:most])
                most -= len(data)
            self.cut += most <= 0
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


def test_an_archive_whose_connection_breaks_again_and_again_is_whole(settings, lake, monkeypatch):
    monkeypatch.setattr("fink_lib.archive.hbase.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("fink_lib.archive.hbase.LONGEST_PAUSE_S", 0.01)
    lake.replace_night("science", NIGHT, archive_night(NUMBER))
    cutter = Cutter((settings.hbase.thrift_host, settings.hbase.thrift_port), 60_000)
    broken = settings.model_copy(
        update={
            "hbase": settings.hbase.model_copy(update={"thrift_port": cutter.port}),
            "nightly": settings.nightly.model_copy(update={"archive_batch_rows": 4}),
        }
    )
    try:
        written = write_tables(broken, "ztf", TABLES, NIGHT, CHOSEN)
    finally:
        cutter.close()
    assert cutter.cut > 5
    assert problems(settings, lake) == []
    compared = verify_tables(settings, "ztf", TABLES, NIGHT, CHOSEN)
    assert all(found.archive_digest == written[table].digest for table, found in compared.items())


def test_tables_are_made_with_the_regions_that_their_keys_fill(settings, lake):
    cut = settings.model_copy(update={"hbase": settings.hbase.model_copy(update={"pre_split": True})})
    declared = archive_table(lake.survey, "ztf.class")
    with HBase(cut.hbase) as connection:
        register(connection, cut.hbase, [declared], lake.survey)
    raw = happybase.Connection(settings.hbase.thrift_host, settings.hbase.thrift_port)
    try:
        regions = raw.table(settings.hbase.table_prefix + declared.name).regions()
    finally:
        raw.close()
    assert [region["start_key"].decode() for region in regions] == ["", *declared.splits]


def test_rows_of_users_are_kept_and_the_later_one_stays(settings, lake, connection):
    register(connection, settings.hbase, [archive_table(lake.survey, "ztf.metadata")], lake.survey)
    for name, stamp in (("Ada's star", 2000), ("Star", 3000), ("too late", 1000)):
        row = {"i:objectId": ["ZTF18aaaaaab"], "d:internal_name": [name], "d:internal_name_encoded": [None]}
        rows = pa.table(row | {"d:comments": [None], "d:username": ["ada"]})
        put_rows(connection, lake.survey, "ztf.metadata", rows, stamp)
    found = ArchiveReader(connection, lake.survey, "ztf.metadata").by_prefix()
    assert found.column("d:internal_name").to_pylist() == ["Star"]


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
