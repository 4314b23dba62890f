import time
from pathlib import Path

import happybase
from Hbase_thrift import IOError as IOError_
from thriftpy2.thrift import TException

from fink_lib.config import Settings
from fink_lib.runtime import control
from tests.stack.runtime.waiting import kill_and_wait, pid_of

ROWS = 2000


def connect(settings: Settings) -> happybase.Connection:
    return happybase.Connection(settings.hbase.thrift_host, settings.hbase.thrift_port, timeout=30_000)


def test_acknowledged_rows_survive_a_killed_master_and_the_thrift_server_finds_it_again(hbase: Settings) -> None:
    connection = connect(hbase)
    connection.create_table("services_test", {"i": {}})
    with connection.table("services_test").batch() as batch:
        for number in range(ROWS):
            batch.put(b"%06d" % number, {b"i:value": b"%d" % number})
    thrift = pid_of(hbase, "thrift")
    assert kill_and_wait(hbase, ["hbase"]) < 90
    deadline = time.monotonic() + 60
    while True:
        try:
            found = {key: cells[b"i:value"] for key, cells in connect(hbase).table("services_test").scan()}
            break
        except (IOError_, TException, OSError):  # the master is up before its tables are
            assert time.monotonic() < deadline
            time.sleep(1)
    assert found == {b"%06d" % number: b"%d" % number for number in range(ROWS)}
    assert pid_of(hbase, "thrift") == thrift


def test_a_killed_thrift_server_is_back_soon(hbase: Settings) -> None:
    assert kill_and_wait(hbase, ["thrift"]) < 60
    assert b"services_test" in connect(hbase).tables()


def test_all_ports_are_on_loopback(hbase: Settings) -> None:
    ports = {row["name"]: row["ports"] for row in control.status(hbase)["services"]}
    wanted = {port for name in ("hbase", "thrift") for port in ports[name].values()}
    assert listening(wanted) == dict.fromkeys(wanted, "127.0.0.1")


def listening(ports: set[int]) -> dict[int, str]:
    """Address that each port listens on, from the kernel's table."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        address, port = fields[1].split(":")
        if fields[3] == "0A" and int(port, 16) in ports:
            found[int(port, 16)] = ".".join(str(byte) for byte in bytes.fromhex(address)[::-1])
    return found
