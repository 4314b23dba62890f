"""The files for several machines say what the code says: commands, ports, settings, versions."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fink_lib.config import KafkaSettings, Settings, load_settings, project_root
from fink_lib.runtime.java import VERSIONS
from fink_lib.runtime.services import SERVICES, build
from fink_lib.runtime.services.airflow import database_uri

FOLDER = project_root() / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in CONTAINERS.items() if "fink-broker" in one["image"]}
FOREGROUND = "fink_lib.runtime.services.foreground"
INSTRUCTIONS = {"FROM", "RUN", "COPY", "ENV", "ARG", "USER", "WORKDIR", "VOLUME", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, continued lines joined."""
    text = (FOLDER / "Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", text))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def image_environment() -> dict[str, str]:
    words = [word for name, rest in instructions() if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def default(value: Any) -> str:
    """What Compose makes of ``${NAME:-default}`` when NAME is not set."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", str(value))


def settings_of(container: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings as a process in the container reads them."""
    for name, value in (OURS[container].get("environment") or {}).items():
        monkeypatch.setenv(name, default(value))
    return load_settings(home)


def modules() -> Iterator[tuple[str, str]]:
    for name, one in OURS.items():
        yield name, one["command"][0]
        if "healthcheck" in one:
            yield name, one["healthcheck"]["test"][3]


def test_every_local_service_has_a_container_that_runs_it():
    commands = {tuple(one["command"]) for one in OURS.values()}
    others = {"postgres"}  # the image of its makers
    assert {(FOREGROUND, service.name) for service in SERVICES if service.name not in others} <= commands
    assert others <= CONTAINERS.keys()


@pytest.mark.parametrize(("container", "module"), sorted(set(modules())))
def test_commands_and_health_checks_are_modules_of_the_code(container, module):
    assert importlib.util.find_spec(module) is not None
    assert OURS[container]["command"][1] in {service.name for service in SERVICES}


@pytest.mark.parametrize("container", sorted(name for name, one in OURS.items() if "healthcheck" in one))
def test_a_health_check_asks_the_service_of_its_own_container(container):
    one = OURS[container]
    assert one["healthcheck"]["test"] == ["CMD", "python", "-m", *one["command"], "--check"]


@pytest.mark.parametrize("container", sorted(OURS))
def test_settings_are_real_and_load(container, tmp_path, monkeypatch):
    names = OURS[container].get("environment") or {}
    assert all(name.startswith("FINK__") for name in names)
    settings = settings_of(container, tmp_path, monkeypatch)  # refuses a name that it does not know
    for name, value in names.items():
        *sections, key = [part.lower() for part in name.split("__")[1:]]
        group = settings
        for section in sections:
            group = getattr(group, section)
        assert str(getattr(group, key)) == default(value)


@pytest.mark.parametrize("container", sorted(name for name, one in OURS.items() if one.get("ports")))
def test_published_ports_are_those_that_the_service_listens_on(container, tmp_path, monkeypatch):
    settings = settings_of(container, tmp_path, monkeypatch)
    beside = [name for name, one in OURS.items() if one.get("network_mode") == f"service:{container}"]
    listening = {port for name in (container, *beside) for port in build(settings, name).ports().values()}
    published = {int(port) for pair in OURS[container]["ports"] for port in pair.split(":")}
    assert published <= listening


def test_addresses_name_containers_and_their_default_ports(tmp_path, monkeypatch):
    settings = settings_of("airflow-scheduler", tmp_path, monkeypatch)
    assert settings.kafka.servers == f"kafka:{KafkaSettings().port}"
    assert settings.hbase.thrift_host in CONTAINERS
    assert settings.airflow.host in CONTAINERS
    assert database_uri(settings) == "postgresql+psycopg2://airflow:airflow@postgres:5432/airflow"
    postgres = {name: default(value) for name, value in CONTAINERS["postgres"]["environment"].items()}
    assert postgres == {"POSTGRES_USER": "airflow", "POSTGRES_PASSWORD": "airflow", "POSTGRES_DB": "airflow"}


def test_a_service_listens_under_the_name_that_others_call(tmp_path, monkeypatch):
    for container, name in (
        ("kafka", "kafka"),
        ("hbase", "thrift"),
        ("airflow-api-server", "airflow-api-server"),
        ("api", "api"),
    ):
        with monkeypatch.context() as patch:
            assert build(settings_of(container, tmp_path, patch), name).host == container == OURS[container]["hostname"]


def test_everything_that_is_referred_to_exists():
    for name, one in CONTAINERS.items():
        assert set(one.get("depends_on", {})) <= CONTAINERS.keys(), name
        assert ("networks" in one) != ("network_mode" in one), name
        for network in one.get("networks", ()):
            assert network in COMPOSE["networks"]
        for mount in one["volumes"]:
            source = mount.split(":")[0]
            assert source in COMPOSE["volumes"] or (FOLDER / source).is_file(), mount
        for key in ("pid", "network_mode"):
            if key in one:
                assert one[key].removeprefix("service:") in CONTAINERS
                assert CONTAINERS[one[key].removeprefix("service:")]["profiles"] == one["profiles"]


def test_who_watches_the_drivers_sees_their_processes_and_files():
    assert OURS["airflow-triggerer"]["pid"] == "service:airflow-scheduler"
    assert OURS["airflow-triggerer"]["volumes"] == OURS["airflow-scheduler"]["volumes"] == OURS["api"]["volumes"]


def test_the_home_of_the_image_is_the_mounted_volume():
    home = image_environment()["FINK_HOME"]
    assert all(mount.split(":")[1] == home for one in OURS.values() for mount in one["volumes"])
    assert ("VOLUME", home) in instructions()


def test_the_image_has_the_python_and_the_java_that_the_project_asks_for():
    wanted = tomllib.loads((project_root() / "pyproject.toml").read_text())["project"]["requires-python"]
    (base,) = [rest for name, rest in instructions() if name == "FROM"]
    least, below = re.fullmatch(r">=(3\.\d+),<(3\.\d+)", wanted).groups()
    assert re.match(rf"python:{re.escape(least)}-", base)
    assert below != least
    (java,) = re.findall(r"openjdk-(\d+)-jdk", (FOLDER / "Dockerfile").read_text())
    assert int(java) in VERSIONS


def test_the_image_is_made_of_files_that_exist_and_runs_modules_that_exist():
    for name, rest in instructions():
        assert name in INSTRUCTIONS, f"unknown instruction {name}"
        if name == "COPY":
            *sources, _ = [word for word in rest.split() if not word.startswith("--")]
            assert all((project_root() / source).exists() for source in sources), rest
        if name == "RUN":
            for module in re.findall(r"python -m (\S+)", rest):
                assert importlib.util.find_spec(module) is not None
    assert ("ENTRYPOINT", '["python", "-m"]') in instructions()
    assert [rest for name, rest in instructions() if name == "USER"] == ["fink"]


def test_packages_come_from_locks_with_hashes():
    text = (FOLDER / "Dockerfile").read_text()
    assert text.count("pip install") == text.count("--require-hashes -r requirements.lock") == 1
