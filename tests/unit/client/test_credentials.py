"""The credentials file: shared with fink-client, kept whole, seen by nobody else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fink_lib import cli
from fink_lib.client.credentials import Credentials, credentials_path, load_credentials, parse_credentials
from fink_lib.errors import ConfigError

THEIRS = """\
groupid: my_group
maxtimeout: 5
password: null
servers: kafka-ztf.example.org:24499
survey: ztf
topics:
  fink_sn_candidates_ztf:
    telegram: {token: abc, channel: '@x'}
  fink_kn_candidates_ztf: {}
username: somebody
future: 7
"""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "fink"))
    monkeypatch.delenv("FINK_CLIENT_PASSWORD", raising=False)


def write(text: str) -> Path:
    path = credentials_path("ztf")
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_a_file_of_fink_client_is_read_and_kept_whole(capsys: pytest.CaptureFixture[str]) -> None:
    path = write(THEIRS)
    known = load_credentials("ztf")
    assert known.config == {"bootstrap.servers": "kafka-ztf.example.org:24499", "group.id": "my_group"}
    assert cli.run(["client", "subscribe", "--remove", "fink_kn_candidates_ztf"]) == 0
    after = yaml.safe_load(path.read_text())
    before = yaml.safe_load(THEIRS)
    del before["topics"]["fink_kn_candidates_ztf"], before["password"]
    assert after == before


def test_the_older_spelling_of_the_group_is_read() -> None:
    write(THEIRS.replace("groupid", "group_id"))
    assert load_credentials("ztf").groupid == "my_group"


def test_registering_again_changes_what_is_given_only() -> None:
    path = write(THEIRS)
    assert cli.run(["client", "register", "--password", "s3cret", "--api", "http://x"]) == 0
    known = load_credentials("ztf")
    assert known.config["username"] == "somebody"
    assert known.config["password"] == "s3cret"
    assert known.api == "http://x"
    assert known.topics["fink_sn_candidates_ztf"] == {"telegram": {"token": "abc", "channel": "@x"}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_show_does_not_tell_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    write(THEIRS.replace("password: null", "password: s3cret"))
    assert cli.run(["client", "register", "--show"]) == 0
    told = capsys.readouterr().out
    assert "s3cret" not in told
    assert "groupid: my_group" in told
    assert "fink_sn_candidates_ztf" in told


def test_registering_without_words_is_for_the_broker_here() -> None:
    assert cli.run(["client", "register"]) == 0
    known = load_credentials("ztf")
    assert known.servers == "127.0.0.1:29092"
    assert known.api == "http://127.0.0.1:28000"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "not a mapping"),
        ("survey: ztf\nusername: x\n", "lacks groupid, servers"),
        ("a: [", "cannot be read"),
        (THEIRS.replace("maxtimeout: 5", "maxtimeout: soon"), "not a number of seconds"),
    ],
)
def test_a_wrong_file_is_one_sentence_and_code_1(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(text)
    assert cli.run(["client", "stream"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert said in told[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stream"], "run `fink client register --survey ztf` first"),
        (["topics", "--survey", "sdss"], "name one of ztf, lsst"),
        (["object", "ZTF18aaaaaaa", "--survey", "lsst"], "register --survey lsst"),
    ],
)
def test_without_credentials_the_next_step_is_named(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["client", *words]) == 1
    assert said in capsys.readouterr().err


@given(
    st.builds(
        Credentials,
        survey=st.sampled_from(["ztf", "lsst"]),
        username=st.text(min_size=1),
        groupid=st.text(min_size=1),
        servers=st.text(min_size=1),
        maxtimeout=st.floats(0, 1e6),
        password=st.none() | st.text(min_size=1),
        topics=st.dictionaries(st.text(), st.just({})),
    )
)
def test_what_is_written_is_what_is_read(known: Credentials) -> None:
    assert parse_credentials(yaml.safe_load(yaml.safe_dump(known.entries())), "here") == known


def test_a_password_without_a_name_is_no_login() -> None:
    entries = {"survey": "ztf", "username": "x", "groupid": "g", "servers": "s", "password": ""}
    assert "password" not in parse_credentials(entries, "here").config
    with pytest.raises(ConfigError, match="lacks username"):
        parse_credentials({**entries, "username": None}, "here")
