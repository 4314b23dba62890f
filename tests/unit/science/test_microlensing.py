"""Microlensing: who is judged, what an event and its neighbours get, and that both bands have a say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from fink_lib.science.models.metrics import roc_auc
from fink_lib.science.modules import microlensing
from fink_lib.science.modules.microlensing import CLASSES, band_features, lens_score
from fink_lib.science.timeseries.lens import magnification
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import JD, alert, detection, table
from tests.unit.science.simulated import alerts_of_sample, sample_of
from tests.unit.science.toys import status_of, values


@pytest.fixture(scope="module")
def judge(science_settings: Settings) -> Runner:
    """A runner of this module alone."""
    survey = get_survey("ztf")
    return Runner(survey, microlensing.build(survey, science_settings))


def star(candid: int, brightening: Any, nights: int = 12, bands: tuple[int, ...] = (1, 2), **candidate: Any) -> Any:
    """An alert of a star of 18 mag; `brightening` gives its magnification at a time in days before the alert."""
    rng = np.random.default_rng(candid)
    points = []
    for night in range(nights):
        for band in bands:
            ago = 2.0 * (nights - 1 - night) + (0.02 if band == bands[0] else 0.0)
            excess = brightening(np.array([-ago]))[0] - 1 + 0.01 * rng.standard_normal()
            points.append(
                {
                    "jd": JD - ago,
                    "fid": band,
                    "magnr": 18.0,
                    "sigmagnr": 0.01,
                    "distnr": 0.2,
                    "magpsf": float(18 - 2.5 * np.log10(abs(excess))),
                    "sigmapsf": float(min(1.0857 * 0.01 / abs(excess), 0.3)),
                    "isdiffpos": "t" if excess > 0 else "f",
                }
            )
    return alert(
        candid,
        previous=[detection(0.0, candid=10**6 + place, **one) for place, one in enumerate(points[:-1])],
        **points[-1] | {"ndethist": 24} | candidate,
    )


def event(candid: int, peak_d: float = -11.0, crossing_d: float = 6.0, impact: float = 0.2, **changes: Any) -> Any:
    return star(candid, lambda time: magnification(time, np.array([peak_d]), crossing_d, impact), **changes)


def noise(candid: int) -> Any:
    return star(candid, np.ones_like)


def score(judge: Runner, *alerts: Any) -> tuple[list[Any], list[str]]:
    given = judge.apply(table(list(alerts))).table
    return values(given, "mulens"), status_of(given, "microlensing")


def test_an_event_seen_whole_is_one_and_a_constant_star_is_none(judge: Runner) -> None:
    found, status = score(judge, event(1), event(2, crossing_d=4.0, impact=0.4), noise(3), noise(4))
    assert status == ["ok"] * 4
    assert min(found[:2]) > 0.5
    assert found[2:] == [0.0, 0.0]


def test_one_sampled_band_is_null_and_not_applicable(judge: Runner) -> None:
    assert score(judge, event(1, nights=24, bands=(2,))) == ([None], ["not_applicable"])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"nights": 10}, "ok"),
        ({"nights": 9}, "not_applicable"),
        ({"ndethist": 99}, "ok"),
        ({"ndethist": 100}, "not_applicable"),
        ({"ndethist": None}, "not_applicable"),
    ],
)
def test_who_is_judged(judge: Runner, changes: dict[str, Any], status: str) -> None:
    assert score(judge, event(1, **changes))[1] == [status]


def test_points_without_a_reference_magnitude_do_not_count(judge: Runner) -> None:
    lacking = event(1, nights=10)
    lacking["prv_candidates"][0]["magnr"] = None
    negative = event(2, nights=10)
    negative["prv_candidates"][0]["magnr"] = -99.0
    assert score(judge, lacking, negative)[1] == ["not_applicable"] * 2


def test_the_score_joins_both_bands() -> None:
    knots = np.array([[0.0, 0.0], [1.0, 0.5]])
    g = np.array([[0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.7, 0.1], [0.4, 0.1, 0.3, 0.2]])
    r = np.array([[0.2, 0.1, 0.5, 0.2], [0.1, 0.1, 0.2, 0.6], [0.1, 0.1, 0.7, 0.1]])
    assert CLASSES == ("CONST", "CV", "ML", "VAR")
    assert lens_score(np.stack((g, r)), knots).tolist() == pytest.approx([0.3, 0.0, 0.0])


def test_without_a_model_the_score_is_unavailable() -> None:
    class Absent(microlensing.ModelHandle):
        current = None  # type: ignore[assignment]

    survey = get_survey("ztf")
    runner = Runner(survey, [microlensing.Microlensing(Absent("absent", None))])  # type: ignore[arg-type]
    assert score(runner, event(1)) == ([None], ["unavailable"])


def test_the_stream_computes_the_features_that_the_forest_was_trained_on(judge: Runner) -> None:
    sample = sample_of(11, Microlensing=400, LongPeriod=100)
    alert_rows, features = band_features(sample.curves)
    model = judge.modules[0]._model.current  # type: ignore[attr-defined]
    expected = lens_score(
        microlensing.class_probabilities(model.graphs["forest"], features), model.arrays["calibration"]
    )
    chosen = alert_rows[sample.curves.alerts["ndethist"][alert_rows] < 100]
    assert len(chosen) > 20
    given = values(judge.apply(alerts_of_sample(sample)).table, "mulens")
    kept = np.isin(alert_rows, chosen)
    assert [given[row] for row in chosen] == pytest.approx(expected[kept].tolist(), abs=2e-3)
    assert sum(one is not None for one in given) == len(chosen)


def test_events_are_told_from_other_stars(judge: Runner) -> None:
    sample = sample_of(12, Microlensing=800, RRLyrae=1500, Eclipsing=1500, Erratic=1500)
    sample = sample.take(band_features(sample.curves)[0])
    given = values(judge.apply(alerts_of_sample(sample)).table, "mulens")
    judged = np.array([one is not None for one in given])
    lens = sample.kind[judged] == "Microlensing"
    assert lens.sum() > 20
    assert (~lens).sum() > 20
    assert roc_auc(np.array(given)[judged].astype(float), lens) > 0.9


def test_microlensing_keeps_the_contract(judge: Runner, varied_alerts: pa.Table) -> None:
    made = table([event(10 + n, peak_d=-2.0 * n, nights=10 + n) for n in range(12)] + [noise(40 + n) for n in range(6)])
    assert complaints(judge, "microlensing", pa.concat_tables([made, varied_alerts]).combine_chunks()) == []
