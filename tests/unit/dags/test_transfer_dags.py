"""The DAGs of transfers: one run for each, by name and nothing else, and a daily end of those that are over."""

from __future__ import annotations

import pytest

from dags.operators.process import FinkCommand


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("ftransfer_ztf_2026-03-23_11487", True),
        ("", True),
        ("ftransfer_ztf_2026-03-23_11487; rm -rf /", False),
        ("ftransfer_ztf_2026-03-23_1 --home /etc", False),
        ("fink_sn_candidates_ztf", False),
    ],
)
def test_the_form_takes_the_name_of_a_transfer(dag_bag, name, good) -> None:
    from airflow.sdk import Param

    form = dag_bag.dags["ops_transfer"].params.get_param("transfer")
    assert isinstance(form, Param)
    if good:
        assert form.resolve(name) == name
    else:
        with pytest.raises(ValueError, match="does not match"):
            form.resolve(name)


def test_a_transfer_is_one_command_that_may_be_repeated(dag_bag) -> None:
    dag = dag_bag.dags["ops_transfer"]
    (task,) = dag.tasks
    assert isinstance(task, FinkCommand)
    assert task.words == ["transfer run {{ params.transfer }}"]
    assert task.pool != "spark_local"  # the nightly chain does not wait for a user's download
    assert (dag.max_active_runs, task.retries) == (2, 4)


def test_topics_are_looked_through_every_day(dag_bag) -> None:
    dag = dag_bag.dags["ops_transfer_expire"]
    (task,) = dag.tasks
    assert task.words == ["transfer expire"]
    assert not dag.catchup
    assert dag.timetable.expression == "0 12 * * *"
