from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fink_lib import cli
from fink_lib.science.models.training import trainer
from fink_lib.science.models.training.kilonova import KilonovaTrainer


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_list_names_every_model_with_its_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"early_sn_ia", "snn", "kilonova"} <= set(rows)
    assert all(row["state"] == "project" and len(row["sha256"]) == 64 for row in rows.values())
    assert cli.run(["models", "list"]) == 0
    assert rows["snn"]["sha256"][:16] in capsys.readouterr().out


def test_show_prints_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models", "show", "snn", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["name"] == "snn"
    assert cli.run(["models", "show", "snn"]) == 0
    told = capsys.readouterr().out
    assert "limits:" in told
    assert "snn_sn_vs_all" in told


@pytest.mark.parametrize("words", [["show", "no"], ["train", "no"], ["evaluate", "no"]])
def test_an_unknown_model_is_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models", *words]) == 1
    assert "no model is called no; there are: " in capsys.readouterr().err


class Small(KilonovaTrainer):
    request = replace(KilonovaTrainer.request, objects={"Kilonova": 400, "SNIa": 200, "DwarfNova": 200})


def test_a_trained_model_is_the_installations_own_and_the_same_for_one_seed(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer, "known_trainers", lambda: {"kilonova": Small()})
    digests = []
    for _ in range(2):
        assert cli.run(["models", "train", "kilonova", "--seed", "3"]) == 0
        digests.append(json.loads((own_home / "models" / "kilonova" / "card.json").read_text())["sha256"])
    assert digests[0] == digests[1]
    told = capsys.readouterr().out
    assert "simulated: Kilonova, 400 objects" in told
    assert "rf_kn_vs_nonkn" in told
    assert cli.run(["models", "list", "--json"]) == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row["name"] == "kilonova")
    assert (row["state"], row["sha256"]) == ("installation", digests[0])
    assert cli.run(["models", "evaluate", "kilonova", "--json", "--seed", "4"]) == 0
    measured = json.loads(capsys.readouterr().out)["kilonova"]["rf_kn_vs_nonkn"]
    assert 0.7 < measured["auc"] <= 1.0
