"""Listeners of the local broker: one without passwords, and a second one for users when it is asked for."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError
from fink_lib.runtime.services.checks import check_port
from fink_lib.runtime.services.kafka import Kafka


def properties(settings: Settings) -> dict[str, str]:
    return dict(line.split("=", 1) for line in Kafka(settings).properties().splitlines())


def settings_with(tmp_path: Path, **kafka: object) -> Settings:
    return Settings.model_validate({"home": tmp_path, "kafka": kafka})


def test_as_delivered_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    values = properties(settings)
    assert settings.kafka.users_server == ""
    assert values["listeners"] == "PLAINTEXT://127.0.0.1:29092,CONTROLLER://127.0.0.1:29093"
    assert values["advertised.listeners"] == "PLAINTEXT://127.0.0.1:29092"
    assert values["listener.security.protocol.map"] == "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    assert not [name for name in values if "sasl" in name or "authorizer" in name or "super" in name]
    assert Kafka(settings).ports() == {"kafka.port": 29092, "kafka.controller_port": 29093}


def test_a_port_for_users_adds_a_listener_with_passwords_and_rules_for_all_but_the_broker(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, sasl_port=29094)
    values, plain = properties(settings), properties(Settings(home=tmp_path))
    assert settings.kafka.users_server == "127.0.0.1:29094"
    assert settings.kafka.servers == "127.0.0.1:29092"
    assert values["listeners"].split(",") == [
        "PLAINTEXT://127.0.0.1:29092",
        "USERS://127.0.0.1:29094",
        "CONTROLLER://127.0.0.1:29093",
    ]
    assert values["advertised.listeners"] == "PLAINTEXT://127.0.0.1:29092,USERS://127.0.0.1:29094"
    assert "USERS:SASL_PLAINTEXT" in values["listener.security.protocol.map"].split(",")
    assert values["listener.name.users.sasl.enabled.mechanisms"] == "SCRAM-SHA-512"
    assert values["allow.everyone.if.no.acl.found"] == "false"
    assert values["super.users"] == "User:ANONYMOUS"
    listening = {"listeners", "advertised.listeners", "listener.security.protocol.map"}
    assert {name: value for name, value in values.items() if plain.get(name) not in (None, value)}.keys() == listening
    assert plain.keys() < values.keys()


def test_users_may_come_from_elsewhere_while_the_broker_s_own_listener_stays_where_it_is(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, sasl_port=29094, sasl_host="broker.example.org")
    service = Kafka(settings)
    assert settings.kafka.users_server == "broker.example.org:29094"
    assert properties(settings)["advertised.listeners"].startswith("PLAINTEXT://127.0.0.1:29092,USERS://broker.example")
    hosts = {setting: service.host_of(setting) for setting in service.ports()}
    assert hosts.pop("kafka.sasl_port") == "broker.example.org"
    assert set(hosts.values()) == {"127.0.0.1"}


def test_a_taken_port_for_users_is_named_by_its_setting(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        service = Kafka(settings_with(tmp_path, sasl_port=other.getsockname()[1]))
        with pytest.raises(ConfigError, match=r"kafka\.sasl_port in fink\.toml"):
            for setting, port in service.ports().items():
                if setting == "kafka.sasl_port":
                    check_port(service.host_of(setting), port, setting)


@pytest.mark.parametrize("port", ["-1", "65536", '"x"'])
def test_a_port_that_is_none_is_refused(port: str, tmp_path: Path) -> None:
    (tmp_path / "fink.toml").write_text(f"[kafka]\nsasl_port = {port}\n")
    with pytest.raises(ConfigError, match=r"kafka\.sasl_port"):
        load_settings(tmp_path)
