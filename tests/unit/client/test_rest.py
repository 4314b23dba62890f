"""The REST commands against the API itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fink_lib import cli
from fink_lib.client.credentials import Credentials, save_credentials
from fink_lib.client.rest import refusal
from fink_lib.lake import open_lake
from tests.unit.api.conftest import NIGHTS, alerts, serving, write_settings

FIRST = 10**17


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of an API over a lake of one night."""
    settings = write_settings(tmp_path_factory.mktemp("rest"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    rows = alerts(lake, NIGHTS[0], first_id=FIRST, number=5)
    lake.append("raw", rows.select(lake.schema("raw").names))
    lake.append("science", rows)
    with serving(settings) as client:
        yield str(client.base_url)


@pytest.fixture
def registered(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a user be registered at that API."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    save_credentials(Credentials("ztf", "u", "g", "127.0.0.1:9", api=address))
    return address


@pytest.mark.usefixtures("registered")
def test_an_object_is_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["client", "object", "ZTF18aaaaaab"]) == 0
    table = capsys.readouterr().out
    assert str(FIRST + 1) in table
    assert "i:magpsf" in table
    assert cli.run(["client", "object", "ZTF18aaaaaab", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["i:candid"] == FIRST + 1
    assert len(row) > 100
    assert cli.run(["client", "object", "ZTF99zzzzzzz"]) == 3


@pytest.mark.usefixtures("registered")
def test_nights_and_the_life_of_an_alert_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["client", "night"]) == 0
    assert NIGHTS[0] in capsys.readouterr().out
    assert cli.run(["client", "night", NIGHTS[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["night"] == NIGHTS[0]
    assert cli.run(["client", "why", str(FIRST)]) == 0
    assert f"Alert {FIRST} of ZTF18aaaaaaa" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["why", "7"], "No message with id 7 was ever received."),
        (["night", "20990101"], "Nothing is known about night 20990101."),
        (["object", "ZTF18aaaaaaa", "--columns", "x:y"], "x:y"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_a_refusal_is_the_servers_own_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["client", *words]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert said in told[0]


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["cone", "10.5", "-3.2", "5"], "/api/v1/conesearch"),
        (["cutout", "ZTF18aaaaaaa"], "/api/v1/cutouts"),
        (["search", "SN candidate"], "/api/v1/latests"),
        (["search", "SN 2023ixf", "--resolver", "tns"], "/api/v1/resolver"),
    ],
)
def test_a_question_travels_to_the_path_of_the_interface(
    words: list[str], path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(404, json={"detail": "Not Found: POST"}, request=request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: answer(request))
    save_credentials(Credentials("ztf", "u", "g", "127.0.0.1:9", api="http://api.invalid/"))
    assert cli.run(["client", *words]) == 1
    assert asked[0].url.path == path
    assert "http://api.invalid says: Not Found: POST (status 404)" in capsys.readouterr().err


def test_an_api_that_is_away_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    save_credentials(Credentials("ztf", "u", "g", "127.0.0.1:9", api="http://127.0.0.1:9"))
    assert cli.run(["client", "night"]) == 1
    assert "the API at http://127.0.0.1:9 does not answer" in capsys.readouterr().err
    save_credentials(Credentials("ztf", "u", "g", "127.0.0.1:9", api="portal"))
    assert cli.run(["client", "night"]) == 1
    assert "no address of an API" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "{'status': 'error', 'text': 'A value for `objectId` is required. \\n'}",
            "A value for `objectId` is required.",
        ),
        ("<html>Bad\n  Gateway</html>", "<html>Bad Gateway</html>"),
        ("", "Bad Gateway"),
    ],
)
def test_refusals_of_other_servers_are_understood(body: str, said: str) -> None:
    assert refusal(httpx.Response(502, text=body)) == said
