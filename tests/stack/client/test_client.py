"""The project's own client against a real broker: every committed alert once, whenever it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from fink_lib import cli
from fink_lib.client import AlertConsumer
from fink_lib.client.credentials import Credentials, save_credentials
from fink_lib.client.files import alert_files, read_alerts
from fink_lib.config import Settings
from fink_lib.errors import DataError
from tests.stack.client.conftest import ALERTS, ROWS


@pytest.fixture
def known(kafka: Settings, user_home: Path) -> Credentials:
    """Register a user with a group that nobody else has."""
    made = Credentials("ztf", "test", f"test-{uuid.uuid4().hex[:8]}", kafka.kafka.servers)
    save_credentials(made)
    return made


DIE_BEFORE_THE_COMMIT = """
from fink_lib.client import consumer
real = consumer.kafka_options
# the dead one's place in the group is free sooner
consumer.kafka_options = lambda given: {**real(given), "session.timeout.ms": 6000}
consumer.AlertConsumer.commit = die
"""
DIE_AT_THE_FOURTH_FILE = """
from fink_lib.client import folder
real, left = folder.append_line, [4]
def dying(*given):
    left[0] -= 1
    real(*given) if left[0] else die()
folder.append_line = dying
"""


def run_and_kill(words: list[str], patch: str) -> None:
    """Run a command in a process of its own, with a place patched at which it dies."""
    code = [
        "import os, signal, sys",
        "def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)",
        patch,
        "from fink_lib import cli",
        f"sys.exit(cli.run({words!r}))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def ids_in(folder: Path) -> list[int]:
    table = ds.dataset(folder, format="parquet", partitioning="hive").to_table(columns=["candid"])
    return sorted(table.column("candid").to_pylist())


def test_a_stream_is_saved_once_whatever_is_killed(
    known: Credentials, livestream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = livestream
    assert cli.run(["client", "topics"]) == 0
    assert topic in capsys.readouterr().out
    assert cli.run(["client", "subscribe", f"{topic}x"]) == 1
    assert f"did you mean {topic}?" in capsys.readouterr().err
    assert cli.run(["client", "subscribe", topic]) == 0
    out = tmp_path / "alerts"
    words = ["client", "stream", "--save", str(out), "--format", "parquet"]
    # the files are there, the servers have not heard of it
    run_and_kill([*words, "-n", "35"], DIE_BEFORE_THE_COMMIT)
    first = ids_in(out)
    assert len(first) == len(set(first)) == 35
    capsys.readouterr()
    assert cli.run([*words, "-n", "55"]) == 0
    assert ids_in(out) == list(ALERTS)
    assert "in the folder already" in capsys.readouterr().err
    assert cli.run([*words, "--timeout", "4"]) == 3
    assert ids_in(out) == list(ALERTS)
    capsys.readouterr()
    assert cli.run(["client", "stream", "--stats"]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[0] == topic
    assert int(row[1]) >= 90
    assert int(row[2]) <= 3 * 10  # marks of transactions


def test_another_look_chooses_and_a_file_is_an_alert(
    known: Credentials, livestream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["client", "subscribe", livestream]) == 0
    words = ["client", "stream", "--from"]
    chosen = ["earliest", "-n", "30", "--save", str(tmp_path / "a"), "--where", "candidate.magpsf < 18", "--display"]
    capsys.readouterr()
    for _ in range(2):  # the second time writes the same files
        assert cli.run([*words, *chosen]) == 0
        told = capsys.readouterr()
        assert "30 alerts written" in told.err
        assert len(told.out.splitlines()) == 30
        files = sorted((tmp_path / "a").iterdir())
        assert [path.name for path in files] == [f"ZTF18{i:07d}_{i}.avro" for i in ALERTS if i % 40 < 10]
    assert next(read_alerts(files[3]))["candid"] == 3
    assert cli.run([*words, "latest", "--timeout", "1"]) == 3
    assert cli.run([*words, "2000-01-01", "-n", "90", "--save", str(tmp_path / "b"), "--format", "json"]) == 0
    assert sum(len(list(read_alerts(path))) for path in alert_files(tmp_path / "b")) == 90
    assert cli.run([*words, "earliest", "--where", "magpsf <"]) == 1
    assert "--where cannot be evaluated" in capsys.readouterr().err


def test_what_an_exception_interrupts_comes_again(known: Credentials, livestream: str) -> None:
    seen: list[int] = []
    with pytest.raises(RuntimeError), AlertConsumer([livestream], known.config, "ztf") as consumer:
        for _, alert, _ in consumer:
            seen.append(alert["candid"])
            if len(seen) == 5:
                raise RuntimeError
    rest: list[int] = []
    with AlertConsumer([livestream], known.config) as consumer:
        for _, table in consumer.tables(size=20, timeout=10):
            rest += table.column("candid").to_pylist()
            if len(rest) == len(ALERTS) - 4:
                break
        assert consumer.poll(1) == (None, None, None)
    assert sorted(seen[:4] + rest) == list(ALERTS)
    assert seen[4] in rest


def test_a_message_that_cannot_be_read_costs_itself(
    known: Credentials, mixed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["client", "subscribe", mixed]) == 0
    out = tmp_path / "alerts"
    assert cli.run(["client", "stream", "-n", "2", "--save", str(out)]) == 1
    assert f"not readable: schema_mismatch: {mixed}[0] offset 1" in capsys.readouterr().err
    assert len(alert_files(out)) == 2
    with AlertConsumer([mixed], {**known.config, "group.id": f"{known.groupid}-2"}) as consumer:
        seen: list[object] = []
        while len(seen) < 3:
            try:
                seen += [alert["candid"] for _, alert, _ in consumer.consume(3, 5)]
            except DataError as error:
                seen.append(error.reason)
    assert sorted(map(str, seen)) == ["1", "2", "schema_mismatch"]


def test_a_transfer_goes_on_where_it_was_killed(
    known: Credentials, transfer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["client", "transfer", transfer, "--out", str(tmp_path / "out"), "--partition-by", "tnsclass"]
    run_and_kill(words, DIE_AT_THE_FOURTH_FILE)
    assert 0 < len(ids_in(tmp_path / "out")) < 200
    assert cli.run(words) == 0
    assert "expected 200, received 200" in capsys.readouterr().out
    assert ids_in(tmp_path / "out") == list(ROWS)
    assert cli.run(words) == 0
    assert "(0 by this run)" in capsys.readouterr().out
    assert ids_in(tmp_path / "out") == list(ROWS)
    by_date = ["client", "transfer", transfer, "--out", str(tmp_path / "dates"), "--partition-by", "time"]
    assert cli.run(by_date) == 0
    assert {path.parent.name for path in (tmp_path / "dates").rglob("*.parquet")} == {"day=12"}
    assert cli.run(["client", "transfer", f"{transfer[:-1]}"]) == 1
    assert "there is no topic" in capsys.readouterr().err
