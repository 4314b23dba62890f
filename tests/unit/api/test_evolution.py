"""Rates and colours, against numbers worked out by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.api.evolution import EVOLUTION, add_evolution

G, R = 1, 2


def table(*points, name="a"):
    """Make alerts from (time, band, magnitude, error)."""
    times, bands, magnitudes, errors = zip(*points, strict=True)
    return pa.table(
        {
            "i:objectId": [name] * len(points),
            "i:jd": pa.array(times, pa.float64()),
            "i:fid": pa.array(bands, pa.int32()),
            "i:magpsf": pa.array(magnitudes, pa.float32()),
            "i:sigmapsf": pa.array(errors, pa.float32()),
        }
    )


def columns(rows):
    found = add_evolution(rows)
    return {name: found.column(name).to_pylist() for name in EVOLUTION}


def test_a_rate_goes_from_the_point_before_in_the_same_band():
    found = columns(table((12.0, G, 17.0, 0.3), (10.0, G, 18.0, 0.4), (11.0, R, 20.0, 0.1)))
    assert found["v:rate"] == [pytest.approx(-0.5), None, None]
    assert found["v:sigma(rate)"] == [pytest.approx(0.25), None, None]


def test_a_colour_pairs_points_of_one_night_and_belongs_to_both():
    found = columns(table((10.0, G, 18.0, 0.3), (10.2, R, 17.5, 0.4), (15.0, R, 17.0, 0.1)))
    assert found["v:g-r"] == [pytest.approx(0.5), pytest.approx(0.5), None]
    assert found["v:sigma(g-r)"] == [pytest.approx(0.5), pytest.approx(0.5), None]


def test_a_colour_takes_the_nearest_point_and_the_earlier_of_two():
    found = columns(table((10.0, G, 18.0, 0.1), (9.875, R, 17.0, 0.1), (10.125, R, 16.0, 0.1), (10.25, R, 15.0, 0.1)))
    assert found["v:g-r"] == [pytest.approx(1.0), pytest.approx(1.0), pytest.approx(2.0), pytest.approx(3.0)]


def test_the_rate_of_a_colour_skips_points_without_one():
    found = columns(
        table(
            (10.0, G, 18.0, 0.0), (10.1, R, 17.0, 0.0), (11.0, G, 18.5, 0.0), (12.0, G, 19.0, 0.0), (12.1, R, 17.0, 0.0)
        )
    )
    assert found["v:rate(g-r)"] == [None, None, None, pytest.approx(0.5), pytest.approx(0.5)]


def test_objects_do_not_touch_each_other():
    both = pa.concat_tables([table((10.0, G, 18.0, 0.1)), table((10.1, R, 17.0, 0.1), (11.0, G, 17.0, 0.1), name="b")])
    found = columns(both)
    assert found["v:g-r"] == found["v:rate"] == [None, None, None]


def test_two_points_at_one_time_have_no_rate_and_nothing_is_infinite():
    found = columns(table((10.0, G, 18.0, 0.1), (10.0, G, 17.0, 0.1), (11.0, G, None, None), (12.0, G, 17.0, 0.1)))
    assert found["v:rate"] == [None, None, None, None]


def test_no_alerts_have_no_evolution():
    assert columns(table((1.0, G, 1.0, 1.0)).slice(0, 0)) == {name: [] for name in EVOLUTION}


points = st.tuples(
    st.integers(0, 40), st.sampled_from((G, R, 3)), st.floats(10, 20, width=32), st.floats(0, 1, width=32)
)


@given(st.lists(points, min_size=1, max_size=12, unique_by=lambda p: (p[0], p[1])), st.randoms())
def test_the_order_of_the_rows_does_not_matter(made, random):
    rows = table(*made)
    order = list(range(len(made)))
    random.shuffle(order)
    straight, shuffled = columns(rows), columns(rows.take(order))
    for name in EVOLUTION:
        assert [straight[name][place] for place in order] == shuffled[name]
