"""The stage as it runs: its own process, a real Spark, a real broker, killed at the places that matter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from fink_lib.config import Settings, load_settings, project_root
from fink_lib.lake import Lake, open_lake
from fink_lib.streams.packet import Packet, partition_of
from fink_lib.surveys import get_survey
from tests.faults.filters import FILTERS
from tests.night_rows import NIGHT, replace, science_rows

pytestmark = [pytest.mark.usefixtures("kafka"), pytest.mark.timeout(300)]

ALERTS = 300
BATCH = "g1-000000000"


@pytest.fixture
def settings(stack_home: Settings, tmp_path: Path) -> Settings:
    """An installation with an empty lake of its own, on the shared broker."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    kafka = f'[kafka]\nbootstrap_servers = "{stack_home.kafka.servers}"\npartitions = 3\n'
    streams = f'[streams]\nsubstream_prefix = "{prefix}"\nmax_files_per_trigger = 2\narrow_rows = 64\n'
    (tmp_path / "fink.toml").write_text(kafka + streams)
    return load_settings(tmp_path)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    """Give the empty lake."""
    opened = open_lake(settings, "ztf")
    opened.ensure()
    return opened


def add_night(lake: Lake, first_id: int = 1, files: int = 2) -> pa.Table:
    """Write alerts into ``science`` and images of two thirds of them into ``cutouts``, in a few files."""
    every = np.arange(ALERTS)
    rows = science_rows(lake, ALERTS, seed=first_id, first_id=first_id)
    statuses = [[("simbad", "no_match" if i % 2 else "unavailable")] for i in every]
    rows = replace(
        rows,
        roid=(every % 5).tolist(),
        finkclass=[None if i % 7 == 0 else "Unknown" for i in every],
        fink_status=statuses,
        prv_candidates=[None] * ALERTS,
        fp_hists=[None] * ALERTS,
    )
    with_batch = replace(rows, ingest={"batch": [BATCH] * ALERTS})
    images = pa.table(
        {
            "alert_id": with_batch.column("candid"),
            "batch": [BATCH] * ALERTS,
            **{
                kind: [f"{kind}-{i + first_id}".encode() for i in every]
                for kind in ("science", "template", "difference")
            },
            "night": [NIGHT] * ALERTS,
        }
    )
    lake.append("cutouts", images.filter(pc.not_equal(pc.bit_wise_and(images.column("alert_id"), 3), 3)))
    for part in range(files):
        size = ALERTS // files
        lake.append("science", with_batch.slice(part * size, size))
    return with_batch


def expected(rows: pa.Table) -> Counter[tuple[str, int]]:
    """Say which alert has to be in which topic, by the second writing of the filters."""
    return Counter((name, row["candid"]) for row in rows.to_pylist() for name, takes in FILTERS.items() if takes(row))


def run(settings: Settings, failpoint: str = "") -> int:
    """Run the job once, over what is there."""
    environment = os.environ | {"FINK_HOME": str(settings.home)}
    environment.pop("FINK_FAILPOINT", None)
    if failpoint:
        environment["FINK_FAILPOINT"] = failpoint
    command = [sys.executable, "-m", "jobs.distribution", "--survey", "ztf", "--once"]
    with (settings.home / "job.log").open("a") as log:
        return subprocess.run(command, cwd=project_root(), env=environment, stdout=log, stderr=log).returncode


