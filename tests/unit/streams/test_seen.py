"""Duplicates: by id, from another place; a replay never rejects itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.streams.seen import MOST_RUNS, NightIds, SeenIds, first_of_each, origin_of


def arrays(pairs):
    return np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.uint64)


def test_the_same_row_read_again_is_no_duplicate():
    night = NightIds()
    night.add(*arrays([(7, 1)]))
    assert night.elsewhere(*arrays([(7, 1), (7, 2), (8, 1)])).tolist() == [False, True, False]


def test_places_have_names_of_their_own():
    assert origin_of("t", 1, 23) != origin_of("t", 12, 3)
    assert origin_of("t", 1, 23) == origin_of("t", 1, 23)


def test_the_first_received_stays():
    ids = np.array([5, 6, 5, 5], np.int64)
    assert first_of_each(ids, [2, 1, 0, 3]).tolist() == [False, True, True, False]


@given(
    st.lists(st.lists(st.integers(0, 60), unique=True, max_size=8), max_size=MOST_RUNS + 6),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=30),
)
def test_agrees_with_a_plain_dictionary(batches, asked):
    night, plain = NightIds(), {}
    for number, ids in enumerate(batches):
        fresh = [(i, number % 4) for i in ids if i not in plain]
        night.add(*arrays(fresh))
        plain.update(fresh)
    expected = [i in plain and plain[i] != place for i, place in asked]
    assert night.elsewhere(*arrays(asked)).tolist() == expected
    assert len(night) == len(plain)


def test_a_night_that_was_made_anew_is_loaded_again():
    loads = []

    def load(night):
        loads.append(night)
        return np.array([len(loads)], np.int64), np.array([7], np.uint64)

    seen = SeenIds(load)
    for number, expected in ((0, 1), (0, 1), (2, 2), (2, 2), (3, 3)):
        seen.renew("20240312", lambda before, number=number: number)
        assert seen.night("20240312").elsewhere(np.array([expected]), np.array([8], np.uint64)).all()
        assert len(loads) == expected
