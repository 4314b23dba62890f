"""Active nuclei: who is judged, what nuclei and stars get, and that Gaia helps but is not needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from fink_lib.science.models import LightCurves
from fink_lib.science.models.metrics import roc_auc
from fink_lib.science.modules import agn, roid
from fink_lib.science.modules.agn import FEATURES, features
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import JD, alert, detection, table
from tests.unit.science.reference import alerts_of, enriched_files, read_records
from tests.unit.science.simulated import alerts_of_sample, sample_of
from tests.unit.science.toys import Toy, status_of, values


def gaia(plx: float | None = None, e_plx: float | None = None) -> Toy:
    """A catalogue that says the same of every place."""
    outputs = {"Plx": pa.float32(), "e_Plx": pa.float32()}

    def run(columns: Any) -> dict[str, pa.Array]:
        return {
            name: pa.array([value] * len(columns), pa.float32())
            for name, value in zip(outputs, (plx, e_plx), strict=True)
        }

    return Toy(run, name="gaia", outputs=outputs)


def judge_with(settings: Settings, plx: float | None = None, e_plx: float | None = None) -> Runner:
    survey = get_survey("ztf")
    return Runner(survey, [*roid.build(survey, settings), *agn.build(survey, settings), gaia(plx, e_plx)])


@pytest.fixture(scope="module")
def judge(science_settings: Settings) -> Runner:
    """A runner of this module and what it reads from."""
    return judge_with(science_settings)


def source(candid: int, points: dict[int, int], **candidate: Any) -> Any:
    """An alert with some points per band, one a night, of a source that wanders about 18 mag."""
    rng = np.random.default_rng(candid)
    made = [
        {
            "jd": JD - 2.0 * (count - 1 - night) + 0.01 * fid,
            "fid": fid,
            "magpsf": 20.0 + rng.uniform(-0.5, 0.5),
            "sigmapsf": 0.1,
            "magnr": 18.0,
            "sigmagnr": 0.02,
            "distnr": 0.2,
            "isdiffpos": "t",
        }
        for fid, count in points.items()
        for night in range(count)
    ]
    made.sort(key=lambda one: one["jd"])
    previous = [detection(0.0, candid=10**6 + place, **one) for place, one in enumerate(made[:-1])]
    return alert(candid, previous=previous, **made[-1] | {"sgscore1": 0.5, "ndethist": 30} | candidate)


@pytest.mark.parametrize(
    ("points", "changes", "status"),
    [
        ({1: 10}, {}, "ok"),
        ({2: 10}, {}, "ok"),
        ({1: 9, 2: 9}, {}, "not_applicable"),
        ({1: 10, 2: 3}, {}, "ok"),
        ({1: 12, 2: 12}, {}, "ok"),
        ({1: 12}, {"ndethist": None}, "not_applicable"),
    ],
)
def test_who_is_judged(judge: Runner, points: dict[int, int], changes: dict[str, Any], status: str) -> None:
    given = judge.apply(table([source(1, points, **changes)])).table
    assert status_of(given, "agn") == [status]
    assert (values(given, "agn_score")[0] is not None) == (status == "ok")


def test_a_known_asteroid_is_not_judged(science_settings: Settings) -> None:
    survey = get_survey("ztf")
    asteroid = Toy(lambda c: {"roid": np.full(len(c), 3, np.int32)}, name="roid", outputs={"roid": pa.int32()})
    runner = Runner(survey, [asteroid, gaia(), *agn.build(survey, science_settings)])
    assert status_of(runner.apply(table([source(1, {1: 12})])).table, "agn") == ["not_applicable"]


def test_points_without_a_reference_magnitude_do_not_count(judge: Runner) -> None:
    lacking = source(1, {1: 10})
    lacking["prv_candidates"][3]["magnr"] = -99.0
    assert status_of(judge.apply(table([lacking])).table, "agn") == ["not_applicable"]


def test_the_joint_features_by_hand() -> None:
    nights = np.arange(12.0)
    time = np.concatenate((JD + nights, JD + nights + 0.1))
    order = np.argsort(time)
    band = np.repeat([1, 2], 12)[order]
    # With no difference flux to speak of, the apparent magnitude is that of the reference: g - r = 0.5.
    entries = {
        "magpsf": np.full(24, 30.0),
        "sigmapsf": np.full(24, 0.1),
        "magnr": np.where(band == 1, 18.5, 18.0),
        "sigmagnr": np.full(24, 0.02),
        "sign": np.ones(24),
    }
    alerts = {"distnr": np.array([0.3]), "sgscore1": np.array([-999.0])}
    curves = LightCurves(np.array([0, 24]), time[order], band, entries, alerts)
    rows, found = features(curves, np.array([7.0]))
    given = dict(zip(FEATURES, found[0].tolist(), strict=True))
    assert rows.tolist() == [0]
    assert given["colour"] == pytest.approx(0.5, abs=1e-4)
    assert given["colour_scatter"] == pytest.approx(0.0, abs=1e-4)
    assert given["deviation_ratio"] == pytest.approx(0.0)
    assert given["parallax_over_error"] == 7.0
    assert given["distnr"] == 0.3
    assert np.isnan(given["sgscore1"])
    assert given["structure_1d_g"] == 0.0
    assert given["log_sigma_g"] < -2.0


def test_a_parallax_speaks_against_a_nucleus(science_settings: Settings) -> None:
    sample = sample_of(5, AGN=500)
    alerts = alerts_of_sample(sample.take(features(sample.curves, np.full(len(sample), np.nan))[0]))
    said = {}
    for name, parallax in {"none": (None, None), "star": (3.0, 0.1), "error 0": (3.0, 0.0)}.items():
        given = judge_with(science_settings, *parallax).apply(alerts).table
        said[name] = np.array(values(given, "agn_score"), dtype=float)
    assert len(said["none"]) > 20
    assert said["star"].mean() < 0.5 * said["none"].mean()
    assert (said["error 0"] == said["none"]).all()


def test_nuclei_are_told_from_stars_without_gaia(judge: Runner) -> None:
    sample = sample_of(6, AGN=400, Blazar=100, RRLyrae=200, Eclipsing=200, Erratic=200, LongPeriod=100)
    sample = sample.take(features(sample.curves, np.full(len(sample), np.nan))[0])
    score = np.array(values(judge.apply(alerts_of_sample(sample)).table, "agn_score"), dtype=float)
    nucleus = np.isin(sample.kind, ["AGN", "Blazar"])
    assert np.isfinite(score).all()
    assert roc_auc(score, nucleus) > 0.9


def test_without_a_model_the_score_is_unavailable(science_settings: Settings) -> None:
    class Absent(agn.ModelHandle):
        current = None  # type: ignore[assignment]

    survey = get_survey("ztf")
    module = agn.ActiveNucleus(Absent("absent", None))  # type: ignore[arg-type]
    runner = Runner(survey, [*roid.build(survey, science_settings), gaia(), module])
    given = runner.apply(table([source(1, {1: 12}), source(2, {1: 3})])).table
    assert status_of(given, "agn") == ["unavailable"] * 2


STARS = ("Mira", "LongPeriodV*", "LongPeriodV*_Candidate", "AGB*_Candidate", "YSO_Candidate", "OrionV*", "EB*", "Star")
STARS += ("CataclyV*", "deltaCep", "Erupt*RCrB")


@pytest.mark.skipif(not enriched_files(), reason="the shared sample of enriched alerts is not installed")
def test_stars_with_a_published_type_score_low(judge: Runner) -> None:
    records = [one for path in enriched_files() for one in read_records(path) if one.get("cdsxmatch") in STARS]
    score = values(judge.apply(alerts_of(records)).table, "agn_score")
    judged = [one for one in score if one is not None]
    assert len(judged) >= 20
    assert np.median(judged) < 0.2
    assert np.mean([one < 0.5 for one in judged]) >= 0.8


def test_agn_keeps_the_contract(judge: Runner, varied_alerts: pa.Table) -> None:
    made = table([source(10 + n, {1: 5 + n, 2: 12 - n % 4}) for n in range(20)])
    assert complaints(judge, "agn", pa.concat_tables([made, varied_alerts]).combine_chunks()) == []
