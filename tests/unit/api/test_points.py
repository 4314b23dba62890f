"""Upper limits and points of bad quality of objects in the lake, against the histories they are made from."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from fink_lib.lake import open_lake
from tests.night_rows import replace
from tests.unit.api.conftest import alerts, serving, write_settings

OBJECTS = "/api/v1/objects"
FIRST = 10**17
NAME = "ZTF18aaaaaac"
START_JD = 2460381.5


def point(jd, fid, magpsf=None, rb=None, nbad=None, limit=20.0):
    return {
        "jd": jd,
        "fid": fid,
        "magpsf": magpsf,
        "rb": rb,
        "nbad": nbad,
        "diffmaglim": limit,
        "sigmapsf": magpsf and 0.1,
    }


def histories():
    """Give the history of each of two alerts of the object."""
    early = [
        point(START_JD - 9, 1),
        point(START_JD - 8, 2, 18.5, rb=0.9, nbad=0),
        point(START_JD - 7, 1, 19.5, rb=0.2, nbad=0),
        point(START_JD - 6, 2),
    ]
    return [early, [*early[1:], point(START_JD - 5, 1, 19.0, rb=0.9, nbad=3), point(START_JD - 4, 2)]]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = write_settings(tmp_path_factory.mktemp("points"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    for place, (night, history) in enumerate(zip(("20240311", "20240312"), histories(), strict=True)):
        rows = alerts(lake, night, FIRST + 10 * place, 5)
        fields = [field.name for field in lake.schema("raw").field("prv_candidates").type.value_type]
        entries = [{field: one.get(field) for field in fields} for one in history]
        lake.append("science", replace(rows, prv_candidates=[entries] * 5))
    with serving(settings) as client:
        yield client


def points(client, **arguments):
    answer = client.get(OBJECTS, params={"objectId": NAME, "withupperlim": "True", **arguments})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_point_of_the_histories_comes_once_with_its_tag(client):
    rows = points(client)
    assert [(row["d:tag"], row["i:candid"], row["i:jd"] - START_JD) for row in rows[2:]] == [
        ("upperlim", -1, -4),
        ("upperlim", -1, -6),
        ("upperlim", -1, -9),
    ]
    assert [(row["d:tag"], row["i:candid"]) for row in rows[:2]] == [("valid", FIRST + 12), ("valid", FIRST + 2)]
    assert rows[2]["i:diffmaglim"] == 20.0
    assert rows[2]["i:magpsf"] is rows[2]["d:cdsxmatch"] is None


def test_without_the_argument_there_are_alerts_only(client):
    rows = points(client, withupperlim="False")
    assert len(rows) == 2
    assert "d:tag" not in rows[0]


def test_the_tag_is_there_whatever_columns_are_chosen(client):
    rows = points(client, columns="i:magpsf")
    assert [set(row) for row in rows] == [{"i:magpsf", "d:tag"}] * 5


def test_pages_of_points_are_pages_of_the_whole(client):
    whole = points(client, columns="i:jd")
    assert [row for place in range(5) for row in points(client, columns="i:jd", limit=1, offset=place)] == whole


def test_points_come_in_other_formats(client):
    answer = client.get(OBJECTS, params={"objectId": NAME, "withupperlim": 1, "output-format": "csv"})
    assert pd.read_csv(io.BytesIO(answer.content))["d:tag"].value_counts().to_dict() == {"upperlim": 3, "valid": 2}


def test_points_of_bad_quality_are_told_apart_and_an_alert_is_not_repeated(tmp_path):
    settings = write_settings(tmp_path)
    lake = open_lake(settings, "ztf")
    lake.ensure()
    rows = alerts(lake, "20240312", FIRST, 3)
    candidate = rows.column("candidate").combine_chunks()
    own = point(candidate.field("jd")[2].as_py(), candidate.field("fid")[2].as_py(), 18.0, rb=0.1, nbad=0)
    fields = [field.name for field in lake.schema("raw").field("prv_candidates").type.value_type]
    history = [own, point(START_JD - 3, 1, 19.0, rb=0.2, nbad=0)]
    entries = [{field: one.get(field) for field in fields} for one in history]
    lake.append("science", replace(rows, prv_candidates=[entries] * 3))
    with serving(settings) as client:
        found = [(row["d:tag"], row["i:magpsf"]) for row in points(client)]
    assert [tag for tag, _ in found] == ["valid", "badquality"]
    assert found[1][1] == 19.0
