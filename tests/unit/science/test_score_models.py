"""The models of microlensing, AGN and superluminous supernovae: what their cards promise, and their graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from fink_lib.science.models import read_artefact
from fink_lib.science.models.artefact import PACKAGED
from fink_lib.science.models.inference import Graph
from fink_lib.science.models.training import trees
from fink_lib.science.models.training.trainer import known_trainers
from fink_lib.science.modules import agn, slsn
from fink_lib.science.timeseries.variability import VARIABILITY_FEATURES

MOST_BYTES = 2_000_000
PROMISES = {
    "microlensing": ("microlensing against all", 0.90, VARIABILITY_FEATURES),
    "agn": ("nuclei against all, no parallax known", 0.85, agn.FEATURES),
    "slsn": ("superluminous among supernovae", 0.85, slsn.FEATURES),
}


@pytest.mark.parametrize("name", PROMISES)
def test_a_card_keeps_its_promises(name: str) -> None:
    task, auc, features = PROMISES[name]
    model = read_artefact(PACKAGED / name)
    metrics = model.card["metrics"]
    assert metrics[task]["auc"] >= auc
    assert next(iter(metrics.values()))["ece"] <= 0.05
    assert model.card["features"] == list(features)
    assert {"purpose", "cuts", "limits", "seed", "command", "licence"} <= set(model.card)
    assert model.version == known_trainers()[name].version
    assert all(path.stat().st_size < MOST_BYTES for path in (PACKAGED / name).iterdir())


def boosted(seed: int = 1) -> tuple[Any, np.typing.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(400, 3)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    truth = np.nan_to_num(rows[:, 0]) + np.isnan(rows[:, 1]) > 0.3
    return HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=5).fit(rows, truth), rows


def test_boosted_trees_and_their_graph_agree_on_missing_values() -> None:
    classifier, rows = boosted()
    data = trees.boosted_graph(classifier, rows)
    onnx.checker.check_model(onnx.load_model_from_string(data))
    found = Graph(data).run({"X": rows}, "probability")[:, 0]
    assert np.abs(found - classifier.predict_proba(rows)[:, 1]).max() < 1e-5
    assert np.isnan(rows).any(axis=1).sum() > 100


def test_a_graph_that_differs_from_its_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, rows = boosted()
    monkeypatch.setattr(trees, "TOLERANCE", -1.0)
    with pytest.raises(trees.ConversionError, match="differs"):
        trees.boosted_graph(classifier, rows)


@pytest.mark.parametrize("name", PROMISES)
def test_a_row_gets_the_same_answer_in_any_batch(name: str) -> None:
    graph = next(iter(read_artefact(PACKAGED / name).graphs.values()))
    output = "probabilities" if name == "microlensing" else "probability"
    rows = np.random.default_rng(3).normal(size=(150, len(PROMISES[name][2]))).astype(np.float32)
    whole = graph.run({"X": rows}, output)
    assert (graph.run({"X": rows[::-1]}, output)[::-1] == whole).all()
    assert (graph.run({"X": rows[77:78]}, output)[0] == whole[77]).all()
