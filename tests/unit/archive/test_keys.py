"""Row keys: taken apart they give back what they were made of, and they sort as their values do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.archive.keys import IdPart, JdPart, RowKey, TextPart
from fink_lib.errors import DataError

KEY = RowKey((TextPart("i:objectId"), JdPart("i:jd"), IdPart("i:candid")))

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
ztf_names = st.from_regex(r"ZTF[0-9]{2}[a-z]{7}", fullmatch=True)
dates_jd = st.integers(10_000_000_000_000, 99_999_989_999_999).map(lambda n: float(f"{n // 10**7}.{n % 10**7:07d}"))
ids = st.integers(0, 2**63 - 1)


@given(names, dates_jd, ids)
def test_a_key_taken_apart_gives_its_values_back(name, jd, candid):
    assert KEY.parse(KEY.format((name, jd, candid))) == (name, jd, candid)


@given(ztf_names, st.tuples(dates_jd, ids), st.tuples(dates_jd, ids))
def test_keys_of_an_object_sort_by_time_and_id(name, one, other):
    order = (one > other) - (one < other)
    key_one, key_other = KEY.format((name, *one)), KEY.format((name, *other))
    assert (key_one > key_other) - (key_one < key_other) == order


@given(names, names, dates_jd, ids)
def test_the_prefix_of_an_object_matches_no_other_object(name, other, jd, candid):
    assert KEY.format((other, jd, candid)).startswith(KEY.prefix(name)) == (name == other)


@given(ztf_names, dates_jd, ids)
def test_all_keys_of_ztf_have_the_same_width(name, jd, candid):
    assert len(KEY.format((name, jd, candid))) == 12 + 1 + 15 + 1 + 19


def test_two_candidates_of_one_exposure_have_two_keys():
    one, other = (KEY.format(("ZTF18abcdefg", 2458451.75, candid)) for candid in (1, 2))
    assert one != other


@pytest.mark.parametrize(
    "values",
    [
        ("", 2458451.75, 1),
        (None, 2458451.75, 1),
        ("ZTF18abcdefg", None, 1),
        ("ZTF18abcdefg", float("nan"), 1),
        ("ZTF18abcdefg", 58451.75, 1),
        ("ZTF18abcdefg", 2458451.75, -1),
        ("ZTF18abcdefg", 2458451.75, 2**63),
        ("ZTF18abcdefg", 2458451.75, None),
    ],
)
def test_a_value_without_a_place_in_a_key_is_refused(values):
    with pytest.raises(DataError):
        KEY.format(values)


def test_a_key_of_another_grammar_is_refused():
    with pytest.raises(DataError, match="2 parts instead of 3"):
        KEY.parse(b"ZTF18abcdefg_2458451.7512345")
