"""Kilonovae: components by hand, who is judged, and how well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from fink_lib.science.models import read_artefact
from fink_lib.science.models.artefact import PACKAGED
from fink_lib.science.models.simulation.sample import simulate
from fink_lib.science.models.training.kilonova import TRAINER, kilonova_components
from fink_lib.science.modules.kilonova import FEATURES, GRID_D, describe_curves, forest_inputs
from tests.unit.science.alerts import JD, alert, detection, table
from tests.unit.science.only import runner_of
from tests.unit.science.simulated import alerts_of_sample
from tests.unit.science.test_nights_and_sigmoids import curves_of
from tests.unit.science.toys import status_of, values

SLOPES = ((1, 0.3, 0.6), (2, 0.0, 0.2))
"""Band, colour above r, magnitudes per day."""


@pytest.fixture(scope="module")
def judge(science_settings: Settings) -> Runner:
    return runner_of(science_settings, "rf_kn")


def fading(candid: int, g_per_d: float, r_per_d: float, colour: float = 0.0, **changes: Any) -> Any:
    """An alert of a source that was found two days ago at r = 18 and fades by so many magnitudes a day."""
    points = []
    for ago in (2.0, 1.0, 0.0):
        day = 2.0 - ago
        points.append({"jd": JD - ago - 0.03, "fid": 1, "magpsf": 18.0 + colour + g_per_d * day, "sigmapsf": 0.08})
        points.append({"jd": JD - ago, "fid": 2, "magpsf": 18.0 + r_per_d * day, "sigmapsf": 0.08})
    points = [one | {"isdiffpos": "t", "jdstarthist": JD - 2.03, "ndethist": 6} for one in points]
    return alert(
        candid,
        previous=[detection(0.0, **one | {"candid": n}) for n, one in enumerate(points[:-1])],
        **points[-1] | changes,
    )


def score(judge: Runner, *alerts: Any) -> tuple[list[Any], list[str]]:
    given = judge.apply(table(list(alerts))).table
    return values(given, "rf_kn_vs_nonkn"), status_of(given, "rf_kn")


def test_coefficients_of_a_sum_of_components_are_its_own() -> None:
    shapes = np.stack([np.exp(-np.abs(GRID_D) / scale) for scale in (2.0, 5.0, 12.0)])
    components, scatter = np.stack([shapes, shapes]), np.array([[[0.0] * 3, [100.0] * 3]] * 2)
    days = np.array([0.0, 1.0, 2.0, 4.0, 6.0, 9.0])
    mixture = 0.5 * np.exp(-days / 2.0) + 0.2 * np.exp(-days / 5.0) + 0.3 * np.exp(-days / 12.0)
    mags = 18.0 - 2.5 * np.log10(mixture)
    points = [(day, 1, mag, 0.02, 1.0) for day, mag in zip(days, mags, strict=True)]
    described = describe_curves(curves_of(points), components, scatter)
    found = described.features
    named = dict(zip(FEATURES, found[0].tolist(), strict=True))
    assert [named["c1_g"], named["c2_g"], named["c3_g"]] == pytest.approx([0.5, 0.2, 0.3], abs=0.02)
    assert named["residual_g"] < 0.1
    assert named["peak_g"] == pytest.approx(10 ** (0.4 * 9.5), rel=1e-6)
    assert found[0, 5:].tolist() == [0.0] * 5, "r was not observed"
    assert described.both_bands.tolist() == [False]
    assert described.since_d[0, 0] == pytest.approx(9.0)
    assert described.now[0, 0] == pytest.approx(mixture[-1], abs=0.01)


def test_colours_and_fades_of_the_forest_by_hand() -> None:
    shapes = np.stack([np.exp(-np.abs(GRID_D) / scale) for scale in (2.0, 5.0, 12.0)])
    components, scatter = np.stack([shapes, shapes]), np.array([[[0.0] * 3, [100.0] * 3]] * 2)
    # found at g = 18.3 and r = 18; three days later 1.8 mag fainter in g, 0.6 in r
    points = [(day, band, 18.0 + off + rate * day, 0.01, 1.0) for day in range(4) for band, off, rate in SLOPES]
    inputs = forest_inputs(describe_curves(curves_of(points), components, scatter))[0]
    assert inputs[[4, 9]].tolist() == pytest.approx([18.3, 18.0], abs=1e-4)
    assert inputs[10:12].tolist() == pytest.approx([0.3, 1.5], abs=0.05)
    assert inputs[12:14].tolist() == pytest.approx([1.8 / 3.25, 0.6 / 3.25], abs=0.02)


def test_components_are_reproducible_and_positive_where_it_is_brightest() -> None:
    components, scatter = kilonova_components(4)
    assert np.array_equal(components, kilonova_components(4)[0])
    brightest = int(np.argmin(np.abs(GRID_D)))
    assert (components[:, :, brightest] > 0).all()
    assert (scatter[:, 1] > 0).all()


def test_a_fast_reddening_fade_is_more_like_a_kilonova_than_a_slow_one(judge: Runner) -> None:
    found, status = score(judge, fading(1, 1.1, 0.6, colour=0.1), fading(2, 0.02, 0.01))
    assert status == ["ok", "ok"]
    assert found[0] > 0.5 > 0.1 > found[1]


def test_one_band_alone_scores_zero(judge: Runner) -> None:
    found, status = score(judge, alert(1, previous=[detection(1.0)], jdstarthist=JD - 1.0, ndethist=2))
    assert (found, status) == ([0.0], ["ok"])


def test_the_cuts_are_those_of_the_specification(judge: Runner) -> None:
    _, status = score(
        judge,
        fading(1, 1.0, 0.5, ndethist=20, jdstarthist=JD - 19.9),
        fading(2, 1.0, 0.5, ndethist=21),
        fading(3, 1.0, 0.5, jdstarthist=JD - 20.0),
        alert(4, ndethist=1),
    )
    assert status == ["ok", "not_applicable", "not_applicable", "not_applicable"]


def test_every_way_to_run_it_gives_the_same_bits(judge: Runner, varied_alerts: pa.Table) -> None:
    sample = simulate(replace(TRAINER.request, objects=dict.fromkeys(TRAINER.request.objects, 25)), 23)
    alerts = pa.concat_tables([varied_alerts, alerts_of_sample(sample)]).combine_chunks()
    assert complaints(judge, "rf_kn", alerts) == []


def test_kilonovae_are_told_from_the_rest() -> None:
    request = replace(TRAINER.request, objects={name: n // 6 for name, n in TRAINER.request.objects.items()})
    found = TRAINER.evaluate(read_artefact(PACKAGED / "kilonova"), simulate(request, 99))
    assert found["rf_kn_vs_nonkn"]["auc"] > 0.88
    assert found["rf_kn_vs_nonkn"]["ece"] < 0.07
