from __future__ import annotations

import runpy
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from fink_lib.config import project_root

ROOT = project_root()

NEEDED = ["stream_distribution_ztf", "stream_raw2science_ztf", "stream_stream2raw_ztf"]
OPTIONAL = ["stream_multimessenger_ztf"]
STREAMS = [*NEEDED, *OPTIONAL]
CHAIN = [
    "close_night",
    "reconcile",
    "compact",
    "validate",
    "decide_night",
    "select",
    "archive",
    "verify_archive",
    "summarise",
    "validate_archive",
    "publish",
]
HEAVY = ("pyspark", "pandas", "numpy", "pyarrow", "happybase", "great_expectations", "deltalake", "confluent_kafka")


def test_all_dags_are_found_and_none_has_an_import_error(dag_bag) -> None:
    assert dag_bag.import_errors == {}
    assert {"nightly_ztf", "ops_stream_control", "ops_refresh_catalogs", "ops_train_models", *STREAMS} <= set(
        dag_bag.dags
    )
    for stat in dag_bag.dagbag_stats:
        print(f"{stat.file} parsed in {stat.duration.total_seconds() * 1000:.0f} ms")


def test_every_dag_survives_serialization(dag_bag) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dag_bag.dags.values():
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert set(again.task_ids) == set(dag.task_ids)


def test_every_dag_and_task_tells_people_what_it_is(dag_bag) -> None:
    for dag in dag_bag.dags.values():
        assert dag.doc_md, dag.dag_id
        assert dag.tags, dag.dag_id
        for task in dag.tasks:
            assert task.doc_md, f"{dag.dag_id}.{task.task_id}"
            assert task.owner == "fink"


@pytest.mark.parametrize("dag_id", STREAMS)
def test_a_stream_has_one_endless_supervised_run(dag_bag, dag_id) -> None:
    dag = dag_bag.dags[dag_id]
    assert type(dag.timetable).__name__ == "ContinuousTimetable"
    assert dag.max_active_runs == 1
    assert dag.max_consecutive_failed_dag_runs == 5
    assert not dag.catchup
    (task,) = dag.tasks
    assert dag_id == f"stream_{task.stage}_{task.survey}"
    assert task.retries == 8
    assert (task.retry_delay.total_seconds(), task.max_retry_delay.total_seconds()) == (5, 60)


def test_only_streams_that_not_everybody_needs_are_paused_at_first(dag_bag) -> None:
    paused = {dag_id: dag_bag.dags[dag_id].is_paused_upon_creation for dag_id in STREAMS}
    assert paused == dict.fromkeys(NEEDED, False) | dict.fromkeys(OPTIONAL, True)


def test_a_config_error_is_never_retried_and_anything_else_is(dag_bag) -> None:
    from airflow.sdk import RetryAction

    from fink_lib.errors import ConfigError, TransientError

    for dag in dag_bag.dags.values():
        for task in dag.tasks:
            policy = task.partial_kwargs["retry_policy"] if task.is_mapped else task.retry_policy
            assert policy.evaluate(ConfigError("x"), 1, 9, {}).action == RetryAction.FAIL
            assert policy.evaluate(TransientError("x"), 1, 9, {}).action != RetryAction.FAIL


def test_the_nightly_chain_is_in_order_and_mapped_over_tables(dag_bag) -> None:
    dag = dag_bag.dags["nightly_ztf"]
    for first, second in zip(CHAIN, CHAIN[1:], strict=False):
        assert second in dag.task_dict[first].downstream_task_ids
    assert dag.task_dict["archive"].is_mapped
    assert dag.task_dict["archive"].upstream_task_ids == {"select", "list_tables"}
    assert set(dag.task_ids) == {*CHAIN, "list_tables"}
    assert dag.max_active_runs == 2
    pooled = {task.task_id for task in dag.tasks if task.pool == "spark_local"}
    assert pooled == {"compact", "validate", "select", "archive", "verify_archive", "summarise", "validate_archive"}


def test_healing_is_mapped_over_the_nights_one_at_a_time(dag_bag) -> None:
    dag = dag_bag.dags["ops_heal"]
    heal = dag.task_dict["heal"]
    assert heal.is_mapped
    assert heal.upstream_task_ids == {"list_nights"}
    assert (heal.pool, heal.partial_kwargs["max_active_tis_per_dagrun"], dag.max_active_runs) == ("spark_local", 1, 1)
    assert not dag.catchup


@pytest.mark.parametrize(("night", "good"), [("", True), ("20181129", True), ("2018-11-29", False), ("tonight", False)])
def test_the_form_takes_a_night_or_nothing(dag_bag, night, good) -> None:
    import copy

    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(dag_bag.dags["nightly_ztf"].params)
    if good:
        params["night"] = night
        assert params.validate()["night"] == night
    else:
        with pytest.raises(ParamValidationError):
            params["night"] = night


@pytest.mark.parametrize(("installed", "catchup"), [("2026-03-04", True), ("", False)])
def test_nights_are_caught_up_from_the_day_of_installation(monkeypatch, installed, catchup) -> None:
    monkeypatch.setenv("FINK_INSTALL_DATE", installed)
    dag = runpy.run_path(str(ROOT / "dags" / "nightly.py"))["close_night"].dag
    assert dag.catchup == catchup
    if installed:
        assert dag.start_date.isoformat().startswith(installed)


def test_dag_files_import_nothing_heavy() -> None:
    code = f"import sys, dags.nightly, dags.streams, dags.ops; print([m for m in {HEAVY!r} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.stdout.splitlines()[-1:] == ["[]"], answer.stderr


def test_the_night_is_decided_in_one_place() -> None:
    from types import SimpleNamespace

    from dags.operators.night import last_night, night_of_run
    from fink_lib.errors import ConfigError

    scheduled = SimpleNamespace(logical_date=datetime(2018, 11, 29, 16, tzinfo=UTC), run_after=None)
    assert night_of_run("ztf", {"night": ""}, scheduled) == "20181129"
    assert night_of_run("ztf", {"night": "20201231"}, scheduled) == "20201231"
    by_hand = SimpleNamespace(logical_date=None, run_after=datetime(2018, 11, 29, 15, 59, tzinfo=UTC))
    assert night_of_run("ztf", {}, by_hand) == "20181128"
    assert last_night("ztf", datetime(2024, 3, 1, 3, tzinfo=UTC)) == "20240229"
    for wrong in ("20181301", "2018112", "today"):
        with pytest.raises(ConfigError, match=wrong):
            night_of_run("ztf", {"night": wrong}, scheduled)
