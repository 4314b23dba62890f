"""What the simulator sends is what a consumer of a real Kafka gets."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from fink_lib.config import Settings
from fink_lib.simulator.delivery import Delivery
from fink_lib.simulator.faults import Outgoing
from fink_lib.simulator.synthetic import SyntheticNight
from fink_lib.surveys import get_survey
from tests.ztf_alerts import container, record

pytestmark = pytest.mark.usefixtures("kafka")
ZTF = get_survey("ztf")


@pytest.fixture
def topic() -> str:
    return f"ztf_20230225_programid{uuid.uuid4().int % 10**9}"


def simulate(settings: Settings, *arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from fink_lib.cli import main; main()", "simulate", *map(str, arguments)],
        env={**os.environ, "FINK_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def messages(settings: Settings, topic: str) -> list[Any]:
    """Everything in a topic, up to where the broker says that it ends, asked again after the last message was read."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.servers, "group.id": uuid.uuid4().hex})
    found = []
    try:
        places = [TopicPartition(topic, n, 0) for n in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
        consumer.assign(places)
        while len(found) < (end := sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)):
            for _ in range(end - len(found)):
                message = consumer.poll(10)
                assert message is not None, f"{len(found)} of {end} messages were read, then the broker fell silent"
                assert message.error() is None
                found.append(message)
    finally:
        consumer.close()
    return found


