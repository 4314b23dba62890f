"""Packets come from files, folders and archives, unchanged and in order of time."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from fink_lib.errors import ConfigError
from fink_lib.simulator.packets import Packet, PacketStore, as_packets, read_packets
from fink_lib.surveys import get_survey
from tests.ztf_alerts import container, record

ZTF = get_survey("ztf")


def alert(candid: int, jd: float) -> bytes:
    return container(record(candid, jd=jd))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "in" / "deep"
    inner.mkdir(parents=True)
    (inner / "b.avro").write_bytes(alert(2, 2_460_000.7))
    (inner / "a.avro").write_bytes(alert(3, 2_460_000.7))
    (inner / "notes.txt").write_text("no alert")
    (inner / "alert.avsc").write_text("{}")
    early = tmp_path / "early.avro"
    early.write_bytes(alert(9, 2_460_000.6))
    with tarfile.open(tmp_path / "in" / "more.tar.gz", "w:gz") as archive:
        archive.add(early, "x/early.avro")
        archive.add(inner / "notes.txt", "x/notes.txt")
    return tmp_path / "in"


def test_folders_and_archives_give_their_alerts_by_time_then_id(folder: Path) -> None:
    with PacketStore() as store:
        store.add(read_packets([folder], ZTF))
        packets = list(store)
    assert [packet.alert_id for packet in packets] == [9, 2, 3]
    assert [packet.night for packet in packets] == ["20230225"] * 3
    assert [packet.object_id for packet in packets] == ["ZTF20aaaaaaa"] * 3


def test_bytes_are_unchanged(folder: Path) -> None:
    files = sorted(path.read_bytes() for path in [*folder.rglob("*.avro"), folder.parent / "early.avro"])
    assert sorted(packet.value for packet in read_packets([folder], ZTF)) == files


def test_a_file_that_is_named_is_taken_whatever_it_is_called(folder: Path) -> None:
    [packet] = read_packets([folder / "deep" / "notes.txt"], ZTF)
    assert packet == Packet(b"no alert", None, "", float("inf"), "")


def test_packets_that_cannot_be_read_come_last() -> None:
    with PacketStore() as store:
        store.add(as_packets([b"broken", alert(1, 2_460_000.6)], ZTF))
        assert [packet.alert_id for packet in store] == [1, None]
        assert len(store) == 2


def test_nothing_to_send_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no .avro file"):
        list(read_packets([tmp_path], ZTF))
    with pytest.raises(ConfigError, match="does not exist"):
        list(read_packets([tmp_path / "nothing"], ZTF))


def test_a_broken_archive_is_an_error(folder: Path) -> None:
    archive = folder / "more.tar.gz"
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(ConfigError, match="cannot be read"):
        list(read_packets([archive], ZTF))
