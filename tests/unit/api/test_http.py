"""What HTTP asks of every endpoint alike: compression, "not modified", forms, time limits."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from types import SimpleNamespace

import anyio
import pytest

from fink_lib.api import http
from fink_lib.api.app import find_endpoints
from fink_lib.api.arguments import read_date
from fink_lib.api.problems import ApiError
from fink_lib.api.routes.conesearch import is_large
from tests.unit.api.conftest import NIGHTS

STATISTICS = "/api/v1/statistics"
OBJECTS = "/api/v1/objects"


def test_an_answer_that_a_client_has_is_not_sent_again(client):
    first = client.get(STATISTICS, params={"date": ""})
    again = client.get(STATISTICS, params={"date": ""}, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = client.get(STATISTICS, params={"date": NIGHTS[0]}, headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


def test_a_posted_question_is_always_answered(client):
    tag = client.post(STATISTICS, json={"date": ""}).headers["ETag"]
    assert client.post(STATISTICS, json={"date": ""}, headers={"If-None-Match": tag}).status_code == 200


def test_answers_are_compressed_for_who_can_read_that(client, lake):
    name = lake.read("science", [NIGHTS[0]], ["objectId"]).column(0)[7].as_py()
    packed = client.get(OBJECTS, params={"objectId": name}, headers={"Accept-Encoding": "gzip"})
    plain = client.get(OBJECTS, params={"objectId": name}, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])


def test_a_body_that_is_too_large_is_refused(client, monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY", 1000)
    answer = client.post(OBJECTS, content=json.dumps({"objectId": "x" * 2000}))
    assert (answer.status_code, answer.headers["Fink-Error-Code"]) == (413, "too-large")


def test_arguments_may_come_as_a_form(client):
    answer = client.post(STATISTICS, files={"date": (None, "20240310")})
    assert [row["key:key"] for row in answer.json()] == ["ztf_20240310"]


@pytest.mark.parametrize("content", [b"", b"--x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--"])
def test_a_form_that_is_none_is_the_clients_error(client, content):
    answer = client.post(OBJECTS, content=content, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400


async def _most_at_once(tasks: int, lane: anyio.CapacityLimiter | None) -> int:
    running, seen, lock = 0, [0], threading.Lock()

    def work() -> None:
        nonlocal running
        with lock:
            running += 1
            seen.append(running)
        time.sleep(0.1)
        with lock:
            running -= 1

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(partial(http.in_time, work, lane=lane))
    return max(seen)


def test_few_large_questions_are_worked_on_at_once():
    async def ask() -> tuple[int, int]:
        return await _most_at_once(6, anyio.CapacityLimiter(2)), await _most_at_once(6, None)

    few, all_of_them = anyio.run(ask)
    assert few == 2 < all_of_them


@pytest.mark.parametrize(
    ("radius", "large"), [("60", False), (600, False), ("601", True), (18_000, True), ("wide", False), (None, False)]
)
def test_a_cone_is_large_beyond_ten_arcminutes(radius, large):
    assert is_large({"ra": "1", "dec": "2", "radius": radius}) is large
    assert not is_large({})


async def _soon(limit_s: float, takes_s: float) -> str:
    http.TIMEOUT_S = limit_s
    return await http.in_time(lambda: time.sleep(takes_s) or "done")


@pytest.mark.parametrize(("limit_s", "takes_s"), [(5.0, 0.0), (0.05, 0.4)])
def test_nobody_waits_for_an_answer_for_ever(monkeypatch, limit_s, takes_s):
    import anyio

    monkeypatch.setattr(http, "TIMEOUT_S", limit_s)
    if takes_s < limit_s:
        assert anyio.run(_soon, limit_s, takes_s) == "done"
    else:
        with pytest.raises(ApiError, match="takes longer") as refused:
            anyio.run(_soon, limit_s, takes_s)
        assert refused.value.status == 503


@pytest.mark.parametrize(
    ("text", "jd"),
    [("2460381.5", 2460381.5), ("60381", 2460381.5), ("2024-03-12", 2460381.5), ("2024-03-12 12:00:00", 2460382.0),
     ("2024-03-12T12:00:00Z", 2460382.0), ("2024-03-12T12:00:00+06:00", 2460381.75), ("0", 2400000.5)],
)  # fmt: skip
def test_dates_are_iso_or_julian_or_modified_julian(text, jd):
    assert read_date("x", text) == jd


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-1", "200000", "9999999", "2024-02-30", "1600-01-01", "3000-01-01"]
)
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ApiError):
        read_date("x", text)


def test_questions_for_tables_have_few_places_and_large_ones_their_own():
    lanes = http.Lanes()
    assert (lanes.short.total_tokens, lanes.long.total_tokens) == (http.ALERTS_AT_ONCE, http.SLOW_AT_ONCE)
    request = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(lanes=lanes)))
    by_path = {endpoint.path: endpoint for endpoint in find_endpoints()}
    cone = by_path["/api/v1/conesearch"]
    assert cone._lane(request, {"radius": "60"}) is lanes.short
    assert cone._lane(request, {"radius": "18000"}) is lanes.long
    assert by_path["/api/v1/objects"]._lane(request, {"objectId": "ZTF18aaaaaah"}) is lanes.short
    assert by_path["/health"]._lane(request, {}) is None
    assert by_path[STATISTICS]._lane(request, {"date": NIGHTS[0]}) is None
