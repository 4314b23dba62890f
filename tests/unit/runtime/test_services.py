import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError
from fink_lib.runtime import control
from fink_lib.runtime.process import ProcessId
from fink_lib.runtime.services import SERVICES, build, default_names, expand, with_database
from fink_lib.runtime.services import base as services_base
from fink_lib.runtime.services import keeper as keepers
from fink_lib.runtime.services.airflow import database_uri
from fink_lib.runtime.services.base import end_all, marked_processes, session_members
from fink_lib.runtime.services.hbase import can_list_tables
from fink_lib.runtime.services.kafka import Kafka, count_brokers
from fink_lib.runtime.services.keeper import Health, Keeper, State
from tests.stack_services import write_home
from tests.unit.runtime.toy_service import Toy


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return write_home(tmp_path / "home")


@pytest.fixture
def toy(settings: Settings) -> Iterator[Toy]:
    service = Toy(settings)
    yield service
    service.stop(0.0)
    end_all(marked_processes(settings.home))


@pytest.fixture
def keep(toy: Toy) -> Iterator[Callable[[Toy], Health]]:
    """Start keepers; they leave before the service is stopped."""
    started: list[Keeper] = []

    def start(service: Toy) -> Health:
        healths: dict[str, Health] = {}
        keeper = Keeper(service, healths)
        keeper.start()
        started.append(keeper)
        return healths[service.name]

    yield start
    for keeper in started:
        keeper.leave()
        keeper.join(10)


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to this in time"
        time.sleep(0.02)


def start(service: Toy) -> ProcessId:
    child = service.spawn()
    wait_for(lambda: (record := service.record()) is not None and record.process.pid == child.pid)
    wait_for(lambda: service.ready(0.0))
    record = service.record()
    assert record is not None
    return record.process


def test_a_service_leaves_a_record_of_the_process_that_it_is(toy: Toy) -> None:
    process = start(toy)
    assert process.alive()
    assert process == ProcessId.of(process.pid)
    assert os.getsid(process.pid) == process.pid
    toy.stop()
    assert not process.alive()
    assert toy.record() is None


def test_a_second_start_of_a_living_service_ends_by_itself_and_changes_nothing(toy: Toy, settings: Settings) -> None:
    process = start(toy)
    second = toy._popen(toy.run_folder, toy.command())
    assert second.wait(10) == 75
    assert process.alive()
    record = toy.record()
    assert record is not None
    assert record.process == process


def test_a_record_of_another_process_with_the_same_pid_is_stale(toy: Toy) -> None:
    me = ProcessId.current()
    toy.run_folder.mkdir(parents=True)
    stale = {**me.to_json(), "start_ticks": me.start_ticks - 1, "started_s": 0.0}
    (toy.run_folder / "process.json").write_text(json.dumps(stale))
    assert not toy.alive()
    toy.stop(0.0)  # must not end this very process
    assert start(toy).alive()


def test_a_torn_record_is_no_record(toy: Toy) -> None:
    toy.run_folder.mkdir(parents=True)
    (toy.run_folder / "process.json").write_text('{"pid": 1')
    assert toy.record() is None
    assert start(toy).alive()


def test_workers_of_a_killed_service_are_ended_before_the_next_start(settings: Settings) -> None:
    toy = Toy(settings, worker=True)
    try:
        first = start(toy)
        wait_for(lambda: len(session_members(first)) == 2)
        first.signal(signal.SIGKILL)
        assert first.wait_gone(5.0)
        (worker,) = session_members(first)
        start(toy)
        assert not worker.alive()
    finally:
        toy.stop(0.0)


def test_the_session_of_a_process_whose_pid_was_given_to_another_has_no_members() -> None:
    # a session of its own: where the tests run in a namespace, their own leader may live outside it
    leader = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        first = ProcessId.of(leader.pid)
        assert session_members(ProcessId(first.pid, first.start_ticks - 1, first.boot_id)) == []
        assert session_members(ProcessId(first.pid, first.start_ticks, "another boot")) == []
    finally:
        leader.kill()
        leader.wait()


def test_processes_of_an_installation_are_found_in_whatever_session(toy: Toy, settings: Settings) -> None:
    environment = toy.environment()
    other = subprocess.Popen(["sleep", "600"], env=environment, start_new_session=True)
    stranger = subprocess.Popen(["sleep", "600"], env={**environment, "FINK_HOME": "/elsewhere"})
    try:
        wait_for(lambda: [process.pid for process in marked_processes(settings.home)] == [other.pid])
    finally:
        for child in (other, stranger):
            child.kill()
            child.wait()


