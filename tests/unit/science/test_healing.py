"""Healing: rows that waited become what a run with everything there would have made of them; nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.errors import TransientError
from fink_lib.science import ModuleResult, Runner, Status, build_runner
from fink_lib.science.base import statuses
from fink_lib.science.columns import Columns
from fink_lib.science.healing import Healer
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import alert, table
from tests.unit.science.tap_server import GAIA, SIMBAD, TapServer
from tests.unit.science.test_served_match import ALERTS, installed, science
from tests.unit.science.toys import Toy, status_of, toy_runner, values

SIX = table([alert(one, magpsf=15.0 + one) for one in range(1, 7)])


def stored(runner: Runner, alerts: pa.Table) -> pa.Table:
    """Give rows as they are in the lake."""
    result = runner.apply(alerts).table
    for field in runner.survey.fink_schema:
        alerts = alerts.append_column(field, result.column(field.name))
    return alerts


def source(available: set[int], label: str = "text", **declared: Any) -> Toy:
    """Give a module that knows the alerts with some ids: the even ones have a label."""

    def run(columns: Columns) -> ModuleResult:
        ids = columns.ids
        status = statuses(len(columns), Status.NO_MATCH)
        status[ids % 2 == 0] = Status.OK
        status[~np.isin(ids, list(available))] = Status.UNAVAILABLE
        return ModuleResult({label: [f"label of {one}" for one in ids]}, status, np.where(ids % 2, np.nan, ids / 10.0))

    resources = {"catalog.toy": str(len(available))}
    return Toy(run, name="source", outputs={label: pa.string()}, resources=resources, **declared)


def reader(**declared: Any) -> Toy:
    """Give a module that reads the label, and computes without it too."""

    def run(columns: Columns) -> ModuleResult:
        known = columns.status("source") == Status.OK
        applies = columns.status("source") != Status.NO_MATCH
        status = np.where(applies, Status.OK, Status.NOT_APPLICABLE).astype(np.int8)
        return ModuleResult({"score": np.where(known, 0.25, 0.75)}, status)

    return Toy(run, name="reader", outputs={"score": pa.float64()}, inputs=("text",), uses=("source",), **declared)


def strict() -> Toy:
    """Give a module that cannot do without the label's module."""
    return Toy(
        lambda columns: {"other": columns.floats("candidate.magpsf")},
        name="strict",
        outputs={"other": pa.float64()},
        inputs=("candidate.magpsf",),
        requires=("source",),
    )


def bystander(value: int) -> Toy:
    """Give a module that has nothing to do with the others."""
    return Toy(
        lambda columns: {"number": np.full(len(columns), value)}, name="bystander", outputs={"number": pa.int32()}
    )


def runner_with(available: set[int], bystanding: int = 1) -> Runner:
    return toy_runner(source(available), reader(), strict(), bystander(bystanding))


EVERYTHING = set(range(1, 7))


def same(one: pa.Table, other: pa.Table) -> None:
    """Compare tables column by column, for a readable difference."""
    assert one.schema == other.schema
    for name in one.column_names:
        assert one.column(name).to_pylist() == other.column(name).to_pylist(), name


def test_healed_rows_are_those_of_a_run_with_everything_there() -> None:
    healed = Healer(runner_with(EVERYTHING)).heal(stored(runner_with({1, 2}), SIX))
    assert healed.changed.tolist() == [False, False, True, True, True, True]
    assert healed.modules == [["source", "strict"]] * 4
    whole = stored(runner_with(EVERYTHING), SIX)
    # The two that waited for nothing keep the catalogue's version of then.
    same(healed.rows.slice(2), whole.slice(2))
    same(healed.rows.slice(0, 2), stored(runner_with({1, 2}), SIX).slice(0, 2))


