"""Row keys: taken apart they give back what they were made of, and they sort as their values do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.archive.keys import SALTS, IdPart, JdPart, LowerPart, RowKey, SaltPart, TextPart
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


SALTED = RowKey((SaltPart("i:candid"), TextPart("d:finkclass"), JdPart("i:jd"), IdPart("i:candid")))
TYPED = RowKey((TextPart("by"), LowerPart("sought")))


def inside(key: bytes, ranges: list[tuple[bytes, bytes]]) -> int:
    return sum(start <= key < stop for start, stop in ranges)


@given(names, names, dates_jd, ids)
def test_the_ranges_of_a_name_hold_its_rows_once_and_no_others(name, other, jd, candid):
    key = SALTED.format((candid, other, jd, candid))
    assert inside(key, SALTED.ranges(name)) == (name == other)
    assert inside(key, SALTED.ranges()) == 1
    assert inside(KEY.format((other, jd, candid)), KEY.ranges(name)) == (name == other)
    assert inside(KEY.format((other, jd, candid)), KEY.ranges()) == 1


@given(names, dates_jd, dates_jd, dates_jd, ids)
def test_bounds_hold_what_is_not_before_the_first_and_before_the_second(name, jd, low, high, candid):
    key = SALTED.format((candid, name, jd, candid))
    assert inside(key, SALTED.ranges(name, low=low, high=high)) == (low <= jd < high)
    assert inside(key, SALTED.ranges(name, low=low)) == (low <= jd)


@given(names, st.integers(0, 20))
def test_a_name_is_found_by_its_beginning_however_it_is_typed(name, length):
    begins = name[:length]
    key = TYPED.format(("fullname", name))
    assert begins == "" or inside(key, TYPED.ranges("fullname", begins=begins)) == 1
    if name.isascii():
        assert inside(TYPED.format(("fullname", name.upper())), TYPED.ranges("fullname", begins=begins.lower())) == 1
    assert inside(key, TYPED.ranges("internalname", begins=begins)) == 0


def test_salts_spread_a_night_evenly_and_do_not_count_in_the_order():
    keys = [SALTED.format((candid, "Unknown", 2460381.5, candid)) for candid in range(800)]
    assert {key[:2] for key in keys} == {b"%02d" % salt for salt in range(SALTS)}
    assert [SALTED.order(key) for key in keys] == sorted(SALTED.order(key) for key in keys)
    assert len(SALTED.ranges("Unknown")) == SALTS and len(KEY.ranges("ZTF18abcdefg")) == 1
    with pytest.raises(DataError, match="needs an id or a name"):
        SaltPart("x").format(None)


@given(names)
def test_no_key_holds_what_parts_a_list_of_keys(name):
    key = TYPED.format((name, name))
    assert b"\t" not in key and b"\n" not in key
