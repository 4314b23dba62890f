"""Where a consumer begins, which topics it takes, and what the servers' refusals mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, OFFSET_INVALID, KafkaError, TopicPartition

from fink_lib import cli
from fink_lib.client import consumer
from fink_lib.client.consumer import AlertConsumer
from fink_lib.client.credentials import Credentials, save_credentials
from fink_lib.client.kafka import explain, kafka_options
from fink_lib.client.stream import parse_time_ms, require_topics, starter
from fink_lib.errors import ConfigError, TransientError


def test_options_never_commit_what_was_only_fetched() -> None:
    options = kafka_options({"group_id": "g", "bootstrap.servers": "s"})
    assert options["group.id"] == "g"
    assert options["enable.auto.offset.store"] is False
    assert options["isolation.level"] == "read_committed"
    assert "security.protocol" not in options
    with pytest.raises(ConfigError, match=r"no `group\.id`"):
        kafka_options({"bootstrap.servers": "s"})


def test_a_name_and_a_password_switch_sasl_on() -> None:
    options = kafka_options({"group.id": "g", "username": "u", "password": "p", "security.protocol": "SASL_SSL"})
    assert options["sasl.mechanism"] == "SCRAM-SHA-512"
    assert options["security.protocol"] == "SASL_SSL"
    assert options["sasl.username"] == "u"
    assert not {"username", "password"} & options.keys()


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (KafkaError.SASL_AUTHENTICATION_FAILED, ConfigError, "refused user name and password"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, ConfigError, "ask its operator"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, ConfigError, "`fink client register --groupid …`"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, ConfigError, "`fink client topics`"),
        (KafkaError._AUTO_OFFSET_RESET, ConfigError, "no longer in the topic"),
        (KafkaError._TRANSPORT, TransientError, "or try again"),
    ],
)
def test_what_the_servers_say_is_a_sentence_with_a_next_step(code: int, kind: type[Exception], said: str) -> None:
    error = explain(KafkaError(code), "here:9092")
    assert type(error) is kind
    assert said in str(error)
    assert "here:9092" in str(error) or code == KafkaError._AUTO_OFFSET_RESET


def test_a_time_without_zone_is_utc() -> None:
    assert parse_time_ms("2026-01-15T08:00") == parse_time_ms("2026-01-15T09:00+01:00") == 1768464000000
    with pytest.raises(ConfigError, match="is no time"):
        parse_time_ms("yesterday")


@pytest.mark.parametrize(
    ("start", "offset"), [("earliest", OFFSET_BEGINNING), ("latest", OFFSET_END), ("1970-01-01T00:00:01", 1007)]
)
def test_each_partition_is_placed_once(start: str, offset: int) -> None:
    given: list[TopicPartition] = []

    def times(asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(one.topic, one.partition, one.offset + 7) for one in asked]

    consumer: Any = SimpleNamespace(assign=given.extend, offsets_for_times=times)
    assign = starter(start)
    assign(consumer, [TopicPartition("t", 0)])
    assign(consumer, [TopicPartition("t", 0), TopicPartition("t", 1)])
    # after a rebalance, a partition goes on where its group is
    assert [one.offset for one in given] == [offset, OFFSET_INVALID, offset]


def test_a_topic_that_is_not_there_is_named_with_the_nearest_one() -> None:
    there = ["fink_sn_candidates_ztf", "fink_unknowns_ztf"]
    require_topics(there, ["fink_unknowns_ztf", "^fink_.*"])
    with pytest.raises(ConfigError, match="did you mean fink_unknowns_ztf"):
        require_topics(there, ["fink_unknown_ztf"])
    with pytest.raises(ConfigError, match="`fink client topics` lists"):
        require_topics(there, ["x"])


def test_a_wrong_option_of_the_library_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        AlertConsumer([], {"group.id": "g", "no.such.option": "1"})


@pytest.mark.parametrize("words", [["topics"], ["stream"]])
def test_servers_that_are_away_are_one_sentence(
    words: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    monkeypatch.setattr(consumer, "ANSWER_S", 1.0)
    save_credentials(Credentials("ztf", "u", "g", "127.0.0.1:9", topics={"fink_unknowns_ztf": {}}))
    assert cli.run(["client", *words]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "Kafka at 127.0.0.1:9 failed" in told[0]


@pytest.mark.parametrize(
    "words",
    [
        ["stream", "--format", "xml"],
        ["stream", "-n", "0"],
        ["transfer", "ftransfer_ztf_2026-01-15_1", "--partition-by", "colour"],
        ["cutout", "ZTF18aaaaaaa", "--format", "gif"],
        ["subscribe"],
    ],
)
def test_wrong_usage_is_code_2(words: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    save_credentials(Credentials("ztf", "u", "g", "127.0.0.1:9", topics={"fink_unknowns_ztf": {}}))
    assert cli.run(["client", *words]) == 2
