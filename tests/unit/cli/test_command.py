import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from fink_lib import cli
from fink_lib.errors import ConfigError, LockedError
from fink_lib.runtime.supervisor import ensure_supervisor, set_desired, supervisor_process
from tests.stack_services import installation, write_home


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FINK_DEBUG", raising=False)


def with_command(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let ``fink break`` raise an error."""

    def build() -> typer.Typer:
        app = typer.Typer(rich_markup_mode=None)

        @app.callback()
        def options(debug: bool = False) -> None:
            if debug:
                os.environ["FINK_DEBUG"] = "1"

        @app.command("break")
        def command() -> None:
            raise error

        return app

    monkeypatch.setattr(cli, "build_app", build)
    monkeypatch.setenv("FINK_DEBUG", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("the port is taken; set another"), 1),
        (LockedError("another one runs"), 75),
        (typer.Exit(3), 3),
        (ValueError("a bug"), 1),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    with_command(monkeypatch, error)
    assert cli.run(["break"]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == (0 if isinstance(error, typer.Exit) else 1)
    assert "Traceback" not in told.err


def test_debug_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with_command(monkeypatch, ConfigError("x"))
    with pytest.raises(ConfigError):
        cli.run(["--debug", "break"])


@pytest.mark.parametrize("words", [["no-such-command"], ["status", "--no-such-option"], ["up", "kafak"]])
def test_wrong_usage_is_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words) == 2
    assert capsys.readouterr().err


def test_status_of_a_fresh_home_shows_everything_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status", "--json"]) == 0
    now = json.loads(capsys.readouterr().out)
    assert now["supervisor"] == {"running": False, "pid": None}
    assert {row["state"] for row in now["services"]} == {"stopped"}
    assert [row["name"] for row in now["services"]][:3] == ["kafka", "hbase", "thrift"]
    assert {row["state"] for row in now["streams"]} == {"absent"}
    assert now["urls"] == {}
    assert cli.run(["status"]) == 0
    assert "airflow-triggerer" in capsys.readouterr().out


def test_a_broken_settings_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "fink.toml").write_text("[kafka]\nprot = 1\n")
    assert cli.run(["up"]) == 1
    assert "fink.toml" in capsys.readouterr().err


def test_down_of_what_never_ran_is_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_home(tmp_path / "home")
    assert cli.run(["down"]) == 0
    assert cli.run(["down"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "everything is stopped"


def test_the_next_command_starts_a_killed_supervisor_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINK_JARS", str(tmp_path / "no-jars"))  # nothing heavy can start
    with installation(tmp_path / "home") as settings:
        set_desired(settings, ["kafka"])
        ensure_supervisor(settings)
        first = supervisor_process(settings)
        assert first is not None
        first.signal(signal.SIGKILL)
        assert first.wait_gone(5.0)
        assert cli.run(["status"]) == 0
        assert "started it again" in capsys.readouterr().err
        second = supervisor_process(settings)
        assert second is not None
        assert second != first
        assert cli.run(["status"]) == 0
        assert supervisor_process(settings) == second
    assert not second.alive()


def test_up_without_the_jars_names_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINK_JARS", str(tmp_path / "no-jars"))
    write_home(tmp_path / "home")
    assert cli.run(["up", "kafka"]) == 1
    assert "run `make setup`" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    heavy = ("airflow", "pandas", "numpy", "pyspark", "happybase", "confluent_kafka", "deltalake", "fastapi", "pyarrow")
    code = f"import sys; from fink_lib import cli; cli.run(['--help']); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "status" in done.stdout
