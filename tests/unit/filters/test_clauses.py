"""Every filter of ZTF, of the stream and of the night: an alert that it takes, and what each of its clauses refuses."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fink_lib.filters import KINDS, Filter, FilterSet, Predicate, load_filters
from fink_lib.surveys import get_survey
from tests.unit.filters import night_cases, ztf_cases
from tests.unit.filters.alerts import science_table
from tests.unit.filters.ztf_cases import SIMBAD, Values

FILTERS = load_filters(get_survey("ztf"), KINDS)
BY_NAME = {f.name: f for f in FILTERS.filters}
TAKEN = ztf_cases.TAKEN | night_cases.TAKEN
REFUSED = ztf_cases.REFUSED | night_cases.REFUSED
NULL_PASSES = ztf_cases.NULL_PASSES | night_cases.NULL_PASSES

CLAUSES = [(name, number) for name, clauses in REFUSED.items() for number in range(len(clauses))]


def takes(name: str, *rows: Values) -> list[bool]:
    """Tell which rows a filter takes."""
    found: list[bool] = FilterSet((BY_NAME[name],)).evaluate(science_table(rows)).column(name).to_pylist()
    return found


def clauses_of(f: Filter, rows: list[Values]) -> pa.Table:
    """Evaluate each clause of a filter by itself."""
    parts = tuple(
        Filter(f"c{place}", "ztf", f.header, "", Predicate(compiled, f.predicate.references))
        for place, (_, compiled) in enumerate(f.predicate.clauses)
    )
    return FilterSet(parts).evaluate(science_table(rows))


def test_every_filter_has_its_cases() -> None:
    assert set(TAKEN) == set(REFUSED) == set(FILTERS.names)
    for name, clauses in REFUSED.items():
        assert [text for text, _ in clauses] == [text for text, _ in BY_NAME[name].predicate.clauses]


@pytest.mark.parametrize("name", TAKEN)
def test_an_alert_that_fulfils_every_clause_is_taken(name: str) -> None:
    assert takes(name, TAKEN[name]) == [True]


@pytest.mark.parametrize(("name", "number"), CLAUSES, ids=[f"{name}-{number}" for name, number in CLAUSES])
def test_each_clause_refuses_by_itself(name: str, number: int) -> None:
    _, changes = REFUSED[name][number]
    rows = [TAKEN[name] | change for change in changes]
    assert takes(name, *rows) == [False] * len(rows)
    verdicts = clauses_of(BY_NAME[name], rows).to_pydict()
    for place in range(len(rows)):
        false = [column for column, values in verdicts.items() if not values[place]]
        assert f"c{number}" in false
        # a change of what several clauses read may make them all false
        shared = {SIMBAD, "roid", "prv_candidates", "candidate.jdstarthist"}
        assert len(false) == 1 or shared & set(changes[place])


@pytest.mark.parametrize("name", TAKEN)
def test_no_alert_passes_because_something_is_missing(name: str) -> None:
    f = BY_NAME[name]
    for reference in f.predicate.references:
        path = ".".join(reference.path) if reference.key is None else f"{reference.path[0]}.{reference.key}"
        if path.startswith("prv_candidates"):
            path = "prv_candidates"
        passes = takes(name, TAKEN[name] | {path: None})[0]
        expected = path in NULL_PASSES.get(name, frozenset()) or path not in TAKEN[name]
        assert passes == expected, f"{name} with {path} null"


def test_an_alert_of_nulls_passes_no_filter() -> None:
    assert FILTERS.route(science_table([{}])).to_pylist() == [[]]
