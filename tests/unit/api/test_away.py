"""Without HBase, whatever needs an archived night is 503 and says when to come back; the rest still answers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fink_lib.lake import open_lake
from fink_lib.nightly.nights import set_state
from tests.unit.api.conftest import serving, write_settings

ASKED = {
    "objects": {"objectId": "ZTF18aaaaaaa"},
    "objects with history": {"objectId": "ZTF18aaaaaaa", "withupperlim": "True"},
    "cutouts": {"objectId": "ZTF18aaaaaaa", "kind": "Science"},
    "latests": {"class": "Unknown"},
    "anomaly": {"n": 5},
    "conesearch": {"ra": 1, "dec": 2, "radius": 3},
    "tracklet": {"date": "2024-03-10"},
    "sso": {"n_or_d": "8467"},
    "ssocand": {"kind": "orbParams"},
    "resolver": {"resolver": "tns", "name": "SN 2023ixf"},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = write_settings(tmp_path_factory.mktemp("away"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    set_state(lake, "20240310", "archived", "verify_archive", "", datetime(2024, 3, 13, tzinfo=UTC))
    with serving(settings) as client:
        yield client


@pytest.mark.parametrize("name", ASKED)
def test_what_needs_the_archive_says_when_to_come_back(client, name):
    answer = client.get(f"/api/v1/{name.split()[0]}", params=ASKED[name])
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Fink-Error-Code"] == "service-away"
    problem = client.get(
        f"/api/v1/{name.split()[0]}", params=ASKED[name], headers={"Accept": "application/json"}
    ).json()
    assert problem["status"] == 503


@pytest.mark.parametrize("path", ["classes", "schema", "statistics?date=", "ssobulk?output-format=parquet", "nights"])
def test_what_does_not_need_it_answers(client, path):
    assert client.get(f"/api/v1/{path}").status_code == 200