def test_a_module_that_computed_without_the_label_is_computed_again_with_it() -> None:
    before = stored(runner_with({1, 2}), SIX)
    after = Healer(runner_with(EVERYTHING)).heal(before).rows
    assert values(before, "score") == [None, 0.25, 0.75, 0.75, 0.75, 0.75]
    assert values(after, "score") == [None, 0.25, None, 0.25, None, 0.25]
    assert status_of(after, "reader")[2:4] == ["not_applicable", "ok"]


def test_what_has_nothing_to_do_with_it_stays_as_it_was_computed_then() -> None:
    healed = Healer(runner_with(EVERYTHING, bystanding=2)).heal(stored(runner_with(set()), SIX))
    assert healed.changed.all()
    assert values(healed.rows, "number") == [1] * 6


def test_rows_that_still_wait_stay_untouched() -> None:
    before = stored(runner_with(set()), SIX)
    healed = Healer(runner_with({3})).heal(before)
    assert healed.changed.tolist() == [False, False, True, False, False, False]
    same(healed.rows.take([0, 1, 3, 4, 5]), before.take([0, 1, 3, 4, 5]))
    assert status_of(healed.rows, "strict") == ["unavailable"] * 2 + ["ok"] + ["unavailable"] * 3


def test_healing_again_changes_nothing() -> None:
    healer = Healer(runner_with(EVERYTHING))
    healed = healer.heal(stored(runner_with({1}), SIX)).rows
    again = healer.heal(healed)
    assert not again.changed.any()
    assert again.rows is healed


def test_healing_in_pieces_gives_the_same() -> None:
    before = stored(runner_with({2, 5}), SIX)
    healer = Healer(runner_with(EVERYTHING))
    pieces = [healer.heal(before.slice(start, 1)).rows for start in range(6)]
    same(pa.concat_tables(pieces).combine_chunks(), healer.heal(before).rows)


def test_a_module_that_fails_while_healing_goes_on_waiting() -> None:
    def run(columns: Columns) -> ModuleResult:
        raise ValueError("a defect")

    broken = Toy(run, name="source", outputs={"text": pa.string()})
    before = stored(runner_with(set()), SIX)
    healed = Healer(toy_runner(broken, reader(), strict(), bystander(1))).heal(before)
    assert not healed.changed.any()
    assert status_of(healed.rows, "source") == ["unavailable"] * 6


def test_a_service_that_is_away_while_healing_leaves_the_row_waiting() -> None:
    def run(columns: Columns) -> ModuleResult:
        raise TransientError("away")

    away = Toy(run, name="source", outputs={"text": pa.string()})
    assert (
        not Healer(toy_runner(away, reader(), strict(), bystander(1)))
        .heal(stored(runner_with(set()), SIX))
        .changed.any()
    )


def test_a_module_that_is_younger_than_the_row_leaves_it_alone() -> None:
    old = toy_runner(source(set()), reader())
    before = stored(old, SIX)
    healed = Healer(runner_with(EVERYTHING)).heal(before).rows
    assert [sorted(dict(row)) for row in healed.column("fink_status").to_pylist()] == [["reader", "source"]] * 6
    assert values(healed, "other") == [None] * 6


def test_separations_and_versions_are_those_of_the_new_match() -> None:
    healed = Healer(runner_with(EVERYTHING)).heal(stored(runner_with(set()), SIX)).rows
    separations = [dict(row) for row in healed.column("xm_sep").to_pylist()]
    assert separations == [{}, {"source": pytest.approx(0.2)}, {}, {"source": pytest.approx(0.4)}, {},
                           {"source": pytest.approx(0.6)}]  # fmt: skip
    assert {dict(row)["catalog.toy"] for row in healed.column("fink_versions").to_pylist()} == {"6"}


