"""Topics for clients, written as the broker writes them, and fink-client as its users install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from fink_lib.config import Settings, project_root
from fink_lib.runtime.lock import FileLock
from fink_lib.streams.committed import Marker, NightCount
from fink_lib.streams.packet import partition_of
from fink_lib.streams.producer import TransactionalProducer, pending
from tests.client_alerts import messages, packet, transfer_messages

FINK_CLIENT = "12.3.0"
NIGHT = "20240312"
SCHEMA_COPIES = 1000
PARTITIONS = 10

ALERTS = range(90)
ROWS = range(200)


@pytest.fixture(scope="session")
def fink_client() -> Path:
    """Give the folder of the programs of an unmodified fink-client, in an environment of its own.

    It is installed from the package index once, and kept beside the project's other downloads.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fink"
    place = cache / f"fink-client-{FINK_CLIENT}-py{sys.version_info.major}.{sys.version_info.minor}"
    stamp = place / "complete"
    with FileLock(cache / f".{place.name}.lock", wait_s=240.0):
        if not stamp.exists():
            uv = str(project_root() / ".tools" / "bin" / "uv")
            if not Path(uv).exists():
                uv = shutil.which("uv") or pytest.fail("uv is needed to install fink-client; run `make setup`")
            shutil.rmtree(place, ignore_errors=True)
            # what the project has too comes in the same version, and so from the cache
            wanted = ["--constraint", str(project_root() / "requirements.lock"), f"fink-client=={FINK_CLIENT}"]
            for words in (
                ["venv", "--python", sys.executable, str(place)],
                ["pip", "install", "--python", str(place / "bin" / "python"), *wanted],
            ):
                done = subprocess.run([uv, *words], capture_output=True, text=True)
                assert done.returncode == 0, f"fink-client {FINK_CLIENT} could not be installed: {done.stderr[-2000:]}"
            stamp.touch()
    return place / "bin"


@pytest.fixture
def user_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let both clients keep their credentials in a folder of the test."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(scope="session")
def livestream(kafka: Settings) -> str:
    """Give a topic of the livestream, of which nobody else knows."""
    return send_alerts(kafka, f"t{uuid.uuid4().hex[:8]}")


def send_alerts(settings: Settings, prefix: str) -> str:
    """Send :data:`ALERTS` to a topic, in two transactions and an aborted one between them, and give its name."""
    streams = settings.streams.model_copy(update={"substream_prefix": prefix})
    topic = f"{prefix}_unknowns_ztf"
    producer = TransactionalProducer(settings.model_copy(update={"streams": streams}), "ztf", "distribution")
    producer.open([topic])
    for ids in (ALERTS[:60], range(900, 920), ALERTS[60:]):
        producer.begin()
        key, values = messages(ids)
        for alert_id, value in zip(ids, values, strict=True):
            headers = packet().headers(alert_id, "unknowns", "1", 2460381.6, NIGHT, "g1-000000000")
            producer.send(topic, key, value, headers, pending(alert_id, "unknowns", "1", NIGHT))
        producer.flush()
        if ids[0] in ALERTS:
            counts = {NIGHT: NightCount(len(ids), len(ids), {"unknowns": len(ids)})}
            producer.commit(Marker(1, ids[0], "a-lake", "a-digest", counts, {}))
        else:
            producer.abort()
    producer.close()
    return topic


@pytest.fixture(scope="session")
def transfer(kafka: Settings) -> str:
    """Give a data transfer of :data:`ROWS`: first the copies of the schema were sent, then the data."""
    topic = f"ftransfer_ztf_2026-01-15_{uuid.uuid4().int % 10**6}"
    admin = AdminClient({"bootstrap.servers": kafka.kafka.servers})
    options = {"retention.ms": "-1", "cleanup.policy": "delete"}
    new = [NewTopic(name, num_partitions=PARTITIONS, config=options) for name in (topic, f"{topic}_schema")]
    for future in admin.create_topics(new).values():
        future.result()
    producer = Producer({"bootstrap.servers": kafka.kafka.servers, "enable.idempotence": True, "linger.ms": 20})
    schema, values = transfer_messages(ROWS)
    for copy in range(SCHEMA_COPIES):
        producer.produce(f"{topic}_schema", b"", schema, copy % PARTITIONS)
        producer.poll(0)
    assert producer.flush(60) == 0
    for alert_id, value in zip(ROWS, values, strict=True):
        producer.produce(topic, value, topic.encode(), partition_of(alert_id, PARTITIONS))
    assert producer.flush(60) == 0
    return topic


@pytest.fixture
def mixed(kafka: Settings) -> str:
    """Give a topic of one partition in which the second of three messages is no alert."""
    topic = f"t{uuid.uuid4().hex[:8]}_mixed_ztf"
    admin = AdminClient({"bootstrap.servers": kafka.kafka.servers})
    admin.create_topics([NewTopic(topic, num_partitions=1)])[topic].result()
    producer = Producer({"bootstrap.servers": kafka.kafka.servers})
    key, (first, last) = messages([1, 2])
    for value in (first, b"garbage", last):
        producer.produce(topic, value, key)
    assert producer.flush(60) == 0
    return topic
