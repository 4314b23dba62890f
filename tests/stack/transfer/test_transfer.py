"""Transfers through a real broker: killed and gone on with, empty, cancelled, spoiled, expired."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from fink_lib.config import Settings, load_settings, project_root
from fink_lib.errors import ConfigError
from fink_lib.lake import open_lake
from fink_lib.transfer import life, run, topics
from fink_lib.transfer.job import CANCELLED, DONE, FAILED, RUNNING, Job, JobStore, Selection
from fink_lib.transfer.run import SCHEMA_COPIES, run_job
from fink_lib.transfer.submit import submit
from tests.unit.transfer.nights import NIGHTS, add_nights

pytestmark = [pytest.mark.usefixtures("kafka"), pytest.mark.timeout(180)]

ALERTS = 120
PARTITIONS = 10


@pytest.fixture(scope="module")
def settings(stack_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An installation with two nights of its own, on the shared broker."""
    home = tmp_path_factory.mktemp("transfer")
    kafka = f'[kafka]\nbootstrap_servers = "{stack_home.kafka.servers}"\npartitions = {PARTITIONS}\n'
    (home / "fink.toml").write_text(f"{kafka}[transfer]\npiece_rows = 40\n")
    settings = load_settings(home)
    lake = open_lake(settings, "ztf")
    lake.ensure()
    add_nights(lake, ALERTS)
    return settings


def ask(settings: Settings, **asked: Any) -> Job:
    """Submit a transfer to a topic."""
    return submit(settings, Selection("ztf", NIGHTS, **asked), datetime.now(UTC))


def process(settings: Settings, job: Job, failpoint: str) -> int:
    """Run it in a process of its own, which dies at a failpoint."""
    environment = os.environ | {"FINK_HOME": str(settings.home), "FINK_FAILPOINT": failpoint}
    command = [sys.executable, "-m", "fink_lib.cli", "transfer", "run", job.id]
    with (Path(settings.home) / "job.log").open("a") as log:
        return subprocess.run(command, cwd=project_root(), env=environment, stdout=log, stderr=log).returncode


