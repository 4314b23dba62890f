"""Whatever a client sends, the answer is never the API's own fault, and has a form that the OpenAPI document names."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

words = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "*", "json", "csv", "parquet", "votable", "ZTF18aaaaaah", "i:jd,v:rate", "d:fink_status", "true", "0",
         "-1", "1e9", "10000", "nan", "strict", "string", "20240310", "2024-03-10", "' OR 1=1 --", "../..", "\x00",
         "\r\nA: b", "PrefixFilter('Z')", "ZTF18aaaaaah\x00", "<script>", "Science", "All", "array", "Unknown",
         "(TNS) SN Ia", "rising", "10h20m30s", "-3:04:05", "TRCK_20240312", "8467", "2010 JO69", "simbad", "tns",
         "ssodnet", "90", "18000", "2460381.5", "arrow", "SHG1G2", "2025.01", "b'a'", "H4sIAAAAAAAA", "any",
         "lightcurves"]
    ),
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
lazily = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def document(client):
    return client.get("/swagger.json").json()


def arguments_of(document, path, method):
    return sorted(p["name"] for p in document["paths"][path][method]["parameters"] if p["in"] == "query") + ["nonsense"]


def check(document, path, method, answer):
    told = document["paths"][path][method]["responses"]
    away = answer.headers.get("Fink-Error-Code") == "service-off"  # a service outside, which nobody asks here
    assert answer.status_code < 500 or away, (answer.request.url, answer.text[:200])
    assert str(answer.status_code) in told, (answer.status_code, answer.request.url)
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in told[str(answer.status_code)]["content"], (kind, answer.request.url)
    if kind == "application/json":
        json.loads(answer.text, parse_constant=pytest.fail)  # NaN is not JSON


TABLES = (
    "objects", "statistics", "latests", "anomaly", "conesearch", "tracklet", "sso", "ssocand", "ssoft", "ssobulk",
    "resolver", "skymap", "cutouts", "classes", "schema",
)  # fmt: skip


@pytest.mark.parametrize("path", [f"/api/v1/{name}" for name in TABLES])
@lazily
@given(data=st.data())
def test_queries(client, document, path, data):
    names = arguments_of(document, path, "get")
    query = data.draw(st.dictionaries(st.sampled_from(names), words, max_size=4))
    check(document, path, "get", client.get(path, params=query))


@pytest.mark.parametrize("path", [f"/api/v1/{name}" for name in TABLES if name not in ("classes", "schema")])
@lazily
@given(data=st.data())
def test_bodies(client, document, path, data):
    names = arguments_of(document, path, "post")
    body = data.draw(st.dictionaries(st.sampled_from(names), values, max_size=4) | values)
    check(document, path, "post", client.post(path, content=json.dumps(body)))


@pytest.mark.parametrize("path", ["/api/v1/why/{candid}", "/api/v1/nights/{night}/summary", "/api/v1/nights"])
@lazily
@given(data=st.data())
def test_paths(client, document, path, data):
    from urllib.parse import quote

    word = quote(data.draw(words), safe="")
    names = arguments_of(document, path, "get")
    query = data.draw(st.dictionaries(st.sampled_from(names), words, max_size=3))
    filled = path.replace("{candid}", word or "x").replace("{night}", word or "x")
    answer = client.get(filled, params=query)
    if answer.status_code != 404 or "%2F" not in word:  # a slash in a name makes another path
        check(document, path, "get", answer)


def test_a_slash_too_many_is_another_path(client):
    assert client.get("/api/v1/why/0%2F", follow_redirects=False).status_code == 404
