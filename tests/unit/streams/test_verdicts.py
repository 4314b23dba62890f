"""Verdicts of raw2science: cut, duplicate or science."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fink_lib.streams.seen import SeenIds, origin_of
from fink_lib.streams.verdicts import cut_expression, decide


def batch(rows):
    names = ("alert_id", "night", "topic", "partition", "offset", "kafka_time", "cut")
    types = (pa.int64(), pa.string(), pa.string(), pa.int32(), pa.int64(), pa.timestamp("us", "UTC"), pa.string())
    return pa.table({n: pa.array([r[i] for r in rows], t) for i, (n, t) in enumerate(zip(names, types, strict=True))})


def nothing(_night):
    return np.array([], np.int64), np.array([], np.uint64)


def reasons(rows, load=nothing):
    return decide(batch(rows), SeenIds(load)).rows.column("reason").to_pylist()


def test_a_cut_names_its_reason_and_the_others_stay():
    assert reasons([(1, "n", "t", 0, 0, 0, None), (2, "n", "t", 0, 1, 0, "rb")]) == [None, "rb"]


def test_the_copy_received_first_stays_wherever_it_stands():
    rows = [(1, "n", "t", 0, 5, 20, None), (1, "n", "t", 1, 3, 10, None), (1, "n", "t", 0, 4, 20, None)]
    assert reasons(rows) == ["duplicate", None, "duplicate"]


def test_a_copy_that_fails_a_cut_does_not_take_the_place():
    assert reasons([(1, "n", "t", 0, 0, 0, "rb"), (1, "n", "t", 0, 1, 1, None)]) == ["rb", None]


def test_the_same_id_in_another_night_is_another_row():
    assert reasons([(1, "n1", "t", 0, 0, 0, None), (1, "n2", "t", 0, 1, 0, None)]) == [None, None]


def test_known_ids_are_duplicates_unless_from_the_same_place():
    def load(_night):
        return np.array([1, 2], np.int64), np.array([origin_of("t", 0, 0), origin_of("t", 0, 1)], np.uint64)

    rows = [(1, "n", "t", 0, 0, 0, None), (2, "n", "t", 0, 9, 0, None), (3, "n", "t", 0, 10, 0, None)]
    assert reasons(rows, load) == [None, "duplicate", None]


def test_a_replayed_batch_gets_the_same_verdicts():
    rows = [(1, "n", "t", 0, 5, 20, None), (1, "n", "t", 1, 3, 10, None), (2, "n", "t", 0, 6, 1, "fid")]
    first = reasons(rows)

    def load(_night):
        return np.array([1], np.int64), np.array([origin_of("t", 1, 3)], np.uint64)

    assert reasons(rows, load) == first


def test_a_null_fails_its_cut():
    text = cut_expression([("rb", "candidate.rb >= 0.55")])
    assert text == "CASE WHEN NOT coalesce(candidate.rb >= 0.55, false) THEN 'rb' END"
