"""Notices in, coincident alerts out, over a real broker: each alert once per topic, whatever is killed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from fink_lib.config import Settings, load_settings, project_root
from fink_lib.errors import EXIT_OK, ConfigError
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.ledger import night_ledger
from fink_lib.simulator.delivery import Delivery
from fink_lib.simulator.notices import send_notices
from fink_lib.streams.messengers import stage as module
from fink_lib.streams.messengers.stage import MultiMessenger
from tests.night_rows import NIGHT
from tests.unit.science.notices import lvk, skymap, voevent
from tests.unit.streams.test_messengers_search import science

pytestmark = [pytest.mark.usefixtures("kafka"), pytest.mark.timeout(300)]

MAP = skymap([4, 5], [1.0, 0.0])
"""All probability in the base cell that holds ra 45, dec 45."""


@pytest.fixture
def settings(stack_home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with its own lake, prefix and GCN topics on the shared broker."""
    name = f"t{uuid.uuid4().hex[:8]}"
    kafka = f'[kafka]\nbootstrap_servers = "{stack_home.kafka.servers}"\npartitions = 3\n'
    streams = f'[streams]\nsubstream_prefix = "{name}"\n'
    messengers = f'[messengers]\ntopics = "^{name}_gcn_"\ntrigger_s = 0.2\n'
    (tmp_path / "fink.toml").write_text(kafka + streams + messengers)
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    monkeypatch.setattr("fink_lib.simulator.notices.JSON_TOPIC", f"{name}_gcn_lvk")
    monkeypatch.setattr("fink_lib.simulator.notices.XML_TOPIC", f"{name}_gcn_voevent")
    return load_settings(tmp_path)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    """A lake with three alerts at the place of the burst and three at that of the merger."""
    opened = open_lake(settings, "ztf")
    opened.ensure()
    opened.append("science", science(opened, 1))
    opened.append("science", science(opened, 11, ra=np.full(3, 45.0), dec=np.full(3, 45.0)))
    return opened


def publish(settings: Settings, *notices: bytes) -> None:
    assert send_notices(Delivery(settings.kafka, settings.kafka.servers, 1), notices)


def look(settings: Settings, lake: Lake) -> tuple[int, int, int]:
    """Look once with a stage of its own."""
    stage = MultiMessenger(settings, lake)
    stage.open()
    try:
        return stage.cycle()
    finally:
        stage.close()


def messages(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Give what a reader of committed data finds in the topic of a selection."""
    topic = f"{settings.streams.substream_prefix}_{name}"
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.servers,
            "group.id": f"test-{uuid.uuid4().hex}",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    partitions = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    found, ended = [], 0
    while ended < partitions:
        message = consumer.poll(20)
        assert message is not None, "the broker fell silent"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended += 1
            continue
        record: Any = fastavro.schemaless_reader(io.BytesIO(message.value()), json.loads(message.key()), None)
        assert dict(message.headers())["fink-alert-id"] == str(record["candid"]).encode()
        found.append(record)
    consumer.close()
    return sorted(found, key=lambda record: record["candid"])


def ids(settings: Settings, name: str) -> list[int]:
    return [record["candid"] for record in messages(settings, name)]


def sent(lake: Lake) -> list[tuple[str, int]]:
    rows = lake.read("sent", [NIGHT])
    return sorted(zip(rows["filter"].to_pylist(), rows["alert_id"].to_pylist(), strict=True))


def job(*more: str) -> int:
    """Run the job as it is run, in a process of its own."""
    command = [sys.executable, "-m", "jobs.multimessenger", "--survey", "ztf", "--once"]
    return subprocess.run(command, cwd=project_root(), env=dict(os.environ), timeout=120).returncode


BOTH = [("grb_bronze", one) for one in (1, 2, 3)] + [("gw_bronze", one) for one in (11, 12, 13)]


def test_alerts_go_to_the_topics_of_their_triggers_once(settings: Settings, lake: Lake) -> None:
    publish(settings, voevent(), b"nonsense", lvk(MAP))
    assert look(settings, lake) == (3, 6, 6)
    assert ids(settings, "grb_bronze") == [1, 2, 3]
    assert ids(settings, "grb_silver") == ids(settings, "grb_gold") == []
    (first, *_) = messages(settings, "gw_bronze")
    assert (first["objectId"], first["triggerId"], first["observatory"]) == ("ZTF18aaaaaaa", "S240311x", "LVK")
    assert sent(lake) == BOTH
    assert look(settings, lake) == (0, 6, 0)
    publish(settings, voevent(trigger_id="another"), voevent())
    lake.append("science", science(lake, 21))
    assert look(settings, lake) == (2, 9, 3)
    assert ids(settings, "grb_bronze") == [1, 2, 3, 21, 22, 23]
    assert lake.read("gcn").num_rows == 5


def test_an_alert_of_two_triggers_goes_with_the_less_accidental_one(settings: Settings, lake: Lake) -> None:
    publish(settings, voevent(trigger_id="wide", error=20.0), voevent(trigger_id="narrow", error=0.5))
    look(settings, lake)
    assert {record["triggerId"] for record in messages(settings, "grb_bronze")} == {"narrow"}


def test_the_books_close(settings: Settings, lake: Lake) -> None:
    publish(settings, voevent(), lvk(MAP))
    look(settings, lake)
    (row,) = [row for row in lake.read("ledger", [NIGHT]).to_pylist() if row["stage"] == "multimessenger"]
    assert (row["batch"], row["received"], row["sent"]) == ("mm-000000000", 6, 6)
    assert json.loads(row["details"])["filters"] == {"grb_bronze": 3, "gw_bronze": 3}
    lake.append("raw", lake.read("science").select(lake.schema("raw").names))
    for kafka in (True, False):
        stages = {one["stage"]: one for one in night_ledger(settings, "ztf", NIGHT, kafka)["stages"]}
        told = stages["distribution"]
        assert (sum(told["left"].values()), sum(told["right"].values())) == (6, 6)
        assert all("distribution has received" in fault for fault in told["faults"])  # that stage did not run here


@pytest.mark.parametrize("place", ["between_produce_and_commit", "between_commit_and_sent"])
def test_a_kill_loses_nothing_and_doubles_nothing(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    publish(settings, voevent(), lvk(MAP))
    with monkeypatch.context() as armed:
        armed.setenv("FINK_FAILPOINT", place)
        assert job() == -signal.SIGKILL
    assert sent(lake) == []
    assert job() == EXIT_OK
    assert sent(lake) == BOTH
    assert ids(settings, "grb_bronze") == [1, 2, 3]
    assert ids(settings, "gw_bronze") == [11, 12, 13]
    assert [row["sent"] for row in lake.read("ledger", [NIGHT]).to_pylist()] == [6]
    assert job() == EXIT_OK
    assert sent(lake) == BOTH


def test_many_messages_go_in_several_transactions(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MESSAGES_AT_ONCE", 4)
    publish(settings, voevent(), lvk(MAP))
    assert look(settings, lake)[2] == 6
    assert sorted(set(lake.read("sent", [NIGHT])["batch"].to_pylist())) == ["mm-000000000", "mm-000000001"]
    assert sent(lake) == BOTH


def test_another_lake_does_not_go_on_in_these_topics(settings: Settings, lake: Lake, tmp_path: Path) -> None:
    publish(settings, voevent())
    look(settings, lake)
    other = open_lake(settings.model_copy(update={"home": tmp_path / "other"}), "ztf")
    other.ensure()
    with pytest.raises(ConfigError, match="another lake has sent pairs"):
        look(settings, other)
