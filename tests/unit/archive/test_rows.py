"""Rows of the archive: 149 columns as readers see them, the lake's exact values, the alert's own time."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fink_lib.archive.rows import Row, add_digests, pack, row_digest, serve, timestamps_ms
from fink_lib.archive.tables import archive_table
from fink_lib.errors import ConfigError
from fink_lib.lake import Lake
from fink_lib.surveys import get_survey
from fink_lib.surveys.ztf_columns import full_columns
from tests.night_rows import random_table, science_rows
from tests.unit.archive.test_codec import bits

SURVEY = get_survey("ztf")
TABLE = archive_table(SURVEY, "ztf")
LAYOUT = TABLE.layout(SURVEY)


@pytest.fixture(scope="module")
def science():
    return science_rows(Lake("unused", SURVEY), 50)


@pytest.fixture(scope="module")
def rows(science):
    return pack(TABLE, LAYOUT, science)


def test_readers_get_the_149_columns_and_more():
    names = [served.name for served in TABLE.served]
    full = full_columns([field.name for field in SURVEY.alert_schema.field("candidate").type])
    assert len(full) == 149
    assert names[:149] == list(full)
    assert len(set(names)) == len(names)
    assert {"d:finkclass", "d:classification", "d:fink_status", "d:blazar_stats_instantness_low"} <= set(names)


def test_every_column_holds_the_exact_value_of_the_lake(science, rows):
    served = serve(TABLE, LAYOUT.decode([row.cells[b"p:r"] for row in rows]))
    candidate = science.column("candidate").combine_chunks()
    for name in [served.name for served in TABLE.served]:
        leaf = name.partition(":")[2]
        expected = science_column(science, candidate, leaf)
        assert bits(served.column(name).to_pylist()) == bits(expected), name


def science_column(science, candidate, leaf):
    if leaf.startswith(("mangrove_", "blazar_stats_")):
        column, _, key = leaf.partition("_") if leaf.startswith("mangrove") else ("blazar_stats", "", leaf[13:])
        maps = science.column(column).to_pylist()
        return [None if entries is None else dict(entries).get(key) for entries in maps]
    if leaf in ("fink_broker_version", "fink_science_version"):
        return [None if p is None else p[leaf.removeprefix("fink_")] for p in science.column("process").to_pylist()]
    if leaf == "classification":
        return science.column("finkclass").to_pylist()
    if leaf in science.column_names:
        return science.column(leaf).to_pylist()
    return [row[leaf] for row in candidate.to_pylist()]


def test_the_same_alert_gives_the_same_row_in_any_company(science, rows):
    backwards = science.take(list(reversed(range(science.num_rows))))
    assert list(reversed(pack(TABLE, LAYOUT, backwards))) == rows


def test_cells_carry_the_time_of_the_alert_and_the_generation():
    jd = pa.array([2440587.5, 2460382.0, 2460382.0 + 1 / 86400])  # 1970-01-01, 2024-03-12T12:00, a second later
    assert timestamps_ms(jd, 0) == [0, 1710244800000, 1710244801000]
    assert timestamps_ms(jd, 3) == [3, 1710244800003, 1710244801003]


def test_the_digest_sees_key_cells_and_time(rows):
    row = rows[0]
    digests = {
        row.digest,
        row_digest(b"x" + row.key, row.cells, row.timestamp_ms),
        row_digest(row.key, {}, row.timestamp_ms),
        row_digest(row.key, row.cells, row.timestamp_ms + 1),
        row_digest(row.key, {**row.cells, b"i:jd": b"altered"}, row.timestamp_ms),
    }
    assert len(digests) == 5


def test_the_sum_of_digests_does_not_depend_on_order(rows):
    digests = [row.digest for row in rows]
    assert add_digests(digests) == add_digests(digests[::-1]) != add_digests(digests[1:])


def test_moving_bytes_between_cells_changes_the_digest():
    one = Row(b"k", {b"a": b"xy", b"b": b"z"}, 1)
    other = Row(b"k", {b"a": b"x", b"b": b"yz"}, 1)
    assert one.digest != other.digest


def test_an_unknown_table_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="use one of: ztf"):
        archive_table(SURVEY, "nothing")


def test_a_column_of_an_older_layout_is_served_as_missing():
    stored = random_table(pa.schema([("i:objectId", pa.string())]), 3, seed=1)
    served = serve(TABLE, stored, {"i:objectId", "d:roid"})
    assert served.column("d:roid").to_pylist() == [None] * 3
