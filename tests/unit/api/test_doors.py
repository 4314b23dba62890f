"""Over the whole OpenAPI document: nothing changes without a token, nothing gets in through a value."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from fink_lib.api.app import create_app
from fink_lib.api.auth.tokens import SCOPES, create_token, revoke_token
from fink_lib.community.store import Store
from fink_lib.config import Settings, load_settings
from fink_lib.lake import open_lake
from tests.unit.api.community import header
from tests.unit.api.conftest import alerts, serving, write_settings

METHODS = ("get", "post", "put", "patch", "delete")
READ_BY_POST = frozenset(
    f"/api/v1/{name}"
    for name in (
        "objects", "cutouts", "latests", "classes", "conesearch", "sso", "ssocand", "resolver", "tracklet", "skymap",
        "statistics", "anomaly", "ssoft", "ssobulk", "schema", "sources", "fp", "tags", "blocks",
    )
)  # fmt: skip
"""Paths that clients of Fink's API read from by POST as well. Whatever else is no GET changes something."""


def make_document() -> dict[str, Any]:
    """Give the OpenAPI document of an installation that is never opened."""
    return create_app(Settings(home="/nowhere")).openapi()


DOCUMENT = make_document()
OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods if method in METHODS]
WRITES = [
    (method, path) for method, path in OPERATIONS if method != "get" and not (method == "post" and path in READ_BY_POST)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make an installation with one night, and without limits of rate."""
    settings = write_settings(tmp_path_factory.mktemp("doors"))
    with (settings.home / "fink.toml").open("a") as file:
        file.write("\n[api]\nwrites_per_min = 0\naddress_writes_per_min = 0\nguesses_per_min = 0\n")
    lake = open_lake(settings, "ztf")
    lake.ensure()
    lake.append("science", alerts(lake, "20240310", first_id=10**17))
    return load_settings(settings.home)


@pytest.fixture(scope="module")
def client(home: Settings) -> Iterator[httpx.Client]:
    with serving(home) as opened:
        yield opened


def state(home: Settings) -> tuple[list[str], dict[str, list[Any]]]:
    """Give all that a write could change: files, and rows but for tokens."""
    folders = ("filters", "drafts", "transfers", "backtests")
    files = sorted(str(file) for folder in folders for file in (home.home / folder).rglob("*"))
    path = home.home / "community" / "community.sqlite"
    rows: dict[str, list[Any]] = {}
    if path.exists():
        file = sqlite3.connect(path)
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: file.execute(f"SELECT * FROM {name}").fetchall() for name in names if name != "tokens"}
        file.close()
    return files, rows


def filled(path: str, value: str = "1") -> str:
    while "{" in path:
        begin, end = path.index("{"), path.index("}")
        path = path[:begin] + value + path[end + 1 :]
    return path


def body_of(method: str, path: str) -> dict[str, Any]:
    content = DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", {})
    told: dict[str, Any] = content.get("application/json", {})
    return told


def example(method: str, path: str) -> Any:
    """Give what the document shows as an example: a body, or the arguments of a query."""
    if method == "get":
        parameters = DOCUMENT["paths"][path][method]["parameters"]
        return {one["name"]: one["example"] for one in parameters if one["in"] == "query" and "example" in one}
    body = body_of(method, path)
    return body.get("example") or body.get("schema", {}).get("anyOf", [{}])[0].get("example") or {}


def arguments(method: str, path: str) -> list[str]:
    if method == "get":
        return [one["name"] for one in DOCUMENT["paths"][path][method]["parameters"] if one["in"] == "query"]
    schema = body_of(method, path).get("schema", {})
    return list(schema.get("properties") or schema.get("anyOf", [{}])[0].get("properties", {}))


def test_there_are_writes() -> None:
    assert {path.split("/")[3] for _, path in WRITES} >= {
        "annotate", "metadata", "filters", "watchlists", "transfers", "xmatch",
    }  # fmt: skip


def test_nothing_changes_without_a_valid_token(client: httpx.Client, home: Settings) -> None:
    store = Store(home.home)
    _, old = create_token(store, "ann", ["admin"], datetime.now(UTC) - timedelta(days=9), 1)
    gone, taken = create_token(store, "ann", list(SCOPES), datetime.now(UTC), 1)
    revoke_token(store, gone.id, datetime.now(UTC))
    store.close()
    before = state(home)
    shown = [None, "", "Token", f"Token {old}", f"Bearer {taken}", "Token fink_000000000000_" + "A" * 43,
             "Basic YWRtaW46YWRtaW4=", "Token ' OR 1=1 --"]  # fmt: skip
    for method, path in WRITES:
        for value in shown:
            heads = {} if value is None else {"Authorization": value}
            answer = client.request(method, filled(path), json=example(method, path), headers=heads)
            assert answer.status_code == 401, (method, path, value, answer.text[:200])
            assert "WWW-Authenticate" in answer.headers
        # nor by a token in the wrong place
        elsewhere = {"Cookie": f"Authorization={taken}", "X-Authorization": f"Token {taken}"}
        answer = client.request(
            method, filled(path), params={"token": taken, "Authorization": taken}, headers=elsewhere
        )
        assert answer.status_code == 401
    assert state(home) == before


def test_the_document_says_which_scope_is_needed_and_it_is(client: httpx.Client, home: Settings) -> None:
    before = state(home)
    for method, path in WRITES:
        operation = DOCUMENT["paths"][path][method]
        assert operation["security"] == [{"token": []}], (method, path)
        (scope,) = [name for name in SCOPES if f"scope `{name}`" in operation["description"]]
        others = header(home, "ann", [name for name in SCOPES if name != scope])
        answer = client.request(method, filled(path), json=example(method, path), headers=others)
        assert (answer.status_code, f"`{scope}`" in answer.text) == (403, True), (method, path)
    assert state(home) == before


def test_a_method_that_is_not_declared_is_refused(client: httpx.Client) -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method in set(METHODS) - set(methods):
            answer = client.request(method, filled(path))
            # 401 where the address is that of another path with a name in it
            assert answer.status_code in (401, 404, 405), (method, path, answer.status_code)


ATTACKS = {
    "sql": "x' OR '1'='1' --",
    "sql, stacked": "x'; DROP TABLE annotations; --",
    "sql, union": "1 UNION SELECT hash FROM tokens",
    "hbase filter": "PrefixFilter('Z') OR (RowFilter(>=, 'binary:'))",
    "hbase separators": "ZTF18aaaaaah\x00\xff",
    "path": "../../../../../../etc/passwd",
    "path, encoded": "..%2f..%2f..%2fetc%2fpasswd",
    "path, windows": "..\\..\\fink.toml",
    "url": "file:///etc/passwd",
    "header": "x\r\nX-Evil: 1\r\n\r\n<script>",
    "markup": "<script>alert(1)</script>",
    "python": "__import__('os').system('touch /tmp/evil')",
    "template": "{{7*7}}${7*7}",
    "format": "%s%n{0.__class__}",
    "null": "\x00",
    "long": "A" * 20_000,
    "unicode": "\u202e\ufeff\U0001f4a9",
}


SHARE = 1
"""So many of the attacks each argument meets in the short form, others than its neighbours; in the long form all."""

TARGETS = [(method, path, name) for method, path in OPERATIONS for name in (*arguments(method, path), "")]
"""Each argument of each operation, and its path alone."""


def attack(
    client: httpx.Client, home: Settings, head: dict[str, str], target: tuple[str, str, str], value: str
) -> None:
    """Send a value in the place of one argument, all others being as in the document's examples."""
    method, path, name = target
    sent = {**example(method, path), **({name: value} if name else {})}
    in_path = "1" if name or len(value) > 2000 else quote(value, safe="")
    if method == "get":
        answer = client.get(
            filled(path, in_path), params={key: str(told)[:5000] for key, told in sent.items()}, headers=head
        )
    else:
        answer = client.request(method, filled(path, in_path), json=sent, headers=head)
    where = (target, value[:50], answer.text[:300])
    assert answer.status_code < 500 or answer.status_code == 503, where
    if answer.status_code == 503:
        assert answer.headers.get("Retry-After") or path.startswith("/health"), where
    assert "x-evil" not in answer.headers, where
    assert "root:" not in answer.text, where
    if "<script>" in answer.text and answer.headers["content-type"].startswith("text/html"):
        assert "sandbox" in answer.headers["Content-Security-Policy"], where


def test_a_value_is_never_more_than_a_value(client: httpx.Client, home: Settings) -> None:
    head, values = header(home, "mallory"), list(ATTACKS.values())
    for number, target in enumerate(TARGETS):
        for step in range(SHARE):
            attack(client, home, head, target, values[(number + 5 * step) % len(values)])


@pytest.mark.long
@pytest.mark.parametrize("kind", ATTACKS)
def test_no_value_is_ever_more_than_a_value(client: httpx.Client, home: Settings, kind: str) -> None:
    head = header(home, "mallory")
    for target in TARGETS:
        attack(client, home, head, target, ATTACKS[kind])


def test_the_store_is_whole_after_all_this(home: Settings) -> None:
    store = Store(home.home)
    assert store.row("PRAGMA integrity_check") == {"integrity_check": "ok"}
    names = {row["name"] for row in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"tokens", "annotations", "metadata", "filters", "watchlists", "jobs"} <= names
    store.close()


def test_secrets_are_in_no_answer(client: httpx.Client, home: Settings) -> None:
    head = header(home, "ann")
    secret = head["Authorization"].split("_", 2)[-1]  # fink_<id>_<secret>, in which underscores may be
    for method, path in OPERATIONS:
        answer = client.request(method, filled(path), json=example(method, path), headers=head)
        assert secret not in answer.text + json.dumps(dict(answer.headers)), (method, path)
