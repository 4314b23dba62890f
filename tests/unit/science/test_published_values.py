"""Real alerts with published values: ours are equal on every row, or the difference has a name."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fink_lib.science import Runner
from fink_lib.science.loading import find_class_rule
from fink_lib.surveys import get_survey
from tests.unit.science.reference import UNAVAILABLE_LABELS, alerts_of, enriched_files, records_with
from tests.unit.science.toys import values

pytestmark = pytest.mark.skipif(not enriched_files(), reason="the shared sample of enriched alerts is not installed")

NO_MATCH = {"gcvs": "Unknown"}


@pytest.mark.parametrize(
    ("column", "rows", "matched"), [("nalerthist", 165, 165), ("roid", 165, 165), ("gcvs", 97, 11)]
)
def test_values_equal_the_published_ones_on_every_row(runner: Runner, column: str, rows: int, matched: int) -> None:
    records = records_with(column)
    ours = values(runner.apply(alerts_of(records)).table, column)
    published = [None if one[column] == NO_MATCH.get(column) else one[column] for one in records]
    assert len(records) >= rows
    assert sum(value is not None for value in published) >= matched
    assert ours == published


def class_inputs(record: dict[str, Any], status: str) -> dict[str, Any]:
    label = record["cdsxmatch"]
    return {
        **{name: record["candidate"][name] for name in ("jd", "jdstarthist", "ndethist", "drb", "classtar")},
        **{name: record[name] for name in ("roid", "tracklet", "mulens", "rf_snia_vs_nonia", "rf_kn_vs_nonkn")},
        **{name: record[name] for name in ("snn_snia_vs_nonia", "snn_sn_vs_all")},
        "cdsxmatch": label if status == "ok" else None,
        "simbad_status": status,
    }


def classes_of(records: list[dict[str, Any]], absent: str) -> list[str | None]:
    """Apply the rule to published columns; `absent` is the status where SIMBAD did not answer."""
    rule = find_class_rule(get_survey("ztf"))
    assert rule is not None
    types = {path.rsplit(".", 1)[-1]: kind for path, kind in rule.input_types.items()} | {"simbad_status": pa.string()}
    rows = []
    for record in records:
        label = record["cdsxmatch"]
        status = "no_match" if label == "Unknown" else absent if label in UNAVAILABLE_LABELS else "ok"
        rows.append(class_inputs(record, status))
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))
    given: list[str | None] = rule.evaluate(table)["finkclass"].to_pylist()
    return given


def test_the_class_equals_the_published_one_on_every_row() -> None:
    records = records_with("finkclass")
    assert len(records) == 51
    assert classes_of(records, absent="no_match") == [record["finkclass"] for record in records]


def test_a_class_is_not_claimed_where_simbad_did_not_answer() -> None:
    records = [record for record in records_with("finkclass") if record["cdsxmatch"] in UNAVAILABLE_LABELS]
    assert len(records) == 2
    assert classes_of(records, absent="unavailable") == [None, None]


def test_vsx_differs_from_the_service_only_where_one_of_them_has_no_star(runner: Runner) -> None:
    records = records_with("vsx")
    ours = values(runner.apply(alerts_of(records)).table, "vsx")
    absent = ("nan", "Unknown", *UNAVAILABLE_LABELS)
    published = [None if one["vsx"] in absent else one["vsx"] for one in records]
    both = [(mine, theirs) for mine, theirs in zip(ours, published, strict=True) if mine and theirs]
    assert len(both) >= 18
    assert all(mine == theirs for mine, theirs in both)
