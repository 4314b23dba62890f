"""The sandbox refuses what it has to, and points at it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.filters import FilterError, check_predicate
from fink_lib.filters.grammar import MAX_CHARACTERS

SCHEMA = pa.schema(
    [
        ("objectId", pa.string()),
        ("roid", pa.int32()),
        ("cdsxmatch", pa.string()),
        ("is_transient", pa.bool_()),
        ("candidate", pa.struct([("rb", pa.float32()), ("drb", pa.float32()), ("jd", pa.float64())])),
        ("prv_candidates", pa.list_(pa.struct([("magpsf", pa.float32()), ("fid", pa.int32())]))),
        ("fink_status", pa.map_(pa.string(), pa.string())),
        ("mangrove", pa.map_(pa.string(), pa.string())),
        ("lc_features_r", pa.struct([("linear_fit_slope", pa.float64())])),
    ]
)


def names(text: str) -> list[str]:
    """Give the names of what a predicate reads."""
    return [reference.name for reference in check_predicate(text, SCHEMA).references]


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("roid = 3", ["roid"]),
        ("roid = 3 AND candidate.rb > .5", ["candidate.rb", "roid"]),
        ("fink_status['simbad'] = 'no_match'", ["fink_status['simbad']"]),
        ("is_transient", ["is_transient"]),
        ("NOT roid IN (2, 3)", ["roid"]),
        ("cdsxmatch LIKE 'Gal%' OR cdsxmatch IS NULL", ["cdsxmatch"]),
        ("candidate.rb BETWEEN 0 AND 1", ["candidate.rb"]),
        ("list_max(prv_candidates.magpsf) < 19", ["prv_candidates.magpsf"]),
        ("abs(lc_features_r.linear_fit_slope) > 0.025", ["lc_features_r.linear_fit_slope"]),
        ("CAST(mangrove['lum_dist'] AS DOUBLE) < 200", ["mangrove['lum_dist']"]),
        ("CASE WHEN roid = 1 THEN candidate.rb > 0.5 ELSE false END", ["candidate.rb", "roid"]),
        ("coalesce(candidate.drb, candidate.rb) > 0.9", ["candidate.drb", "candidate.rb"]),
        ("pow(10, -0.4 * candidate.rb) > 1e-3 -- a comment", ["candidate.rb"]),
    ],
)
def test_an_expression_over_documented_columns_is_taken(text: str, reads: list[str]) -> None:
    assert names(text) == reads


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("candidate.rbb > 0.5", (1, 1), "did you mean 'rb' or 'drb'"),
        ("roid = 3 AND\n  colour > 1", (2, 3), "unknown column 'colour'"),
        ("roid = 3 AND\n  sleep(5) > 1", (2, 3), "function 'sleep' is not allowed"),
        ("roid = 3 AND random() > 0.5", (1, 14), "not allowed"),
        ("now() > 1", (1, 1), "function 'now' is not allowed"),
        ("read_csv('/etc/passwd') = 1", (1, 1), "function 'read_csv' is not allowed"),
        ("getenv('HOME') = objectId", (1, 1), "function 'getenv' is not allowed"),
        ("regexp_matches(objectId, '(a+)+b')", (1, 1), "not allowed"),
        ("objectId ~ '(a+)+b'", (1, 1), "not allowed"),
        ("objectId SIMILAR TO 'a'", (1, 1), "not allowed"),
        ("objectId LIKE '%a%b%c%d%e%'", (1, 15), "at most 4 times %"),
        ("objectId LIKE cdsxmatch", (1, 1), "text in quotes"),
        ("roid IN (SELECT 1)", (1, 17), "may not contain a query"),
        ("EXISTS (SELECT 1)", (1, 16), "not allowed"),
        ("SELECT * FROM alerts", (1, 1), "write the condition alone"),
        ("DROP TABLE alerts", (1, 1), "write the condition alone"),
        ("roid = 3; DROP TABLE alerts", (1, 9), "remove the semicolon"),
        ("roid = NULL", (1, 1), "write IS NULL"),
        ("roid = 'three'", (1, 8), "text is compared with a number"),
        ("fink_status['simbad'] = 1", (1, 25), "a number is compared with text"),
        ("cdsxmatch IN ('a', 1)", (1, 20), "a number is compared with text"),
        ("roid", (1, 1), "not a condition"),
        ("roid = 3 AND candidate.rb", (1, 14), "joins conditions"),
        ("candidate > 1", (1, 1), "is a record"),
        ("fink_status = 'a'", (1, 1), "is a map: name a key"),
        ("fink_status[objectId] = 'a'", (1, 1), "text in quotes"),
        ("prv_candidates[1].magpsf > 1", (1, 1), "not allowed"),
        ("prv_candidates.magpsf > 1", (1, 1), "Cannot compare"),
        ("list_filter(prv_candidates.magpsf, x -> x > 1) IS NULL", (1, 1), "not allowed"),
        ("lower(roid) = 'x'", (1, 1), "No function matches"),
        ("sum(roid) > 1", (1, 1), "function 'sum' is not allowed"),
        ("roid > ?", (1, 1), "not allowed"),
        ("CAST(roid AS DATE) IS NULL", (1, 6), "a cast may only go to"),
        ("roid = 3 AND", (1, 10), "not a complete expression"),
        ("(roid = 3", (1, 9), "not a complete expression"),
        ("objectId = 'abc", (1, 12), "not closed"),
        ("1 = 1", (1, 1), "reads no column"),
        ("", (1, 1), "no predicate"),
        ("-- nothing but a comment", (1, 25), "no predicate"),
    ],
)
def test_anything_else_is_refused_at_its_place(text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(FilterError) as refused:
        check_predicate(text, SCHEMA)
    assert words in refused.value.message
    assert (refused.value.line, refused.value.column) == place


def test_a_refusal_shows_the_line_with_a_mark() -> None:
    with pytest.raises(FilterError) as refused:
        check_predicate("roid = 3\n  AND colour > 1", SCHEMA, "mine.sql")
    assert str(refused.value).startswith("mine.sql:2:7: ")
    assert refused.value.excerpt == "  AND colour > 1\n      ^"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "roid = 1" + ")" * 5000,
        "NOT " * 1500 + "is_transient",
        " OR ".join(["roid = 1"] * 5000),
        "roid = 1" + " " * MAX_CHARACTERS,
        "-" * 1500 + "roid = 1",
        "roid = " + "-(" * 59 + "1" + ")" * 59 + " AND " + " AND ".join(["roid = 1"] * 400),
    ],
    ids=["brackets", "nots", "words", "characters", "dashes", "both"],
)
def test_a_predicate_that_is_too_large_ends_soon_and_in_words(text: str) -> None:
    try:
        check_predicate(text, SCHEMA)
    except FilterError as refused:
        assert refused.message


@given(st.text(max_size=80))
def test_no_text_makes_the_sandbox_fail(text: str) -> None:
    try:
        checked = check_predicate(text, SCHEMA)
    except FilterError:
        return
    assert checked.references


@given(
    st.lists(
        st.sampled_from(
            "roid = 3 candidate . rb > 0.5 AND OR NOT ( ) [ ] 'a' , NULL IS IN LIKE objectId fink_status CASE WHEN "
            "THEN END SELECT FROM abs -- /* */ ; :: BETWEEN $1 ? * :x -> => := { }".split()
        ),
        max_size=12,
    )
)
def test_no_heap_of_words_makes_the_sandbox_fail(words: list[str]) -> None:
    try:
        checked = check_predicate(" ".join(words), SCHEMA)
    except FilterError:
        return
    assert checked.references
