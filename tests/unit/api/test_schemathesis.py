"""Schemathesis over the OpenAPI document: whatever it makes up, valid or not, the document names the answer."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error, response_schema_conformance, status_code_conformance

from fink_lib.config import Settings
from tests.unit.api.community import header
from tests.unit.api.conftest import serving
from tests.unit.api.test_doors import DOCUMENT, OPERATIONS, home

__all__ = ["home"]

SLOW_S = 20.0
"""Nothing that is made up here may take so long, on the slowest machine; a bound, not a measurement."""

CHECKS = [status_code_conformance, response_schema_conformance]
AWAY = ("service-away", "service-off")
"""What is said with status 503 where an answer needs a service that is not there; there is none in these tests."""
BARE = "parquet"
"""A content type that clients of Fink's API expect, and that is no media type: Schemathesis refuses to look at it."""


@pytest.fixture(scope="module")
def client(home: Settings) -> Iterator[httpx.Client]:
    with serving(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def session(home: Settings) -> Iterator[requests.Session]:
    """Give a session of somebody who may do everything."""
    with requests.Session() as opened:
        opened.headers.update(header(home, "schemathesis"))
        yield opened


@pytest.fixture(scope="module")
def schema() -> schemathesis.BaseSchema:
    document = deepcopy(DOCUMENT)
    for method, path in OPERATIONS:
        for answer in document["paths"][path][method]["responses"].values():
            answer["content"].pop(BARE, None)
    return schemathesis.openapi.from_dict(document)


def try_out(
    client: httpx.Client, session: requests.Session, schema: schemathesis.BaseSchema, method: str, path: str, tries: int
) -> None:
    operation = schema[path][method.upper()]

    @settings(
        max_examples=tries,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from(list(GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        case.headers.pop("Authorization", None)  # what is no token is for another test
        answer = case.call(base_url=str(client.base_url).rstrip("/"), session=session, timeout=60)
        away = answer.status_code == 503 and answer.headers.get("fink-error-code", [""])[0] in AWAY
        unhealthy = answer.status_code == 503 and path.startswith("/health")
        told = DOCUMENT["paths"][path][method]["responses"].get(str(answer.status_code), {"content": {}})
        kind = answer.headers["content-type"][0].split(";")[0]
        assert kind in told["content"], (case.formatted_path, answer.status_code, kind)
        if kind != BARE:
            checks = CHECKS if away or unhealthy else [*CHECKS, not_a_server_error]
            case.validate_response(answer, checks=checks)
        assert answer.elapsed < SLOW_S, (case.formatted_path, answer.elapsed)

    run()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_answer_is_one_that_the_document_names(client, session, schema, method, path):
    try_out(client, session, schema, method, path, 15)


@pytest.mark.long
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_answer_is_one_that_the_document_names_at_length(client, session, schema, method, path):
    try_out(client, session, schema, method, path, 150)
