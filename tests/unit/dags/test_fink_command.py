from __future__ import annotations

import pytest

from dags.operators import process
from dags.operators.process import FinkCommand
from fink_lib.errors import ConfigError, LockedError, TransientError


def command(*words: str) -> FinkCommand:
    return FinkCommand(task_id="one", words=list(words))


def test_a_command_runs_and_its_output_is_in_the_log(home, capfd) -> None:
    command("catalogs list").execute({})
    assert "gcvs" in capfd.readouterr().out


def test_words_that_are_rendered_empty_are_left_out(home, monkeypatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(FinkCommand, "run_process", lambda self, words: given.append(words) or 0)
    command("catalogs fetch tns simbad", "").execute({})
    assert given[0][1:] == ["-m", "fink_lib.cli", "catalogs", "fetch", "tns", "simbad"]


@pytest.mark.parametrize(("code", "error"), [(2, ConfigError), (75, LockedError), (1, TransientError)])
def test_the_exit_code_decides_whether_it_is_tried_again(home, monkeypatch, code, error) -> None:
    monkeypatch.setattr(FinkCommand, "run_process", lambda self, words: code)
    with pytest.raises(error, match=f"fink catalogs check ended with code {code}"):
        command("catalogs check").execute({})


def test_a_command_that_does_not_exist_is_not_retried(home) -> None:
    with pytest.raises(ConfigError, match="code 2"):
        command("no-such-command").execute({})


def test_the_environment_is_the_brokers_and_not_airflows(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    environment = process.process_environment(tmp_path)
    assert environment["FINK_HOME"] == str(tmp_path)
    assert "AIRFLOW_HOME" not in environment


@pytest.mark.parametrize("dag_id", ["ops_refresh_catalogs", "ops_train_models"])
def test_forms_become_words_and_nothing_else(dag_bag, dag_id) -> None:
    from airflow.sdk import Param

    names = dag_bag.dags[dag_id].params.get_param("names")
    assert isinstance(names, Param)
    assert names.resolve("tns simbad") == "tns simbad"
    for text in ("tns; rm -rf", "--into /etc", "$(id)"):
        with pytest.raises(ValueError, match="does not match"):
            names.resolve(text)
