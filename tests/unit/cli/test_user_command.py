"""``fink user`` as it is typed, where no broker is reached: what is refused, and with which words."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fink_lib.cli import run
from fink_lib.errors import EXIT_FAILED, EXIT_USAGE

Fink = Callable[[str], tuple[int, str]]


@pytest.fixture
def fink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fink:
    """Give the command, in an installation without services."""
    monkeypatch.setenv("FINK_HOME", str(tmp_path))

    def typed(line: str) -> tuple[int, str]:
        code = run(["user", *shlex.split(line)])
        printed = capsys.readouterr()
        assert printed.out == "" or code != EXIT_FAILED
        return code, printed.err

    return typed


@pytest.mark.parametrize("line", ["add ann", "list", "remove ann"])
def test_without_a_listener_for_users_the_setting_is_named(line: str, fink: Fink) -> None:
    code, said = fink(line)
    assert code == EXIT_FAILED
    assert "set sasl_port in section [kafka] of fink.toml" in said
    assert "\n" not in said.strip()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("add ann-b", "cannot be the name of a user"),
        ("add ANONYMOUS", "cannot be the name of a user"),
        ("add ann --topics ztf_20240312_programid1", "is no output topic"),
        ("add ann --survey sdss", "there is no survey 'sdss'"),
        ("add ann --password-from missing.txt", "the password cannot be read from missing.txt"),
        ("add ann --password-from short.txt", "at least 8 characters"),
    ],
)
def test_a_refusal_is_one_sentence(
    line: str, words: str, fink: Fink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("short.txt").write_text("short\nand a second line that is longer\n")
    code, said = fink(line)
    assert code == EXIT_FAILED
    assert words in said
    assert "\n" not in said.strip()


def test_a_name_is_needed(fink: Fink) -> None:
    assert fink("add")[0] == fink("remove")[0] == EXIT_USAGE
