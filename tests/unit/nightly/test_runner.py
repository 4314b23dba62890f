"""Running a stage: its lock, its verdict, its exit code, and the state it leaves the night in."""

from __future__ import annotations

import json

import pytest

from fink_lib.errors import ConfigError, LockedError, TransientError
from fink_lib.nightly import runner
from fink_lib.nightly.nights import night_state, set_state
from fink_lib.nightly.runner import run_stage
from fink_lib.nightly.stage import Verdict, night_lock, verdict_path
from fink_lib.runtime.files import read_json
from jobs.nightly import main
from tests.night_rows import NIGHT
from tests.unit.nightly.conftest import NOW


@pytest.fixture
def closed(lake):
    set_state(lake, NIGHT, "closed", "close_night", "all is in", NOW)
    return lake


def stage_that(outcome):
    """Give a stage that ends as told."""

    def stage(context):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return stage


@pytest.fixture
def judge(settings, closed, monkeypatch):
    """Run a stage of the given name that ends as told; give the night's state afterwards."""

    def run(name, outcome):
        monkeypatch.setattr(runner, "_load", lambda place: stage_that(outcome))
        run_stage(settings, "ztf", NIGHT, name, now=NOW)
        return night_state(closed, NIGHT)

    return run


def test_a_verdict_is_returned_and_kept(settings, closed):
    verdict = run_stage(settings, "ztf", NIGHT, "compact", now=NOW)
    assert (verdict["stage"], verdict["night"], verdict["ok"]) == ("compact", NIGHT, True)
    kept = read_json(verdict_path(settings, "ztf", NIGHT, "compact")) or {}
    assert kept.pop("took_s") > 0
    assert kept == verdict


def test_a_stage_that_passes_leaves_the_state(judge, closed):
    assert judge("reconcile", Verdict(True, "fine")).state == "closed"
    assert closed.read("nights", [NIGHT]).num_rows == 1


def test_a_stage_that_fails_takes_the_night_along(judge):
    state = judge("reconcile", Verdict(False, "one alert is lost", {}, "failed"))
    assert (state.state, state.stage, state.reason) == ("failed", "reconcile", "one alert is lost")


def test_a_stage_that_passes_after_failing_sets_the_night_free(judge):
    judge("reconcile", Verdict(False, "one alert is lost", {}, "failed"))
    assert judge("reconcile", Verdict(True, "found")).state == "closed"


def test_an_earlier_stage_does_not_set_the_night_free(judge):
    judge("validate", Verdict(False, "odd", {}, "held"))
    assert judge("reconcile", Verdict(True, "closes")).state == "held"


def test_a_service_that_is_away_leaves_the_state(judge, closed):
    with pytest.raises(TransientError):
        judge("archive", TransientError("HBase is away"))
    assert night_state(closed, NIGHT).state == "closed"


def test_a_fault_of_the_code_fails_the_night(judge, closed):
    with pytest.raises(ZeroDivisionError):
        judge("summarise", ZeroDivisionError("division by zero"))
    state = night_state(closed, NIGHT)
    assert (state.state, state.stage) == ("failed", "summarise") and "division by zero" in state.reason


def test_unknown_stages_and_nights_are_refused(settings):
    with pytest.raises(ConfigError, match="no stage is called 'polish'"):
        run_stage(settings, "ztf", NIGHT, "polish")
    with pytest.raises(ConfigError, match="YYYYMMDD"):
        run_stage(settings, "ztf", "yesterday", "compact")


def test_two_stages_of_a_night_never_run_at_once(settings, closed):
    with night_lock(settings, "ztf", NIGHT):
        with pytest.raises(LockedError):
            run_stage(settings, "ztf", NIGHT, "compact")
        run_stage(settings, "ztf", "20240313", "compact")  # another night is free


class TestJob:
    @pytest.fixture
    def run(self, settings, monkeypatch, tmp_path, capsys):
        monkeypatch.setenv("FINK_HOME", str(settings.home))
        file = tmp_path / "verdict.json"

        def run(stage, night=NIGHT, *more):
            code = main(["--survey", "ztf", "--night", night, "--stage", stage, "--json", str(file), *more])
            assert json.loads(capsys.readouterr().out) == read_json(file)
            return code, read_json(file)

        return run

    def test_a_stage_that_passes_ends_with_0(self, run, closed):
        code, verdict = run("compact")
        assert code == 0 and verdict["ok"]

    def test_the_tables_to_map_over_are_listed(self, run):
        assert run("tables")[1]["tables"][0] == "main"

    def test_a_stage_that_may_not_run_ends_with_1_and_says_why(self, run, lake):
        code, verdict = run("publish")
        assert code == 1 and "waits until close_night has closed it" in verdict["message"]

    def test_a_held_lock_ends_with_75(self, run, settings, closed):
        with night_lock(settings, "ztf", NIGHT):
            code, verdict = run("compact")
        assert code == 75 and verdict["error_kind"] == "transient"

    def test_a_mistake_of_the_caller_is_not_worth_a_retry(self, run):
        code, verdict = run("compact", "tomorrow")
        assert code == 1 and verdict["error_kind"] == "config"
