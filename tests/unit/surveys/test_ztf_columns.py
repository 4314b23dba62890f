"""Column sets that clients, the archive and the API depend on."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from fink_lib.surveys import get_survey
from fink_lib.surveys.ztf_columns import (
    ADDED_COLUMNS,
    FINK_SCHEMA,
    FLATTENED_COLUMNS,
    INDEX_ORIGINAL_COLUMNS,
    LC_FEATURES,
    full_columns,
    index_columns,
    light_columns,
)
from tests.ztf_alerts import SHARED_DATA

ZTF = get_survey("ztf")
CANDIDATE = ZTF.alert_schema.field("candidate").type
CANDIDATE_FIELDS = [field.name for field in CANDIDATE]
ARROW = {
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
}


def test_the_packet_has_the_public_number_of_fields() -> None:
    assert ZTF.alert_schema.names == [
        *("schemavsn", "publisher", "objectId", "candid"),
        *("candidate", "prv_candidates", "fp_hists"),
    ]
    assert len(CANDIDATE) == 103
    assert len(ZTF.alert_schema.field("prv_candidates").type.value_type) == 57
    assert len(ZTF.alert_schema.field("fp_hists").type.value_type) == 29
    assert all(field.nullable for field in ZTF.alert_schema)


@pytest.mark.skipif(not (SHARED_DATA / "ztf/schema").exists(), reason="no published schema at hand")
@pytest.mark.parametrize(
    ("file", "column"),
    [("candidate", "candidate"), ("prv_candidate", "prv_candidates"), ("fp_hist", "fp_hists")],
)
def test_names_and_types_are_the_published_ones(file: str, column: str) -> None:
    published = json.loads((SHARED_DATA / f"ztf/schema/{file}.avsc").read_text())["fields"]
    kind = ZTF.alert_schema.field(column).type
    struct = kind.value_type if pa.types.is_list(kind) else kind
    expected = []
    for field in published:
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        expected.append((field["name"], ARROW[next(branch for branch in branches if branch != "null")]))
    assert [(field.name, field.type) for field in struct] == expected


def test_a_full_row_has_149_columns_an_index_row_77_and_a_light_row_14() -> None:
    full = full_columns(CANDIDATE_FIELDS)
    assert len(set(full)) == len(full) == 149
    assert len(set(index_columns())) == len(index_columns()) == 77
    assert len(light_columns()) == 14
    assert set(index_columns()) <= set(full)


def test_added_columns_are_what_the_science_stage_writes() -> None:
    assert len(ADDED_COLUMNS) == 34
    assert set(ADDED_COLUMNS) <= set(FINK_SCHEMA.names)
    for source, _ in FLATTENED_COLUMNS.values():
        assert pa.types.is_map(FINK_SCHEMA.field(source).type)


def test_index_columns_are_in_the_packet() -> None:
    assert set(INDEX_ORIGINAL_COLUMNS) <= {*CANDIDATE_FIELDS, "objectId", "publisher"}


def test_a_light_curve_has_26_features() -> None:
    assert len(set(LC_FEATURES)) == 26
    assert FINK_SCHEMA.field("lc_features_g").type.num_fields == 26


def test_no_added_column_hides_one_of_the_packet() -> None:
    assert not set(FINK_SCHEMA.names) & set(ZTF.alert_schema.names)