def read(settings: Settings, topic: str) -> list[list[Any]]:
    """Read the records of each partition in order; fails if their offsets do not count from 0."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.servers,
            "group.id": f"test-{uuid.uuid4().hex}",
            "enable.partition.eof": True,
            "isolation.level": "read_uncommitted",
        }
    )
    parts: list[list[Any]] = [[] for _ in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(len(parts))])
    ended = 0
    while ended < len(parts):
        message = consumer.poll(10)
        assert message is not None, "the broker fell silent"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            # what is no record would be counted by the end, not by a client
            assert message.offset() == len(parts[message.partition()])
            ended += 1
            continue
        assert message.offset() == len(parts[message.partition()])
        parts[message.partition()].append(message)
    consumer.close()
    return parts


def rows(settings: Settings, job: Job) -> list[list[dict[str, Any]]]:
    """Read the rows of a transfer, all with its one schema."""
    data, schema = job.topics
    copies = [message for part in read(settings, schema) for message in part]
    (key,) = {message.key() for message in copies}
    assert len(copies) == SCHEMA_COPIES
    parsed = fastavro.parse_schema(json.loads(key))
    found = []
    for part in read(settings, data):
        assert {message.key() for message in part} <= {data.encode()}
        values = [BytesIO(message.value()) for message in part]
        found.append([fastavro.schemaless_reader(value, parsed) for value in values])
        assert all(value.read() == b"" for value in values)
    return found


def test_each_row_arrives_once_however_often_a_run_is_killed(settings: Settings) -> None:
    job = ask(settings, where=("roid <> 2",))
    store = JobStore(settings.home)
    held = [0]
    for name in ("transfer_schema", "transfer_delivered", "transfer_handed_over"):
        assert process(settings, job, name) == -signal.SIGKILL
        assert store.find(job.id).state == RUNNING
        held.append(sum(topics.ends(settings.kafka, job.id, PARTITIONS)))
    assert held[1] == 0
    assert 40 <= held[2] <= held[3] < job.plan.rows  # it was killed in the middle
    done = run_job(settings, job.id, print)
    assert done == store.find(job.id)
    assert (done.state, done.sent) == (DONE, job.plan.rows)

    parts = rows(settings, job)
    alone = ask(settings, where=("roid <> 2",))
    run_job(settings, alone.id, print)
    assert rows(settings, alone) == parts  # as if nobody had killed anything
    ids = [row["candid"] for part in parts for row in part]
    wanted = [i + first for first in (1, 1000) for i in range(ALERTS) if i % 5 != 2]
    assert Counter(ids) == Counter(wanted)
    for row in (row for part in parts for row in part):
        image = row["cutoutDifference"]["stampData"]
        assert image == (None if row["candid"] % 4 == 3 else f"difference-{row['candid']}".encode())
        assert (row["year"], row["month"], row["day"]) == (2024, 3, 12 if row["candid"] < 1000 else 13)
        assert row["finkclass"] and row["tnsclass"] and row["candidate"]["jd"]


def test_the_topics_keep_everything_and_every_run_of_a_client_finds_a_schema(settings: Settings) -> None:
    job = ask(settings, columns=("candidate.magpsf",), where=("roid = 1",))
    run_job(settings, job.id, print)
    admin = AdminClient({"bootstrap.servers": settings.kafka.servers})
    for topic in job.topics:
        (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        options = {name: entry.value for name, entry in future.result(20).items()}
        assert (options["cleanup.policy"], options["retention.ms"], options["retention.bytes"]) == (
            "delete",
            "-1",
            "-1",
        )
    assert {len(part) for part in read(settings, job.topics[1])} == {SCHEMA_COPIES // PARTITIONS}
    group = {"bootstrap.servers": settings.kafka.servers, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    for _ in range(2):
        consumer = Consumer(group)
        consumer.subscribe([job.topics[1]])
        message = consumer.poll(20)
        assert message is not None and message.error() is None
        names = [field["name"] for field in json.loads(message.key())["fields"]]
        assert names == ["candid", "magpsf", "jd", "year", "month", "day", "finkclass", "tnsclass"]
        consumer.close()


def test_an_empty_selection_has_its_schema_and_says_so(settings: Settings) -> None:
    job = ask(settings, where=("roid > 99",))
    done = run_job(settings, job.id, print)
    assert (done.state, done.sent, done.message) == (DONE, 0, "the selection holds no alert")
    assert rows(settings, job) == [[]] * PARTITIONS


def test_cancelling_stops_a_run_and_deletes_its_topics(settings: Settings) -> None:
    job = ask(settings)
    store = JobStore(settings.home)

    def stop(line: str) -> None:
        assert topics.exist(settings.kafka, job.topics)
        store.ask_to_cancel(job.id)

    assert run_job(settings, job.id, stop).state == CANCELLED
    assert gone(settings, job)
    assert run_job(settings, job.id, print).state == CANCELLED

    finished = ask(settings, columns=("light",), where=("roid = 1",))
    run_job(settings, finished.id, print)
    assert life.cancel(settings, finished.id, datetime.now(UTC)).state == CANCELLED
    assert gone(settings, finished)


class Killed(BaseException):
    """Ends a process as nothing can catch."""


def die_before_count(settings: Settings, survey: str, stage: str, name: str) -> None:
    if name == "transfer_before_count":
        raise Killed


def test_a_record_of_somebody_else_fails_the_job(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    job = ask(settings, columns=("light",), where=("roid = 1",))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(run, "failpoint", die_before_count)
        run_job(settings, job.id, print)
    stranger = Producer({"bootstrap.servers": settings.kafka.servers})
    stranger.produce(job.id, b"x", partition=0)
    stranger.flush(20)
    with pytest.raises(ConfigError, match="holds too much: partition 0 holds"):
        run_job(settings, job.id, print)
    failed = JobStore(settings.home).find(job.id)
    assert failed.state == FAILED and "submit it again" in failed.message


def test_somebody_else_who_writes_meanwhile_is_noticed_at_once(settings: Settings) -> None:
    job = ask(settings, columns=("light",))

    def write(line: str) -> None:
        stranger = Producer({"bootstrap.servers": settings.kafka.servers})
        for partition in range(PARTITIONS):
            stranger.produce(job.id, b"x", partition=partition)
        stranger.flush(20)

    with pytest.raises(ConfigError, match=f"arrived at offset 1 of {job.id}"):
        run_job(settings, job.id, write)
    assert JobStore(settings.home).find(job.id).state == FAILED


def test_topics_are_deleted_whole_after_their_life(settings: Settings) -> None:
    job = ask(settings, columns=("light",), where=("roid = 3",))
    run_job(settings, job.id, print)
    later = datetime.now(UTC) + timedelta(days=settings.transfer.life_days)
    assert job.id not in {one.id for one in life.expire(settings, later - timedelta(hours=1))}
    assert not gone(settings, job)
    assert job.id in {one.id for one in life.expire(settings, later + timedelta(hours=1))}
    assert gone(settings, job)


def gone(settings: Settings, job: Job) -> bool:
    """Tell whether both topics of a job are gone."""
    return not any(topics.exist(settings.kafka, [topic]) for topic in job.topics)
