"""``ops_replay_night``: what it runs, when a person is asked, and that a backfill goes over nights two at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

TOLD = {"night": "20240312", "ok": True, "message": "changes 9 alerts", "equal": False, "enters": {},
        "modules": {"simbad": {"alerts": 9, "why": {"simbad 1 -> 2": 9}}}}  # fmt: skip


@pytest.fixture
def dag(dag_bag: Any) -> Any:
    return dag_bag.dags["ops_replay_night"]


def test_two_nights_at_a_time_and_one_heavy_task_of_this_machine(dag: Any) -> None:
    assert (dag.max_active_runs, dag.catchup) == (2, False)
    assert {task.task_id for task in dag.tasks if task.pool == "spark_local"} == {"make_replay", "promote_replay"}
    assert dag.task_dict["decide_replay"].downstream_task_ids == {"promote_replay", "discard_replay"}


@pytest.mark.parametrize("dag_id", ["ops_replay_night", "nightly_ztf"])
def test_a_backfill_has_one_run_for_each_night_of_its_range(dag_bag: Any, dag_id: str) -> None:
    from airflow.sdk import timezone
    from airflow.serialization.serialized_objects import DagSerialization

    from dags.operators.night import night_of_run

    dag = dag_bag.dags[dag_id]
    assert dag.max_active_runs == 2
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert again.timetable.periodic
    first, last = timezone.datetime(2024, 3, 11), timezone.datetime(2024, 3, 13, 23)
    runs = [
        SimpleNamespace(logical_date=info.logical_date, run_after=info.run_after)
        for info in again.iter_dagrun_infos_between(first, last)
    ]
    assert [night_of_run("ztf", {"night": ""}, run) for run in runs] == ["20240311", "20240312", "20240313"]


def context_of(run_type: str = "manual", told: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "dag_run": SimpleNamespace(run_type=run_type),
        "ti": SimpleNamespace(xcom_pull=lambda task_ids: told),
    }


def test_a_run_that_the_clock_brings_does_nothing(dag: Any) -> None:
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    with pytest.raises(DownstreamTasksSkipped):
        dag.task_dict["make_replay"].execute(context_of("scheduled"))


def test_the_process_gets_night_start_and_pins(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dags.operators.replay_night import MakeReplay
    from fink_lib.errors import TransientError

    ran: list[list[str]] = []
    task = MakeReplay(task_id="t", survey="ztf", night="20240312", start="science", pins="live model.snn=1")

    def note(command: list[str]) -> int:
        ran.append(command)
        return 1

    monkeypatch.setattr(task, "run_process", note)
    with pytest.raises(TransientError):  # no verdict: the process died
        task.execute(context_of())
    words = " ".join(ran[0])
    assert "--stage replay --night 20240312" in words
    assert words.endswith("--from science --pin live --pin model.snn=1")


@pytest.mark.parametrize(
    ("then", "told", "expected"),
    [
        ("promote", TOLD, "promote_replay"),
        ("keep", TOLD, None),
        ("ask", {**TOLD, "equal": True}, "discard_replay"),
        ("promote", {**TOLD, "equal": True, "enters": {"faint": 1}}, "promote_replay"),
    ],
)
def test_nobody_is_asked_where_it_was_said_or_nothing_changes(
    then: str, told: dict[str, Any], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dags.operators.replay_night import DecideReplay

    task = _decide(then)
    monkeypatch.setattr(DecideReplay, "do_branch", lambda self, context, branch: branch)
    assert task.execute(context_of(told=told)) == expected


def test_a_person_is_asked_with_what_would_change(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.standard.operators.hitl import HITLBranchOperator

    task = _decide("ask")
    parked: list[str] = []
    monkeypatch.setattr(HITLBranchOperator, "execute", lambda self, context: parked.append(self.body))
    task.execute(context_of(told=TOLD))
    assert "simbad: 9 alerts (simbad 1 -> 2)" in parked[0]
    assert "/ztf/20240312/replay/difference.html" in parked[0]
    assert task.subject == "The replay of night 20240312 of ztf is ready"


def _decide(then: str) -> Any:
    from dags.operators.replay_night import DecideReplay

    return DecideReplay(
        task_id="decide_replay", survey="ztf", night="20240312", then=then, made="make_replay",
        promote="promote_replay", discard="discard_replay",
    )  # fmt: skip


def test_late_alerts_start_one_run_for_each_night_and_lateness(dag_bag: Any) -> None:
    from dags.late import one_run

    dag = dag_bag.dags["ops_late_alerts"]
    reopen = dag.task_dict["reopen_night"]
    assert reopen.is_mapped and reopen.upstream_task_ids == {"list_nights"}
    kwargs = reopen.partial_kwargs
    assert (kwargs["trigger_dag_id"], kwargs["skip_when_already_exists"]) == ("nightly_ztf", True)
    assert one_run({"night": "20240312", "received": 15}) == {
        "conf": {"night": "20240312"},
        "trigger_run_id": "late__20240312__15",
    }