def messages(settings: Settings) -> list[dict[str, Any]]:
    """Read everything that a ``read_committed`` user gets, decoded with the schema in each message's key."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.servers,
            "group.id": f"test-{uuid.uuid4().hex}",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    known = consumer.list_topics(timeout=10).topics
    places = [
        TopicPartition(topic, partition, 0)
        for f in FILTERS
        for topic in [f"{settings.streams.substream_prefix}_{f}_ztf"]
        if topic in known
        for partition in known[topic].partitions
    ]
    consumer.assign(places)
    schemas: dict[bytes, Any] = {}
    found = []
    ended = 0
    while ended < len(places):
        message = consumer.poll(10)
        assert message is not None, "the broker fell silent"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended += 1
            continue
        key = message.key()
        if key not in schemas:
            schemas[key] = fastavro.parse_schema(json.loads(key))
        found.append(
            {
                "topic": message.topic(),
                "partition": message.partition(),
                "offset": message.offset(),
                "headers": {name: value.decode() for name, value in message.headers()},
                "alert": fastavro.schemaless_reader(BytesIO(message.value()), schemas[key]),
            }
        )
    consumer.close()
    return found


def pairs(settings: Settings, found: list[dict[str, Any]]) -> Counter[tuple[str, int]]:
    """Count the (filter, alert) pairs of messages, by topic and packet rather than by header."""
    prefix = len(settings.streams.substream_prefix) + 1
    return Counter((m["topic"][prefix:].removesuffix("_ztf"), m["alert"]["candid"]) for m in found)


def settled_pairs(settings: Settings, wanted: Counter[tuple[str, int]]) -> Counter[tuple[str, int]]:
    """Count the pairs once the broker has written its markers.

    A commit is answered when the coordinator has decided it; the markers that show its messages to readers reach
    the partitions one after another, a moment later.
    """
    end = time.monotonic() + 30
    while (found := pairs(settings, messages(settings))) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    return found


def sent(lake: Lake) -> Counter[tuple[str, int]]:
    """Count the (filter, alert) pairs of table ``sent``."""
    return Counter((r["filter"], r["alert_id"]) for r in lake.read("sent").to_pylist())


def ledger_counts(lake: Lake) -> Counter[str]:
    """Add up the ledger rows of the stage."""
    total: Counter[str] = Counter()
    for row in lake.read("ledger").to_pylist():
        total += Counter({"received": row["received"], "passed": row["produced"], "sent": row["sent"]})
        total += Counter(json.loads(row["details"])["filters"])
    return total


def test_each_alert_goes_once_to_each_of_its_topics(settings: Settings, lake: Lake) -> None:
    rows = add_night(lake)
    assert run(settings) == 0, (settings.home / "job.log").read_text()[-3000:]
    wanted = expected(rows)
    found = messages(settings)
    assert pairs(settings, found) == wanted == sent(lake)
    by_id = {row["candid"]: row for row in rows.select(["candid", "objectId", "candidate"]).to_pylist()}
    packet = Packet(get_survey("ztf"))
    for message in found:
        alert, header = message["alert"], message["headers"]
        original = by_id[alert["candid"]]
        assert alert["objectId"] == original["objectId"]
        assert alert["candidate"]["jd"] == original["candidate"]["jd"]
        imaged = alert["candid"] & 3 != 3
        assert alert["cutoutScience"]["stampData"] == (f"science-{alert['candid']}".encode() if imaged else None)
        assert header == {
            "fink-alert-id": str(alert["candid"]),
            "fink-filter": message["topic"].split("_", 1)[1].removesuffix("_ztf"),
            "fink-filter-version": "1",
            "fink-schema": packet.schema_id,
            "fink-alert-time": repr(original["candidate"]["jd"]),
            "fink-night": NIGHT,
            "fink-batch": header["fink-batch"],
        }
        assert message["partition"] == partition_of(alert["candid"], 3)
    by_filter = Counter(name for name, _ in wanted)
    alerts = len({alert_id for _, alert_id in wanted})
    total = {"received": ALERTS, "passed": alerts, "sent": wanted.total(), **by_filter}
    assert ledger_counts(lake) == Counter(total)
    places = {(r["topic"], r["partition"], r["offset"], r["alert_id"]) for r in lake.read("sent").to_pylist()}
    assert places == {(m["topic"], m["partition"], m["offset"], m["alert"]["candid"]) for m in found}
    # a second run has nothing to do, and a later batch goes on from there
    more = add_night(lake, first_id=1001, files=1)
    assert run(settings) == 0
    assert pairs(settings, messages(settings)) == wanted + expected(more) == sent(lake)


@pytest.mark.parametrize(
    ("place", "visible"),
    [
        ("in_pass", False),
        ("between_produce_and_commit", False),
        ("between_commit_and_sent", True),
        ("between_sink_and_ledger", True),
        ("between_ledger_and_checkpoint", True),
    ],
)
@pytest.mark.long  # the storm of tests/faults kills the stage at all these places, in a run of its own
def test_a_kill_neither_loses_nor_doubles(settings: Settings, lake: Lake, place: str, visible: bool) -> None:
    rows = add_night(lake, files=1)
    assert run(settings, failpoint=place) == -signal.SIGKILL
    before = expected(rows) if visible else Counter()
    assert settled_pairs(settings, before) == before
    assert run(settings) == 0, (settings.home / "job.log").read_text()[-3000:]
    assert pairs(settings, messages(settings)) == expected(rows) == sent(lake)
    counts = ledger_counts(lake)
    assert counts["received"] == ALERTS
    assert counts["sent"] == expected(rows).total()


@pytest.mark.long
def test_a_new_generation_repeats_nothing(settings: Settings, lake: Lake) -> None:
    rows = add_night(lake, files=1)
    assert run(settings) == 0
    parent = settings.checkpoint_dir("ztf", "distribution")
    (parent / "g2").mkdir()
    more = add_night(lake, first_id=1001, files=1)
    assert run(settings) == 0, (settings.home / "job.log").read_text()[-3000:]
    assert pairs(settings, messages(settings)) == expected(rows) + expected(more) == sent(lake)


def test_another_lake_is_refused_before_anything_is_sent(settings: Settings, lake: Lake, tmp_path: Path) -> None:
    rows = add_night(lake, files=1)
    assert run(settings) == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "fink.toml").write_text((settings.home / "fink.toml").read_text())
    others = load_settings(other)
    other_lake = open_lake(others, "ztf")
    other_lake.ensure()
    add_night(other_lake, first_id=5001, files=1)
    assert run(others) == 1
    assert "another lake has sent alerts" in (other / "job.log").read_text()
    assert pairs(settings, messages(settings)) == expected(rows)
