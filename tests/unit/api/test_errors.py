"""What the API answers when it refuses: exact bodies, no 500 whatever is sent."""

from __future__ import annotations

import ast

import pytest

OBJECTS = "/api/v1/objects"
STATISTICS = "/api/v1/statistics"


def test_the_body_is_the_text_of_a_python_dictionary(client):
    answer = client.post(OBJECTS, json={"columns": "i:jd"})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text == (
        "{'status': 'error', 'text': 'A value for `objectId` is required. See https://api.ztf.fink-portal.org \\n'}"
    )
    assert answer.headers["Fink-Error-Code"] == "missing-argument"


def test_an_unknown_format_is_named(client):
    answer = client.get(OBJECTS, params={"objectId": "x", "output-format": "xml"})
    assert answer.status_code == 400
    assert ast.literal_eval(answer.text) == {
        "status": "error",
        "text": "Output format `xml` is not supported. Choose among json, csv, votable, or parquet\n",
    }


@pytest.mark.parametrize(
    "accept", ["application/json", "application/problem+json", "text/html, application/json;q=0.9"]
)
def test_who_asks_for_json_gets_problem_details_with_the_same_text(client, accept):
    plain = client.get(OBJECTS, params={"foo": "1"})
    answer = client.get(OBJECTS, params={"foo": "1"}, headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == answer.status_code == 400
    assert problem["text"] == ast.literal_eval(plain.text)["text"]
    assert problem["errors"] == [{"arg": "objectId", "reason": "required"}]
    assert answer.headers["Fink-Error-Code"] == plain.headers["Fink-Error-Code"]


def test_a_wildcard_does_not_ask_for_json(client):
    answer = client.get(OBJECTS, params={"foo": "1"}, headers={"Accept": "*/*"})
    assert answer.headers["content-type"].startswith("text/html")


def test_a_get_without_arguments_describes_the_endpoint(client):
    for path in (OBJECTS, STATISTICS):
        answer = client.get(path)
        assert answer.status_code == 200
        assert len(answer.text.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 10_000, b'{"objectId": {"a": 1}}', b'{"objectId": null}',
     b'{"objectId": "\\ud800"}', b'{"objectId": "x", "limit": 1e999}', b'{"objectId": "x", "limit": NaN}',
     b'{"objectId": "x", "limit": -1}', b'{"objectId": "x", "offset": "1.5"}', b'{"objectId": "x", "ids": []}',
     b'{"objectId": "x", "nulls": "maybe"}', b'{"objectId": "x", "withcutouts": "perhaps"}',
     b'{"objectId": "x", "columns": 5}', b'{"objectId": "x", "columns": {"a": 2}}'],
)  # fmt: skip
def test_a_body_that_cannot_be_used_is_the_clients_error(client, body):
    answer = client.post(OBJECTS, content=body)
    assert answer.status_code == 400, answer.text
    assert ast.literal_eval(answer.text)["status"] == "error"


@pytest.mark.parametrize("value", ["True", "true", "1", '"True"', "False", "0", True, 1])
def test_booleans_are_read_in_every_spelling(client, value):
    assert client.post(OBJECTS, json={"objectId": "x", "withupperlim": value}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/v1/nope", "/api/v1/nights/20240310", "/static/secret.js", "/static/..%2fapp.py"]
)
def test_an_unknown_path_is_404(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Fink-Error-Code"] == "not-found"


def test_a_method_that_does_not_fit_is_405(client):
    answer = client.delete(OBJECTS)
    assert answer.status_code == 405
    assert answer.headers["Fink-Error-Code"] == "no-method"


def test_markup_in_an_argument_cannot_run_in_a_browser(client):
    answer = client.get(OBJECTS, params={"objectId": "x", "output-format": "<script>alert(1)</script>"})
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_any_page_may_call_the_api(client):
    headers = {"Origin": "https://example.org"}
    assert client.get(STATISTICS, params={"date": ""}, headers=headers).headers["access-control-allow-origin"] == "*"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Content-Type, Authorization"}
    preflight = client.options(OBJECTS, headers={**headers, **asked})
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]


def test_paths_of_our_own_answer_with_problem_details(client):
    answer = client.get("/api/v1/nights", params={"from": "yesterday"})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