def stored(settings: Settings, topic: str) -> int:
    """How many messages a topic holds, as the broker says."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.servers, "group.id": uuid.uuid4().hex})
    try:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in numbers)
    finally:
        consumer.close()


def digests(values: Iterable[bytes]) -> list[str]:
    return sorted(hashlib.sha256(value).hexdigest() for value in values)


def alerts(folder: Path, count: int) -> dict[int, bytes]:
    folder.mkdir()
    made = {n: container(record(n, jd=2_460_000.6 + n // 5 / 100)) for n in range(1, count + 1)}
    for number, value in made.items():
        (folder / f"{number}.avro").write_bytes(value)
    return made


def test_bytes_arrive_unchanged_with_the_object_as_key(stack_home: Settings, topic: str, tmp_path: Path) -> None:
    made = alerts(tmp_path / "in", 12)
    (tmp_path / "in" / "broken.avro").write_bytes(b"broken")
    out = simulate(stack_home, "--data", tmp_path / "in", "--topic", topic, "--clock", "max", "--partitions", 3)
    assert "1 of them unreadable" in out
    got = list(messages(stack_home, topic))
    assert sorted(message.value() for message in got) == sorted([*made.values(), b"broken"])
    assert {message.key() for message in got if message.value() != b"broken"} == {b"ZTF20aaaaaaa"}
    assert {message.key() for message in got if message.value() == b"broken"} == {None}


def test_a_configuration_of_finks_simulator_sends_as_finks_simulator_does(
    stack_home: Settings, topic: str, tmp_path: Path
) -> None:
    made = alerts(tmp_path / "in", 12)
    file = tmp_path / "fink_alert_simulator.conf"
    file.write_text(
        f"KAFKA_IPPORT_SIM={stack_home.kafka.servers}\nKAFKA_TOPIC={topic}\nFINK_DATA_SIM={tmp_path}/in\n"
        "TIME_INTERVAL=0.1\nNALERTS_PER_OBS=2\nDISPLAY_FIELD=candid\n"
    )
    out = simulate(stack_home, "-c", file, "-nobservations", 4, "--wire", "schemaless")
    got = messages(stack_home, topic)
    batch = ZTF.decode([message.value() for message in got])
    assert sorted(batch.alerts.column("candid").to_pylist()) == sorted(made)[:8]
    assert {message.key() for message in got} == {None}
    assert set(batch.wire_formats.to_pylist()) == {"schemaless"}
    assert "visit 4" in out and "  7, 8" in out


def test_topics_are_made_for_each_night_as_the_settings_say(stack_home: Settings, tmp_path: Path) -> None:
    alerts(tmp_path / "in", 1)
    night = f"2{uuid.uuid4().int % 1000:03d}0201"
    simulate(stack_home, "--data", tmp_path / "in", "--night", night, "--clock", "max")
    topic = ZTF.input_topic(night)
    admin = AdminClient({"bootstrap.servers": stack_home.kafka.servers})
    assert len(admin.list_topics(timeout=10).topics[topic].partitions) == stack_home.kafka.partitions
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    [described] = admin.describe_configs([resource]).values()
    assert int(described.result(10)["max.message.bytes"].value) == stack_home.kafka.input_max_bytes


def test_the_manifest_accounts_for_every_message_with_faults(stack_home: Settings, topic: str, tmp_path: Path) -> None:
    alerts(tmp_path / "in", 60)
    manifest = tmp_path / "manifest.jsonl"
    faults = "duplicate:0.2,truncated:0.2,empty:0.1,late:0.1,oversize:0.05"
    simulate(
        stack_home,
        *("--data", tmp_path / "in", "--topic", topic, "--clock", "max"),
        *("--fault", faults, "--seed", 3, "--manifest", manifest),
    )
    *rows, last = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert last["totals"]["sent"] == last["totals"]["delivered"] == len(rows)
    assert last["totals"]["faults"] == dict(sorted(Counter(row["fault"] for row in rows if row["fault"]).items()))
    assert {"duplicate", "truncated", "late"} <= last["totals"]["faults"].keys()
    got = {
        (message.topic(), message.partition(), message.offset(), hashlib.sha256(message.value() or b"").hexdigest())
        for message in messages(stack_home, topic)
    }
    assert got == {(row["topic"], row["partition"], row["offset"], row["sha256"]) for row in rows}
    originals = Counter(row["id"] for row in rows)
    assert set(originals) == set(range(1, 61))


def test_a_synthetic_night_arrives_as_it_was_made_and_leaves_its_catalogues(
    stack_home: Settings, topic: str, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.parquet"
    out = simulate(stack_home, "--synthetic", 40, "--seed", 77, "--topic", topic, "--clock", "max", "--truth", truth)
    assert json.loads(out.splitlines()[-1])["delivered"] == 40
    sky = SyntheticNight(77, 40)
    found = digests(message.value() for message in messages(stack_home, topic))
    assert found == digests(packet.value for packet in sky.packets())
    assert truth.exists()
    assert {"simbad.parquet", "gaia.parquet"} <= {path.name for path in stack_home.catalog_dir.iterdir()}


def test_what_is_sent_to_topics_that_are_new_is_there_and_has_a_place(stack_home: Settings) -> None:
    packets = list(SyntheticNight(77, 40).packets())
    for _ in range(10):
        topic = f"ztf_20230225_programid{uuid.uuid4().int % 10**9}"
        manifest = StringIO()
        delivery = Delivery(stack_home.kafka, stack_home.kafka.servers, stack_home.kafka.partitions, manifest)
        for packet in packets:
            delivery.send(topic, Outgoing(packet))
            delivery.wait(0.002)  # so that the first messages go out in requests of their own
        assert delivery.finish()
        places = [json.loads(line) for line in manifest.getvalue().splitlines()[:-1]]
        assert len({(place["partition"], place["offset"]) for place in places if place["offset"] is not None}) == 40
        assert stored(stack_home, topic) == 40


def test_copies_are_disclosed_and_new(stack_home: Settings, topic: str, tmp_path: Path) -> None:
    alerts(tmp_path / "in", 5)
    out = simulate(stack_home, "--data", tmp_path / "in", "--topic", topic, "--clock", "max", "--copies", 4)
    assert "not the alerts as they were observed" in out
    batch = ZTF.decode([message.value() for message in messages(stack_home, topic)])
    assert not batch.bad
    assert len(set(batch.alerts.column("candid").to_pylist())) == 20


def test_copies_go_on_from_any_number(stack_home: Settings, topic: str, tmp_path: Path) -> None:
    alerts(tmp_path / "in", 5)
    for first in (0, 2):
        words = ("--copies", 2, "--first-copy", first)
        simulate(stack_home, "--data", tmp_path / "in", "--topic", topic, "--clock", "max", *words)
    batch = ZTF.decode([message.value() for message in messages(stack_home, topic)])
    assert len(set(batch.alerts.column("candid").to_pylist())) == 20


def test_the_visit_clock_keeps_its_pace(stack_home: Settings, topic: str, tmp_path: Path) -> None:
    alerts(tmp_path / "in", 15)  # four visits
    simulate(stack_home, "--data", tmp_path / "in", "--topic", topic, "--interval", 0.7, "--display", "candid")
    times = sorted(message.timestamp()[1] for message in messages(stack_home, topic))
    assert 1800 < times[-1] - times[0] < 6000


def test_what_a_broker_refuses_is_a_failure(stack_home: Settings, topic: str, tmp_path: Path) -> None:
    alerts(tmp_path / "in", 3)
    admin = AdminClient({"bootstrap.servers": stack_home.kafka.servers})
    from confluent_kafka.cimpl import NewTopic

    made = admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": "1000"})])
    made[topic].result(20)
    out = simulate(stack_home, "--data", tmp_path / "in", "--topic", topic, "--clock", "max", code=1)
    assert json.loads(out.splitlines()[-1])["delivered"] == 0


def test_a_loop_sends_new_copies_until_it_is_interrupted(stack_home: Settings, topic: str, tmp_path: Path) -> None:
    alerts(tmp_path / "in", 5)
    command = [sys.executable, "-c", "from fink_lib.cli import main; main()", "simulate", "--loop", "--data"]
    running = subprocess.Popen(
        [*command, str(tmp_path / "in"), "--topic", topic, "--interval", "0.1"],
        env={**os.environ, "FINK_HOME": str(stack_home.home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    passes = 0
    while passes < 3:
        passes += running.stdout.readline().startswith("visit 2")
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    totals = json.loads(out.splitlines()[-1])
    assert totals["sent"] == totals["delivered"]
    batch = ZTF.decode([message.value() for message in messages(stack_home, topic)])
    ids = batch.alerts.column("candid").to_pylist()
    assert len(ids) == len(set(ids)) == totals["sent"] > 10
