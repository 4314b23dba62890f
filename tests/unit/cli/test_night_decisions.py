"""``fink night release``, ``recheck`` and ``abandon`` as they are typed."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime

import pytest

from fink_lib.cli import run
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from fink_lib.lake import open_lake
from fink_lib.nightly.decisions import decisions
from fink_lib.nightly.nights import night_state, set_state

NIGHT = "20240312"
NOW = datetime(2024, 3, 13, 16, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """Give the lake of an installation with a held night."""
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    lake = open_lake(load_settings(tmp_path), "ztf")
    lake.ensure()
    set_state(lake, NIGHT, "held", "validate", "rb is constant", NOW)
    return lake


def test_a_release_says_who_and_why(lake, capsys):
    code = run(["night", "release", NIGHT, "--reason", "it was the old classifier", "--by", "ada"])
    assert code == EXIT_OK
    assert capsys.readouterr().out.strip() == f"night {NIGHT} is released by ada: it was the old classifier"
    assert (night_state(lake, NIGHT).state, night_state(lake, NIGHT).by) == ("closed", "ada")


def test_without_a_name_the_log_in_decides(lake, capsys):
    assert run(["night", "abandon", NIGHT, "--reason", "clouds", "--json"]) == EXIT_OK
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["decision"]) == ("abandoned", "abandon")
    assert decisions(lake, NIGHT)[0].by == getpass.getuser()


def test_a_reason_is_asked_for(lake, capsys):
    assert run(["night", "release", NIGHT]) == EXIT_USAGE
    assert run(["night", "release", NIGHT, "--reason", " "]) != EXIT_OK
    assert "takes a name and a reason" in capsys.readouterr().err
    assert night_state(lake, NIGHT).state == "held"


def test_a_night_that_is_not_held_cannot_be_released(lake, capsys):
    assert run(["night", "release", "20240313", "--reason", "why not"]) != EXIT_OK
    assert "there is nothing to release" in capsys.readouterr().err


def test_a_recheck_stops_at_the_stage_that_refuses(lake, capsys, monkeypatch):
    from fink_lib.nightly import runner

    ran = []

    def judged(settings, survey, night, stage, **options):
        ran.append(stage)
        return {"ok": stage == "reconcile", "message": f"{stage} has run"}

    monkeypatch.setattr(runner, "run_stage", judged)
    assert run(["night", "recheck", NIGHT, "--reason", "repaired", "--by", "ada"]) == EXIT_FAILED
    assert ran == ["reconcile", "compact"] and "compact has run" in capsys.readouterr().out
    assert night_state(lake, NIGHT).state == "held"
    assert decisions(lake, NIGHT)[0].decision == "replay"
