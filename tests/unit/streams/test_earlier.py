"""A new generation of a checkpoint recognises what the old one has done by its place in Kafka."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.lake import Lake
from fink_lib.streams.earlier import NOTHING, Earlier, Ranges, find_earlier
from fink_lib.surveys import get_survey

TOPIC = "ztf_20240312_programid1"
offsets = st.lists(st.integers(0, 60), min_size=1)


def places(*rows):
    topics, partitions, numbers = zip(*rows, strict=True)
    return pa.table(
        {"topic": topics, "partition": pa.array(partitions, pa.int32()), "offset": pa.array(numbers, pa.int64())}
    )


def rejected(batch, *numbers):
    rows = [
        {
            "alert_id": n,
            "topic": TOPIC,
            "partition": 0,
            "offset": n,
            "reason": "rb",
            "batch": batch,
            "night": "20240312",
        }
        for n in numbers
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path), get_survey("ztf"))
    lake.ensure()
    return lake


@given(offsets, offsets)
def test_ranges_hold_exactly_the_offsets_they_were_made_of(known, asked):
    ranges = Ranges.of(np.array(known))
    assert ranges.hold(np.array(asked)).tolist() == [offset in known for offset in asked]
    assert (ranges.first[1:] > ranges.last[:-1] + 1).all()


def test_a_row_is_done_in_its_own_topic_and_partition_only():
    earlier = Earlier({("a", 0): Ranges.of(np.array([1, 2, 5]))})
    rows = places(("a", 0, 2), ("a", 1, 2), ("b", 0, 2), ("a", 0, 3), ("a", 0, 5))
    assert earlier.done(rows).tolist() == [True, False, False, False, True]
    assert earlier.missing(rows).column("offset").to_pylist() == [2, 2, 3]


def test_the_first_generation_has_nothing_before_it(lake):
    lake.append("rejected", rejected("g1-000000000", 1, 2))
    assert find_earlier(lake, 1, ("science", "rejected")) is NOTHING


def test_rows_of_the_running_generation_do_not_count(lake):
    lake.append("rejected", rejected("g1-000000000", 1, 2))
    lake.append("rejected", rejected("g2-000000000", 3))
    lake.append("rejected", rejected("g10-000000000", 4))
    rows = places(*((TOPIC, 0, n) for n in range(1, 6)))
    assert find_earlier(lake, 2, ("science", "rejected")).done(rows).tolist() == [True, True, False, True, False]


def test_every_table_is_asked_where_it_keeps_its_places(lake):
    ingest = {"topic": TOPIC, "partition": 3, "offset": 7, "batch": "g1-000000004"}
    lake.append("raw", pa.Table.from_pylist([{"candid": 1, "ingest": ingest, "night": "20240312"}], lake.schema("raw")))
    bad = {"topic": TOPIC, "partition": 3, "offset": 8, "batch": "g1-000000004", "night": "20240312"}
    lake.append("quarantine", pa.Table.from_pylist([bad]))
    row = {"candid": 1, "ingest": ingest, "process": {"batch": "g1-000000002"}, "night": "20240312"}
    lake.append("science", pa.Table.from_pylist([row], lake.schema("science")))
    rows = places((TOPIC, 3, 7), (TOPIC, 3, 8))
    assert find_earlier(lake, 2, ("raw", "quarantine")).done(rows).tolist() == [True, True]
    assert find_earlier(lake, 2, ("science", "rejected")).done(rows).tolist() == [True, False]
