"""``fink heal`` as it is typed: output, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fink_lib.cli import run
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_LOCKED, EXIT_OK, EXIT_USAGE
from fink_lib.lake import open_lake
from fink_lib.nightly import heal as heal_module
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.stage import night_lock
from tests.unit.science.test_served_match import science

NOW = datetime(2024, 3, 14, tzinfo=UTC)


@pytest.fixture
def fink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str, str]]:
    """Give the command, in an installation with two archived nights and a live one, none of which has alerts."""
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    monkeypatch.setattr(heal_module, "build_runner", lambda survey, settings: science(settings))
    lake = open_lake(load_settings(tmp_path), "ztf")
    lake.ensure()
    for night, state in (("20240311", "archived"), ("20240312", "archived"), ("20240313", "closing")):
        set_state(lake, night, state, "publish", "", NOW)

    def typed(line: str) -> tuple[int, str, str]:
        code = run(line.split())
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return typed


def test_all_nights_that_may_be_healed_are(fink: Callable[[str], tuple[int, str, str]]) -> None:
    code, out, _ = fink("heal")
    assert code == EXIT_OK
    told = [line for line in out.splitlines() if not line.startswith("healing:")]
    assert told == [
        "night 20240311: 1 of 2",
        "no alert of night 20240311 waits for anything",
        "night 20240312: 2 of 2",
        "no alert of night 20240312 waits for anything",
    ]


def test_the_number_of_nights_can_be_given_and_json_is_alone_on_the_output(
    fink: Callable[[str], tuple[int, str, str]],
) -> None:
    code, out, err = fink("heal --nights 1 --json")
    assert code == EXIT_OK
    assert [verdict["night"] for verdict in json.loads(out)] == ["20240312"]
    assert "night 20240312: 1 of 1" in err


def test_a_night_that_may_not_be_healed_fails_and_says_why(fink: Callable[[str], tuple[int, str, str]]) -> None:
    code, out, _ = fink("heal --night 20240313")
    assert code == EXIT_FAILED
    assert "night 20240313 is closing; only a closed or archived night is healed" in out


def test_a_night_at_work_and_a_wrong_night_have_their_exit_codes(
    fink: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    with night_lock(load_settings(tmp_path), "ztf", "20240312"):
        assert fink("heal --night 20240312")[0] == EXIT_LOCKED
    assert fink("heal --night yesterday")[0] == EXIT_FAILED
    assert fink("heal --nights 0")[0] == EXIT_USAGE


def test_an_installation_without_nights_says_so(
    fink: Callable[[str], tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "new"))
    code, out, _ = fink("heal")
    assert (code, out) == (EXIT_OK, "No night may be healed: none is closed or archived.\n")
