"""Anomaly scores: published forests against published values, own forests against injected outliers."""

from __future__ import annotations

import csv
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from sklearn.ensemble import IsolationForest

from fink_lib.config import Settings
from fink_lib.science import Runner
from fink_lib.science.columns import Batch
from fink_lib.science.contract import complaints
from fink_lib.science.layout import layout_of
from fink_lib.science.models import ModelHandle, read_artefact
from fink_lib.science.models.artefact import PACKAGED, in_memory
from fink_lib.science.models.inference import Graph
from fink_lib.science.models.simulation.sample import Request, simulate
from fink_lib.science.models.training.anomaly import OUTLIERS, TRAINER, forest_graph, sample_features
from fink_lib.science.modules.anomaly import (
    BANDS,
    INPUTS,
    Forest,
    OwnForests,
    PublishedForests,
    band_scores,
    feature_matrix,
)
from fink_lib.science.modules.lc_features import FEATURES, curves_of
from fink_lib.surveys.ztf_columns import ANOMALY_VARIANTS, LC_FEATURES
from tests.unit.science.alerts import alert, table
from tests.unit.science.only import runner_of
from tests.unit.science.reference import alerts_of, enriched_files, read_records
from tests.unit.science.toys import status_of, values

CARRIED = ("beta", "anais", "emille", "julien", "maria")
FOLDER = "fink_science/data/models/anomaly_detection"
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def runner(science_settings: Settings) -> Runner:
    return runner_of(science_settings, "anomaly_score", *(f"anomaly_score_{variant}" for variant in ANOMALY_VARIANTS))


def some_features(rows: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, len(INPUTS)))


def test_the_first_inputs_are_those_of_the_published_forests() -> None:
    published = [row[0] for row in read_means("g") if row[0]]
    assert list(INPUTS[:18]) == published
    assert sorted(INPUTS[:25]) == sorted(set(LC_FEATURES) - {"mean_variance"})


def read_means(band: str) -> list[list[str]]:
    with Path(str(distribution("fink-science").locate_file(f"{FOLDER}/{band}_means.csv"))).open() as file:
        return list(csv.reader(file))


def test_r_features_never_move_the_g_forest(runner: Runner) -> None:
    forests = PublishedForests("beta").current
    assert forests is not None
    g = some_features(40)
    first = band_scores(forests, {"g": g, "r": some_features(40, 2)})
    second = band_scores(forests, {"g": g, "r": some_features(40, 3)})
    assert (first[0] == second[0]).all()
    assert (first[1] != second[1]).any()
    assert (first[0] == forests["g"].scores(g)).all()


def test_a_band_with_a_missing_input_is_left_out_and_a_missing_unused_one_is_not() -> None:
    forests = PublishedForests("beta").current
    assert forests is not None
    features = some_features(3)
    features[0, 17] = np.nan
    features[1, 18] = np.nan
    found = forests["g"].scores(features)
    assert np.isnan(found).tolist() == [True, False, False]


def test_the_score_is_the_lower_of_both_bands_and_needs_one(runner: Runner) -> None:
    module = next(one for one in runner.modules if one.declaration.name == "anomaly_score_beta")
    whole = dict.fromkeys(LC_FEATURES, 0.5)
    part = whole | {"skew": None}
    columns = {"g": [whole, part, whole, part], "r": [whole | {"chi2": 1e4}, whole, None, None]}
    arrays = {band: pa.array(rows, FEATURES) for band, rows in columns.items()}

    class Given:
        def __len__(self) -> int:
            return 4

        def arrow(self, path: str) -> pa.Array:
            return arrays[path.removeprefix("lc_features_")]

    result = module.run(Given())  # type: ignore[arg-type]
    forests = PublishedForests("beta").current
    assert forests is not None
    g, r = band_scores(forests, {band: feature_matrix(array) for band, array in arrays.items()})
    score = np.asarray(result.outputs["anomaly_score_beta"])
    assert score[0] == min(g[0], r[0])
    assert score[1] == r[1]
    assert score[2] == g[2]
    assert result.status.tolist() == [0, 0, 0, 2]


def test_a_variant_without_forests_is_unavailable(runner: Runner) -> None:
    result = runner.apply(table([alert(1)]))
    for variant in ANOMALY_VARIANTS:
        expected = "not_applicable" if variant in CARRIED else "unavailable"
        assert status_of(result.table, f"anomaly_score_{variant}") == [expected]
        assert (f"model.anomaly_{variant}" in runner.versions()) == (variant in CARRIED)
    assert runner.versions()["model.anomaly"].startswith("1@sha256:")


