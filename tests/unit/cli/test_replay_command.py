"""``fink replay``: its words, its refusals, and that a night alone means `run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fink_lib.cli import run
from fink_lib.config import Settings
from fink_lib.nightly.replay.record import COMPARED, Replay, keep_replay

NIGHT = "20240312"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [["replay", NIGHT], ["replay", "run", NIGHT, "--from", "raw", "--pin", "live"], ["night", "replay", NIGHT]],
    ids=" ".join,
)
def test_a_night_that_is_not_over_is_refused(home: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 1
    assert f"night {NIGHT} is live; only a night that is over" in capsys.readouterr().err


def test_there_is_nothing_to_show_promote_or_discard_at_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "show", NIGHT]) == 1
    assert f"make one: fink replay {NIGHT}" in capsys.readouterr().err
    assert run(["replay", "promote", NIGHT]) == 1
    assert "a replay is promoted when its night is closed" in capsys.readouterr().out
    assert run(["replay", "discard", NIGHT]) == 0


def test_the_replays_that_there_are_are_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_replay(Settings(home=home), Replay("ztf", NIGHT, COMPARED, pins={"model.snn": "1"}))
    assert run(["replay", "list"]) == 0
    assert "model.snn 1" in capsys.readouterr().out
    assert run(["replay", "list", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["night"], one["state"], one["start"]) == (NIGHT, "compared", "raw")


def test_a_wrong_word_is_a_wrong_usage(home: Path) -> None:
    assert run(["replay", "undo", NIGHT]) == 2
