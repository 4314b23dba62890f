"""The breaker: opens after failures in a row, lets one probe through after each pause."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fink_lib.science.services.breaker import LONGEST_PAUSES, Breaker


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(failures=3, pause_s=60.0)


def opened(breaker: Breaker, now_s: float) -> Breaker:
    for _ in range(3):
        assert breaker.admits(now_s)
        breaker.failed(now_s)
    return breaker


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    told = []
    for _ in range(3):
        assert breaker.admits(0.0)
        told.append(breaker.failed(0.0))
    assert told == [False, False, True]
    assert not breaker.closed
    assert not breaker.admits(59.9)


def test_a_success_in_between_begins_the_count_anew(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.closed


def test_after_the_pause_one_probe_is_let_through(breaker: Breaker) -> None:
    opened(breaker, 100.0)
    assert [breaker.admits(160.0) for _ in range(5)] == [True, False, False, False, False]
    breaker.succeeded()
    assert breaker.closed
    assert breaker.admits(160.0)


def test_each_probe_that_fails_doubles_the_pause_up_to_a_limit(breaker: Breaker) -> None:
    now_s = 0.0
    opened(breaker, now_s)
    pause_s = 60.0
    for _ in range(8):
        assert not breaker.admits(now_s + pause_s - 0.1)
        now_s += pause_s
        assert breaker.admits(now_s)
        breaker.failed(now_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSES * 60.0)
    assert pause_s == LONGEST_PAUSES * 60.0


def test_asking_whether_it_rests_claims_no_probe(breaker: Breaker) -> None:
    assert not breaker.rests(0.0)
    opened(breaker, 0.0)
    assert [breaker.rests(59.0), breaker.rests(60.0), breaker.rests(60.0)] == [True, False, False]
    assert breaker.admits(60.0)
    assert breaker.rests(60.0)


def test_after_a_success_the_first_pause_is_short_again(breaker: Breaker) -> None:
    opened(breaker, 0.0)
    breaker.admits(60.0)
    breaker.failed(60.0)
    breaker.admits(180.0)
    breaker.succeeded()
    opened(breaker, 200.0)
    assert breaker.admits(260.0)


def test_failures_of_calls_that_began_before_it_opened_do_not_prolong_it(breaker: Breaker) -> None:
    opened(breaker, 0.0)
    breaker.failed(50.0)
    assert breaker.admits(60.0)


def test_a_clock_that_is_set_back_does_not_keep_it_open(breaker: Breaker) -> None:
    opened(breaker, 1000.0)
    assert breaker.admits(10.0)


def test_of_many_threads_one_is_the_probe(breaker: Breaker) -> None:
    opened(breaker, 0.0)
    with ThreadPoolExecutor(8) as pool:
        admitted = list(pool.map(lambda _: breaker.admits(60.0), range(200)))
    assert sum(admitted) == 1
