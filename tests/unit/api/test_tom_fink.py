"""The four bodies that tom_fink sends work unchanged, and give what it reads of every row."""

from __future__ import annotations

import pytest

from fink_lib.config import load_settings
from fink_lib.lake import open_lake
from tests.night_rows import replace
from tests.unit.api.conftest import alerts, serving, write_settings

FIRST = 10**17
NEEDED = {"i:objectId", "i:ra", "i:dec", "i:magpsf", "i:jd", "i:candid"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = open_lake(write_settings(tmp_path_factory.mktemp("tom")), "ztf")
    lake.ensure()
    rows = alerts(lake, "20240312", FIRST, 30)
    rows = replace(
        rows,
        finkclass=["SN candidate"] * 30,
        candidate={"ra": [10.5] * 30, "dec": [2.9] * 30, "magpsf": [18.5] * 30, "ssnamenr": ["8467"] * 30},
    )
    lake.append("science", rows)
    return lake


@pytest.fixture(scope="module")
def client(lake):
    with serving(load_settings(lake.root.removesuffix("/lake"))) as client:
        yield client


def post(client, path, body):
    answer = client.post(f"/api/v1/{path}", json=body)
    answer.raise_for_status()  # tom_fink raises for anything but success
    rows = answer.json()
    assert rows
    for row in rows:
        assert set(row) >= NEEDED
        assert isinstance(row["i:candid"], int)
        assert all(row[name] is not None for name in NEEDED)
    return rows


def test_an_object(client):
    columns = "i:candid,d:rf_snia_vs_nonia,i:ra,i:dec,i:jd,i:magpsf,i:objectId,d:cdsxmatch"
    rows = post(client, "objects", {"objectId": "ZTF18aaaaaah", "columns": columns})
    assert set(rows[0]) == set(columns.split(","))


def test_a_cone_with_numbers_as_they_were_typed(client):
    rows = post(client, "conesearch", {"ra": "10.5", "dec": " 2.9", "radius": "5"})
    assert len(rows) == 30
    assert all(row["v:separation_degree"] < 5 / 3600 for row in rows)


def test_a_class_with_a_number_as_text_and_with_dates(client):
    name = client.get("/api/v1/classes").json()["Fink classifiers"][7]
    assert len(post(client, "latests", {"class": name, "n": "10"})) == 10
    between = {"startdate": "2024-03-11 00:00:00.000", "stopdate": "2024-03-13T00:00:00"}
    assert len(post(client, "latests", {"class": name, "n": 1000, **between})) == 30


def test_an_asteroid_with_its_name_and_number(client):
    columns = "i:ssnamenr,i:candid,i:ra,i:dec,i:jd,i:magpsf,i:objectId,d:roid"
    rows = post(client, "sso", {"n_or_d": "8467", "columns": columns})
    assert {row["sso_number"] for row in rows} == {8467}
    assert "sso_name" in rows[0]
