"""The columns of answers, named and explained."""

from __future__ import annotations

import pytest

from fink_lib.api.column_sets import known_columns


@pytest.fixture(scope="module")
def groups(client):
    answer = client.get("/api/v1/schema")
    assert answer.status_code == 200
    return answer.json()


def test_there_are_the_four_groups_that_clients_know(groups):
    assert list(groups) == [
        "ZTF original fields (i:)",
        "ZTF original cutouts (b:)",
        "Fink science module outputs (d:)",
        "Fink on-the-fly added values (v:)",
    ]


def test_every_column_of_an_answer_has_a_type_and_a_meaning(groups, lake):
    told = {f"{title[-3]}:{name}": entry for title, columns in groups.items() for name, entry in columns.items()}
    for column in known_columns(lake.survey, "full", evolution=True):
        assert told[column]["type"] in ("string", "double", "float", "int", "long", "boolean"), column
        assert told[column]["doc"], column
    assert set(groups["ZTF original cutouts (b:)"]) == {
        f"cutout{kind}_stampData" for kind in ("Science", "Template", "Difference")
    }


def test_types_are_those_of_the_answer(groups):
    original = groups["ZTF original fields (i:)"]
    assert {name: original[name]["type"] for name in ("candid", "jd", "magpsf", "fid", "objectId")} == {
        "candid": "long",
        "jd": "double",
        "magpsf": "float",
        "fid": "int",
        "objectId": "string",
    }
