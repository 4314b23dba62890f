"""Watchlists and cross-matches over the API, over three nights of the lake."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from fink_lib.community import positions
from tests.unit.api.community import header
from tests.unit.api.conftest import NIGHTS

WATCHLISTS, XMATCH = "/api/v1/watchlists", "/api/v1/xmatch"


@pytest.fixture(scope="module")
def ann(filled_home):
    return header(filled_home, "ann")


@pytest.fixture(scope="module")
def bob(filled_home):
    return header(filled_home, "bob")


@pytest.fixture(scope="module")
def alerts(lake):
    """Give position, id and night of every alert of the lake."""
    rows = lake.dataset("science", list(NIGHTS)).to_table(columns=["objectId", "candid", "night", "candidate"])
    table = pd.DataFrame({name: rows.column(name).to_pylist() for name in ("objectId", "candid", "night")})
    place = rows.column("candidate").combine_chunks()
    return table.assign(**{name: place.field(name).to_numpy() for name in ("ra", "dec", "jd")})


def made(client, head, **content):
    answer = client.post(WATCHLISTS, json={"name": "mine", **content}, headers=head)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_cone_finds_the_alerts_in_it_newest_first(client, ann, alerts):
    one = alerts.iloc[7]
    watchlist = made(client, ann, cones=[{"name": "there", "ra": one.ra, "dec": one.dec, "radius": 2.0}])
    found = client.get(f"{WATCHLISTS}/{watchlist['id']}/matches", headers=ann).json()
    there = alerts[(alerts.ra == one.ra) & (alerts.dec == one.dec)].sort_values("jd", ascending=False)
    assert [row["i:candid"] for row in found] == there.candid.tolist()
    assert len(found) == len(NIGHTS)
    assert {row["v:watched"] for row in found} == {"there"}
    assert all(abs(row["v:separation_degree"]) < 1e-9 for row in found)


def test_a_small_watchlist_comes_with_the_condition_of_a_filter(client, ann, alerts):
    one = alerts.iloc[7]
    cone = {"ra": one.ra, "dec": one.dec, "radius": 2.0}
    watchlist = made(client, ann, cones=[cone], objects=["ZTF18aaaaaah"])
    told = client.get(f"{WATCHLISTS}/{watchlist['id']}", headers=ann).json()
    filed = {"name": "watching", "predicate": told["predicate"], "description": "my places", "budget": 1}
    assert client.post("/api/v1/filters", json=filed, headers=ann).status_code == 201
    large = made(client, ann, cones=[{**cone, "ra": n / 100} for n in range(1000)])
    assert client.get(f"{WATCHLISTS}/{large['id']}", headers=ann).json()["predicate"] == ""


def test_objects_and_regions_find_theirs(client, ann, alerts):
    names = alerts.objectId.unique()[:2].tolist()
    found = client.get(f"{WATCHLISTS}/{made(client, ann, objects=names)['id']}/matches", headers=ann).json()
    assert {row["i:candid"] for row in found} == set(alerts[alerts.objectId.isin(names)].candid)
    assert {row["v:separation_degree"] for row in found} == {None}
    whole = made(client, ann, moc={"0": list(range(12))})
    found = client.get(f"{WATCHLISTS}/{whole['id']}/matches", headers=ann).json()
    assert {row["i:candid"] for row in found} == set(alerts.candid)
    again = client.put(f"{WATCHLISTS}/{whole['id']}", json={"name": "same", "moc": whole["moc"]}, headers=ann).json()
    assert (again["moc"], again["version"]) == (whole["moc"], 2)


def test_nights_are_chosen_and_an_answer_goes_on_where_it_ended(client, ann, alerts):
    whole = made(client, ann, moc="0/0-11")
    path = f"{WATCHLISTS}/{whole['id']}/matches"
    some = client.get(path, params={"from": NIGHTS[0], "to": NIGHTS[1]}, headers=ann).json()
    assert {row["i:candid"] for row in some} == set(alerts[alerts.night.isin(NIGHTS[:2])].candid)
    assert client.get(path, params={"from": NIGHTS[1], "to": NIGHTS[0]}, headers=ann).json() == []
    seen: list[int] = []
    more = {}
    while True:
        answer = client.get(path, params={"limit": 60, "columns": "i:candid", **more}, headers=ann)
        seen += [row["i:candid"] for row in answer.json()]
        if "Fink-Continue" not in answer.headers:
            break
        more = {"continue": answer.headers["Fink-Continue"]}
    assert sorted(seen) == sorted(alerts.candid)


def test_the_time_of_a_search_is_bounded_too(lake, alerts):
    from fink_lib.filters.places import Places

    found = positions.search(lake, Places(objects=tuple(alerts.objectId)), NIGHTS, 10**6, seconds=0.0)
    assert found.left == NIGHTS[-1] and found.table.num_rows == 0 or found.left == NIGHTS[-2]


def test_matches_come_in_every_format(client, ann):
    path = f"{WATCHLISTS}/{made(client, ann, moc='0/0-11')['id']}/matches"
    csv = client.get(path, params={"output-format": "csv"}, headers=ann)
    parquet = client.get(path, params={"output-format": "parquet"}, headers=ann)
    assert len(pd.read_csv(io.StringIO(csv.text))) == len(pd.read_parquet(io.BytesIO(parquet.content))) == 180


def test_a_private_watchlist_is_its_owners_alone(client, ann, bob):
    hidden, shown = made(client, ann, objects=["ZTF18aaaaaah"]), made(client, ann, objects=["ZTF18aaaaaah"],
                                                                     visibility="public")  # fmt: skip
    for head, sees in ((ann, True), (bob, False), ({}, False)):
        assert client.get(f"{WATCHLISTS}/{hidden['id']}", headers=head).status_code == (200 if sees else 404)
        assert client.get(f"{WATCHLISTS}/{hidden['id']}/matches", headers=head).status_code == (200 if sees else 404)
        assert client.get(f"{WATCHLISTS}/{shown['id']}/matches", headers=head).status_code == 200
        listed = {one["id"] for one in client.get(WATCHLISTS, headers=head).json()}
        assert (hidden["id"] in listed, shown["id"] in listed) == (sees, True)
    change = {"name": "stolen", "objects": ["ZTF18aaaaaai"]}
    assert client.put(f"{WATCHLISTS}/{hidden['id']}", json=change, headers=bob).status_code == 404
    assert client.put(f"{WATCHLISTS}/{shown['id']}", json=change, headers=bob).status_code == 403
    assert client.delete(f"{WATCHLISTS}/{shown['id']}", headers=bob).status_code == 403
    assert client.delete(f"{WATCHLISTS}/{shown['id']}", headers=ann).status_code == 200
    assert client.get(f"{WATCHLISTS}/{shown['id']}", headers=ann).status_code == 404


@pytest.mark.parametrize(
    ("content", "argument"),
    [
        ({}, "cones"), ({"cones": []}, "cones"), ({"cones": 5}, "cones"), ({"cones": [5]}, "cones"),
        ({"cones": [{"ra": 1, "dec": 2}]}, "cones.radius"),
        ({"cones": [{"ra": 361, "dec": 2, "radius": 1}]}, "cones.ra"),
        ({"cones": [{"ra": 1, "dec": float("nan"), "radius": 1}]}, "cones.dec"),
        ({"cones": [{"ra": True, "dec": 2, "radius": 1}]}, "cones.ra"),
        ({"cones": [{"ra": 1, "dec": 2, "radius": 1e9}]}, "cones.radius"),
        ({"cones": [{"ra": 1, "dec": 2, "radius": 0}]}, "cones.radius"), ({"objects": ["nothing"]}, "objects"),
        ({"objects": "ZTF18aaaaaah"}, "objects"), ({"objects": [["a"]]}, "objects"), ({"moc": "x"}, "moc"),
        ({"moc": [1]}, "moc"), ({"moc": {"40": [1]}}, "moc"), ({"name": " ", "moc": "0/1"}, "name"),
        ({"objects": ["ZTF18aaaaaah"], "visibility": "all"}, "visibility"),
        ({"objects": ["ZTF18aaaaaah"] * 10_001}, "objects"),
    ],
)  # fmt: skip
def test_what_cannot_be_watched_is_refused_by_name(client, ann, content, argument):
    answer = client.post(WATCHLISTS, content=json.dumps({"name": "mine", **content}), headers=ann)
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["errors"][0]["arg"] == argument


# -- cross-match -------------------------------------------------------------------------------------------------------


def csv_of(alerts, shift_arcsec=0.5):
    lines = [f"s{n},{one.ra},{min(one.dec + shift_arcsec / 3600, 90)}" for n, one in enumerate(alerts.itertuples())]
    return "name,RA,Dec\n" + "\n".join(lines) + "\n"


def test_every_source_gets_the_alerts_near_it(client, ann, alerts):
    chosen = alerts[alerts.night == NIGHTS[-1]].iloc[5:10]
    body = {"file": csv_of(chosen), "ra": "RA", "dec": "Dec", "id": "name", "radius": 1.5}
    found = client.post(XMATCH, json=body, headers=ann)
    assert found.status_code == 200, found.text
    assert [(row["v:source"], row["i:candid"]) for row in found.json()] == [
        (f"s{n}", candid) for n, candid in enumerate(chosen.candid)
    ]
    assert all(row["v:separation_degree"] * 3600 == pytest.approx(0.5, abs=1e-6) for row in found.json())
    assert client.post(XMATCH, json={**body, "radius": 0.4}, headers=ann).json() == []
    every = client.post(XMATCH, json={**body, "from": NIGHTS[0], "output-format": "csv"}, headers=ann)
    table = pd.read_csv(io.StringIO(every.text))
    assert len(table) == 5 * len(NIGHTS)
    assert client.post(XMATCH, json=body).status_code == 401


def test_a_file_can_be_uploaded_as_such(client, ann, alerts):
    chosen = alerts[alerts.night == NIGHTS[-1]].iloc[:3]
    answer = client.post(
        XMATCH, files={"file": ("a.csv", csv_of(chosen))}, data={"ra": "RA", "dec": "Dec"}, headers=ann
    )
    assert [row["v:source"] for row in answer.json()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "body",
    [
        {"file": ""}, {"file": "ra,dec\n"}, {"file": "ra,dec\n1,2,3\n"}, {"file": "ra,dec\na,b\n"}, {"file": 5},
        {"file": "a,b\n1,2\n"}, {"file": "ra,dec\n400,2\n"}, {"file": "ra,dec\n1,nan\n"}, {"file": "ra,dec\n,1\n"},
        {"file": "ra,dec\n1,2\n", "radius": 1e4}, {"file": "ra,dec\n1,2\n", "radius": "x"},
        {"file": "ra,dec\n1,2\n", "id": "nothing"}, {"file": "ra,dec,ra\n1,2,3\n"}, {"file": "\ud800"},
        {"file": "ra,dec\n1,2\n", "ra": ""}, {"file": "ra,dec\n1,2\n", "from": "yesterday"}, {}, {"file": ["x"]},
        {"file": "ra,dec\n1,2\n", "ra": "dec"}, {"file": "\x00"}, {"file": "ra,dec\n1,2\n", "output-format": "xls"},
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_the_clients_error(client, ann, body):
    answer = client.post(XMATCH, content=json.dumps(body), headers=ann)
    assert answer.status_code == 400, answer.text


def test_the_size_of_a_table_is_bounded(client, ann):
    rows = "1.0,2.0\n" * (positions.MOST_SOURCES + 1)
    assert client.post(XMATCH, json={"file": "ra,dec\n" + rows}, headers=ann).status_code == 413
    assert client.post(XMATCH, json={"file": "x" * (6 << 20)}, headers=ann).status_code == 413
    answer = client.post(XMATCH, files={"file": ("a.csv", "x" * (6 << 20))}, headers=ann)
    assert answer.status_code == 413
