"""Who may write: tokens, scopes, rates, and the log of it all."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.api.auth.audit import Audit
from fink_lib.api.auth.rates import Rates, drawn
from fink_lib.api.auth.tokens import create_token, find_token, list_tokens, revoke_token
from fink_lib.api.operation import Operation
from fink_lib.cli import run
from fink_lib.community.store import Store
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK, ConfigError
from tests.unit.api.community import header
from tests.unit.api.conftest import serving, write_settings

NOW = datetime(2025, 11, 3, tzinfo=UTC)
ANNOTATE = "/api/v1/annotate"
SAID = {"topic": "finder", "objectId": "ZTF18aaaaaah", "classification": "SN Ia"}


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path)
    yield opened
    opened.close()


def test_a_token_is_found_by_its_secret_alone(store):
    token, secret = create_token(store, "ann", ["annotate", "filter"], NOW, 30)
    assert find_token(store, secret, NOW) == token
    assert token.scopes == ("annotate", "filter")
    for wrong in ("", secret[:-1], secret + "x", secret[:-1] + ("A" if secret[-1] != "A" else "B"), token.id,
                  secret.replace(token.id, "0" * 12), "' OR 1=1 --", "fink_%_%"):  # fmt: skip
        assert find_token(store, wrong, NOW) is None


def test_the_secret_is_nowhere_on_the_disk(store, tmp_path):
    token, secret = create_token(store, "ann", ["annotate"], NOW, 30)
    store.close()
    hidden = secret.removeprefix(f"fink_{token.id}_").encode()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files and len(hidden) >= 40
    assert not any(hidden in file.read_bytes() for file in files)
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_a_token_ends(store):
    token, secret = create_token(store, "ann", ["annotate"], NOW, 30)
    assert find_token(store, secret, NOW + timedelta(days=29.9)) is not None
    assert find_token(store, secret, NOW + timedelta(days=30)) is None
    revoke_token(store, token.id, NOW)
    assert find_token(store, secret, NOW) is None
    assert [one.state(NOW) for one in list_tokens(store)] == ["revoked"]
    assert revoke_token(store, token.id, NOW + timedelta(days=1)).revoked == list_tokens(store)[0].revoked


@pytest.mark.parametrize(
    ("owner", "scopes", "days"),
    [("", ["annotate"], 1), ("a b", ["annotate"], 1), ("a" * 65, ["annotate"], 1), ("ann", [], 1),
     ("ann", ["everything"], 1), ("ann", ["annotate"], 0), ("ann", ["annotate"], 10_000), ("../x", ["annotate"], 1)],
)  # fmt: skip
def test_what_cannot_be_a_token_is_refused(store, owner, scopes, days):
    with pytest.raises(ConfigError):
        create_token(store, owner, scopes, NOW, days)
    assert list_tokens(store) == []


def test_a_process_that_is_killed_leaves_whole_rows_behind(tmp_path):
    """The child is killed while it adds tokens; what it said it had made is there, and the next one goes on."""
    code = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from fink_lib.community.store import Store; from fink_lib.api.auth.tokens import create_token\n"
        "store = Store(Path(sys.argv[1]))\n"
        "while True:\n"
        "    print(create_token(store, 'ann', ['annotate'], datetime.now(UTC), 1)[0].id, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline().strip() for _ in range(20)]
    child.kill()
    said += [line for line in child.stdout.read().splitlines() if re.fullmatch("[0-9a-f]{12}", line)]
    child.wait()
    child.stdout.close()
    store = Store(tmp_path)
    assert set(said) <= {token.id for token in list_tokens(store)}
    create_token(store, "bob", ["annotate"], NOW, 1)
    store.close()


def test_a_history_cannot_be_rewritten(tmp_path):
    store = Store(tmp_path)
    with store.transaction() as change:
        change.add("metadata", object_id="a", internal_name="b", internal_name_encoded="b", comments="", username="c",
                   owner="ann", token="t", created="now")  # fmt: skip
    for statement in ("UPDATE metadata SET comments = 'x'", "DELETE FROM metadata"):
        with pytest.raises(sqlite3.IntegrityError, match="history"), store.transaction() as change:
            change.run(statement)
    assert store.row("SELECT comments FROM metadata") == {"comments": ""}
    store.close()


def test_a_file_of_a_newer_version_is_not_touched(tmp_path):
    store = Store(tmp_path)
    store.rows("SELECT * FROM tokens")
    with store.transaction() as change:
        change.run("PRAGMA user_version = 99")
    store.close()
    again = Store(tmp_path)
    with pytest.raises(ConfigError, match="newer version"):
        again.rows("SELECT * FROM tokens")
    again.close()


# -- rates -------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 1000), st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_no_minute_passes_more_than_twice_the_allowance(per_min, pauses):
    """A full bucket, and what flows in while it is emptied: never more, whatever the pace."""
    level, now_s, passed = float(per_min), 0.0, []
    for pause in pauses:
        now_s += pause
        level, wait_s = drawn(level, pause, per_min)
        if wait_s == 0:
            passed.append(now_s)
        assert 0 <= level <= per_min
    for place, first in enumerate(passed):
        within = sum(1 for one in passed[place:] if one - first < 60)
        assert within <= 2 * per_min + 1


def test_whoever_waits_as_told_may_go_on(tmp_path):
    rates = Rates(tmp_path)
    assert [rates.take("a", 3, 100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    wait_s = rates.take("a", 3, 100.0)
    assert wait_s == pytest.approx(20.0)
    assert rates.take("b", 3, 100.0) == 0.0
    assert rates.take("a", 3, 50.0) > 0  # a clock that went back gives nothing
    assert rates.take("a", 3, 50.0 + wait_s) == 0.0
    assert rates.take("a", 0, 50.0) == 0.0
    rates.close()


def test_buckets_are_shared_by_processes(tmp_path):
    one, other = Rates(tmp_path), Rates(tmp_path)
    assert [one.take("a", 2, 0.0), other.take("a", 2, 0.0)] == [0.0, 0.0]
    assert one.take("a", 2, 0.0) > 0
    one.close()
    other.close()


# -- at the door -------------------------------------------------------------------------------------------------------


def test_without_a_token_nothing_is_written(client):
    answer = client.post(ANNOTATE, json=SAID)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Token")
    assert answer.headers["Fink-Error-Code"] == "unauthorized"
    assert client.get("/api/v1/annotations", params={"objectId": SAID["objectId"]}).json() == []


@pytest.mark.parametrize(
    "value", ["Token", "Token x", "Basic YTpi", "Bearer fink_000000000000_" + "A" * 43, "\x01", "Token é"]
)
def test_what_is_no_token_is_refused(client, value):
    answer = client.post(ANNOTATE, json=SAID, headers={"Authorization": value.encode("latin-1")})
    assert answer.status_code in (400, 401)
    assert "WWW-Authenticate" in answer.headers or answer.status_code == 400  # no header at all for the server


def test_the_scope_that_is_missing_is_named(client, filled_home):
    answer = client.post(ANNOTATE, json=SAID, headers=header(filled_home, "ann", ["filter"]))
    assert answer.status_code == 403
    assert "`annotate`" in answer.json()["detail"]
    assert client.post(ANNOTATE, json=SAID, headers=header(filled_home, "ann", ["annotate"])).status_code == 200


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "bearer", "TOKEN"])
def test_both_schemes_are_understood(client, filled_home, scheme):
    secret = header(filled_home, "ann")["Authorization"].partition(" ")[2]
    answer = client.post(ANNOTATE, json=SAID, headers={"Authorization": f"{scheme} {secret}"})
    assert answer.status_code == 200


def test_an_expired_and_a_revoked_token_are_refused_at_once(tmp_path):
    settings = write_settings(tmp_path)
    store = Store(settings.home)
    _, old = create_token(store, "ann", ["annotate"], datetime.now(UTC) - timedelta(days=2), 1)
    token, new = create_token(store, "ann", ["annotate"], datetime.now(UTC), 1)
    with serving(settings) as client:
        assert client.post(ANNOTATE, json=SAID, headers={"Authorization": f"Token {old}"}).status_code == 401
        assert client.post(ANNOTATE, json=SAID, headers={"Authorization": f"Token {new}"}).status_code == 200
        revoke_token(store, token.id, datetime.now(UTC))
        assert client.post(ANNOTATE, json=SAID, headers={"Authorization": f"Token {new}"}).status_code == 401
    store.close()


def test_too_many_requests_are_told_when_to_come_back(tmp_path):
    home = write_settings(tmp_path).home
    with (home / "fink.toml").open("a") as file:
        file.write("\n[api]\nwrites_per_min = 3\nguesses_per_min = 2\naddress_writes_per_min = 9\n")
    settings = load_settings(home)
    ann, bob = header(settings, "ann"), header(settings, "bob")
    with serving(settings) as client:
        assert [client.post(ANNOTATE, json=SAID, headers=ann).status_code for _ in range(3)] == [200] * 3
        answer = client.post(ANNOTATE, json=SAID, headers=ann)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 20
        assert answer.headers["Fink-Error-Code"] == "too-many"
        mine = {**SAID, "topic": "mine"}
        assert client.post(ANNOTATE, json=mine, headers=bob).status_code == 200
        wrong = {"Authorization": "Token fink_000000000000_" + "A" * 43}
        assert [client.post(ANNOTATE, json=SAID, headers=wrong).status_code for _ in range(3)] == [401, 401, 429]
        assert client.post(ANNOTATE, json=mine, headers=bob).status_code == 200
        assert client.post(ANNOTATE, json=mine, headers=bob).status_code == 429  # the address now
        assert client.get("/api/v1/annotations").status_code == 200


def test_the_log_says_who_did_what(tmp_path):
    settings = write_settings(tmp_path)
    ann = header(settings, "ann", ["annotate"])
    with serving(settings) as client:
        client.post(ANNOTATE, json=SAID, headers=ann)
        client.post(ANNOTATE, json={**SAID, "objectId": "nothing"}, headers=ann)
        client.post("/api/v1/metadata", json={}, headers=ann)
        client.post(ANNOTATE, json=SAID, headers={"Authorization": "Token fink_000000000000_" + "A" * 43})
        client.post(ANNOTATE, json=SAID)
    lines = Audit(settings.home).lines()
    assert [line["outcome"] for line in lines] == ["asked", "done", "asked", "refused", "refused", "refused"]
    assert [line.get("owner") for line in lines] == ["ann"] * 5 + [None]
    assert lines[0]["request"] == lines[1]["request"] != lines[2]["request"]
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert {line["operation"] for line in lines} == {"post_annotate", "post_metadata"}
    assert lines[4]["reason"] == "scope metadata missing"
    assert lines[5]["token"] == "000000000000"
    text = "".join(file.read_text() for file in (settings.home / "community" / "audit").glob("*"))
    assert ann["Authorization"].split("_", 2)[-1] not in text


def test_a_line_of_the_log_cannot_be_forged(tmp_path):
    audit = Audit(tmp_path)
    audit.note(NOW, "done", reason='x"}\n{"outcome": "done", "owner": "bob"}', path="y" * 9999)
    (line,) = audit.lines()
    assert line["outcome"] == "done"
    assert "owner" not in line
    assert len(line["path"]) == 300


def test_what_is_shown_to_one_is_not_kept_for_others(client, filled_home):
    shown = client.get("/api/v1/watchlists", headers=header(filled_home, "ann"))
    assert (shown.headers["Cache-Control"], shown.headers["Vary"].split(",")[0]) == ("private", "Authorization")
    assert client.get("/api/v1/watchlists").headers["Cache-Control"] == "no-cache"


def test_a_write_without_a_scope_does_not_even_start():
    with pytest.raises(ValueError, match="names no scope"):
        Operation("/api/v1/x", "Change something", lambda call: {}, method="DELETE")


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_makes_lists_and_revokes(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    code = run(["token", "create", "ann", "--scope", "annotate", "--scope", "filter", "--days", "7", "--note", "a bot"])
    secret = re.search("Authorization: Token (fink_[0-9a-f]{12}_[A-Za-z0-9_-]{43})", capsys.readouterr().out)[1]
    assert code == EXIT_OK
    store = Store(tmp_path)
    token = find_token(store, secret, datetime.now(UTC))
    assert token is not None and token.owner == "ann"
    assert run(["token", "list", "--json"]) == EXIT_OK
    out = capsys.readouterr().out
    (told,) = json.loads(out)
    assert (told["id"], told["state"], told["note"]) == (token.id, "valid", "a bot")
    assert secret not in out and "hash" not in told
    assert run(["token", "revoke", token.id]) == EXIT_OK
    assert find_token(store, secret, datetime.now(UTC)) is None
    store.close()
    assert run(["token", "revoke", "nothing"]) == EXIT_FAILED
    assert run(["token", "create", "ann", "--scope", "all"]) == EXIT_FAILED
    capsys.readouterr()
    assert run(["token", "log", "--json"]) == EXIT_OK
    assert [line["operation"] for line in json.loads(capsys.readouterr().out)] == ["token create", "token revoke"]
