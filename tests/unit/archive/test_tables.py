"""The declarations: complete, explained, and told on the page about the archive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fink_lib.archive.docs import column_doc
from fink_lib.archive.keys import SaltPart
from fink_lib.archive.registry import describe
from fink_lib.archive.tables import STATISTICS_TABLE, archive_table, archive_tables
from fink_lib.filters import load_filters
from fink_lib.surveys.ztf_columns import full_columns, index_columns, light_columns
from tests.unit.archive.nights import SURVEY

ALL = archive_tables(SURVEY)
PAGE = (Path(__file__).parents[3] / "docs" / "archive.md").read_text()
DESIGNED = {
    "ztf", "ztf.cutouts", "ztf.pixel128", "ztf.class", "ztf.ssnamenr", "ztf.tracklet", "ztf.tns", "ztf.upper",
    "ztf.uppervalid", "ztf.anomaly", "ztf.low_state_blazars", "ztf.high_state_blazars", "ztf.slsn", "ztf.orb_cand",
    "ztf.sso_cand", "ztf.sso_resolver", "ztf.tns_resolver", "ztf.metadata",
}  # fmt: skip


def test_every_table_of_the_design_is_declared_and_told():
    assert {table.name for table in ALL} == DESIGNED
    rows = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}
    assert set(rows) == DESIGNED | {STATISTICS_TABLE}
    for table in ALL:
        parts = rows[table.name].split("|")[2].split(",")
        assert len(parts) == len(table.key.parts), table.name
        assert ("**empty**" in rows[table.name]) == (table.source == "nothing")


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_a_table_explains_itself(table):
    told = json.loads(json.dumps(describe(table, table.layout(SURVEY), SURVEY)))
    assert told["doc"] and told["columns"] and told["key"]
    assert [column["name"] for column in told["served"] if not column["doc"]] == []


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_regions_begin_in_order_and_salted_tables_have_one_for_each_salt(table):
    assert list(table.splits) == sorted(set(table.splits))
    if table.key.salted and not table.filters and table.source == "night":
        assert [SaltPart("x").parse(split) for split in table.splits] == list(range(1, 8))


def test_the_column_sets_are_those_that_clients_know():
    full = full_columns([field.name for field in SURVEY.alert_schema.field("candidate").type])
    for name, columns in (("ztf", full), ("ztf.anomaly", full), ("ztf.class", index_columns()),
                          ("ztf.pixel128", light_columns())):  # fmt: skip
        served = [column.name for column in archive_table(SURVEY, name).served]
        assert set(columns) <= set(served) and len(set(served)) == len(served), name


def test_every_filter_that_fills_a_table_exists():
    known = set(load_filters(SURVEY, ["night"]).names)
    assert {name for table in ALL for name in table.filters} <= known


def test_a_column_without_a_text_has_none():
    assert column_doc("d:nothing", SURVEY) == ""
