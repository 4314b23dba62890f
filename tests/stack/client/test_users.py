"""Users with a password at a real broker: they read what they were given, and find nothing else."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from confluent_kafka import KafkaError, Producer

from fink_lib import cli
from fink_lib.client import AlertConsumer
from fink_lib.client.credentials import Credentials, load_credentials, save_credentials
from fink_lib.client.kafka import kafka_options
from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError
from fink_lib.runtime import control
from fink_lib.streams.topics import make_topics
from tests.stack.client.conftest import ALERTS, send_alerts
from tests.stack_services import free_ports, installation

INPUT = "ztf_20240312_programid1"
OTHER = "fink_grb_bronze"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a broker with a listener for users, an input topic and two output topics, one of them with alerts."""
    with installation(tmp_path_factory.mktemp("guarded") / "home") as plain:
        file = plain.home / "fink.toml"
        (port,) = free_ports(1)
        file.write_text(file.read_text().replace("[kafka]\n", f"[kafka]\nsasl_port = {port}\n"))
        settings = load_settings(plain.home)
        control.bring_up(settings, ["kafka"], report=lambda _line: None)
        # the broker's own processes need no password, for transactions neither
        assert send_alerts(settings, "fink") == "fink_unknowns_ztf"
        make_topics(settings.kafka, {INPUT: (1, {}), OTHER: (1, {})})
        yield settings


def registered(said: str, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    """Type the line that the operator sends to a user."""
    secret, program, *words = shlex.split(said.splitlines()[-1])
    name, _, password = secret.partition("=")
    assert (name, program) == ("FINK_CLIENT_PASSWORD", "fink")
    with monkeypatch.context() as patch:
        patch.setenv(name, password)
        assert cli.run(words) == 0
    return load_credentials("ztf")


def test_a_user_reads_what_was_given_and_nothing_else_until_removed(
    guarded: Settings,
    user_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["user", "add", "ann"]) == 0
    known = registered(capsys.readouterr().out, monkeypatch)
    assert known.servers == guarded.kafka.users_server != guarded.kafka.servers
    capsys.readouterr()

    # a wrong password, in another home; it takes the client a while to give up
    strangers = tmp_path / "stranger"
    strangers.mkdir()
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(strangers))
        save_credentials(Credentials("ztf", "ann", "ann", known.servers, password="wrong", topics={OTHER: {}}))
    wrong = subprocess.Popen(
        [sys.executable, "-m", "fink_lib.cli", "client", "stream", "-n", "1"],
        env=os.environ | {"HOME": str(strangers)},
        stderr=subprocess.PIPE,
        text=True,
    )

    # input, markers and Kafka's own are not even listed
    with AlertConsumer([], known.config) as consumer:
        assert consumer.all_topics() == [OTHER, "fink_unknowns_ztf"]
    assert cli.run(["client", "subscribe", INPUT]) == 1
    assert f"there is no topic {INPUT}" in capsys.readouterr().err
    assert cli.run(["client", "subscribe", "fink_unknowns_ztf"]) == 0
    words = ["client", "stream", "-n", str(len(ALERTS)), "--save", str(tmp_path / "out"), "--format", "parquet"]
    assert cli.run(words) == 0
    saved = ds.dataset(tmp_path / "out", format="parquet").to_table(columns=["candid"])
    assert sorted(saved.column("candid").to_pylist()) == list(ALERTS)

    # who knows the name of the topic, or of a group, gets no further
    with AlertConsumer([INPUT], known.config) as consumer, pytest.raises(ConfigError, match="does not let you read"):
        consumer.consume(1, timeout=10)
    mine = known.config | {"group.id": "bob"}
    with AlertConsumer([OTHER], mine) as consumer, pytest.raises(ConfigError, match="under this group"):
        consumer.consume(1, timeout=10)
    for topic in ("fink_unknowns_ztf", INPUT):
        assert refused_write(known, topic) == "TOPIC_AUTHORIZATION_FAILED"

    assert cli.run(["user", "add", "ann"]) == 1
    assert "there is a user ann already" in capsys.readouterr().err
    assert cli.run(["user", "add", "ann", "--replace", "--topics", "fink_grb_*"]) == 0
    known = registered(capsys.readouterr().out, monkeypatch)
    capsys.readouterr()
    assert cli.run(["user", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "ann", "topics": ["fink_grb_*"], "password": True}]
    with AlertConsumer([OTHER], known.config) as consumer:
        assert consumer.all_topics() == [OTHER]
        assert consumer.poll(1) == (None, None, None)
        # who is connected when the user is removed is refused too
        assert cli.run(["user", "remove", "ann"]) == 0
        with pytest.raises(ConfigError, match="does not let you read"):
            for _ in range(10):
                consumer.poll(1)
    assert cli.run(["user", "remove", "ann"]) == 1
    assert cli.run(["client", "topics"]) == 1
    said = capsys.readouterr().err
    assert "there is no user ann" in said
    assert "refused user name and password" in said

    (sentence,) = wrong.communicate(timeout=60)[1].splitlines()
    assert wrong.returncode == 1
    assert "refused user name and password" in sentence
    assert "`fink client register`" in sentence


def refused_write(known: Credentials, topic: str) -> str:
    """Try to write, and give the name of the refusal."""
    failed: list[KafkaError] = []
    own = {
        name: value for name, value in kafka_options(known.config).items() if name.startswith(("boot", "sec", "sasl"))
    }
    producer = Producer({**own, "log_level": 2})
    producer.produce(topic, b"x", on_delivery=lambda error, _: failed.append(error))
    assert producer.flush(20) == 0
    return failed[0].name()
