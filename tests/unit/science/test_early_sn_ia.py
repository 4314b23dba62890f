"""Early type Ia supernovae: what is a rise, who is judged, and how well."""

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
from fink_lib.science.models.training.early_sn_ia import TRAINER
from fink_lib.science.modules.early_sn_ia import FEATURES, find_rises, forest_inputs, rising_part
from tests.unit.science.alerts import JD, alert, detection, table
from tests.unit.science.only import runner_of
from tests.unit.science.simulated import alerts_of_sample
from tests.unit.science.test_nights_and_sigmoids import curves_of
from tests.unit.science.toys import status_of, values


@pytest.fixture(scope="module")
def judge(science_settings: Settings) -> Runner:
    return runner_of(science_settings, "rf_snia")


def rise(candid: int = 1, bands: tuple[int, ...] = (1, 2), sign: str = "t", **changes: Any) -> Any:
    """An alert of a supernova that rose by 1.5 mag in nine days, seen every three."""
    nights = [(9.0, 19.9), (6.0, 19.1), (3.0, 18.6), (0.0, 18.4)]
    points = [
        {"jd": JD - ago - 0.01 * band, "fid": band, "magpsf": mag + 0.05 * band, "sigmapsf": 0.06, "isdiffpos": sign}
        for ago, mag in nights
        for band in bands
    ]
    points.sort(key=lambda one: one["jd"])
    return alert(
        candid,
        previous=[detection(0.0, **one | {"candid": n}) for n, one in enumerate(points[:-1])],
        **points[-1] | changes,
    )


def score(judge: Runner, *alerts: Any) -> tuple[list[Any], list[str]]:
    given = judge.apply(table(list(alerts))).table
    return values(given, "rf_snia_vs_nonia"), status_of(given, "rf_snia")


def test_the_rise_ends_at_the_maximum_of_the_running_mean() -> None:
    nan = np.nan
    flux = np.array([[1.0, 3.0, nan, 5.0, 2.0, 1.0], [5.0, 3.0, 2.0, nan, 1.0, 0.5], [nan, 1.0, nan, nan, nan, nan]])
    # running means with weight 0.2 of the newest point: 1, 1.4, -, 2.12, 2.096, 1.877; the second one falls at once
    assert rising_part(flux).tolist() == [[True, True, False, True, False, False], [False] * 6, [False] * 6]


def test_features_of_a_rise_by_hand() -> None:
    points = [(-9.0, 19.9), (-6.0, 19.1), (-3.0, 18.6), (0.0, 18.4)]
    found = find_rises(curves_of([(ago, band, mag, 0.1, 1.0) for ago, mag in points for band in (1, 2)]))
    named = dict(zip(FEATURES, found.features[0].tolist(), strict=True))
    assert named["nrise_g"] == named["nrise_r"] == 4
    assert named["snratio_g"] == pytest.approx(10.857, rel=1e-3)
    assert named["a_g"] == pytest.approx(named["a_r"])
    assert -9.0 < named["b_g"] < -2.0
    assert 4365 < named["c_g"] < 8000, "the ceiling is above the brightest point, FLUXCAL 4365 at 18.4 mag"
    inputs = forest_inputs(found)[0]
    assert inputs.shape == (17,)
    assert np.abs(inputs[12:17]).max() < 1e-4, "the two bands do not differ"


def test_no_rise_in_one_band_is_a_score_of_zero(judge: Runner) -> None:
    found, status = score(judge, rise(1), rise(2, bands=(1,)))
    assert status == ["ok", "ok"]
    assert found[0] > 0.0
    assert found[1] == 0.0


def test_the_cuts_are_those_of_the_specification(judge: Runner) -> None:
    few = alert(2, previous=[detection(2.0), detection(1.0)])
    _, status = score(judge, rise(1), few, rise(3, ndethist=21), rise(4, ndethist=20))
    assert status == ["ok", "not_applicable", "not_applicable", "ok"]


def test_a_fading_source_is_not_taken_for_a_rising_one(judge: Runner) -> None:
    found, status = score(judge, rise(1, sign="t"), rise(2, sign="f"))
    assert status == ["ok", "ok"]
    assert found[0] > 0.0 == found[1]


def test_every_way_to_run_it_gives_the_same_bits(judge: Runner, varied_alerts: pa.Table) -> None:
    sample = simulate(replace(TRAINER.request, objects=dict.fromkeys(TRAINER.request.objects, 25)), 22)
    alerts = pa.concat_tables([varied_alerts, alerts_of_sample(sample)]).combine_chunks()
    assert complaints(judge, "rf_snia", alerts) == []


def test_type_ia_are_told_from_the_rest_and_from_other_supernovae() -> None:
    request = replace(TRAINER.request, objects={name: n // 20 for name, n in TRAINER.request.objects.items()})
    found = TRAINER.evaluate(read_artefact(PACKAGED / "early_sn_ia"), simulate(request, 99))
    assert found["rf_snia_vs_nonia"]["auc"] > 0.80
    assert found["rf_snia_vs_nonia, supernovae only"]["auc"] > 0.77
    assert found["rf_snia_vs_nonia"]["ece"] < 0.06


def test_training_twice_with_one_seed_gives_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from fink_lib.science.models.artefact import payload_digest, payload_of
    from fink_lib.science.models.training import early_sn_ia

    monkeypatch.setattr(early_sn_ia, "TREES", 3)
    request = replace(TRAINER.request, objects={"SNIa": 250, "SNII": 250, "Microlensing": 60})
    sample = simulate(request, 5)
    first, again = (TRAINER.train(5, sample, lambda line: None) for _ in range(2))
    assert payload_digest(payload_of(first)) == payload_digest(payload_of(again))
    assert payload_digest(payload_of(TRAINER.train(6, sample, str.strip))) != payload_digest(payload_of(first))
