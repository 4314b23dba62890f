"""Places of rows: whatever was delivered when a run died, the next one goes on exactly there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.streams.packet import partition_of
from fink_lib.transfer.order import Places, differences, left_to_send

IDS = st.lists(st.integers(1, 2**62), unique=True, max_size=80)
PARTS = st.integers(1, 12)
Log = list[list[int]]


def run(ids: list[int], piece_rows: int, log: Log, delivered: list[int] | None) -> None:
    """Send what the log does not hold; of what is sent, `delivered` rows of each partition arrive before the death."""
    ends = [len(part) for part in log]
    places = Places(len(log))
    for begin in range(0, len(ids), piece_rows):
        piece = ids[begin : begin + piece_rows]
        partitions, offsets = places.give(piece)
        left = left_to_send(partitions, offsets, ends)
        for one, partition, offset, send in zip(piece, partitions, offsets, left, strict=True):
            part = log[partition]
            if send and (delivered is None or len(part) < ends[partition] + delivered[partition]):
                assert offset == len(part)
                part.append(one)


@given(ids=IDS, partitions=PARTS, pieces=st.lists(st.integers(1, 30), min_size=1, max_size=5), data=st.data())
def test_any_deaths_anywhere_end_in_the_same_topic(
    ids: list[int], partitions: int, pieces: list[int], data: st.DataObject
) -> None:
    whole: Log = [[] for _ in range(partitions)]
    run(ids, 10, whole, None)
    log: Log = [[] for _ in range(partitions)]
    for piece_rows in pieces:
        run(ids, piece_rows, log, [data.draw(st.integers(0, 20)) for _ in range(partitions)])
    run(ids, 3, log, None)
    assert log == whole
    assert sorted(one for part in log for one in part) == sorted(ids)


@given(ids=IDS, partitions=PARTS)
def test_an_alert_is_where_its_id_says_and_offsets_count_from_zero(ids: list[int], partitions: int) -> None:
    places = Places(partitions)
    given_partitions, offsets = places.give(ids)
    assert given_partitions.tolist() == [partition_of(one, partitions) for one in ids]
    for partition in range(partitions):
        assert offsets[given_partitions == partition].tolist() == list(range(places.counts[partition]))
    assert sum(places.counts) == len(ids)


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ([1, 2, 3, 4, 5], ""),
        ([1, 2, 3, 4, 4], "partition 4 holds 4 of 5"),
        ([0, 0, 0, 0, 0], "partition 0 holds 0 of 1, partition 1 holds 0 of 2, partition 2 holds 0 of 3 and 2 more"),
    ],
)
def test_differences_are_named(ends: list[int], told: str) -> None:
    assert differences(ends, [1, 2, 3, 4, 5]) == told
