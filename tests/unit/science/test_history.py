"""Light curves: merged, sorted and counted by rules that no packet order can change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.science.columns import Batch
from fink_lib.science.history import History
from fink_lib.science.layout import layout_of
from tests.unit.science.alerts import JD, alert, detection, limit, table


def history_of(*alerts: dict[str, Any]) -> History:
    return Batch(table(list(alerts)), layout_of("ztf"), "candid").history


def test_history_is_the_earlier_entries_then_the_alert() -> None:
    history = history_of(alert(previous=[detection(2, magpsf=19.0), limit(1)], magpsf=18.5), alert(previous=None))
    assert history.offsets.tolist() == [0, 3, 4]
    np.testing.assert_array_equal(history.values("magpsf"), np.array([19.0, np.nan, 18.5, 18.0]))
    assert history.own.tolist() == [False, False, True, True]
    assert history.count(history.valid).tolist() == [2, 1]


def test_an_error_of_nan_makes_a_point_invalid() -> None:
    history = history_of(alert(previous=[detection(1, sigmapsf=float("nan"))]))
    assert history.valid.tolist() == [False, True]


def test_the_alert_wins_over_an_entry_of_its_own_time_and_band() -> None:
    history = history_of(alert(candid=5, previous=[detection(0, candid=9, magpsf=17.0), detection(0, fid=2)]))
    winners = history.where(history.winner)
    assert len(history) == 3
    assert winners.own.tolist() == [True, False]
    assert winners.values("magpsf").tolist() == [18.0, 18.0]


def test_of_two_entries_of_one_time_and_band_the_larger_id_wins() -> None:
    close = [1_786_370_474_915_015_006, 1_786_370_474_915_015_007]
    entries = [detection(1, candid=close[1], magpsf=15.0), detection(1, candid=close[0], magpsf=16.0)]
    for previous in (entries, entries[::-1]):
        history = history_of(alert(previous=previous))
        assert history.values("magpsf").tolist() == [16.0, 15.0, 18.0]
        assert history.winner.tolist() == [False, True, True]


def test_a_detection_wins_over_a_limit_of_its_exposure() -> None:
    history = history_of(alert(previous=[detection(1, candid=4), limit(1)]))
    assert history.where(history.winner).valid.tolist() == [True, True]


def test_entries_without_a_time_are_dropped() -> None:
    history = history_of(alert(previous=[detection(1, jd=None), detection(2)]))
    assert history.time.tolist() == [JD - 2, JD]


def test_a_slice_of_a_table_has_the_history_of_its_rows() -> None:
    alerts = table([alert(number, previous=[detection(day) for day in range(1, number)]) for number in range(1, 6)])
    sliced = Batch(alerts.slice(2, 2), layout_of("ztf"), "candid").history
    assert sliced.lengths.tolist() == [3, 4]


def test_chunks_do_not_matter() -> None:
    first, second = table([alert(1, previous=[detection(1)])]), table([alert(2, previous=[limit(2), limit(1)])])
    history = Batch(pa.concat_tables([first, second]), layout_of("ztf"), "candid").history
    assert history.lengths.tolist() == [2, 3]


def test_an_empty_batch_has_an_empty_history() -> None:
    history = history_of()
    assert history.offsets.tolist() == [0]
    assert len(history) == 0


entries = st.lists(
    st.builds(
        detection,
        st.sampled_from([0.0, 0.5, 1.0, 2.0]),
        fid=st.sampled_from([1, 2, 3]),
        candid=st.one_of(st.none(), st.integers(1, 5)),
        pid=st.integers(1, 3),
        magpsf=st.one_of(st.none(), st.sampled_from([17.0, 18.5])),
    ),
    max_size=8,
)


@given(entries, st.randoms())
def test_shuffling_the_history_changes_nothing(previous: list[dict[str, Any]], random: Any) -> None:
    shuffled = list(previous)
    random.shuffle(shuffled)
    one, other = history_of(alert(previous=previous)), history_of(alert(previous=shuffled))
    for name in ("jd", "fid", "magpsf", "candid"):
        np.testing.assert_array_equal(one.values(name), other.values(name))
    assert one.winner.tolist() == other.winner.tolist()
    assert (np.diff(one.time) >= 0).all()
