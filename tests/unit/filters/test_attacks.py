"""The corpus of attacks: each is refused in words at its place, soon, and nothing of it reaches the engine."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fink_lib.filters import FilterError, check_predicate
from fink_lib.filters.engine import engine
from fink_lib.filters.files import survey_terms
from fink_lib.filters.grammar import ALLOWED_FUNCTIONS, MAX_CHARACTERS, MAX_LIST_CALLS
from fink_lib.filters.terms import Terms
from fink_lib.surveys import get_survey
from tests.unit.filters.alerts import COLUMNS
from tests.unit.filters.attacks import ATTACKS

TERMS = survey_terms(get_survey("ztf"))
ALL = [attack for attacks in ATTACKS.values() for attack in attacks]


def refusal(text: str, terms: Terms = TERMS) -> FilterError:
    """Give the refusal of a predicate over the columns of ZTF."""
    with pytest.raises(FilterError) as refused:
        check_predicate(text, COLUMNS, "mine.sql", terms)
    return refused.value


@pytest.mark.parametrize(("text", "column", "words"), ALL, ids=[text for text, _, _ in ALL])
def test_an_attack_is_refused_at_its_place(text: str, column: int, words: str) -> None:
    refused = refusal(text)
    assert refused.message.startswith(words)
    assert (refused.line, refused.column) == (1, column)
    assert str(refused).startswith(f"mine.sql:1:{column}: ")


@pytest.mark.parametrize(("text", "column", "words"), ALL[::7], ids=[text for text, _, _ in ALL[::7]])
def test_it_is_refused_within_a_longer_predicate_too(text: str, column: int, words: str) -> None:
    if text != "true":  # with a column beside it, it is harmless
        assert 1 <= refusal(f"roid = 3\nAND candidate.rb > 0.5\nAND {text}").line <= 3


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        ("list_max(prv_candidates.magpsf)", MAX_LIST_CALLS),
        ("list_extract(list_sort(prv_candidates.magpsf), 1)", MAX_LIST_CALLS // 2),
        ("list_extract(earlier_jd, 1)", MAX_LIST_CALLS // 4),  # the term has three calls of its own
    ],
)
def test_the_call_over_an_array_that_is_one_too_many_is_named(call: str, allowed: int) -> None:
    lines = [f"{call} > 1"] * allowed
    assert check_predicate("\nAND ".join(lines), COLUMNS, terms=TERMS).sql
    refused = refusal("\nAND ".join([*lines, *lines[:1]]))
    assert "calls over arrays" in refused.message
    assert refused.line == allowed + 1


@pytest.mark.parametrize(
    "text",
    [
        " OR ".join(["EG"] * 900),
        "roid IN (" + ", ".join(str(n) for n in range(900)) + ")",
        " + ".join(["candidate.rb"] * 900) + " > 1",
        "CASE " + " ".join(f"WHEN roid = {n} THEN true" for n in range(180)) + " END",
        "coalesce(" * 59 + "roid" + ")" * 59 + " = 1",
    ],
    ids=["terms", "list", "sum", "cases", "nested"],
)
def test_a_large_predicate_is_compiled_or_refused_in_words(text: str) -> None:
    try:
        checked = check_predicate(text, COLUMNS, terms=TERMS)
    except FilterError as refused:
        assert refused.message
    else:
        assert len(checked.sql) < 2 * MAX_CHARACTERS


@pytest.mark.parametrize(
    "text",
    [
        "EG", "eg AND Good", "NOT EG", "UNCAT IS NULL", "age < 5", "simbad_type('Bla', 'G')",
        "list_extract(list_reverse_sort(prv_candidates.magpsf), 1) > 3", "list_position(prv_candidates.fid, 2) = 1",
        "list_count(prv_candidates.magpsf) > 3", "roid IS NULL", "coalesce(roid, 3) = 3", "objectId LIKE 'ZTF%'",
        "if(roid = 1, true, false)", "@gal_lat > 10", "roid = 1 -- ' OR",
    ],
)  # fmt: skip
def test_what_people_need_is_taken(text: str) -> None:
    assert check_predicate(text, COLUMNS, terms=TERMS).references


def test_a_term_is_a_word_of_its_survey_alone() -> None:
    assert "unknown column 'EG'" in refusal("EG", Terms()).message
    assert "function 'simbad_type' is not allowed" in refusal("simbad_type('G') AND roid = 1", Terms()).message
    assert "did you mean 'GOOD'" in refusal("GOODY").message


def test_a_refused_function_comes_with_the_list_of_allowed_ones() -> None:
    assert all(name in refusal("roid = 1 AND sleep(1)").message for name in ALLOWED_FUNCTIONS)


VALUES = pa.table(
    {
        "x": pa.array([-2.5, -1.0, 0.0, 0.3, 1.0, 40.0, None]),
        "s": pa.array(["", "a", "Ab", "%", "a%b", "AB", None]),
        "a": pa.array([[1.0, None, 3.0, 1.0], [], None, [2.0], [None], [5.0, 4.0], [3.0, 2.0, 1.0]]),
    }
)


@pytest.mark.parametrize("name", ALLOWED_FUNCTIONS)
def test_the_parser_does_not_change_what_a_function_means(name: str) -> None:
    """The predicate that runs is written by the parser; it must mean what its author wrote."""
    if name.startswith("simbad_"):
        return
    arguments = {
        "atan2": "x, 2", "coalesce": "x, 1", "greatest": "x, 1", "least": "x, 1", "nullif": "x, 1", "pow": "x, 2",
        "round": "x", "contains": "s, 'a'", "starts_with": "s, 'a'", "ends_with": "s, 'b'", "length": "s",
        "lower": "s", "upper": "s", "list_extract": "a, 2", "list_position": "a, 1", "list_contains": "a, 1",
        "acos": "x / 50", "asin": "x / 50", "exp": "x / 50",
    }.get(name, "a" if name.startswith("list_") else "x")  # fmt: skip
    author = f"{name}({arguments})"
    schema = VALUES.schema
    checked = check_predicate(f"{author} IS NULL", schema).sql.replace("IS NULL", "")
    duck = engine()
    duck.register("alerts", VALUES)
    try:
        one, other = (duck.sql(f"SELECT TRY({sql}) AS v FROM alerts").fetchall() for sql in (author, checked))
    finally:
        duck.unregister("alerts")
    if name == "list_distinct":  # a set
        one, other = ([row[0] and sorted(row[0], key=str) for row in rows] for rows in (one, other))
    assert one == other
