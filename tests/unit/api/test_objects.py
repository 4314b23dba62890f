"""``/api/v1/objects`` over nights that are in the lake only."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import votable

from fink_lib.api.column_sets import known_columns
from fink_lib.lake import open_lake
from fink_lib.nightly.nights import set_state
from fink_lib.surveys.ztf_columns import BLAZAR_COLUMNS, full_columns
from tests.unit.api.conftest import NIGHTS, alerts, serving, write_settings

OBJECTS = "/api/v1/objects"
TOM_FINK = "i:candid,d:rf_snia_vs_nonia,i:ra,i:dec,i:jd,i:magpsf,i:objectId,d:cdsxmatch"


@pytest.fixture(scope="module")
def name(lake):
    return lake.read("science", [NIGHTS[0]], ["objectId"]).column(0)[7].as_py()


def rows_of(client, **arguments):
    answer = client.get(OBJECTS, params=arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_alert_of_an_object_comes_once_newest_first(client, name):
    rows = rows_of(client, objectId=name)
    assert [row["i:objectId"] for row in rows] == [name] * 3
    assert [row["i:candid"] for row in rows] == [10**17 + 127, 10**17 + 67, 10**17 + 7]
    assert all(isinstance(row["i:candid"], int) for row in rows)


def test_the_answer_says_where_each_row_comes_from(client, name):
    answer = client.get(OBJECTS, params={"objectId": name})
    assert answer.headers["Fink-Sources"] == "lake=3"
    assert {row["v:source"] for row in answer.json()} == {"lake"}


def test_every_column_of_the_archive_is_there_even_if_null(client, lake, name):
    candidate = [field.name for field in lake.survey.alert_schema.field("candidate").type]
    expected = {*full_columns(candidate), *(f"d:{column}" for column in BLAZAR_COLUMNS), "d:fink_status"}
    for row in rows_of(client, objectId=name):
        assert expected <= set(row)


def test_get_and_post_give_the_same(client, name):
    body = {"objectId": name, "columns": TOM_FINK}
    posted = client.post(OBJECTS, json=body)
    assert posted.json() == client.get(OBJECTS, params=body).json()
    assert set(posted.json()[0]) == set(TOM_FINK.split(","))


def test_query_arguments_win_over_the_body(client, name):
    answer = client.post(OBJECTS, params={"objectId": name}, json={"objectId": "other"})
    assert len(answer.json()) == 3


def test_several_objects_are_merged_by_time(client, lake, name):
    other = lake.read("science", [NIGHTS[0]], ["objectId"]).column(0)[8].as_py()
    rows = rows_of(client, objectId=f" {name} , {other},{name}")
    assert len(rows) == 6
    assert [row["i:jd"] for row in rows] == sorted((row["i:jd"] for row in rows), reverse=True)


@pytest.mark.parametrize("part", ["", "ZTF", "ZTF18aaaaaa", "ZTF18aaaaaah_2460379", "%", "*", "..", "ztf18aaaaaah"])
def test_a_part_of_a_name_finds_nothing(client, part):
    assert rows_of(client, objectId=part) == []


def test_values_are_those_of_the_lake(client, lake, name):
    stored = {
        row["candid"]: row for row in lake.read("science").to_pylist() if row["objectId"] == name
    }  # fmt: skip
    for row in rows_of(client, objectId=name, nulls="strict"):
        alert = stored[row["i:candid"]]
        for column, value in row.items():
            family, _, leaf = column.partition(":")
            if family == "i" and leaf in alert["candidate"] and leaf != "candid":
                expected = alert["candidate"][leaf]
                if isinstance(expected, float) and not np.isfinite(expected):
                    expected = None
                assert value == expected, column


def test_missing_is_a_default_only_where_the_broker_looked(client, lake, name):
    stored = lake.read("science", columns=["candid", "objectId", "fink_status"]).to_pylist()
    words = {row["candid"]: dict(row["fink_status"])["simbad"] for row in stored}
    names = ",".join(sorted({row["objectId"] for row in stored})[:10])
    seen = set()
    for row in rows_of(client, objectId=names, columns="i:candid,d:cdsxmatch"):
        word = words[row["i:candid"]]
        seen.add(word)
        assert row["d:cdsxmatch"] == ("Unknown" if word in ("ok", "no_match", "not_applicable") else None)
    assert len(seen) == 5
    strict = rows_of(client, objectId=names, columns="d:cdsxmatch,d:fink_status", nulls="strict")
    assert {row["d:cdsxmatch"] for row in strict} == {None}
    assert {json.loads(row["d:fink_status"])["simbad"] for row in strict} == seen


def test_light_curve_features_are_text_of_a_json_list(client, name):
    texts = [row["d:lc_features_g"] for row in rows_of(client, objectId=name)]
    assert all(text is None or isinstance(json.loads(text), list) for text in texts)


def test_unknown_columns_and_arguments_are_named_in_headers(client, name):
    answer = client.get(OBJECTS, params={"objectId": name, "columns": "i:jd,i:nope", "colour": "red\nX-Evil: 1"})
    assert [set(row) for row in answer.json()] == [{"i:jd"}] * 3
    assert answer.headers["Fink-Unknown-Columns"] == "i:nope"
    assert answer.headers["Fink-Ignored-Args"] == "colour"


def test_no_known_column_at_all_is_an_error(client, name):
    answer = client.get(OBJECTS, params={"objectId": name, "columns": "x,y"})
    assert answer.status_code == 400
    assert answer.headers["Fink-Error-Code"] == "unknown-columns"


def test_a_cut_answer_says_so_and_offset_goes_on(client, name):
    first = client.get(OBJECTS, params={"objectId": name, "limit": 2})
    assert len(first.json()) == 2
    assert first.headers["Fink-Truncated"] == "rows 1-2 of 3; use limit and offset"
    rest = client.get(OBJECTS, params={"objectId": name, "limit": 2, "offset": 2})
    assert "Fink-Truncated" not in rest.headers
    assert [*first.json(), *rest.json()] == rows_of(client, objectId=name)


def test_ids_can_be_text(client, name):
    assert rows_of(client, objectId=name, ids="string", columns="i:candid")[0]["i:candid"] == str(10**17 + 127)


def test_pandas_reads_csv_and_parquet_by_address(client, name):
    address = f"{client.base_url}{OBJECTS}?objectId={name}&output-format="
    # pandas rounds the last digit of a float unless told not to
    comma = pd.read_csv(address + "csv", float_precision="round_trip")
    parquet = pd.read_parquet(address + "parquet")
    records = pd.DataFrame(rows_of(client, objectId=name))
    assert list(comma.columns) == list(parquet.columns) == list(records.columns)
    for column in ("i:candid", "i:jd", "i:magpsf", "i:ra"):
        assert comma[column].tolist() == records[column].tolist()
        assert parquet[column].tolist() == records[column].tolist()


def test_astropy_reads_the_votable(client, name):
    answer = client.get(OBJECTS, params={"objectId": name, "output-format": "votable"})
    assert answer.headers["content-type"].startswith("text/xml")
    table = votable.parse_single_table(io.BytesIO(answer.content)).to_table(use_names_over_ids=True)
    records = rows_of(client, objectId=name)
    assert table.colnames == list(records[0])
    assert table["i:candid"].tolist() == [row["i:candid"] for row in records]
    assert table["i:jd"].tolist() == [row["i:jd"] for row in records]
    assert table["i:schemavsn"].dtype.kind in "UO"
    assert [bool(masked) for masked in np.ma.getmaskarray(table["d:jd_first_real_det"])] == [
        row["d:jd_first_real_det"] is None for row in records
    ]


@pytest.mark.parametrize(
    ("form", "kind"), [("json", "application/json"), ("csv", "application/csv"), ("parquet", "parquet")]
)
def test_formats_have_the_content_types_that_clients_expect(client, name, form, kind):
    answer = client.get(OBJECTS, params={"objectId": name, "output-format": form})
    assert answer.headers["content-type"].split(";")[0] == kind


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "votable"])
def test_an_unknown_object_is_an_empty_answer_in_every_format(client, form):
    answer = client.get(OBJECTS, params={"objectId": "ZTF00nothing", "output-format": form})
    assert answer.status_code == 200
    if form == "json":
        assert answer.json() == []
    if form == "csv":
        assert pd.read_csv(io.BytesIO(answer.content)).empty
    if form == "parquet":
        assert pq.read_table(io.BytesIO(answer.content)).num_rows == 0
    if form == "votable":
        assert len(votable.parse_single_table(io.BytesIO(answer.content)).to_table()) == 0


def test_an_alert_is_visible_as_soon_as_the_lake_has_it(tmp_path):
    settings = write_settings(tmp_path)
    lake = open_lake(settings, "ztf")
    lake.ensure()
    # rows of the same number share the object's name
    first, second = (alerts(lake, "20240312", first_id=10**17 + place).slice(7, 1) for place in (0, 100))
    with serving(settings) as client:
        lake.append("science", first)
        name = first.column("objectId")[0].as_py()
        assert len(rows_of(client, objectId=name)) == 1
        lake.append("science", second)
        deadline = time.monotonic() + 5
        while len(rows_of(client, objectId=name)) < 2:
            assert time.monotonic() < deadline, "the second alert never came"
        lake.replace_night("science", "20240312", pa.concat_tables([first, second]))
        assert len(rows_of(client, objectId=name, limit=5)) == 2


def test_without_hbase_archived_nights_give_503_and_a_time_to_come_back(tmp_path, lake):
    settings = write_settings(tmp_path)
    own = open_lake(settings, "ztf")
    own.ensure()
    set_state(own, "20240310", "archived", "verify_archive", "", datetime(2024, 3, 13, tzinfo=UTC))
    with serving(settings) as client:
        answer = client.get(OBJECTS, params={"objectId": "ZTF18aaaaaaa"})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Fink-Error-Code"] == "service-away"
        problem = client.get(OBJECTS, params={"objectId": "x"}, headers={"Accept": "application/json"}).json()
        assert problem["status"] == 503


def test_column_names_are_known_without_reading_anything(client, lake, name):
    assert list(rows_of(client, objectId=name)[0]) == list(known_columns(lake.survey, "full", evolution=True))
