"""An unmodified fink-client reads what the broker sends: stream, display, save, statistics, transfer."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from pathlib import Path

import fastavro
import pyarrow.dataset as ds
import pytest

from fink_lib.client.credentials import Credentials, save_credentials
from fink_lib.config import Settings
from tests.client_alerts import packets
from tests.stack.client.conftest import ALERTS, ROWS


@pytest.fixture
def finkctl(fink_client: Path, kafka: Settings, user_home: Path):
    """Give a function that runs ``finkctl`` for a registered user, and gives what it printed."""

    def run(*words: str) -> str:
        environment = {**os.environ, "HOME": str(user_home), "COLUMNS": "200"}
        done = subprocess.run(
            [fink_client / "finkctl", *words], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"finkctl {' '.join(words)}: {done.stdout} {done.stderr}"
        return done.stdout

    # the file that our client writes is the one that theirs reads
    group = f"test-{uuid.uuid4().hex[:8]}"
    save_credentials(Credentials("ztf", "test", group, kafka.kafka.servers, maxtimeout=3))
    return run


def test_it_streams_shows_saves_and_counts(finkctl, livestream: str, tmp_path: Path) -> None:
    topic = livestream
    listed = finkctl("topic", "list", "-survey", "ztf")
    assert topic in listed
    assert "markers" not in listed
    finkctl("topic", "subscribe", "-survey", "ztf", "-name", topic)
    out = tmp_path / "alerts"
    shown = finkctl("stream", "-survey", "ztf", "-limit", str(len(ALERTS)), "--display", "--save", "-outdir", str(out))
    sent = [*packets(ALERTS[:60]).to_pylist(), *packets(ALERTS[60:]).to_pylist()]
    wanted = {f"{one['objectId']}_{one['candid']}.avro": one for one in sent}
    assert sorted(path.name for path in out.iterdir()) == sorted(wanted)
    for path in out.iterdir():
        with path.open("rb") as file:
            (read,) = fastavro.reader(file)
        assert isinstance(read, dict)
        for name in ("objectId", "candid", "candidate", "cdsxmatch", "cutoutScience", "lc_features_g", "roid"):
            assert repr(read[name]) == repr(wanted[path.name][name])
        assert f"| {read['objectId']} |" in shown
    assert shown.count("RRLyr") == len(ALERTS)
    counted = finkctl("stream", "-survey", "ztf", "--display_statistics")
    total = re.search(rf"Total for {topic} +(\d+) +(\d+)", counted)
    assert total is not None
    # offsets count the marks of transactions and what was aborted
    assert len(ALERTS) <= int(total[1]) <= int(total[1]) + int(total[2]) <= len(ALERTS) + 20 + 3 * 10


def test_it_fetches_a_transfer_again_and_again(finkctl, transfer: str, tmp_path: Path) -> None:
    words = ("transfer", "-survey", "ztf", "-topic", transfer, "-nconsumers", "10", "-maxtimeout", "3")
    finkctl(*words, "-partitionby", "tnsclass", "-outdir", str(tmp_path / "a"))
    read = ds.dataset(tmp_path / "a", format="parquet", partitioning="hive").to_table(columns=["candid", "tnsclass"])
    assert sorted(read.column("candid").to_pylist()) == list(ROWS)
    assert set(read.column("tnsclass").to_pylist()) == {"SN Ia", "SN II/x"}
    # the second run polls another copy of the schema under the same group
    finkctl(*words, "--restart_from_beginning", "-outformat", "avro", "-outdir", str(tmp_path / "b"))
    ids = []
    for path in (tmp_path / "b").glob("*.avro"):
        with path.open("rb") as file:
            ids += [alert["candid"] for alert in fastavro.reader(file)]  # type: ignore[index,call-overload]
    assert sorted(ids) == list(ROWS)
