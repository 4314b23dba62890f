"""Notices are found in files and go to the topics in which GCN has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fink_lib.cli import run
from fink_lib.errors import EXIT_FAILED, EXIT_USAGE, ConfigError
from fink_lib.simulator import delivery
from fink_lib.simulator.notices import JSON_TOPIC, XML_TOPIC, read_notices, send_notices

XML, JSON = b"<VOEvent/>", b' {"superevent_id": "S1"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one notice of each kind, and a file that is none."""
    (tmp_path / "b.xml").write_bytes(XML)
    (tmp_path / "a.json").write_bytes(JSON)
    (tmp_path / "readme.txt").write_text("no notice")
    pq.write_table(pa.table({"raw_event": [XML.decode(), JSON.decode()]}), tmp_path / "c.parquet")
    return tmp_path


def test_a_folder_is_read_in_the_order_of_names(folder: Path) -> None:
    assert list(read_notices([folder])) == [JSON, XML, XML, JSON]
    assert list(read_notices([folder / "b.xml", folder / "a.json"])) == [XML, JSON]


def test_what_is_no_notice_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"readme\.txt is no notice"):
        list(read_notices([folder / "readme.txt"]))
    pq.write_table(pa.table({"other": [1]}), folder / "d.parquet")
    with pytest.raises(ConfigError, match="has no column raw_event"):
        list(read_notices([folder / "d.parquet"]))


def test_each_kind_goes_to_its_topic(folder: Path) -> None:
    class Recorder:
        """Stands in for a producer."""

        def __init__(self) -> None:
            self.sent: list[tuple[str, bytes]] = []

        def send(self, topic: str, message: Any) -> None:
            self.sent.append((topic, message.packet.value))

        def finish(self) -> bool:
            return len(self.sent) == 4

    recorder: Any = Recorder()
    assert send_notices(recorder, read_notices([folder]))
    assert recorder.sent == [(JSON_TOPIC, JSON), (XML_TOPIC, XML), (XML_TOPIC, XML), (JSON_TOPIC, JSON)]


def test_the_command_says_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINK_HOME", str(folder / "home"))
    monkeypatch.setattr(delivery, "CONNECT_TIMEOUT_S", 1.0)
    assert run(["simulate", "--gcn", str(folder / "nosuch.xml")]) == EXIT_USAGE
    assert "nosuch.xml" in capsys.readouterr().err
    assert run(["simulate", "--gcn", str(folder), "--servers", "127.0.0.1:1"]) == EXIT_FAILED
