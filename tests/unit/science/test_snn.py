"""The recurrent network: the same in JAX and ONNX, the same in every batch, and what it says of real supernovae."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from fink_lib.science.models import fluxcal, read_artefact
from fink_lib.science.models.artefact import PACKAGED
from fink_lib.science.models.inference import Graph
from fink_lib.science.models.metrics import roc_auc
from fink_lib.science.models.sequences import INPUTS, normalisation, sequences
from fink_lib.science.models.simulation.sample import simulate
from fink_lib.science.models.training.snn import TRAINER
from fink_lib.science.modules.snn import ROWS
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import alert, detection, limit, table
from tests.unit.science.only import runner_of
from tests.unit.science.reference import ENRICHED, SHARED_DATA, alerts_of, read_records
from tests.unit.science.simulated import alerts_of_sample
from tests.unit.science.test_nights_and_sigmoids import curves_of
from tests.unit.science.toys import status_of, values

SN_IA = SHARED_DATA / "ztf" / "v3.3" / "ZTF21abiuvdk_lightcurve_34alerts.tar.gz"
TDE = ENRICHED / "tde_ZTF20abfcszi_21.parquet"


@pytest.fixture(scope="module")
def judge(science_settings: Settings) -> Runner:
    return runner_of(science_settings, "snn")


def scored(judge: Runner, alerts: pa.Table) -> tuple[list[Any], list[Any], list[str]]:
    given = judge.apply(alerts).table
    return values(given, "snn_sn_vs_all"), values(given, "snn_snia_vs_nonia"), status_of(given, "snn")


def test_inputs_of_a_night_by_hand() -> None:
    curves = curves_of([(0.0, 1, 17.5, 0.1, 1), (2.0, 1, 17.5, 0.1, -1), (2.04, 2, 20.0, 0.1, 1)])
    found = sequences(curves)
    assert found.length.tolist() == [2]
    first, second = (dict(zip(INPUTS, row, strict=True)) for row in found.values[0, :2].tolist())
    error = float(fluxcal(np.array([17.5]), np.array([0.1]), np.ones(1))[1][0])
    assert first["FLUXCAL_g"] == pytest.approx(np.log1p(10_000 / 300))
    assert first["FLUXCALERR_g"] == pytest.approx(np.log(error / 300))
    assert (first["g"], first["r"], first["g+r"], first["FLUXCAL_r"], first["delta_time"]) == (1, 0, 0, 0, 0)
    assert second["FLUXCAL_g"] == pytest.approx(-first["FLUXCAL_g"])
    assert (second["g"], second["r"], second["g+r"]) == (0, 0, 1)
    assert second["delta_time"] == pytest.approx(2.0, abs=1e-5)


def test_normalisation_looks_only_at_bands_that_were_detected() -> None:
    only_g = [(float(day), 1, 17.5, 0.1, 1.0) for day in range(3)]
    scale = normalisation(sequences(curves_of(only_g, [(0.0, 2, 20.0, 0.1, 1.0), (1.0, 2, 20.0, 0.1, 1.0)])))
    assert scale[0, 0] == pytest.approx(np.log1p(10_000 / 300))
    assert scale[0, 1] == pytest.approx(np.log1p(1000 / 300))
    assert scale[:, 5:].tolist() == [[0.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("length", [1, 2, 7, 32])
def test_the_onnx_graph_is_the_network_that_was_trained_whatever_it_is_filled_up_to(length: int) -> None:
    import jax

    from fink_lib.science.models.training import recurrent

    weights = recurrent.initial(jax.random.PRNGKey(length), len(INPUTS), 3)
    rng = np.random.default_rng(length)
    steps = rng.normal(size=(5, 32, len(INPUTS))).astype(np.float32)
    lengths = np.full(5, length)
    trained = jax.nn.softmax(recurrent.logits(weights, steps, lengths))
    graph = Graph(recurrent.to_onnx({name: np.asarray(one) for name, one in weights.items()}))
    exact = np.ascontiguousarray(steps[:, :length].transpose(1, 0, 2))
    stored = graph.run({"sequences": exact}, "probabilities", rows=ROWS, axis=1)
    assert np.abs(stored - np.asarray(trained)).max() < 1e-5


def test_one_step_of_training_is_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    from fink_lib.science.models.training import recurrent

    monkeypatch.setattr(recurrent, "EPOCHS", 1)
    monkeypatch.setattr(recurrent, "BATCH", 16)
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(64, 32, len(INPUTS))).astype(np.float32)
    arguments = (steps, np.full(64, 3), rng.integers(0, 3, 64), np.ones(64, np.float32), 3)
    told: list[str] = []
    first, again = (recurrent.fit(5, *arguments, told.append) for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert told[0] == told[1]


def test_the_cuts_are_those_of_the_specification(judge: Runner) -> None:
    two = [detection(3.0)]
    _, _, status = scored(
        judge,
        table(
            [
                alert(1, previous=two),
                alert(2, previous=[limit(3.0)]),
                alert(3, previous=two, jdstarthist=alert()["candidate"]["jd"] - 90.5),
                alert(4, previous=[detection(3.0, fid=3)], fid=3),
                alert(5, previous=two, ssdistnr=0.5, distpsnr1=20.0),
            ]
        ),
    )
    assert status == ["ok", "not_applicable", "not_applicable", "not_applicable", "not_applicable"]


def test_a_negative_difference_is_not_taken_for_a_positive_one(judge: Runner) -> None:
    rise = [(12.0, 20.0), (9.0, 19.2), (6.0, 18.7), (3.0, 18.4)]
    signs = {}
    for candid, word in ((1, "t"), (2, "f")):
        points = [detection(ago, magpsf=mag, isdiffpos=word, candid=int(ago)) for ago, mag in rise]
        signs[word] = scored(judge, table([alert(candid, previous=points, magpsf=18.3, isdiffpos=word)]))[0][0]
    assert signs["t"] > 0.5 > signs["f"]


def test_every_way_to_run_it_gives_the_same_bits(judge: Runner, varied_alerts: pa.Table) -> None:
    sample = simulate(replace(TRAINER.request, objects=dict.fromkeys(TRAINER.request.objects, 15)), 21)
    alerts = pa.concat_tables([varied_alerts, alerts_of_sample(sample)]).combine_chunks()
    assert complaints(judge, "snn", alerts) == []


def test_supernovae_are_told_from_the_rest_and_type_ia_from_the_others() -> None:
    request = replace(TRAINER.request, objects={name: n // 15 for name, n in TRAINER.request.objects.items()})
    found = TRAINER.evaluate(read_artefact(PACKAGED / "snn"), simulate(request, 99))
    assert found["snn_sn_vs_all"]["auc"] > 0.92
    assert found["snn_snia_vs_nonia, supernovae only"]["auc"] > 0.80
    assert max(found[name]["ece"] for name in ("snn_sn_vs_all", "snn_snia_vs_nonia")) < 0.06


def test_auc_of_the_card_is_that_of_the_artefact_on_its_own_seed() -> None:
    card = read_artefact(PACKAGED / "snn").card
    curve = np.array(card["metrics"]["snn_sn_vs_all"]["roc"])
    area = np.trapezoid(np.r_[0.0, curve[:, 1]], np.r_[0.0, curve[:, 0]])
    assert area == pytest.approx(card["metrics"]["snn_sn_vs_all"]["auc"], abs=0.01)
    assert roc_auc(np.array([0.0, 1.0]), np.array([False, True])) == 1.0


@pytest.mark.skipif(not SN_IA.exists(), reason="the shared alerts of a type Ia supernova are not installed")
def test_a_real_type_ia_is_one_from_its_second_week_on(judge: Runner) -> None:
    with tarfile.open(SN_IA) as archive:
        packets = [file.read() for member in archive if (file := archive.extractfile(member))]
    alerts = get_survey("ztf").decode(packets).alerts
    alerts = alerts.take(pa.array(np.argsort([one["jd"] for one in alerts.column("candidate").to_pylist()])))
    age = np.array([one["jd"] for one in alerts.column("candidate").to_pylist()])
    age -= age[0]
    supernova, ia, status = scored(judge, alerts)
    assert status == ["not_applicable"] + ["ok"] * 33
    late = age > 7.5
    assert min(np.array(supernova[1:])[late[1:]]) > 0.6
    assert np.median(np.array(supernova[1:])[late[1:]]) > 0.9
    assert np.median(np.array(ia[1:])[late[1:]]) > 0.8
    assert max(np.array(supernova[1:3])) < 0.6, "two or three points say little yet"


@pytest.mark.skipif(not TDE.exists(), reason="the shared alerts of a tidal disruption event are not installed")
def test_a_real_tidal_disruption_is_never_a_type_ia(judge: Runner) -> None:
    _, ia, status = scored(judge, alerts_of(read_records(TDE)))
    assert set(status) == {"ok"}
    assert max(ia) < 0.05