def test_without_its_model_the_own_score_is_unavailable(tmp_path: Path) -> None:
    assert OwnForests(ModelHandle("no such model", tmp_path)).current is None


def test_an_own_forest_as_a_graph_is_the_one_that_was_trained() -> None:
    features = some_features(600).astype(np.float32)
    features[:, 3] *= 1000
    forest = IsolationForest(n_estimators=20, max_samples=64, random_state=2).fit(features)
    found = Graph(forest_graph(forest)).run({"X": features}, "score").ravel()
    assert found == pytest.approx(forest.score_samples(features), abs=1e-6)


def test_the_same_seed_trains_the_same_forests_which_single_out_outliers() -> None:
    request = Request({"RRLyrae": 300, "AGN": 300, "SNIa": 200, "Nova": 60}, alerts_per_object=2, newly_found=True)
    sample = simulate(request, 3)
    first, second = (TRAINER.train(5, sample, lambda line: None) for _ in range(2))
    assert first.graphs == second.graphs
    assert {"purpose", "features", "cuts", "limits"} <= set(first.card)
    metrics = TRAINER.evaluate(in_memory("anomaly", "1", first), simulate(request, 4))
    assert metrics["injected flare below ordinary"]["auc"] > 0.95
    assert metrics["Nova below ordinary"]["positives"] > 10
    assert "TDE below ordinary" not in metrics
    known = TRAINER.train(5, sample.take(np.flatnonzero(sample.kind != "Nova")), lambda line: None)
    assert known.graphs == first.graphs


def test_anomaly_scores_keep_the_contract(runner: Runner, varied_alerts: pa.Table) -> None:
    for name in ("anomaly_score", "anomaly_score_beta", "anomaly_score_varvara"):
        assert complaints(runner, name, varied_alerts) == []


needs_sample = pytest.mark.skipif(not enriched_files(), reason="the shared sample of enriched alerts is not installed")


def records_of(stem: str) -> list[dict[str, Any]]:
    (path,) = (one for one in enriched_files() if one.stem == stem)
    return read_records(path)


def filled(features: Floats, band: str) -> Floats:
    """Put means where inputs are missing, as published scores of 2025 were made."""
    mean = {row[0]: float(row[1]) for row in read_means(band) if row[0]}
    typical = np.array([mean[name] for name in INPUTS[:18]] + [0.0] * 7)
    return np.where(np.isfinite(features), features, typical)


@needs_sample
@pytest.mark.parametrize("variant", CARRIED)
def test_published_scores_are_met_with_swapped_bands_and_only_so(runner: Runner, variant: str) -> None:
    records = records_of("spicy_yso_26")
    result = runner.apply(alerts_of(records)).table
    forests = PublishedForests(variant).current
    assert forests is not None
    features = {band: feature_matrix(result.column(f"lc_features_{band}").combine_chunks()) for band in BANDS}
    published = np.array([record[f"anomaly_score_{variant}"] for record in records])
    # The wheel's forests are those of 2025, when the score was the mean of both bands.
    crossed = {"g": filled(features["g"], "r"), "r": filled(features["r"], "g")}
    swapped = band_scores(forests, crossed, swapped=True).mean(axis=0)
    straight = band_scores(forests, {band: filled(features[band], band) for band in BANDS}).mean(axis=0)
    assert (np.abs(swapped - published) <= 1e-4).sum() == 26
    assert (np.abs(straight - published) <= 1e-4).sum() == 0


@needs_sample
def test_scores_are_null_where_the_published_ones_are(runner: Runner) -> None:
    records = records_of("client_ztf_part-3-305711_31")
    published = [record["anomaly_score_beta"] is None for record in records]
    ours = values(runner.apply(alerts_of(records)).table, "anomaly_score_beta")
    assert [value is None for value in ours] == published
    assert published.count(False) == 13


@needs_sample
@pytest.mark.parametrize("kind", OUTLIERS)
def test_injected_outliers_are_among_the_lowest_of_real_alerts(kind: str) -> None:
    records = [one for path in enriched_files() for one in read_records(path) if one.get("candidate")]
    curves = curves_of(Batch(alerts_of(records), layout_of("ztf"), "candid").history)
    model = read_artefact(PACKAGED / "anomaly")
    forests = {band: Forest(model.graphs[band], len(INPUTS)) for band in BANDS}
    real = np.fmin.reduce(band_scores(forests, sample_features(curves)))
    injected = np.fmin.reduce(band_scores(forests, sample_features(curves, kind)))
    limit = np.nanquantile(real, 0.05)
    found = injected[np.isfinite(injected)]
    assert len(found) >= 60
    assert (found <= limit).mean() >= 0.9
