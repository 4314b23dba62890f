import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from fink_lib import cli
from fink_lib.config import Settings
from fink_lib.runtime import control
from fink_lib.runtime.services import build
from fink_lib.runtime.services.base import marked_processes
from fink_lib.runtime.supervisor import supervisor_process
from tests.stack.runtime.waiting import kill_and_wait, pid_of
from tests.stack_services import installation

TOPIC = "services_test"


def produce(settings: Settings, topic: str, values: list[bytes]) -> None:
    failed: list[KafkaError] = []
    options = {"bootstrap.servers": settings.kafka.servers, "acks": "all", "topic.metadata.propagation.max.ms": 1000}
    producer = Producer(options)
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(30) == 0
    if failed:
        raise KafkaException(failed[0])


def read_all(settings: Settings, topic: str, count: int) -> list[bytes]:
    options = {"bootstrap.servers": settings.kafka.servers, "group.id": "t", "auto.offset.reset": "earliest"}
    consumer = Consumer({**options, "enable.auto.commit": False})
    consumer.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            values.append(message.value())
    consumer.close()
    return sorted(values)


def test_up_twice_changes_nothing(kafka: Settings) -> None:
    before = pid_of(kafka, "kafka")
    began = time.monotonic()
    control.bring_up(kafka, ["kafka"], report=lambda _line: None)
    assert time.monotonic() - began < 5.0
    assert pid_of(kafka, "kafka") == before


def test_acknowledged_messages_survive_a_killed_broker_which_comes_back_by_itself(kafka: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.kafka.servers})
    for created in admin.create_topics([NewTopic(TOPIC, 2)]).values():
        created.result(30)
    values = [b"%03d" % number for number in range(300)]
    produce(kafka, TOPIC, values)
    assert kill_and_wait(kafka, ["kafka"]) < 60
    assert read_all(kafka, TOPIC, len(values)) == values


def test_a_misspelt_topic_is_an_error_and_no_new_topic(kafka: Settings) -> None:
    with pytest.raises(KafkaException, match="UNKNOWN_TOPIC"):
        produce(kafka, "services_tset", [b"x"])
    assert "services_tset" not in AdminClient({"bootstrap.servers": kafka.kafka.servers}).list_topics(timeout=10).topics


def test_a_killed_supervisor_leaves_services_alone_and_its_successor_adopts_them(
    kafka: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pid_of(kafka, "kafka")
    supervisor = supervisor_process(kafka)
    assert supervisor is not None
    supervisor.signal(signal.SIGKILL)
    assert supervisor.wait_gone(5.0)
    assert build(kafka, "kafka").alive()
    assert cli.run(["--home", str(kafka.home), "status", "--json"]) == 0
    now = json.loads(capsys.readouterr().out)
    assert now["supervisor"]["running"]
    assert now["supervisor"]["pid"] != supervisor.pid
    control.bring_up(kafka, ["kafka"], report=lambda _line: None)
    assert pid_of(kafka, "kafka") == before


def test_down_leaves_nothing_even_without_a_supervisor_and_up_repairs_a_lost_identity(tmp_path: Path) -> None:
    with installation(tmp_path / "home") as settings:
        control.bring_up(settings, ["kafka"], report=lambda _line: None)
        supervisor = supervisor_process(settings)
        assert supervisor is not None
        os.kill(supervisor.pid, signal.SIGKILL)
        assert supervisor.wait_gone(5.0)
        assert marked_processes(settings.home) != []
        control.bring_down(settings, report=lambda _line: None)
        assert marked_processes(settings.home) == []
        assert supervisor_process(settings) is None
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", settings.kafka.port)) != 0
        (settings.service_dir("kafka") / "data" / "meta.properties").unlink()
        control.bring_up(settings, ["kafka"], report=lambda _line: None)
        assert pid_of(settings, "kafka") is not None
