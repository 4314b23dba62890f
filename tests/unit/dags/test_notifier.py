"""What people are told when a task fails: which task, why, what to press, where to look; and of what incident it is."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dags.operators.night_docs import TASK_DOCS
from dags.operators.notifier import TellPeople, message_of, next_step, tell_late
from fink_lib.runtime.outbox import Outbox


def context(dag_id: str = "nightly_ztf", run_id: str = "r1", map_index: int = -1) -> dict[str, Any]:
    instance = SimpleNamespace(
        dag_id=dag_id, task_id="archive", run_id=run_id, map_index=map_index, log_url="http://airflow/log"
    )
    task = SimpleNamespace(doc_md=TASK_DOCS["archive"])
    return {"ti": instance, "task": task, "exception": RuntimeError("HBase is away")}


def test_the_message_has_the_cause_the_link_and_the_next_step() -> None:
    told = message_of(context())
    assert told.subject == "Fink: nightly_ztf.archive failed"
    assert "HBase is away" in told.text
    assert told.link == "http://airflow/log"
    assert told.next_step and "\n" not in told.next_step


def test_a_mapped_task_is_told_by_its_index_and_each_run_is_an_incident_of_its_own() -> None:
    assert message_of(context(map_index=2)).incident == "nightly_ztf.archive[2] of r1"
    assert message_of(context(run_id="r2")).incident != message_of(context()).incident


def test_a_stream_that_fails_run_after_run_is_one_incident() -> None:
    first, second = (message_of(context("stream_raw2science_ztf", run)) for run in ("r1", "r2"))
    assert first.incident == second.incident


@pytest.mark.parametrize("task_id", TASK_DOCS)
def test_every_page_of_a_nightly_task_has_a_next_step(task_id: str) -> None:
    assert next_step(TASK_DOCS[task_id]) != next_step("")


def test_every_task_of_every_dag_tells_people(dag_bag: Any) -> None:
    for dag in dag_bag.dags.values():
        for task in dag.tasks:
            told = any(isinstance(callback, TellPeople) for callback in task.on_failure_callback or ())
            assert told == (dag.dag_id != "ops_notify"), f"{dag.dag_id}.{task.task_id}"


def test_the_notifier_puts_it_into_the_outbox(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    TellPeople().notify(context())
    TellPeople().notify(context())
    assert [(one.incident, one.met) for one in Outbox(tmp_path).messages()] == [("nightly_ztf.archive of r1", 2)]


def test_a_night_that_is_late_is_told_with_its_run_and_a_link(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    run = {"dag_id": "nightly_ztf", "dag_run_id": "manual__1", "conf": {"night": "20240312"}, "logical_date": None}
    asyncio.run(tell_late(context={"dag_run": run, "deadline": {}}))
    (told,) = Outbox(tmp_path).messages()
    assert "20240312" in told.text and told.link.endswith("/dags/nightly_ztf/runs/manual__1")


def test_the_nightly_dag_has_a_deadline_and_streams_have_none(dag_bag: Any) -> None:
    assert dag_bag.dags["nightly_ztf"].deadline
    assert not any(dag.deadline for name, dag in dag_bag.dags.items() if name.startswith("stream_"))
