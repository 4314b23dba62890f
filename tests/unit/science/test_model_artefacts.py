"""Models on disk: what is written is read, what was changed is refused, what is absent is unavailable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper

from fink_lib.config import load_settings
from fink_lib.errors import ConfigError
from fink_lib.science.models import ModelHandle, Trained, model_folders, read_artefact, write_artefact
from fink_lib.science.models.artefact import ARRAYS_FILE, PACKAGED
from fink_lib.science.models.inference import Graph
from fink_lib.science.models.training.trainer import known_trainers
from tests.unit.science.alerts import alert, detection, limit, table
from tests.unit.science.only import runner_of
from tests.unit.science.toys import status_of, values

MOST_BYTES = 2 * 1024 * 1024
MOST_ECE = 0.05


def doubling() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def trained(value: float = 1.0) -> Trained:
    return Trained({"model": doubling()}, {"scale": np.array([value, 2.0])}, {"purpose": "a test"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    model = read_artefact(write_artefact("toy", "3", trained(), tmp_path))
    assert (model.name, model.version, model.card["purpose"]) == ("toy", "3", "a test")
    assert model.label == f"3@sha256:{model.sha256[:16]}"
    assert model.arrays["scale"].tolist() == [1.0, 2.0]
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert model.graphs["model"].run({"x": rows}, "y").tolist() == (2 * rows).tolist()


def test_the_digest_tells_two_models_apart_and_does_not_change_by_itself(tmp_path: Path) -> None:
    first, again, other = (
        read_artefact(write_artefact("toy", "1", trained(value), tmp_path / place)).sha256
        for place, value in (("a", 1.0), ("b", 1.0), ("c", 1.5))
    )
    assert first == again != other


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = write_artefact("toy", "1", trained(), tmp_path)
    data = bytearray((folder / ARRAYS_FILE).read_bytes())
    data[-40] ^= 1
    (folder / ARRAYS_FILE).write_bytes(bytes(data))
    with pytest.raises(ConfigError, match="not the one its card describes.*fink models train toy"):
        read_artefact(folder)


def test_arrays_of_python_objects_are_never_written(tmp_path: Path) -> None:
    objects: npt.NDArray[np.object_] = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle"):
        write_artefact("toy", "1", Trained({}, {"objects": objects}, {}), tmp_path)


def test_a_model_of_the_installation_comes_before_that_of_the_project(tmp_path: Path) -> None:
    assert model_folders(tmp_path)["snn"].parent == PACKAGED
    write_artefact("snn", "own", trained(), tmp_path)
    assert ModelHandle("snn", tmp_path).resources["model.snn"].startswith("own@sha256:")


def test_a_result_does_not_depend_on_how_many_rows_are_computed_at_once() -> None:
    graph = Graph(doubling())
    rows = np.random.default_rng(1).normal(size=(150, 2)).astype(np.float32)
    whole = graph.run({"x": rows}, "y")
    assert all(np.array_equal(graph.run({"x": rows[n : n + 1]}, "y")[0], whole[n]) for n in range(150))
    assert graph.run({"x": rows[:0]}, "y").shape == (0, 2)


def test_a_model_that_is_not_there_makes_its_scores_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fink_lib.science.models.registry.PACKAGED", tmp_path / "nothing")
    runner = runner_of(load_settings(tmp_path), "snn", "rf_snia", "rf_kn")
    history = [detection(6.0), detection(4.0, fid=2), detection(3.0), detection(2.0), limit(1.0)]
    result = runner.apply(table([alert(1, previous=history), alert(2)]))
    for module, column in (("snn", "snn_sn_vs_all"), ("rf_snia", "rf_snia_vs_nonia"), ("rf_kn", "rf_kn_vs_nonkn")):
        assert status_of(result.table, module) == ["unavailable", "not_applicable"]
        assert values(result.table, column) == [None, None]
    assert not any(key.startswith("model.") for key, _ in result.table.column("fink_versions").to_pylist()[0])


@pytest.mark.parametrize("name", sorted(model_folders(Path("none"))))
def test_every_model_of_the_project_is_small_and_has_a_whole_card(name: str) -> None:
    folder = PACKAGED / name
    model = read_artefact(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES
    assert {"purpose", "features", "cuts", "limits", "licence", "seed", "command", "training_data"} <= set(model.card)
    assert model.card["metrics"]
    for task, metrics in model.card["metrics"].items():
        assert (metrics.get("ece") or 0.0) <= MOST_ECE, task


@pytest.mark.parametrize("name", sorted(known_trainers()))
def test_every_trainer_has_its_model_in_the_project(name: str) -> None:
    model = read_artefact(PACKAGED / name)
    assert model.version == known_trainers()[name].version
