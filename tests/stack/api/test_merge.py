"""``/api/v1/objects`` over a real HBase and a real lake: one row per alert, from the right place."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from fink_lib.api.column_sets import MAIN_TABLE
from fink_lib.archive.writer import write_night
from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.nights import set_state
from tests.unit.api.conftest import alerts, serving

pytestmark = pytest.mark.usefixtures("hbase")

OLD, AGAIN, TONIGHT = "20240310", "20240311", "20240312"
FIRST = 10**17
NUMBER = 40
OBJECT_ROW = 7


class Door:
    """A port that leads to another one, and can be shut with everybody who is in it."""

    def __init__(self, behind: tuple[str, int]) -> None:
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = True
        self._inside: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._run(self._let_in)

    def shut(self) -> None:
        self._open = False
        while self._inside:
            with suppress(OSError):
                self._inside.pop().shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        self._open = True

    def remove(self) -> None:
        self.shut()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _run(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments))
        self._threads[-1].start()

    def _let_in(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                near.close()
                continue
            far = socket.create_connection(self._behind)
            self._inside += [near, far]
            self._run(self._carry, near, far)
            self._run(self._carry, far, near)

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        source.close()


@pytest.fixture
def door(stack_home: Settings) -> Iterator[Door]:
    door = Door((stack_home.hbase.thrift_host, stack_home.hbase.thrift_port))
    yield door
    door.remove()


@pytest.fixture
def settings(stack_home: Settings, door: Door, tmp_path) -> Settings:
    changes = {"table_prefix": f"t{uuid.uuid4().hex[:8]}.", "thrift_port": door.port}
    hbase = stack_home.hbase.model_copy(update=changes)
    return stack_home.model_copy(update={"hbase": hbase, "lake_uri": str(tmp_path / "lake")})


@pytest.fixture
def lake(settings: Settings) -> Lake:
    lake = open_lake(settings, "ztf")
    lake.ensure()
    for place, night in enumerate((OLD, AGAIN, TONIGHT)):
        lake.append("science", alerts(lake, night, FIRST + place * NUMBER, NUMBER))
    return lake


def archive(settings: Settings, lake: Lake, night: str) -> None:
    write_night(settings, "ztf", MAIN_TABLE, night)  # the one that answers for an object; a table takes seconds to make
    say(lake, night, "archived")


def say(lake: Lake, night: str, state: str, after_h: float = 0) -> None:
    now = datetime(2024, 3, 14, tzinfo=UTC) + timedelta(hours=after_h)
    set_state(lake, night, state, "publish", "", now)


def rows(client, name, **arguments):
    answer = client.get("/api/v1/objects", params={"objectId": name, **arguments})
    assert answer.status_code == 200, answer.text
    return answer.json(), answer.headers["Fink-Sources"]


def name_of(lake: Lake) -> str:
    return str(lake.read("science", [OLD], ["objectId"]).column(0)[OBJECT_ROW].as_py())


def test_an_archived_night_is_served_bit_for_bit_as_the_lake_had_it(settings, lake):
    name = name_of(lake)
    with serving(settings) as client:
        before, sources = rows(client, name)
    assert sources == "lake=3"
    for night in (OLD, AGAIN, TONIGHT):
        archive(settings, lake, night)
    with serving(settings) as client:
        after, sources = rows(client, name)
        some, _ = rows(client, name, columns="i:candid,d:cdsxmatch,v:lapse", nulls="strict")
    assert sources == "archive=3, lake=0"
    assert {row.pop("v:source") for row in before} == {"lake"}
    assert {row.pop("v:source") for row in after} == {"archive"}
    assert after == before
    assert [set(row) for row in some] == [{"i:candid", "d:cdsxmatch", "v:lapse"}] * 3
    assert [row["v:lapse"] for row in some] == [row["v:lapse"] for row in before]


def test_each_night_comes_from_one_place(settings, lake):
    name = name_of(lake)
    archive(settings, lake, OLD)
    archive(settings, lake, AGAIN)
    # The night is opened again and its replay holds other alerts: what HBase has of it is a ghost.
    replay = alerts(lake, AGAIN, FIRST + 10 * NUMBER, NUMBER)
    lake.replace_night("science", AGAIN, replay)
    say(lake, AGAIN, "closing", after_h=1)
    with serving(settings) as client:
        found, sources = rows(client, name)
    assert sources == "archive=1, lake=2"
    assert [(row["i:candid"], row["v:source"]) for row in found] == [
        (FIRST + 2 * NUMBER + OBJECT_ROW, "lake"),
        (FIRST + 10 * NUMBER + OBJECT_ROW, "lake"),
        (FIRST + OBJECT_ROW, "archive"),
    ]


def test_a_page_of_the_archive_is_a_page_of_the_whole(settings, lake):
    name = name_of(lake)
    for night in (OLD, AGAIN, TONIGHT):
        archive(settings, lake, night)
    with serving(settings) as client:
        whole, _ = rows(client, name)
        pages = [rows(client, name, limit=1, offset=place)[0] for place in range(3)]
    assert [row for page in pages for row in page] == whole


def test_part_of_a_name_finds_nothing_in_the_archive(settings, lake):
    archive(settings, lake, OLD)
    name = name_of(lake)
    with serving(settings) as client:
        for part in (name[:-1], f"{name}_2460379", "", "Z", "\x00", "\xff", "%5F", "_"):
            assert rows(client, part)[0] == [], part


def test_a_query_while_hbase_is_away_is_503_and_works_again_afterwards(settings, lake, door):
    name = name_of(lake)
    archive(settings, lake, OLD)
    with serving(settings) as client:
        before, _ = rows(client, name)
        door.shut()
        answer = client.get("/api/v1/objects", params={"objectId": name})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert client.get("/health/ready").status_code == 503
        door.open()
        assert rows(client, name)[0] == before
        assert client.get("/health/ready").status_code == 200


def test_many_clients_at_once_get_their_own_objects(settings, lake):
    archive(settings, lake, OLD)
    names = [str(name) for name in lake.read("science", [OLD], ["objectId"]).column(0).to_pylist()]
    wrong: list[str] = []

    def ask(client, name):
        found, _ = rows(client, name, columns="i:objectId")
        if {row["i:objectId"] for row in found} != {name}:
            wrong.append(name)

    with serving(settings) as client:
        threads = [threading.Thread(target=ask, args=(client, name)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
