"""One pass of all modules: order, columns, versions, and refusal of modules that do not fit."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.errors import ConfigError
from fink_lib.science import Runner, load_modules
from fink_lib.science.columns import Columns
from fink_lib.science.contract import complaints
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import alert, table
from tests.unit.science.toys import Toy, good, status_of, toy_runner, toy_survey, values


def test_the_table_has_exactly_the_columns_of_the_survey(runner: Runner, varied_alerts: pa.Table) -> None:
    result = runner.apply(varied_alerts)
    assert result.table.schema.equals(get_survey("ztf").fink_schema)
    assert result.table.num_rows == varied_alerts.num_rows


def test_columns_without_a_module_are_null(runner: Runner) -> None:
    result = runner.apply(table([alert(1)]))
    assert result.table.column("slsn_score").null_count == 1
    assert result.table.column("mangrove").null_count == 1


def test_every_module_has_a_status_for_every_alert(runner: Runner, varied_alerts: pa.Table) -> None:
    result = runner.apply(varied_alerts)
    names = sorted(module.declaration.name for module in runner.modules)
    rows = result.table.column("fink_status").to_pylist()
    assert all([name for name, _ in row] == names for row in rows)
    assert {name: sum(counts.values()) for name, counts in result.statuses.items()} == dict.fromkeys(names, len(rows))


@pytest.mark.parametrize("name", ["nalerthist", "roid", "gcvs", "vsx", "simbad"])
def test_a_result_depends_on_the_alert_alone(runner: Runner, varied_alerts: pa.Table, name: str) -> None:
    assert complaints(runner, name, varied_alerts) == []


def test_the_class_and_the_place_depend_on_the_alert_alone(runner: Runner, varied_alerts: pa.Table) -> None:
    columns = ["finkclass", "finkclass2", "gal_lat", "ecl_lat", "fink_versions", "xm_sep"]
    whole = runner.apply(varied_alerts).table.select(columns)
    singles = [runner.apply(varied_alerts.slice(row, 1)).table.select(columns) for row in range(20)]
    assert pa.concat_tables(singles).combine_chunks().equals(whole.slice(0, 20))


def test_an_empty_batch_gives_an_empty_table(runner: Runner) -> None:
    assert runner.apply(table([])).table.num_rows == 0


def test_versions_of_modules_catalogues_and_class_rule_are_stored_with_the_alert(runner: Runner) -> None:
    versions = dict(runner.apply(table([alert(1)])).table.column("fink_versions").to_pylist()[0])
    assert versions["roid"] == "1"
    assert versions["finkclass"] == "fink-1"
    assert versions["finkclass2"] == "2"
    assert versions["catalog.gcvs"].startswith("fink-science-7.4.0@sha256:d7ac03d87495261e")
    assert "catalog.simbad" not in versions


def test_an_alert_without_a_position_has_no_latitude_and_no_match(runner: Runner) -> None:
    result = runner.apply(table([alert(1, ra=None, dec=float("nan"))]))
    assert values(result.table, "gal_lat") == [None]
    assert status_of(result.table, "gcvs") == ["unavailable"]


def test_modules_run_after_those_that_they_read_from() -> None:
    def plus(name: str, reads: str, gives: str) -> Toy:
        return Toy(
            lambda columns: {gives: columns.floats(reads) + 1},
            name=name,
            outputs={gives: pa.float64()},
            inputs=(reads,),
            requires=("z_first",) if reads == "score" else (),
        )

    result = toy_runner(plus("a_last", "score", "other"), plus("z_first", "candidate.magpsf", "score")).apply(
        table([alert(1, magpsf=17.0)])
    )
    assert values(result.table, "other") == [19.0]


def test_a_module_can_read_fields_of_lists_and_places() -> None:
    def gives(columns: Columns) -> dict[str, Any]:
        lists = columns.arrow("prv_candidates.magpsf").to_pylist()
        return {"score": np.array([float(len(one)) for one in lists]), "other": columns.floats("gal_lat")}

    module = Toy(
        gives,
        outputs={"score": pa.float64(), "other": pa.float64()},
        inputs=("prv_candidates.magpsf", "gal_lat"),
    )
    result = toy_runner(module).apply(table([alert(1, previous=[{"magpsf": 1.0}, {"magpsf": None}]), alert(2)]))
    assert values(result.table, "score") == [2.0, 0.0]
    assert values(result.table, "other") == values(result.table, "gal_lat")


@pytest.mark.parametrize(
    ("modules", "says"),
    [
        ([good(), good()], "two science modules are called 'good'"),
        ([good("a"), good("b")], "both give column 'score'"),
        ([good(output="nowhere")], "fink_schema of ztf does not have"),
        ([Toy(dict, outputs={"score": pa.int64()})], "as int64, the fink_schema of ztf has double"),
        ([good(inputs=("candidate.nothing",))], "reads 'candidate.nothing', which is neither"),
        ([good(inputs=("history.nothing",))], "reads 'history.nothing'"),
        ([good(inputs=("cutouts.colour",))], "reads 'cutouts.colour'"),
        ([good("a"), good("b", output="other", inputs=("score",))], "reads 'score', which is neither"),
        ([good(requires=("gone",))], "needs module 'gone', which does not exist"),
        ([good("a", requires=("b",)), good("b", output="other", uses=("a",))], "in a circle"),
        ([good("a", output="gal_lat")], "the runner both give column 'gal_lat'"),
        ([good(applies="magpsf >")], "applies"),
        ([good(applies="unknown_column > 1")], "applies"),
        ([good(applies="magpsf > 1", waits="unknown_column > 1")], "waits"),
    ],
)
def test_modules_that_do_not_fit_are_refused_at_start(modules: list[Toy], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Runner(toy_survey(), modules)


def test_a_slow_module_is_complained_about() -> None:
    module = good(budget_ms=0.0)
    assert "its budget is 0.0 ms" in complaints(toy_runner(module), "good", table([alert(1), alert(2)]))[0]


def test_a_module_that_looks_at_its_neighbours_is_found_out() -> None:
    module = Toy(lambda columns: {"score": np.full(len(columns), columns.floats("candidate.ra").mean())})
    found = complaints(toy_runner(module), "toy", table([alert(row, ra=float(row)) for row in range(9)]))
    assert any("split" in text for text in found)
    assert any("one by one" in text for text in found)


def test_a_process_builds_its_runner_once(science_settings: Settings) -> None:
    copy = pickle.loads(pickle.dumps(science_settings))
    assert load_modules("ztf", science_settings) is load_modules("ztf", copy)
    assert load_modules("ztf", science_settings).version.startswith("0.")
