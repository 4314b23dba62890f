"""What a module does wrong costs the alerts that it does it for, and says clearly what it was."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.errors import TransientError
from fink_lib.science import ModuleResult, Status
from fink_lib.science.base import statuses
from fink_lib.science.columns import Columns
from tests.unit.science.alerts import alert, table
from tests.unit.science.toys import PAIR, Toy, good, status_of, toy_runner, values

POISON_RA = 13.0


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="fink_lib.science")


def alerts_with_poison(*poisoned: int, size: int = 20) -> pa.Table:
    return table([alert(100 + row, ra=POISON_RA if row in poisoned else 150.0) for row in range(size)])


def stumbles(columns: Columns) -> dict[str, Any]:
    if (columns.floats("candidate.ra") == POISON_RA).any():
        raise ZeroDivisionError("no such light curve")
    return {"score": columns.floats("candidate.magpsf")}


def test_a_poisonous_alert_costs_itself_only() -> None:
    result = toy_runner(Toy(stumbles)).apply(alerts_with_poison(0, 7, 8, 19))
    words = status_of(result.table, "toy")
    assert [row for row, word in enumerate(words) if word == "failed"] == [0, 7, 8, 19]
    assert [row for row, value in enumerate(values(result.table, "score")) if value is None] == [0, 7, 8, 19]
    assert result.statuses == {"toy": {"ok": 16, "failed": 4}}


def test_a_failure_names_the_alert_and_the_cause() -> None:
    result = toy_runner(Toy(stumbles)).apply(alerts_with_poison(3))
    assert result.errors == {"toy": ["alert 103: ZeroDivisionError: no such light curve"]}


def test_a_module_that_always_fails_leaves_the_others_alone() -> None:
    def fails(columns: Columns) -> dict[str, Any]:
        raise RuntimeError("always")

    result = toy_runner(Toy(fails), good(output="other")).apply(alerts_with_poison())
    assert set(status_of(result.table, "toy")) == {"failed"}
    assert values(result.table, "other") == [36.0] * 20


def test_a_service_that_is_away_makes_alerts_unavailable_in_one_call() -> None:
    calls = []

    def asks(columns: Columns) -> dict[str, Any]:
        calls.append(len(columns))
        raise TransientError("no answer")

    result = toy_runner(Toy(asks)).apply(alerts_with_poison())
    assert set(status_of(result.table, "toy")) == {"unavailable"}
    assert calls == [20]


def test_an_undeclared_column_is_refused_once_and_named() -> None:
    calls = []

    def peeks(columns: Columns) -> dict[str, Any]:
        calls.append(1)
        return {"score": columns.floats("candidate.dec")}

    result = toy_runner(Toy(peeks)).apply(alerts_with_poison())
    assert result.errors["toy"] == ["module toy reads 'candidate.dec', which it does not declare; add it to inputs"]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda columns: columns.history, "light curve"),
        (lambda columns: columns.status("roid"), "requires or uses"),
        (lambda columns: columns.strings("objectId"), "objectId"),
    ],
)
def test_everything_a_module_reads_must_be_declared(read: Any, says: str) -> None:
    result = toy_runner(Toy(read)).apply(alerts_with_poison())
    assert says in result.errors["toy"][0]


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (lambda n: {"score": np.zeros(n + 1)}, "values for"),
        (lambda n: {"score": np.array(["x"] * n)}, "is not double"),
        (lambda n: {"score": pa.nulls(n, pa.float32())}, "type float, declared double"),
        (lambda n: {"other": np.zeros(n)}, "declares ['score'] but gave ['other']"),
        (lambda n: {}, "declares ['score'] but gave []"),
        (lambda n: ModuleResult({"score": np.zeros(n)}, statuses(n + 1)), "statuses for"),
        (lambda n: ModuleResult({"score": np.zeros(n)}, np.full(n, 9, np.int8)), "status outside"),
        (lambda n: ModuleResult({"score": np.zeros(n)}, statuses(n), np.zeros(n + 1)), "separations for"),
    ],
)
def test_a_broken_contract_is_said_clearly(gives: Any, says: str) -> None:
    result = toy_runner(Toy(lambda columns: gives(len(columns)))).apply(alerts_with_poison(size=4))
    assert set(status_of(result.table, "toy")) == {"failed"}
    assert says in result.errors["toy"][0]


@pytest.mark.parametrize("cut", [1, 2])
def test_a_length_that_is_right_for_single_alerts_only_is_not_hidden_by_halving(cut: int) -> None:
    def gives(columns: Columns) -> ModuleResult:
        return ModuleResult({"score": np.zeros(len(columns))[:cut]}, statuses(len(columns))[:cut])

    result = toy_runner(Toy(gives)).apply(alerts_with_poison(size=5))
    assert set(status_of(result.table, "toy")) == {"failed"}
    assert result.errors["toy"] == [f"module toy gave {cut} statuses for 5 alerts"]


def test_an_exception_that_no_alert_causes_alone_is_told() -> None:
    def gives(columns: Columns) -> dict[str, Any]:
        return {"score": columns.floats("candidate.magpsf") + np.zeros(1 if len(columns) == 1 else len(columns) + 1)}

    result = toy_runner(Toy(gives)).apply(alerts_with_poison(size=4))
    assert len(result.errors["toy"]) == 1
    assert "ValueError with 2 alerts together, and with none of them alone" in result.errors["toy"][0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_beside_ok_fails_that_alert_and_names_the_column(bad: float) -> None:
    def gives(columns: Columns) -> dict[str, Any]:
        return {"score": np.where(columns.floats("candidate.ra") == POISON_RA, bad, 1.0)}

    result = toy_runner(Toy(gives)).apply(alerts_with_poison(2, size=4))
    assert status_of(result.table, "toy") == ["ok", "ok", "failed", "ok"]
    assert values(result.table, "score") == [1.0, 1.0, None, 1.0]
    assert result.errors["toy"] == ["alert 102: NaN or infinity in score beside status ok"]


@pytest.mark.parametrize(
    ("column", "kind", "rows"),
    [
        ("pair", PAIR, [{"a": 1.0, "b": None}, {"a": float("nan"), "b": 1.0}]),
        ("floats", pa.map_(pa.string(), pa.float64()), [{"x": 1.0}, {"x": 1.0, "y": float("nan")}]),
    ],
)
def test_nan_is_found_inside_structs_and_maps(column: str, kind: pa.DataType, rows: list[Any]) -> None:
    given = [list(row.items()) for row in rows] if pa.types.is_map(kind) else rows
    module = Toy(lambda columns: {column: pa.array(given, kind)}, outputs={column: kind})
    result = toy_runner(module).apply(table([alert(1), alert(2)]))
    assert status_of(result.table, "toy")[0] == "ok"
    assert status_of(result.table, "toy")[1] == "failed"


def test_values_of_alerts_that_are_not_ok_are_dropped() -> None:
    def gives(columns: Columns) -> ModuleResult:
        status = np.array([Status.OK, Status.NO_MATCH, Status.NOT_APPLICABLE, Status.UNAVAILABLE], np.int8)
        return ModuleResult({"score": np.array([1.0, 2.0, np.nan, np.inf])}, status, np.array([0.5, 0.6, 0.7, 0.8]))

    result = toy_runner(Toy(gives)).apply(table([alert(row) for row in range(4)]))
    assert values(result.table, "score") == [1.0, None, None, None]
    assert result.table.column("xm_sep").to_pylist() == [[("toy", 0.5)], [], [], []]
    assert result.errors == {}


def test_a_module_does_not_see_alerts_whose_required_module_gave_nothing() -> None:
    seen = []

    def second(columns: Columns) -> dict[str, Any]:
        seen.extend(columns.ids.tolist())
        return {"other": columns.floats("score") + 1}

    dependent = Toy(second, name="second", outputs={"other": pa.float64()}, inputs=("score",), requires=("toy",))
    result = toy_runner(dependent, Toy(stumbles)).apply(alerts_with_poison(1, size=3))
    assert status_of(result.table, "second") == ["ok", "unavailable", "ok"]
    assert values(result.table, "other") == [19.0, None, 19.0]
    assert seen == [100, 102]


def test_a_module_may_read_the_status_of_one_that_it_only_uses() -> None:
    def second(columns: Columns) -> dict[str, Any]:
        return {"other": columns.status("toy").astype(float)}

    dependent = Toy(second, name="second", outputs={"other": pa.float64()}, inputs=(), uses=("toy",))
    result = toy_runner(dependent, Toy(stumbles)).apply(alerts_with_poison(1, size=3))
    assert values(result.table, "other") == [0.0, 4.0, 0.0]


def test_alerts_that_a_module_does_not_apply_to_are_not_computed() -> None:
    seen = []

    def gives(columns: Columns) -> dict[str, Any]:
        seen.extend(columns.ids.tolist())
        return {"score": columns.floats("candidate.ra")}

    module = Toy(gives, applies="ra > 150.5 OR magpsf IS NULL AND false")
    rows = [alert(1, ra=151.0), alert(2, ra=150.0), alert(3, ra=152.0), alert(4, ra=None)]
    result = toy_runner(module).apply(table(rows))
    assert status_of(result.table, "toy") == ["ok", "not_applicable", "ok", "not_applicable"]
    assert values(result.table, "score") == [151.0, None, 152.0, None]
    assert seen == [1, 3]


def test_applies_sees_the_statuses_of_upstream_modules() -> None:
    first = Toy(
        lambda columns: ModuleResult(
            {"number": np.zeros(len(columns), np.int32)},
            np.where(columns.floats("candidate.ra") < 151, Status.NO_MATCH, Status.OK).astype(np.int8),
        ),
        name="first",
        outputs={"number": pa.int32()},
    )
    second = good("second", inputs=("candidate.magpsf",), uses=("first",), applies="first_status = 'no_match'")
    result = toy_runner(second, first).apply(table([alert(1, ra=150.0), alert(2, ra=152.0)]))
    assert status_of(result.table, "second") == ["ok", "not_applicable"]


def test_an_alert_that_may_apply_later_is_unavailable() -> None:
    first = Toy(
        lambda columns: ModuleResult(
            {"number": np.zeros(len(columns), np.int32)},
            np.select([columns.floats("candidate.ra") == ra for ra in (150, 151)], [Status.OK, Status.NO_MATCH], 3),
        ),
        name="first",
        outputs={"number": pa.int32()},
    )
    predicates = {"applies": "first_status = 'ok' AND dec > 0", "waits": "first_status = 'unavailable' AND dec > 0"}
    second = good("second", inputs=("candidate.magpsf", "candidate.dec"), uses=("first",), **predicates)
    places = [(150.0, 1.0), (151.0, 1.0), (152.0, 1.0), (152.0, -1.0), (152.0, None)]
    alerts = [alert(place, ra=ra, dec=dec) for place, (ra, dec) in enumerate(places)]
    result = toy_runner(second, first).apply(table(alerts))
    later = ["ok", "not_applicable", "unavailable", "not_applicable", "not_applicable"]
    assert status_of(result.table, "second") == later
    assert values(result.table, "score") == [36.0, None, None, None, None]


def test_images_are_read_only_for_alerts_that_a_module_applies_to() -> None:
    asked = []

    def read(ids: np.ndarray) -> pa.Table:
        asked.append(ids.tolist())
        return pa.table(
            {
                "alert_id": ids[::-1],
                "science": pa.array([str(one).encode() for one in ids[::-1]]),
                "template": pa.nulls(len(ids), pa.binary()),
                "difference": pa.nulls(len(ids), pa.binary()),
            }
        )

    def gives(columns: Columns) -> dict[str, Any]:
        return {"text": np.array([image.decode() for image in columns.strings("cutouts.science")], dtype=object)}

    module = Toy(gives, outputs={"text": pa.string()}, inputs=("cutouts.science", "candidate.ra"), applies="ra < 150.5")
    result = toy_runner(module).apply(table([alert(1), alert(2, ra=151.0), alert(3)]), read)
    assert values(result.table, "text") == ["1", None, "3"]
    assert asked == [[1, 3]]


def test_arrays_given_to_modules_cannot_be_changed() -> None:
    def vandal(columns: Columns) -> dict[str, Any]:
        mags = columns.floats("candidate.magpsf")
        mags += 1
        return {"score": mags}

    result = toy_runner(Toy(vandal, name="a_vandal"), good(output="other")).apply(alerts_with_poison(size=2))
    assert status_of(result.table, "a_vandal") == ["failed", "failed"]
    assert values(result.table, "other") == [36.0, 36.0]
