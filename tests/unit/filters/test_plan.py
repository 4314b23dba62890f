"""All filters run as one query, and a missing value never passes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.filters import Filter, FilterError, FilterSet, check_predicate, load_filters, read_filter
from fink_lib.filters.files import HEADER_KEYS, documented_columns
from fink_lib.surveys import get_survey

NAN, INF = float("nan"), float("inf")
SCHEMA = pa.schema(
    [
        ("i", pa.int32()),
        ("x", pa.float64()),
        ("s", pa.string()),
        ("r", pa.struct([("x", pa.float32())])),
        ("h", pa.list_(pa.struct([("x", pa.float32())]))),
        ("m", pa.map_(pa.string(), pa.string())),
    ]
)


def filters_of(**predicates: str) -> FilterSet:
    """Build a set from predicates alone."""
    header = dict.fromkeys(HEADER_KEYS, "1")
    return FilterSet(
        tuple(Filter(name, "ztf", header, sql, check_predicate(sql, SCHEMA)) for name, sql in predicates.items())
    )


def verdicts(predicate: str, rows: list[dict[str, object]]) -> list[bool]:
    """Evaluate one predicate over rows."""
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    column = filters_of(f=predicate).evaluate(table).column("f")
    assert column.null_count == 0
    return column.to_pylist()


@pytest.mark.parametrize(
    "predicate",
    ["x > 0.5", "x >= 0 OR x < 0", "NOT x > 0.5", "x <> 1", "x IN (1, 2)", "NOT x IN (1, 2)", "x BETWEEN -1e9 AND 1e9"],
)
@pytest.mark.parametrize("value", [None, NAN, INF, -INF])
def test_a_value_that_is_missing_or_no_number_never_passes(predicate: str, value: float | None) -> None:
    assert verdicts(predicate, [{"x": value}]) == [False]


@pytest.mark.parametrize(
    ("predicate", "row"),
    [
        ("r.x > 0.5", {"r": None}),
        ("r.x > 0.5", {"r": {"x": NAN}}),
        ("m['simbad'] <> 'failed'", {"m": None}),
        ("m['simbad'] <> 'failed'", {"m": [("tns", "ok")]}),
        ("list_max(h.x) > 0", {"h": None}),
        ("list_max(h.x) > 0", {"h": []}),
        ("list_max(h.x) > 0", {"h": [{"x": NAN}, {"x": None}, {"x": -1.0}]}),
        ("ln(x) > -1e9", {"x": -1.0}),
        ("sqrt(x) > -1e9", {"x": -1.0}),
        ("1 / x > -1e9", {"x": 0.0}),
        ("CAST(s AS DOUBLE) > 0", {"s": "None"}),
        ("i * i * i * i > 0", {"i": 2_000_000_000}),
        ("x = 1 OR CAST(s AS DOUBLE) > 0", {"x": 2.0, "s": "text"}),
    ],
)
def test_what_cannot_be_computed_does_not_pass_and_does_not_fail(predicate: str, row: dict[str, object]) -> None:
    assert verdicts(predicate, [row, {"x": 1.0, "i": 1, "s": "1"}])[0] is False


def test_rows_keep_their_order_and_chunks_do_not_matter() -> None:
    table = pa.table({"i": pa.array(np.arange(10_000) % 7, pa.int32())})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 4000), table.slice(4001)])
    expected = (np.arange(10_000) % 7 == 3).tolist()
    assert filters_of(f="i = 3").evaluate(table).column("f").to_pylist() == expected
    assert filters_of(f="i = 3").evaluate(chunked).column("f").to_pylist() == expected


def test_a_slice_is_evaluated_as_itself() -> None:
    rows = [{"h": [{"x": float(i)}] * i, "r": {"x": float(i)}, "m": [("k", str(i))]} for i in range(10)]
    part = pa.Table.from_pylist(rows, schema=SCHEMA).slice(4, 3)
    taken = filters_of(a="list_max(h.x) = 5", b="r.x = 6", c="m['k'] = '4'").route(part)
    assert taken.to_pylist() == [["c"], ["a"], ["b"]]


PREDICATES = {
    "f1": "i % 3 = 0 AND x > 0",
    "f2": "list_min(h.x) < r.x OR m['a'] = ''",
    "f3": "NOT s LIKE 'a%'",
    "f4": "x / i > 1",
}
TOGETHER = filters_of(**PREDICATES)
ALONE = {name: filters_of(**{name: predicate}) for name, predicate in PREDICATES.items()}


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "i": st.none() | st.integers(-(2**31), 2**31 - 1),
                "x": st.none() | st.floats(),
                "s": st.none() | st.text(max_size=5),
                "r": st.none() | st.fixed_dictionaries({"x": st.none() | st.floats(width=32)}),
                "h": st.none() | st.lists(st.fixed_dictionaries({"x": st.none() | st.floats(width=32)}), max_size=3),
                "m": st.none()
                | st.dictionaries(st.sampled_from(["a", "b"]), st.none() | st.text(max_size=3)).map(
                    lambda pairs: list(pairs.items())
                ),
            }
        ),
        max_size=8,
    )
)
def test_together_filters_decide_as_each_does_alone(rows: list[dict[str, object]]) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    together = TOGETHER.evaluate(table)
    for name, alone in ALONE.items():
        one_by_one = [alone.evaluate(table.slice(row, 1)).column(name)[0].as_py() for row in range(table.num_rows)]
        assert together.column(name).to_pylist() == one_by_one


def test_only_named_columns_are_needed() -> None:
    chosen = filters_of(a="r.x > 1", b="i = 2")
    assert chosen.columns == ("i", "r")
    table = pa.Table.from_pylist([{"i": 2, "r": None}], schema=SCHEMA).select(["r", "i"])
    assert chosen.route(table).to_pylist() == [["b"]]


def test_a_set_survives_the_way_to_a_worker() -> None:
    chosen = filters_of(a="i = 1")
    table = pa.Table.from_pylist([{"i": 1}], schema=SCHEMA)
    assert chosen.evaluate(table).num_rows == 1
    arrived = pickle.loads(pickle.dumps(chosen))
    assert arrived.digest == chosen.digest
    assert arrived.evaluate(table) == chosen.evaluate(table)


def test_an_empty_set_and_an_empty_table_are_fine() -> None:
    table = SCHEMA.empty_table()
    assert filters_of(a="i = 1").evaluate(table).num_rows == 0
    assert FilterSet(()).route(pa.table({"i": [1, 2]})).to_pylist() == [[], []]


def test_the_digest_follows_meaning_and_not_layout() -> None:
    assert filters_of(a="i = 1").digest == filters_of(a="i   =\n 1 -- one").digest
    assert filters_of(a="i = 1").digest != filters_of(a="i = 2").digest
    assert filters_of(a="i = 1").digest != filters_of(b="i = 1").digest


# -- the files ---------------------------------------------------------------------------------------------------------


def science(**columns: object) -> pa.Table:
    """One row of documented columns."""
    return pa.Table.from_pylist([columns], schema=documented_columns(get_survey("ztf")))


@pytest.mark.parametrize(
    ("row", "taken"),
    [
        ({"roid": 3}, ["sso_ztf_candidates"]),
        ({"roid": 2}, ["sso_fink_candidates"]),
        ({"roid": 1}, ["first_pass_candidates"]),
        ({"roid": None}, []),
        ({"finkclass": "Unknown", "fink_status": [("simbad", "no_match")]}, ["unknowns"]),
        ({"finkclass": "Unknown", "fink_status": [("simbad", "ok")]}, []),
        ({"finkclass": "Unknown", "fink_status": [("simbad", "unavailable")]}, []),
        ({"finkclass": "Unknown", "fink_status": None}, []),
        ({"finkclass": None, "fink_status": [("simbad", "no_match")]}, []),
        ({"finkclass": "SN candidate", "fink_status": [("simbad", "no_match")]}, []),
    ],
)
def test_the_live_ztf_filters_take_what_they_say(row: dict[str, object], taken: list[str]) -> None:
    assert load_filters(get_survey("ztf")).route(science(**row)).to_pylist() == [taken]


def write(folder: Path, text: str, name: str = "mine") -> Path:
    """Write a filter file."""
    file = folder / f"{name}.sql"
    file.write_text(text)
    return file


HEADER = {
    "topic": "fink_mine_ztf",
    "title": "Mine",
    "description": "What I want",
    "author": "A. Person",
    "contact": "a.person@example.org",
    "version": "1",
    "references": "none",
    "kinds": "live",
}


def text_of(predicate: str = "roid = 3", **changes: str) -> str:
    """Give the text of a file; an entry that is set to nothing is left out."""
    entries = {**HEADER, **changes}
    return "".join(f"-- {key}: {value}\n" for key, value in entries.items() if value) + predicate


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (text_of(version=""), "1:1", "no 'version'"),
        (text_of(topic="fink_yours_ztf"), "1:11", "has to be fink_mine_ztf"),
        (text_of(version="new"), "6:13", "a version is a number"),
        (text_of(kinds="live, weekly"), "8:11", "'weekly' is none of live, night"),
        ("-- colour: red\n" + text_of(), "1:4", "'colour' is none of"),
        (text_of() + "\n-- topic: again", "", ""),
        ("-- topic: fink_mine_ztf\n" + text_of(), "2:4", "is there twice"),
        ("-- a remark without a key\n" + text_of(), "1:1", "a line of the header"),
        (text_of("roid = 3 AND\n  colour > 1"), "10:3", "unknown column 'colour'"),
    ],
)
def test_a_file_is_refused_with_its_line(tmp_path: Path, text: str, place: str, words: str) -> None:
    file = write(tmp_path, text)
    if not words:
        assert read_filter(file, get_survey("ztf")).name == "mine"
        return
    with pytest.raises(FilterError, match=words) as refused:
        read_filter(file, get_survey("ztf"))
    assert str(refused.value).startswith(f"{file}:{place}: ")


def test_a_name_that_is_no_topic_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FilterError, match="cannot be part of a topic"):
        read_filter(write(tmp_path, text_of(), "Mine-1"), get_survey("ztf"))
    with pytest.raises(FilterError, match="cannot be read"):
        read_filter(tmp_path / "none.sql", get_survey("ztf"))


def test_one_bad_file_refuses_the_set(tmp_path: Path) -> None:
    write(tmp_path, text_of())
    write(tmp_path, text_of("colour > 1", topic="fink_other_ztf"), "other")
    with pytest.raises(FilterError, match="other"):
        load_filters(get_survey("ztf"), folder=tmp_path)


def test_filters_of_the_night_stay_out_of_the_stream(tmp_path: Path) -> None:
    write(tmp_path, text_of())
    write(tmp_path, text_of(topic="fink_late_ztf", kinds="night"), "late")
    write(tmp_path, text_of(topic="fink_both_ztf", kinds="live, night"), "both")
    survey = get_survey("ztf")
    assert load_filters(survey, folder=tmp_path).names == ("both", "mine")
    assert load_filters(survey, ["night"], tmp_path).names == ("both", "late")


def test_a_long_description_goes_on_in_the_next_lines(tmp_path: Path) -> None:
    read = read_filter(write(tmp_path, text_of(description="What\n--   I want: all")), get_survey("ztf"))
    assert read.header["description"] == "What I want: all"
    assert read.topic("ftest") == "ftest_mine_ztf"