def test_the_look_whether_anything_answers_reads_few_columns_and_agrees_with_healing() -> None:
    before = stored(runner_with({1, 4}), SIX)
    healer = Healer(runner_with({1, 3, 4, 6}))
    waiting = before.column("fink_status").combine_chunks()
    assert healer.waiting(waiting).tolist() == [False, True, True, False, True, True]
    assert healer.awaited(waiting) == {"source": 4, "strict": 4}
    names = healer.columns(["source"])
    assert names == ["candid", "candidate.magpsf", "candidate.ra", "fink_status"]
    assert healer.columns(["source", "strict"]) == sorted([*names, "text"])
    narrow = before.select(["candid", "fink_status", "candidate", "text"])
    assert healer.answering(narrow).tolist() == healer.heal(before).changed.tolist()


def test_no_rows_are_no_work() -> None:
    healer = Healer(runner_with(EVERYTHING))
    nothing = stored(runner_with(set()), SIX).slice(0, 0)
    assert healer.heal(nothing).rows.num_rows == 0
    assert healer.answering(nothing).tolist() == []


# -- with SIMBAD and Gaia ----------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[TapServer]:
    with TapServer({"basic": SIMBAD, "I/355/gaiadr3": GAIA}) as running:
        yield running


def test_after_simbad_was_down_healing_gives_the_table_of_a_night_with_simbad_up(
    server: TapServer, tmp_path: Path
) -> None:
    up = stored(science(installed(tmp_path / "up", server)), ALERTS)
    server.die()
    down = stored(science(installed(tmp_path / "down", server)), ALERTS)
    assert status_of(down, "simbad") == ["ok", "no_match", "unavailable", "unavailable", "unavailable"]
    assert values(down, "finkclass")[2:] == [None, None, None]
    server.revive()
    healed = Healer(science(installed(tmp_path / "healing", server))).heal(down)
    assert healed.modules == [["gaia"], ["gaia"], *[["gaia", "simbad"]] * 3]
    same(healed.rows, up)
    assert values(healed.rows, "finkclass")[2:] == ["RRLyrae", "Supernova", "Unknown"]


def test_all_modules_together_heal_to_the_table_of_a_night_with_services_up(
    server: TapServer, tmp_path: Path, varied_alerts: pa.Table
) -> None:
    alerts = pa.concat_tables([ALERTS, varied_alerts.slice(0, 40)]).combine_chunks()
    zwicky = get_survey("ztf")
    up = stored(build_runner(zwicky, installed(tmp_path / "up", server)), alerts)
    server.manner = "garbage"
    down = stored(build_runner(zwicky, installed(tmp_path / "down", server)), alerts)
    server.manner = "well"
    healer = Healer(build_runner(zwicky, installed(tmp_path / "healing", server)))
    healed = healer.heal(down)
    same(healed.rows, up)
    waiting = down.column("fink_status").combine_chunks()
    roots = {path.split(".")[0] for path in healer.columns(list(healer.awaited(waiting)))}
    narrow = down.select(sorted(roots & set(down.column_names)))
    assert healer.answering(narrow).tolist() == healed.changed.tolist() == [True] * 45


def test_a_service_that_is_half_broken_is_healed_in_the_end(server: TapServer, tmp_path: Path) -> None:
    server.die()
    rows = stored(science(installed(tmp_path / "down", server)), ALERTS)
    server.revive()
    server.manner = "half"
    settings = installed(tmp_path / "healing", server)
    patient = settings.model_copy(update={"services": settings.services.for_healing})
    assert patient.services.attempts == 6
    healer = Healer(science(patient))
    healed = healer.heal(rows).rows
    assert "unavailable" not in [*status_of(healed, "simbad"), *status_of(healed, "gaia")]


def test_who_asks_services_for_healing_only_is_asked_then(server: TapServer, tmp_path: Path) -> None:
    settings = installed(tmp_path, server, "healing")
    rows = stored(science(settings), ALERTS)
    assert server.calls == 0
    patient = settings.model_copy(update={"services": settings.services.for_healing})
    assert Healer(science(patient)).heal(rows).changed.all()
    never = installed(tmp_path / "never", server, "never")
    assert never.services.for_healing == never.services
