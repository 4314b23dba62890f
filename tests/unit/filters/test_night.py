"""Filters of the night: what is chosen depends on the alerts, never on their order or on the files they are in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.filters import FilterError, FilterSet, load_filters, read_filter
from fink_lib.filters.files import survey_terms
from fink_lib.filters.night import Chosen, NightSelection, select_night
from fink_lib.filters.plan import run_query
from fink_lib.lake import Lake
from fink_lib.surveys import get_survey
from tests.unit.filters.alerts import JD, entries, science_table
from tests.unit.filters.conftest import NIGHTS
from tests.unit.filters.test_command import write

ZTF = get_survey("ztf")
NIGHT = load_filters(ZTF, ["night"])


def choose(filters: FilterSet, *parts: pa.Table) -> dict[str, list[Chosen]]:
    """Feed parts of a night."""
    selection = NightSelection(filters, "candid", "objectId")
    for part in parts:
        selection.feed(part)
    return selection.chosen()


def one(name: str) -> FilterSet:
    """Give one filter alone."""
    return FilterSet(tuple(f for f in NIGHT.filters if f.name == name))


def scored(*scores: tuple[int, str, float | None], **others: Any) -> pa.Table:
    """Make alerts of (id, object, anomaly score)."""
    return science_table([{"candid": i, "objectId": o, "anomaly_score": s} | others for i, o, s in scores])


def test_the_lowest_scores_come_first_one_of_each_object() -> None:
    rows = scored((1, "A", -0.1), (2, "B", -0.3), (3, "A", -0.4), (4, "C", None), (5, "D", float("nan")), (6, "E", 0.0))
    assert choose(one("anomaly"), rows)["anomaly"] == [
        Chosen(3, "A", -0.4), Chosen(2, "B", -0.3), Chosen(6, "E", 0.0),
    ]  # fmt: skip


def test_there_are_no_more_than_the_limit_says_and_ties_go_by_id() -> None:
    rows = scored(*((100 - n, f"O{n}", -0.5) for n in range(50)))
    assert [found.alert_id for found in choose(one("anomaly"), rows)["anomaly"]] == list(range(51, 61))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from("ABCDEFGHIJKLMN"), st.none() | st.sampled_from([-0.3, -0.2, -0.1, 0.0])), max_size=40
    ),
    st.randoms(use_true_random=False),
)
def test_order_and_files_change_nothing(alerts: list[tuple[str, float | None]], random: Any) -> None:
    rows = [(i, *alert) for i, alert in enumerate(alerts)]
    expected = choose(one("anomaly"), scored(*rows))
    random.shuffle(rows)
    cut = random.randint(0, len(rows))
    assert choose(one("anomaly"), scored(*rows[:cut]), scored(*rows[cut:])) == expected
    # what it is, once more
    best: dict[str, tuple[float, int]] = {}
    for i, name, score in rows:
        if score is not None:
            best[name] = min(best.get(name, (9.0, 0)), (score, i))
    assert [(c.value, c.alert_id) for c in expected["anomaly"]] == sorted(best.values())[:10]


def test_the_least_certain_candidates_are_chosen_for_learning() -> None:
    rows = science_table(
        {
            "candid": n, "objectId": f"O{n}", "rf_snia_vs_nonia": score, "candidate.jd": JD, "candidate.dec": 0.0,
            "candidate.jdstarthist": JD - 5, "candidate.drb": 0.9, "candidate.classtar": 0.9,
            "fink_status.simbad": "no_match",
        }
        for n, score in enumerate([0.1, 0.49, 0.9, 0.52, None])
    )  # fmt: skip
    found = choose(NIGHT, rows)
    assert [c.alert_id for c in found["active_learning"]] == [1, 3, 0, 2]
    assert [c.alert_id for c in found["active_learning_best"]] == [2, 3]


def test_a_night_of_the_lake_gives_what_its_rows_give(lake: Lake) -> None:
    rows = lake.read("science", [NIGHTS[0]])
    found = select_night(lake, NIGHTS[0], NIGHT)
    assert found == choose(NIGHT, rows)
    assert set(found) == set(NIGHT.names)
    assert choose(NIGHT) == {name: [] for name in NIGHT.names}


@pytest.mark.parametrize(
    ("entry", "place", "words"),
    [
        ("limit: 0", "11:11", "a limit is a number from 1"),
        ("limit: many", "11:11", "a limit is a number from 1"),
        ("order: colour", "11:11", "unknown column 'colour'"),
        ("order: objectId", "11:11", "this has to be a number"),
        ("order: random()", "11:11", "not allowed"),
        ("per: object", "11:9", "did you mean 'objectId'"),
    ],
)
def test_a_selection_is_checked_like_a_predicate(tmp_path: Path, entry: str, place: str, words: str) -> None:
    file = write(tmp_path, f"-- {entry}\nroid = 3")
    file.write_text(file.read_text().replace("kinds: live", "kinds: night").replace("-- budget: 90 %\n", "-- title2"))
    file.write_text(file.read_text().replace("-- title2", "-- budget: 90 %\n--   \n").replace("--   \n", ""))
    with pytest.raises(FilterError, match=words) as refused:
        read_filter(file, ZTF)
    assert str(refused.value).startswith(f"{file}:{int(place.split(':')[0]) - 1}:{place.split(':')[1]}: ")


def test_the_stream_has_no_best_of(tmp_path: Path) -> None:
    with pytest.raises(FilterError, match="only a filter of kind 'night'"):
        read_filter(write(tmp_path, "-- limit: 10\nroid = 3"), ZTF)


def test_another_limit_is_another_filter(tmp_path: Path) -> None:
    digests = set()
    for entry in ("", "-- limit: 10\n", "-- limit: 11\n", "-- order: roid\n", "-- per: objectId\n"):
        file = write(tmp_path, f"{entry}roid = 3")
        file.write_text(file.read_text().replace("kinds: live", "kinds: night"))
        digests.add(read_filter(file, ZTF).digest)
    assert len(digests) == 5


# -- the terms of the light curve ------------------------------------------------------------------------------------


def term(name: str, *rows: dict[str, Any]) -> list[Any]:
    """Evaluate a term."""
    found = survey_terms(ZTF).find(name)
    assert found is not None
    values: list[Any] = (
        run_query(f"SELECT {found.sql} AS v FROM alerts", found.references, science_table(rows)).column("v").to_pylist()
    )
    return values


OWN = {"candidate.jd": JD, "candidate.fid": 2, "candidate.magpsf": 18.0, "candidate.sigmapsf": 0.1}


def test_the_curve_is_in_order_ends_with_the_alert_and_has_no_limits() -> None:
    history = entries((1.0, 19.0, 1), (5.0, None, 1), (3.0, 20.0, 2), (2.0, float("nan"), 2))
    rows = [OWN | {"prv_candidates": one} for one in (history, history[::-1], None, [])]
    assert term("curve_jd", *rows) == [[JD - 3, JD - 1, JD]] * 2 + [[JD]] * 2
    assert term("curve_fid", *rows) == [[2, 1, 2]] * 2 + [[2]] * 2
    assert term("curve_g", *rows) == [[19.0]] * 2 + [[]] * 2
    assert term("curve_r", *rows) == [[20.0, 18.0]] * 2 + [[18.0]] * 2


def test_a_light_curve_turns_where_it_changes_its_direction_by_more_than_three_sigma() -> None:
    random = np.random.default_rng(4)
    rows, expected = [], []
    for _ in range(200):
        magnitudes = (18 + np.cumsum(random.normal(0, 0.5, random.integers(0, 12)))).astype(np.float32)
        rows.append(OWN | {"prv_candidates": entries(*((20.0 - n, float(m), 2) for n, m in enumerate(magnitudes)))})
        whole = np.append(magnitudes, np.float32(18.0))
        change = np.diff(whole)
        signs = np.sign(change[np.abs(change) > 3 * np.sqrt(2) * 0.1])
        expected.append(int((np.diff(signs) != 0).sum()))
    assert term("turns_r", *rows) == expected
    assert term("turns_g", *rows) == [0] * len(rows)
