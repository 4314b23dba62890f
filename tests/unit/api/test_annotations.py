"""Annotations and names over the API: shape, ownership, history."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pandas as pd
import pytest

from tests.unit.api.community import header
from tests.unit.api.conftest import serving, write_settings

ANNOTATE, ANNOTATIONS, METADATA = "/api/v1/annotate", "/api/v1/annotations", "/api/v1/metadata"
WHOLE = {
    "topic": "fast_finder",
    "objectId": "ZTF21abiuvdk",
    "classification": "Kilonova",
    "version": "0.3",
    "explanation": "fades by 0.4 mag a day",
    "classdict": {"Kilonova": 0.91, "SN Ia": 0.05},
    "url": "https://example.org/ZTF21abiuvdk",
    "source": "the stream",
    "citation": "10.5281/zenodo.0000000",
}


@pytest.fixture
def home(tmp_path):
    return write_settings(tmp_path)


@pytest.fixture
def client(home):
    with serving(home) as opened:
        yield opened


@pytest.fixture
def ann(home):
    return header(home, "ann")


@pytest.fixture
def bob(home):
    return header(home, "bob")


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """Give a client and a token for requests that leave no annotation behind."""
    settings = write_settings(tmp_path_factory.mktemp("refusing"))
    with serving(settings) as opened:
        opened.headers.update(header(settings, "ann"))
        yield opened


def of(client, object_id="ZTF21abiuvdk", **more):
    return client.get(ANNOTATIONS, params={"objectId": object_id, **more}).json()


def test_what_is_said_comes_back_as_it_was_said(client, ann):
    answer = client.post(ANNOTATE, json=WHOLE, headers=ann)
    assert answer.json() == {"status": "success", "annotations": 1, "new": 1}
    (told,) = of(client)
    assert {name: told[name] for name in WHOLE} == WHOLE
    assert (told["owner"], told["latest"]) == ("ann", True)


def test_the_latest_counts_and_the_earlier_ones_stay(client, ann):
    client.post(ANNOTATE, json=WHOLE, headers=ann)
    client.post(ANNOTATE, json={**WHOLE, "classification": "AGN"}, headers=ann)
    again = client.post(ANNOTATE, json={**WHOLE, "classification": "AGN"}, headers=ann)
    assert again.json()["new"] == 0
    assert [one["classification"] for one in of(client)] == ["AGN"]
    history = of(client, history="true")
    assert [(one["classification"], one["latest"]) for one in history] == [("AGN", True), ("Kilonova", False)]


def test_a_topic_belongs_to_whoever_wrote_in_it_first(client, home, ann, bob):
    client.post(ANNOTATE, json=WHOLE, headers=ann)
    answer = client.post(ANNOTATE, json=[{**WHOLE, "topic": "bobs"}, WHOLE], headers=bob)
    assert answer.status_code == 403
    assert "fast_finder" in answer.json()["detail"]
    assert [one["topic"] for one in of(client)] == ["fast_finder"]  # of a list, all or none
    admin = header(home, "root", ["annotate", "admin"])
    assert client.post(ANNOTATE, json={**WHOLE, "classification": "AGN"}, headers=admin).status_code == 200


def test_the_community_topic_is_everybodys_and_each_has_one_voice(client, home):
    people = {name: header(home, name) for name in ("ann", "bob", "eve")}
    mine = {"topic": "community", "objectId": "ZTF21abiuvdk"}
    for name, label in (("ann", "AGN"), ("bob", "sn-ia"), ("eve", "SN Ia"), ("ann", "SN Ia")):
        assert client.post(ANNOTATE, json={**mine, "classification": label}, headers=people[name]).status_code == 200
    assert sorted(one["owner"] for one in of(client)) == ["ann", "bob", "eve"]
    (told,) = client.get("/api/v1/consensus", params={"objectId": "ZTF21abiuvdk"}).json()
    assert (told["classification"], told["votes"], told["agreement"]) == ("SN Ia", 3, 1.0)
    (nobody,) = client.get("/api/v1/consensus", params={"objectId": "ZTF18aaaaaah"}).json()
    assert (nobody["classification"], nobody["votes"]) == (None, 0)


def test_many_are_taken_at_once_and_paged(client, ann):
    many = [{**WHOLE, "objectId": f"ZTF21aaaaa{a}{b}"} for a in "abcde" for b in "abcdefghij"]
    assert client.post(ANNOTATE, json=many, headers=ann).json()["new"] == 50
    pages = [
        client.get(ANNOTATIONS, params={"topic": "fast_finder", "limit": 20, "offset": n}).json() for n in (0, 20, 40)
    ]
    found = [one["objectId"] for page in pages for one in page]
    assert found == [one["objectId"] for one in reversed(many)]


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"objectId": "ZTF21"}, "objectId"), ({"objectId": None}, "objectId"), ({"objectId": {"a": 1}}, "objectId"),
        ({"objectId": "ZTF21abiuvdk' OR '1'='1"}, "objectId"), ({"topic": ""}, "topic"), ({"topic": "../x"}, "topic"),
        ({"topic": "a b"}, "topic"), ({"classification": ""}, "classification"),
        ({"classification": "x" * 81}, "classification"), ({"classification": "a\x00b"}, "classification"),
        ({"explanation": "x" * 10_001}, "explanation"), ({"classdict": [1]}, "classdict"),
        ({"classdict": "{"}, "classdict"), ({"classdict": {"a": float("inf")}}, "classdict"),
        ({"classdict": {"a": "x" * 30_000}}, "classdict"), ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "http://[x"}, "url"), ({"url": "https://x/\"onload="}, "url"), ({"version": True}, "version"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_name(refusing, change, argument):
    answer = refusing.post(ANNOTATE, content=json.dumps({**WHOLE, **change}))
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["errors"][0]["arg"] == argument
    assert refusing.get(ANNOTATIONS).json() == []


@pytest.mark.parametrize("body", [b"", b"null", b"3", b"[]", b"[[]]", b"{", b'{"topic": "\\ud800"}', b"[" * 5000])
def test_bodies_that_are_no_annotations_are_the_clients_error(refusing, body):
    assert refusing.post(ANNOTATE, content=body).status_code == 400


def test_a_body_is_bounded(refusing):
    assert refusing.post(ANNOTATE, content=b" " * (5 * 1024 * 1024)).status_code == 413
    many = [{**WHOLE, "objectId": "ZTF21abiuvdk"}] * 1001
    assert refusing.post(ANNOTATE, json=many).status_code == 413


# -- names -------------------------------------------------------------------------------------------------------------

NAMED = {"objectId": "ZTF21abiuvdk", "internal_name": "My first SN", "username": "Ann", "comments": "rises fast"}


def test_who_gives_a_name_is_thanked(client, ann):
    answer = client.post(METADATA, json=NAMED, headers=ann)
    assert answer.text == "Thanks Ann - You can visit http://127.0.0.1:28000/MyfirstSN"
    told = {
        "i:objectId": "ZTF21abiuvdk",
        "d:internal_name": "My first SN",
        "d:internal_name_encoded": "MyfirstSN",
        "d:comments": "rises fast",
        "d:username": "Ann",
    }
    for by in ({"objectId": "ZTF21abiuvdk"}, {"internal_name": "My first SN"}, {"internal_name_encoded": "MyfirstSN"},
               {"objectId": "all"}):  # fmt: skip
        assert client.get(METADATA, params=by).json() == [told]
    assert client.get(METADATA, params={"objectId": "ZTF18aaaaaah"}).json() == []
    table = pd.read_csv(io.StringIO(client.get(METADATA, params={"objectId": "all", "output-format": "csv"}).text))
    assert table.to_dict("records") == [told]


def test_a_name_changes_only_by_its_owner_and_nothing_is_forgotten(client, ann, bob):
    client.post(METADATA, json=NAMED, headers=ann)
    assert client.post(METADATA, json={**NAMED, "comments": "mine!"}, headers=bob).status_code == 403
    assert client.post(METADATA, json={**NAMED, "comments": "it fades"}, headers=ann).status_code == 200
    history = client.get(METADATA, params={"objectId": "ZTF21abiuvdk", "history": "true"}).json()
    assert [(one["d:comments"], one["d:owner"]) for one in history] == [("it fades", "ann"), ("rises fast", "ann")]


def test_a_name_means_one_object(client, ann, bob):
    client.post(METADATA, json=NAMED, headers=ann)
    other = {**NAMED, "objectId": "ZTF18aaaaaah", "internal_name": "Myfirst SN"}
    assert client.post(METADATA, json=other, headers=bob).status_code == 409


def test_of_many_who_want_one_name_one_gets_it(client, home):
    heads = [header(home, f"user{n}") for n in range(8)]
    bodies = [{**NAMED, "objectId": f"ZTF21aaaaaa{letter}"} for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda pair: client.post(METADATA, json=pair[0], headers=pair[1]).status_code,
                              zip(bodies, heads, strict=True)))  # fmt: skip
    assert sorted(codes) == [200] + [409] * 7
    assert len(client.get(METADATA, params={"objectId": "all"}).json()) == 1


@pytest.mark.parametrize("name", ["", "<script>", "a/b", "a?b", "a#b", "a%2fb", "a\r\nX: y", "x" * 81])
def test_names_that_would_not_fit_into_an_address_are_refused(refusing, name):
    answer = refusing.post(METADATA, json={**NAMED, "internal_name": name})
    assert answer.status_code == (200 if name == "a\r\nX: y" else 400)
    assert "X" not in answer.headers


def test_the_name_is_shown_as_plain_text(client: httpx.Client, ann):
    answer = client.post(METADATA, json={**NAMED, "username": "<b>Ann</b>"}, headers=ann)
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_get_without_arguments_says_what_it_is(client):
    assert client.get(METADATA).text == "Names and comments that people gave to objects\n"
    assert client.get(METADATA, params={"columns": "*"}).status_code == 400
