"""``fink simulate`` understands its command line and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fink_lib.cli import run
from fink_lib.errors import EXIT_FAILED, EXIT_USAGE
from fink_lib.simulator import delivery


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    return tmp_path


def test_either_data_or_a_synthetic_night_is_needed(home: Path) -> None:
    file = home / "x.avro"
    file.touch()
    assert run(["simulate"]) == EXIT_USAGE
    assert run(["simulate", "--synthetic", "--data", str(file)]) == EXIT_USAGE


@pytest.mark.parametrize("rest", [["many"], ["0"], ["10", "20"]])
def test_a_synthetic_night_takes_one_number(rest: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--synthetic", *rest]) == EXIT_USAGE
    assert "one number" in capsys.readouterr().err


def test_paths_that_do_not_exist_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / "x.avro"
    file.touch()
    assert run(["simulate", "--data", str(file), str(home / "nosuch")]) == EXIT_USAGE
    assert "nosuch" in capsys.readouterr().err


def test_a_night_is_a_date(home: Path) -> None:
    assert run(["simulate", "--synthetic", "--night", "2024-01-01"]) == EXIT_USAGE


@pytest.mark.parametrize("wrong", [["--clock", "sundial"], ["--fault", "boredom:0.5"]])
def test_an_unknown_clock_or_fault_fails_before_anything_is_sent(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", "--synthetic", "5", *wrong]) == EXIT_FAILED
    assert wrong[1].split(":")[0] in capsys.readouterr().err


def test_without_a_broker_the_next_step_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CONNECT_TIMEOUT_S", 1.0)
    assert run(["simulate", "--synthetic", "5", "--servers", "127.0.0.1:1"]) == EXIT_FAILED
    assert "fink up kafka" in capsys.readouterr().err


def test_the_arguments_of_finks_simulator_are_understood(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-servers", "127.0.0.1:1", "-topic", "t", "-tinterval_kafka", "0.1", "-nobservations", "-1"]
    assert run(["simulate", *words, "-datasimpath", str(home / "nosuch")]) == EXIT_USAGE
    assert "nosuch" in capsys.readouterr().err
    (home / "sim.conf").write_text(f"KAFKA_IPPORT_SIM=127.0.0.1:1\nFINK_DATA_SIM={home}/absent\n")
    assert run(["simulate", "-c", str(home / "sim.conf")]) == EXIT_USAGE
    assert "absent" in capsys.readouterr().err
    assert run(["simulate", "-c", str(home / "nosuch.conf")]) == EXIT_FAILED
    assert "nosuch.conf cannot be read" in capsys.readouterr().err


def test_an_unknown_frame_fails_before_anything_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--synthetic", "5", "--wire", "smoke"]) == EXIT_FAILED
    assert "smoke" in capsys.readouterr().err
