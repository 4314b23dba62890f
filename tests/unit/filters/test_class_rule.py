"""The class rule names an alert a candidate exactly when the filter of that name takes it: there is one definition."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sqlglot
from sqlglot import exp

from fink_lib.filters import load_filters
from fink_lib.filters.files import survey_terms
from fink_lib.science.duck import select
from fink_lib.science.loading import find_class_rule
from fink_lib.surveys import get_survey
from tests.unit.filters.alerts import science_table
from tests.unit.filters.mixtures import mixtures
from tests.unit.filters.ztf_cases import TAKEN

ZTF = get_survey("ztf")
FILTERS = load_filters(ZTF)
SAME = {"kilonova": "kn_candidates", "early_sn": "early_sn_candidates", "sn": "sn_candidates"}
"""Column of the class rule to filter."""


@pytest.fixture(scope="module")
def rule() -> exp.Expr:
    found = find_class_rule(ZTF)
    assert found is not None
    return sqlglot.parse_one(found.sql, dialect="duckdb")


def column(rule: exp.Expr, name: str) -> exp.Expr:
    """Give what the class rule calls by a name."""
    (found,) = [alias.this for alias in rule.find_all(exp.Alias) if alias.alias == name]
    return found


def plain(tree: exp.Expr) -> str:
    """Write an expression without comments and layout."""
    return tree.sql(dialect="duckdb", comments=False)


@pytest.mark.parametrize(("name", "filter_name"), SAME.items())
def test_a_candidate_of_the_class_rule_is_the_filter_word_for_word(rule: exp.Expr, name: str, filter_name: str) -> None:
    (f,) = [one for one in FILTERS.filters if one.name == filter_name]
    condition = column(rule, name)
    assert isinstance(condition, exp.Coalesce)
    assert plain(condition.this) == plain(sqlglot.parse_one(f.text, dialect="duckdb"))


@pytest.mark.parametrize("name", ["age", "GOOD"])
def test_its_words_are_the_terms_of_the_filters(rule: exp.Expr, name: str) -> None:
    term = survey_terms(ZTF).find(name)
    assert term is not None
    assert plain(column(rule, name)) == term.text.replace("candidate.", "")


def test_both_decide_alike_on_any_alert(rule: exp.Expr) -> None:
    found = find_class_rule(ZTF)
    assert found is not None
    alerts = science_table([*mixtures(1500, seed=8), *TAKEN.values()])
    columns = {"simbad_status": pc.map_lookup(alerts.column("fink_status"), pa.scalar("simbad"), "first")}
    for path in found.inputs:
        root, _, leaf = path.partition(".")
        whole = alerts.column(root)
        columns[leaf or root] = pc.struct_field(whole, leaf) if leaf else whole
    classes = rule.copy()
    assert isinstance(classes, exp.Select)
    classes.set("expressions", [exp.column(name) for name in SAME])
    decided = select(classes.sql(dialect="duckdb"), alerts=pa.table(columns))
    verdicts = FILTERS.evaluate(alerts)
    for name, filter_name in SAME.items():
        assert decided.column(name).to_pylist() == verdicts.column(filter_name).to_pylist()
        assert pc.sum(decided.column(name)).as_py() > 10