def test_a_taken_port_stops_the_start(toy: Toy, settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.api.port))
        other.listen()
        with pytest.raises(ConfigError, match="is taken by process"):
            toy.spawn()


def test_a_killed_service_is_back_within_seconds(toy: Toy, keep: Callable[[Toy], Health]) -> None:
    health = keep(toy)
    wait_for(lambda: health.state is State.READY)
    record = toy.record()
    assert record is not None
    record.process.signal(signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: health.restarts == 1 and health.state is State.READY)
    assert time.monotonic() - killed < 5.0
    assert health.pid != record.process.pid


def test_a_living_service_is_adopted(toy: Toy, keep: Callable[[Toy], Health]) -> None:
    process = start(toy)
    health = keep(toy)
    wait_for(lambda: health.state is State.READY)
    assert health.pid == process.pid
    assert health.restarts == 0
    process.signal(signal.SIGKILL)
    wait_for(lambda: health.restarts == 1 and health.state is State.READY)


def test_what_a_person_must_change_is_told_and_tried_again(
    toy: Toy, settings: Settings, keep: Callable[[Toy], Health]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.api.port))
        other.listen()
        health = keep(toy)
        wait_for(lambda: health.state is State.BLOCKED)
        assert "api.port" in health.message
    wait_for(lambda: health.state is State.READY)


def test_a_program_that_ends_at_once_is_told_by_its_last_words(
    settings: Settings, keep: Callable[[Toy], Health]
) -> None:
    health = keep(Toy(settings, program="raise SystemExit('some Error: no wings')"))
    wait_for(lambda: health.crashes >= 2)
    assert health.message.startswith("toy ")
    assert "some Error: no wings" in health.message


def test_a_service_that_lives_but_does_not_answer_is_degraded_and_after_long_restarted(
    toy: Toy, keep: Callable[[Toy], Health], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepers, "ASK_S", 0.1)
    monkeypatch.setattr(keepers, "PATIENCE_S", 1.0)
    health = keep(toy)
    wait_for(lambda: health.state is State.READY)
    pid = health.pid
    toy.deaf = True
    wait_for(lambda: health.state is State.DEGRADED)
    assert health.pid == pid
    wait_for(lambda: health.restarts == 1)
    toy.deaf = False
    wait_for(lambda: health.state is State.READY)
    assert health.pid != pid


def test_a_large_log_makes_room(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services_base, "_LOG_LIMIT_BYTES", 10)
    toy.log_file.parent.mkdir(parents=True)
    toy.log_file.write_text("more than ten bytes")
    start(toy)
    assert toy.log_file.with_suffix(".log.1").read_text() == "more than ten bytes"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["kafka"], ["kafka"]),
        (["hbase"], ["hbase", "thrift"]),
        (["thrift"], ["hbase", "thrift"]),
        (["api", "kafka"], ["kafka", "api"]),
        (["airflow-triggerer"], ["airflow-triggerer"]),
        ([], []),
    ],
)
def test_names_of_sets_and_services_become_services_in_the_order_of_their_start(
    words: list[str], names: list[str]
) -> None:
    assert expand(words) == names


def test_airflow_is_four_processes() -> None:
    assert expand(["airflow"]) == [
        "airflow-api-server",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
    ]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="there is no service kafak; choose from kafka, hbase, postgres, airflow, api"
    ):
        expand(["kafak"])


def test_servers_elsewhere_are_not_started_here(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"home": tmp_path, "kafka": {"bootstrap_servers": "far:9092"}, "hbase": {"thrift_host": "far"}}
    )
    assert {name.partition("-")[0] for name in default_names(settings)} == {"airflow", "api"}
    assert len(default_names(Settings(home=tmp_path))) == len(SERVICES) - 1


def test_postgres_comes_with_airflow_where_the_settings_want_it_and_nowhere_else(tmp_path: Path) -> None:
    wanted = Settings.model_validate({"home": tmp_path, "airflow": {"database": "postgresql"}})
    assert with_database(wanted, ["airflow-scheduler"]) == ["postgres", "airflow-scheduler"]
    assert with_database(wanted, ["kafka"]) == ["kafka"]
    assert default_names(wanted) == [service.name for service in SERVICES]
    assert with_database(Settings(home=tmp_path), ["postgres", "airflow-scheduler"]) == ["airflow-scheduler"]
    assert database_uri(wanted).startswith("postgresql+psycopg2://airflow:")
    assert database_uri(wanted) == database_uri(wanted), "the password stays"


