"""Verdicts of raw2science: cut, duplicate or science."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fink_lib.streams.seen import SeenIds, origin_of
from fink_lib.streams.verdicts import cut_columns, decide, first_cut


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


CUTS = (("nbad", "candidate.nbad = 0"), ("rb", "candidate.rb >= 0.55"), ("fid", "candidate.fid <> 3"))


def alerts(*values):
    kind = pa.struct([("nbad", pa.int32()), ("rb", pa.float32()), ("fid", pa.int32())])
    return pa.table(
        {"candidate": pa.array([dict(zip(("nbad", "rb", "fid"), one, strict=True)) for one in values], kind)}
    )


def test_the_first_cut_that_an_alert_fails_is_named():
    rows = alerts((0, 0.9, 1), (0, 0.55, 2), (1, 0.1, 3), (0, 0.54, 3), (0, 0.9, 3))
    assert first_cut(rows, CUTS).to_pylist() == [None, None, "nbad", "rb", "fid"]


def test_a_null_fails_its_cut():
    rows = alerts((0, None, 1), (None, 0.9, 1), (0, 0.9, None))
    assert first_cut(rows, CUTS).to_pylist() == ["rb", "nbad", "fid"]


def test_without_cuts_or_alerts_nothing_is_cut():
    assert first_cut(alerts((0, 0.1, 3)), ()).to_pylist() == [None]
    assert first_cut(alerts(), CUTS).to_pylist() == []


def test_only_the_fields_that_cuts_name_are_read():
    assert cut_columns(CUTS) == ["candidate.fid", "candidate.nbad", "candidate.rb"]
