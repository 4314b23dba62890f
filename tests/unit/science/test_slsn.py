"""Superluminous supernovae: who is judged, what makes a score, and that the archive of one object is its own."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.archive_history import with_archive
from fink_lib.science.contract import complaints
from fink_lib.science.layout import layout_of
from fink_lib.science.models import LightCurves
from fink_lib.science.models.metrics import roc_auc
from fink_lib.science.modules import is_transient, roid, slsn
from fink_lib.science.modules.slsn import FEATURES, features
from fink_lib.science.timeseries.ia_template import PHASE_D, TEMPLATE, ia_fit
from fink_lib.science.timeseries.segments import Segments
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import JD, alert, detection, limit, table
from tests.unit.science.reference import SHARED_DATA, alerts_of, enriched_files
from tests.unit.science.simulated import alerts_of_sample, sample_of
from tests.unit.science.toys import Toy, status_of, values

LAYOUT = layout_of("ztf")
IA_PACKETS = SHARED_DATA / "ztf" / "v3.3" / "ZTF21abiuvdk_lightcurve_34alerts.tar.gz"


def judge_with(settings: Settings, transient: bool | None = True) -> Runner:
    flag = Toy(
        lambda columns: {"is_transient": pa.array([transient] * len(columns), pa.bool_())},
        name="is_transient",
        outputs={"is_transient": pa.bool_()},
    )
    return Runner(get_survey("ztf"), [flag, *slsn.build(get_survey("ztf"), settings)])


@pytest.fixture(scope="module")
def judge(science_settings: Settings) -> Runner:
    """A runner that takes every alert for a transient."""
    return judge_with(science_settings)


def transient(candid: int, days: dict[int, list[float]], **candidate: Any) -> Any:
    """An alert whose points lie some days back in each band; the last one is its own."""
    points = sorted(
        (
            {"jd": JD - ago, "fid": fid, "magpsf": 18.5 + 0.01 * ago + 0.1 * fid, "sigmapsf": 0.05, "isdiffpos": "t"}
            for fid, many in days.items()
            for ago in many
        ),
        key=lambda one: one["jd"],
    )
    previous = [detection(0.0, candid=10**6 + place, **one) for place, one in enumerate(points[:-1])]
    own = {"jdstarthist": points[0]["jd"], "distnr": 1.0} | candidate
    return alert(candid, previous=previous, **points[-1] | own)


ENOUGH = {1: [40.0, 30.0, 20.0, 10.0], 2: [39.0, 29.0, 9.0, 0.0]}


@pytest.mark.parametrize(
    ("days", "changes", "status"),
    [
        (ENOUGH, {}, "ok"),
        ({1: [40.0, 30.0, 20.0], 2: [39.0, 29.0, 9.0, 0.0]}, {}, "not_applicable"),
        ({1: [40.0, 30.0], 2: [39.0, 29.0, 19.0, 14.0, 9.0, 0.0]}, {}, "not_applicable"),
        ({1: [40.0, 30.0, 20.0], 2: [39.0, 29.0, 19.0, 9.0, 0.0]}, {}, "ok"),
        ({1: [30.0, 25.0, 20.0, 10.0], 2: [29.0, 19.0, 9.0, 0.0]}, {}, "not_applicable"),
        (ENOUGH, {"jdstarthist": JD - 29.9}, "not_applicable"),
        (ENOUGH, {"jdstarthist": JD - 30.0}, "ok"),
        (ENOUGH, {"jdstarthist": None}, "not_applicable"),
    ],
)
def test_who_is_judged(judge: Runner, days: dict[int, list[float]], changes: dict[str, Any], status: str) -> None:
    given = judge.apply(table([transient(1, days, **changes)])).table
    assert status_of(given, "slsn") == [status]
    assert (values(given, "slsn_score")[0] is not None) == (status == "ok")


@pytest.mark.parametrize("transient_flag", [False, None])
def test_what_is_no_transient_is_not_judged(science_settings: Settings, transient_flag: bool | None) -> None:
    runner = judge_with(science_settings, transient_flag)
    assert status_of(runner.apply(table([transient(1, ENOUGH)])).table, "slsn") == ["not_applicable"]


def test_a_packet_alone_never_spans_more_than_30_days(judge: Runner) -> None:
    recent = {band: [ago for ago in many if ago <= 30] for band, many in ENOUGH.items()}
    packet = transient(1, recent | {1: [29.9, 25.0, 20.0, 15.0, 10.0]}, jdstarthist=JD - 60)
    assert status_of(judge.apply(table([packet])).table, "slsn") == ["not_applicable"]


def test_the_statistics_by_hand() -> None:
    time = np.array([0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 40.0, 41.0])
    flux = np.array([100.0, 50.0, 400.0, 200.0, 300.0, 150.0, 100.0, 100.0])
    entries = {
        "magpsf": 27.5 - 2.5 * np.log10(flux),
        "sigmapsf": np.full(8, 0.05),
        "sign": np.ones(8),
    }
    curves = LightCurves(np.array([0, 8]), JD + time, np.tile([1, 2], 4), entries, {"distnr": np.array([-999.0])})
    alerts, found = features(curves)
    given = dict(zip(FEATURES, found[0].tolist(), strict=True))
    assert alerts.tolist() == [0]
    share = flux / 400
    spread = np.sqrt(np.mean((share - share.mean()) ** 2))
    assert given["amplitude"] == pytest.approx((1 - 0.125) / 2)
    assert given["standard_deviation"] == pytest.approx(spread)
    assert given["skew"] == pytest.approx(np.mean((share - share.mean()) ** 3) / spread**3)
    assert given["max_slope"] == pytest.approx(300 / 400 / 10)
    assert given["peak_mag_g"] == pytest.approx(27.5 - 2.5 * np.log10(400))
    assert given["peak_mag_r"] == pytest.approx(27.5 - 2.5 * np.log10(200))
    assert given["quantile_15_d"] == pytest.approx(1 + 0.05 * 9)
    assert given["quantile_85_d"] == pytest.approx(21 + 0.95 * 19)
    assert np.isnan(given["distnr"])


def test_a_stretched_type_ia_is_found_again() -> None:
    time = np.tile(np.linspace(-15, 70, 30), 2)
    band = np.repeat([1, 2], 30)
    order = np.argsort(time, kind="stable")
    width = 1.2
    flux = np.where(
        band == 1, np.interp(time / width, PHASE_D, TEMPLATE[1]), 0.8 * np.interp(time / width, PHASE_D, TEMPLATE[2])
    )
    found = ia_fit(JD + time[order], flux[order], np.full(60, 0.01), band[order], Segments(np.array([60])))
    assert np.exp(found.log_width[0]) == pytest.approx(width, rel=0.06)
    assert found.colour[0] == pytest.approx(2.5 * np.log10(0.8), abs=0.05)
    assert found.reduced_chi2[0] < 0.5
    assert found.peak_jd[0] == pytest.approx(JD, abs=3.0)


def test_superluminous_ones_are_told_from_others(judge: Runner) -> None:
    sample = sample_of(8, history_d=1e9, SLSN=150, SNIa=150, SNII=100)
    sample = sample.take(features(sample.curves)[0])
    given = values(judge.apply(alerts_of_sample(sample)).table, "slsn_score")
    judged = np.array([one is not None for one in given])
    assert judged.sum() > 100
    truth = sample.kind[judged] == "SLSN"
    assert roc_auc(np.array(given)[judged].astype(float), truth) > 0.9


def archive_of(names: list[str]) -> pa.Table:
    """An archive with one old alert of each object, with a history and a limit."""
    made = []
    for place, name in enumerate(names):
        old = {1: [60.0, 55.0, 50.0, 45.0 + place], 2: [59.0, 54.0, 44.0]}
        made.append(transient(100 + place, old) | {"objectId": name})
        made[-1]["prv_candidates"].append(limit(62.0))
    return table(made)


def test_an_object_absent_from_the_archive_leaves_its_neighbours_scores_unchanged(judge: Runner) -> None:
    names = ["ZTF20aaaaaaa", "ZTF20aaaaaab", "ZTF20aaaaaac", "ZTF20aaaaaad"]
    recent = {1: [20.0, 15.0, 10.0], 2: [19.0, 9.0, 0.0]}
    alerts = table([transient(n, recent, jdstarthist=JD - 60) | {"objectId": name} for n, name in enumerate(names)])
    scores = {}
    for absent in (None, *names):
        archive = archive_of([name for name in names if name != absent])
        given = judge.apply(with_archive(alerts, archive, LAYOUT)).table
        scores[absent] = values(given, "slsn_score")
        assert status_of(given, "slsn") == ["not_applicable" if name == absent else "ok" for name in names]
    for place, name in enumerate(names):
        assert {scores[absent][place] for absent in scores if absent != name} == {scores[None][place]}
        assert scores[name][place] is None
    reverse = with_archive(alerts.take([3, 2, 1, 0]), archive_of(names[::-1]), LAYOUT)
    assert len(reverse.column("prv_candidates")[0].as_py()) == 5 + 8


def test_the_archive_gives_each_older_point_once_and_nothing_of_later() -> None:
    packet = transient(1, {1: [20.0, 10.0], 2: [0.0]})
    older = transient(2, {1: [30.0, 25.0, 20.0], 2: [22.0]})
    again = transient(3, {1: [30.0, 25.0, 22.5]})
    later = transient(4, {1: [-5.0]})
    given = with_archive(table([packet]), table([older, again, later]), LAYOUT)
    entries = given.column("prv_candidates")[0].as_py()
    assert [round(JD - one["jd"], 3) for one in entries] == [30.0, 25.0, 22.5, 22.0, 20.0, 10.0]
    assert given.schema == table([packet]).schema


def test_without_an_archive_an_alert_stays_as_it_was() -> None:
    alerts = table([transient(1, ENOUGH), alert(2), alert(3, previous=[])])
    assert with_archive(alerts, alerts.slice(0, 0), LAYOUT).equals(alerts)


@pytest.mark.skipif(not IA_PACKETS.exists(), reason="the shared sample of alerts is not installed")
def test_a_real_type_ia_supernova_is_not_superluminous(science_settings: Settings) -> None:
    with tarfile.open(IA_PACKETS) as archive:
        files = [archive.extractfile(member) for member in archive if member.isfile()]
        records = [next(fastavro.reader(io.BytesIO(file.read()))) for file in files if file is not None]
    alerts = alerts_of(records)
    survey = get_survey("ztf")
    modules = [module.build(survey, science_settings) for module in (roid, is_transient, slsn)]
    runner = Runner(survey, [one for built in modules for one in built])
    assert set(status_of(runner.apply(alerts).table, "slsn")) == {"not_applicable"}
    given = values(runner.apply(with_archive(alerts, alerts, LAYOUT)).table, "slsn_score")
    judged = [one for one in given if one is not None]
    assert len(judged) >= 15
    assert max(judged) < 0.1


def test_slsn_keeps_the_contract(judge: Runner, varied_alerts: pa.Table) -> None:
    made = table([transient(n, {1: [40.0 + n, 33.0, 21.0, 7.0], 2: [39.0, 31.0, 12.0, 3.0, 0.0]}) for n in range(20)])
    longer = with_archive(varied_alerts, varied_alerts, LAYOUT) if enriched_files() else varied_alerts
    assert complaints(judge, "slsn", pa.concat_tables([made, longer]).combine_chunks()) == []