def test_all_services_listen_on_loopback_and_on_ports_of_their_own(settings: Settings) -> None:
    services = [build(settings, service.name) for service in SERVICES]
    assert {service.host for service in services} == {"127.0.0.1"}
    ports = [port for service in services for port in service.ports().values()]
    assert len(ports) == len(set(ports)) == 12


def test_a_half_formatted_kafka_folder_is_formatted_anew(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = Kafka(settings)
    kafka.data.mkdir(parents=True)
    (kafka.data / "bootstrap.checkpoint").write_text("torn")

    def format_storage() -> None:
        assert not kafka.data.exists()
        kafka.data.mkdir()
        (kafka.data / "meta.properties").write_text("cluster.id=x\n")

    monkeypatch.setattr(kafka, "_format", format_storage)
    kafka.prepare()
    (kafka.data / "alerts-0").mkdir()
    (kafka.data / "meta.properties").unlink()
    kafka.prepare()
    assert (kafka.data / "meta.properties").read_text() == "cluster.id=x\n"
    assert (kafka.data / "alerts-0").is_dir()


def test_kafka_topics_of_unknown_origin_are_never_wiped(settings: Settings) -> None:
    kafka = Kafka(settings)
    (kafka.data / "alerts-0").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"holds topics \(alerts-0, …\) but .*formatted\.json has gone"):
        kafka.prepare()
    assert (kafka.data / "alerts-0").is_dir()


def test_a_lost_kafka_folder_is_not_replaced_in_silence(settings: Settings) -> None:
    kafka = Kafka(settings)
    kafka.folder.mkdir(parents=True)
    (kafka.folder / "formatted.json").write_text('{"meta": "cluster.id=x"}')
    with pytest.raises(ConfigError, match="data folder .* has gone"):
        kafka.prepare()


def test_hbase_clears_a_first_start_that_never_came_up_but_no_tables(settings: Settings) -> None:
    hbase = build(settings, "hbase")
    root = hbase.folder / "data"
    (root / "MasterData").mkdir(parents=True)
    hbase.prepare()
    assert not root.exists()
    (root / "data" / "default" / "ztf").mkdir(parents=True)
    hbase.prepare()
    assert (root / "data" / "default" / "ztf").is_dir()


def test_hbase_that_lost_its_identity_is_refused(settings: Settings) -> None:
    hbase = build(settings, "hbase")
    (hbase.folder / "data" / "data" / "default" / "ztf").mkdir(parents=True)
    hbase.settled()
    with pytest.raises(ConfigError, match=r"lost hbase\.version or hbase\.id \(1 tables are there\)"):
        hbase.prepare()


def answer_once(answer: bytes) -> int:
    """A server that gives one answer to one client, whatever it asks."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        connection.recv(1024)
        connection.sendall(answer)
        connection.close()
        server.close()

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


def test_a_broker_that_knows_no_broker_is_not_ready() -> None:
    for brokers in (0, 1):
        body = struct.pack(">iii", 1, 0, brokers)
        assert count_brokers("127.0.0.1", answer_once(struct.pack(">i", len(body)) + body)) == brokers
    with pytest.raises(struct.error):
        count_brokers("127.0.0.1", answer_once(b""))


def test_thrift_that_answers_with_an_exception_is_not_ready() -> None:
    head = struct.pack(">HHi13si", 0x8001, 2, 13, b"getTableNames", 1)
    assert can_list_tables("127.0.0.1", answer_once(head + struct.pack(">BhBi", 15, 0, 11, 0)))
    assert not can_list_tables("127.0.0.1", answer_once(head + struct.pack(">BhB", 12, 1, 0)))


def test_runtime_starts_without_a_heavy_import() -> None:
    heavy = ("airflow", "pandas", "numpy", "pyspark", "happybase", "confluent_kafka", "deltalake", "fastapi")
    modules = "fink_lib.runtime.supervisor, fink_lib.runtime.control"
    code = f"import sys, {modules}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_where_airflow_keeps_its_state_is_written_into_the_settings_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "fink.toml").write_text("# ours\n[airflow]\nport = 1234  # kept\n")
    control.choose_database(load_settings(tmp_path), "postgresql")
    assert load_settings(tmp_path).airflow.database == "postgresql"
    assert "# ours" in (tmp_path / "fink.toml").read_text() and "# kept" in (tmp_path / "fink.toml").read_text()
    control.choose_database(load_settings(tmp_path), "sqlite")
    assert database_uri(load_settings(tmp_path)).startswith("sqlite:///")
    with pytest.raises(ConfigError, match="choose sqlite or postgresql"):
        control.choose_database(load_settings(tmp_path), "mysql")
