"""The client of services against a server that is slow, wrong or dead, and its cache."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.config import ServiceSettings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.science.services.answers import MARGIN_ARCSEC, Answers, cells_of
from fink_lib.science.services.cache import AnswerCache
from fink_lib.science.services.client import ServiceClient
from fink_lib.science.services.known import SERVICES
from fink_lib.science.services.tap import TapEndpoint, rows_of
from tests.unit.science.tap_server import GAIA, SIMBAD, TapServer, document, sky_of, status_only

ARCSEC = 1 / 3600
RA = np.array([150.0, 30.0, 99.0])
DEC = np.array([2.0, -10.0, 45.0])


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@pytest.fixture
def server() -> Iterator[TapServer]:
    with TapServer({"basic": SIMBAD, "I/355/gaiadr3": GAIA}) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(server: TapServer, clock: Clock, tmp_path: Path) -> ServiceClient:
    return client_of(server, clock, tmp_path)


def client_of(server: TapServer, clock: Clock, folder: Path, name: str = "simbad", **settings: float) -> ServiceClient:
    cache = AnswerCache(folder / "services.sqlite")
    return ServiceClient(
        SERVICES[name], server.url, ServiceSettings(asked="always", **settings), cache, clock, clock.sleep
    )


def labels(client: ServiceClient, ra: np.ndarray = RA, dec: np.ndarray = DEC) -> list[str | None]:
    """Give the label of each position: ``-`` where there is no object, None where nothing is known."""
    answers = client.around(ra, dec)
    found = answers.nearest(ra, dec, 1.0)
    told = answers.column("main_type", found.source).to_pylist()
    return [label or ("-" if covered else None) for label, covered in zip(told, found.covered, strict=True)]


def test_the_nearest_object_is_found_and_its_type_is_spelled_as_in_snapshots(client: ServiceClient) -> None:
    assert labels(client) == ["RRLyrae", "Supernova", "-"]


def test_an_object_across_the_border_of_a_cell_at_a_pole_and_at_the_seam_is_found(
    server: TapServer, clock: Clock, tmp_path: Path
) -> None:
    random = np.random.default_rng(3)
    ra, dec = random.uniform(0, 360, 400), np.degrees(np.arcsin(random.uniform(-1, 1, 400)))
    ra[:4], dec[:4] = [0.0, 359.99999, 10.0, 200.0], [0.0, 0.0, 89.99999, -89.99999]
    server.tables["basic"] = sky_of([(a, d, str(n), "G") for n, (a, d) in enumerate(zip(ra, dec, strict=True))])
    beside = np.clip(dec + 0.9 * ARCSEC * np.where(dec > 0, -1, 1), -90, 90)
    assert labels(client_of(server, clock, tmp_path), ra, beside) == ["Galaxy"] * 400


def test_two_objects_within_the_radius_give_the_nearer_one(client: ServiceClient) -> None:
    beside = DEC[:1] + 0.5 * ARCSEC
    assert labels(client, RA[:1], beside) == ["Galaxy"]


def test_missing_values_of_gaia_are_null(server: TapServer, clock: Clock, tmp_path: Path) -> None:
    answers = client_of(server, clock, tmp_path, "gaia").around(RA, DEC)
    found = answers.nearest(RA, DEC, 1.0)
    assert answers.column("DR3Name", found.source).to_pylist() == ["Gaia DR3 1", "Gaia DR3 2", None]
    assert answers.column("Plx", found.source).to_pylist() == [1.5, None, None]
    assert answers.column("e_Plx", found.source).to_pylist() == [pytest.approx(0.1), None, None]
    assert answers.column("VarFlag", found.source).to_pylist() == [1, 0, None]


def test_positions_that_are_missing_are_not_asked_for(client: ServiceClient, server: TapServer) -> None:
    assert labels(client, np.array([np.nan, 150.0]), np.array([1.0, np.nan])) == [None, None]
    assert labels(client, np.zeros(0), np.zeros(0)) == []
    assert server.calls == 0


def test_a_radius_beyond_what_was_asked_for_is_refused(client: ServiceClient) -> None:
    with pytest.raises(ConfigError, match="within 2.0 arcsec, not 2.1"):
        client.around(RA, DEC).nearest(RA, DEC, MARGIN_ARCSEC + 0.1)


def test_an_address_that_is_none_is_refused(clock: Clock) -> None:
    with pytest.raises(ConfigError, match="not the address of a service"):
        TapEndpoint("simbad", 1.0, clock)


# -- faults ------------------------------------------------------------------------------------------------------------

MANNERS = ["garbage", "html", "500", "refuses", "cut off", "foreign", "broken off"]


@pytest.mark.parametrize("manner", MANNERS)
def test_an_answer_that_is_none_leaves_everything_unknown_and_nothing_in_the_cache(
    client: ServiceClient, server: TapServer, manner: str
) -> None:
    server.manner = manner
    assert labels(client) == [None, None, None]
    server.manner = "well"
    assert labels(client) == ["RRLyrae", "Supernova", "-"]


def test_a_dead_service_is_tried_a_few_times_and_then_left_alone(
    client: ServiceClient, server: TapServer, clock: Clock
) -> None:
    server.die()
    assert [labels(client) for _ in range(50)] == [[None, None, None]] * 50
    server.revive()
    assert labels(client) == [None, None, None]
    assert server.calls == 0
    clock.now_s += 61
    assert labels(client) == ["RRLyrae", "Supernova", "-"]
    assert server.calls == 1


@pytest.mark.parametrize("manner", MANNERS)
def test_a_service_that_fails_is_called_a_bounded_number_of_times(
    server: TapServer, clock: Clock, tmp_path: Path, manner: str
) -> None:
    server.manner = manner
    client = client_of(server, clock, tmp_path, cells_per_call=1, concurrency=2)
    for _ in range(50):
        labels(client)
    assert server.calls <= 3 + 2


def test_a_service_that_is_down_for_an_hour_costs_a_handful_of_probes(
    client: ServiceClient, server: TapServer, clock: Clock
) -> None:
    server.manner = "500"
    for _ in range(3600):  # a batch each second
        labels(client)
        clock.now_s += 1
    # 3 failures, then probes after 60, 120, 240, 480, 960 s and each 960 s
    assert server.calls == 3 + 6


def test_half_of_the_answers_are_used_if_half_are_errors(server: TapServer, clock: Clock, tmp_path: Path) -> None:
    server.manner = "half"
    client = client_of(server, clock, tmp_path, cells_per_call=1, concurrency=1)
    told = labels(client)
    assert told.count(None) == 2  # the first and the third of three calls
    assert labels(client).count(None) == 1  # of two cells one is answered; the known one is not asked for again
    assert labels(client) == ["RRLyrae", "Supernova", "-"]
    assert client.breaker.closed


def test_with_patience_half_of_the_answers_being_errors_costs_nothing(
    server: TapServer, clock: Clock, tmp_path: Path
) -> None:
    server.manner = "half"
    client = client_of(server, clock, tmp_path, cells_per_call=1, concurrency=1, attempts=4)
    assert labels(client) == ["RRLyrae", "Supernova", "-"]
    assert clock.slept == [0.5, 0.5, 0.5]


def test_a_slow_answer_is_used_and_then_the_service_is_left_alone(server: TapServer, tmp_path: Path) -> None:
    clock = Slow(server, answer_s=3.0)
    client = client_of(server, clock, tmp_path)
    places = [(np.array([10.0 + n]), np.array([0.0])) for n in range(5)]
    assert [labels(client, *place) for place in places] == [["-"], ["-"], ["-"], [None], [None]]
    assert server.calls == 3


def test_a_batch_ends_when_its_time_is_over(server: TapServer, tmp_path: Path) -> None:
    clock = Slow(server, answer_s=1.9)
    client = client_of(server, clock, tmp_path, cells_per_call=1, concurrency=1)
    ra = 1.0 + np.arange(20)
    told = labels(client, ra, ra)
    assert told.count("-") == 3  # begun at 0, 1.9 and 3.8 s; the next would begin after 5
    assert server.calls == 3


class Slow(Clock):
    """A clock by which every call of the server takes some seconds."""

    def __init__(self, server: TapServer, answer_s: float) -> None:
        super().__init__()
        self._server = server
        self._answer_s = answer_s

    def __call__(self) -> float:
        return self.now_s + self._server.calls * self._answer_s


def test_a_service_that_does_not_answer_in_time_is_given_up(server: TapServer, clock: Clock, tmp_path: Path) -> None:
    server.delay_s = 1.0
    client = client_of(server, clock, tmp_path, timeout_s=0.1)
    assert labels(client) == [None, None, None]
    server.delay_s = 0.0
    assert labels(client) == ["RRLyrae", "Supernova", "-"]


def test_a_service_that_drips_is_given_up_too(server: TapServer, tmp_path: Path) -> None:
    server.manner = "drip"
    dripping = Dripping()
    client = client_of(server, dripping, tmp_path)
    assert labels(client) == [None, None, None]


class Dripping(Clock):
    """A clock that goes on by a second whenever it is looked at."""

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def test_not_more_calls_run_at_once_than_agreed(server: TapServer, clock: Clock, tmp_path: Path) -> None:
    server.delay_s = 0.02
    ra = 1.0 + np.arange(30)
    assert labels(client_of(server, clock, tmp_path, cells_per_call=1, concurrency=3), ra, ra) == ["-"] * 30
    assert server.calls == 30
    assert server.most_at_once <= 3


def test_a_place_that_was_not_asked_for_makes_the_answer_wrong(
    client: ServiceClient, server: TapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = document(sky_of([(1.0, 1.0, "x", "G")]))
    with pytest.raises(TransientError, match="it says ERROR the queue is full"):
        rows_of(status_only("ERROR", "the queue is full"), "it")
    assert rows_of(answer, "it").column("otype").to_pylist() == ["G"]
    monkeypatch.setattr(client, "service", replace(client.service, columns={"main_type": "no_such_column"}))
    assert client.around(RA, DEC).covered.tolist() == [False] * 3


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_what_was_answered_is_not_asked_again_by_any_process(
    client: ServiceClient, server: TapServer, clock: Clock, tmp_path: Path
) -> None:
    first = labels(client)
    server.die()
    assert labels(client) == first
    assert labels(client_of(server, clock, tmp_path)) == first  # as another process has it
    # Another alert of the same object, a little beside: the same cell.
    assert labels(client, RA + 0.1 * ARCSEC, DEC + 0.1 * ARCSEC) == first


def test_only_what_is_new_is_asked_for(client: ServiceClient, server: TapServer) -> None:
    labels(client)
    assert server.places == 3
    labels(client, np.append(RA, 200.0), np.append(DEC, 0.0))
    assert server.places == 4


def test_answers_of_an_old_edition_are_forgotten(client: ServiceClient, server: TapServer, clock: Clock) -> None:
    labels(client)
    server.tables["basic"] = sky_of([(99.0, 45.0, "new", "QSO")])
    clock.now_s += 31 * 86400
    assert labels(client) == ["-", "-", "QSO"]
    with sqlite3.connect(client._cache.path) as session:
        assert session.execute("SELECT count(DISTINCT edition), count(*) FROM answers").fetchone() == (1, 3)
    session.close()


def test_data_that_change_are_of_an_edition_of_some_days_and_a_release_stays() -> None:
    simbad, gaia = SERVICES["simbad"], SERVICES["gaia"]
    days = [date.fromordinal(date(2026, 1, 1).toordinal() + n) for n in range(60)]
    editions = [simbad.edition_on(day, 30) for day in days]
    assert len(set(editions)) in (2, 3)
    assert all(date.fromisoformat(name.removeprefix("since-")) <= day for name, day in zip(editions, days, strict=True))
    assert {gaia.edition_on(day, 30) for day in days} == {"gaia-dr3"}


def test_provenance_names_host_and_edition(client: ServiceClient) -> None:
    assert client.provenance == {"service.simbad": "127.0.0.1@since-2023-10-17"}


def test_a_cache_that_cannot_be_used_costs_calls_and_nothing_else(
    server: TapServer, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "services.sqlite").write_bytes(b"this is no database, but it is long enough to look like one" * 50)
    client = client_of(server, clock, tmp_path)
    assert labels(client) == ["RRLyrae", "Supernova", "-"]
    assert labels(client) == ["RRLyrae", "Supernova", "-"]
    assert server.calls == 2


def test_the_order_in_which_a_service_answers_does_not_matter(server: TapServer, clock: Clock, tmp_path: Path) -> None:
    # Two objects at one place: which one is taken must not depend on who came first.
    server.tables["basic"] = sky_of([(5.0, 5.0, "b", "QSO"), (5.0, 5.0, "a", "Sy1")])
    place = np.array([5.0]), np.array([5.0])
    (tmp_path / "one").mkdir()
    first = labels(client_of(server, clock, tmp_path / "one"), *place)
    server.shuffled = True
    assert labels(client_of(server, clock, tmp_path), *place) == first


@given(st.lists(st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90)), max_size=20))
def test_answers_do_not_depend_on_the_company_of_a_position(places: list[tuple[float, float]]) -> None:
    ra, dec = (np.array([place[axis] for place in places], float) for axis in (0, 1))
    cells = cells_of(ra, dec)
    kinds = {"name": SERVICES["simbad"].kinds["name"].kind}
    # Each cell knows one object, at the first position that lies in it.
    told = {cell: [[ra[cells == cell][0], dec[cells == cell][0], str(cell)]] for cell in cells.tolist()}
    together = Answers(("name",), kinds, cells, told).nearest(ra, dec, 1.0)
    for row in range(len(places)):
        one = slice(row, row + 1)
        alone = Answers(("name",), kinds, cells[one], told).nearest(ra[one], dec[one], 1.0)
        assert (alone.source[0] >= 0) == (together.source[row] >= 0)
        np.testing.assert_array_equal(alone.separation_arcsec, together.separation_arcsec[one])
