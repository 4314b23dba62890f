"""Pinned versions: what was replaced is kept, found by its digest, and stands in its usual place in the view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.errors import ConfigError
from fink_lib.lake import Lake
from fink_lib.nightly.replay.pins import check_pins, read_pins, versions_of, view_of
from fink_lib.science.catalogs import catalog_handle
from fink_lib.science.catalogs.snapshots import write_snapshot
from fink_lib.science.models.artefact import PACKAGED, Trained, read_artefact, write_artefact
from fink_lib.science.models.registry import ModelHandle
from tests.night_rows import NIGHT


def snapshot(settings: Settings, label: str) -> str:
    """Install a snapshot of SIMBAD with one object; gives its version."""
    row = {"ra": [10.0], "dec": [5.0], "name": ["one"], "main_type": [label]}
    write_snapshot("simbad", pa.table(row), settings.catalog_dir, "a test")
    catalog = catalog_handle("simbad", settings).current()
    assert catalog is not None
    return catalog.provenance


def label_of(settings: Settings) -> str:
    catalog = catalog_handle("simbad", settings).current()
    assert catalog is not None
    found: str = catalog.sources.column("main_type")[0].as_py()
    return found


def model(settings: Settings, version: str) -> str:
    """Install a model made of the project's graphs; gives its label."""
    packed = PACKAGED / "snn"
    graphs = {path.stem: path.read_bytes() for path in packed.glob("*.onnx")}
    arrays = {**read_artefact(packed).arrays, "extra": np.array([int(version)])}
    write_artefact("snn", version, Trained(graphs, arrays, {}), settings.model_dir)
    found = ModelHandle("snn", settings.model_dir).current
    assert found is not None
    return found.label


@pytest.fixture
def view(tmp_path: Path) -> Path:
    return tmp_path / "view"


def test_a_snapshot_that_was_replaced_can_be_pinned(settings: Settings, view: Path) -> None:
    old, new = snapshot(settings, "QSO"), snapshot(settings, "RRLyr")
    assert old != new
    assert label_of(settings) == "RRLyr"
    for pin in (old, old.rpartition("sha256:")[2], "sha256:" + old.rpartition("sha256:")[2]):
        assert label_of(view_of(settings, {"catalog.simbad": pin}, view)) == "QSO"
    assert label_of(view_of(settings, {"catalog.simbad": new}, view)) == "RRLyr"
    assert label_of(settings) == "RRLyr"


def test_the_projects_own_model_can_be_pinned_and_so_can_an_older_one(settings: Settings, view: Path) -> None:
    own = read_artefact(PACKAGED / "snn").label
    first = model(settings, "7")
    second = model(settings, "8")
    for label in (own, first, second):
        found = ModelHandle("snn", view_of(settings, {"model.snn": label}, view).model_dir).current
        assert found is not None and found.label == label


def test_what_is_not_there_is_said_with_what_is(settings: Settings, view: Path) -> None:
    there = snapshot(settings, "QSO")
    with pytest.raises(ConfigError, match=f"no version x of catalogue simbad here; there are: {there[:20]}"):
        view_of(settings, {"catalog.simbad": "x"}, view)
    with pytest.raises(ConfigError, match="no version x of model snn here"):
        view_of(settings, {"model.snn": "x"}, view)


def test_without_pins_the_installation_itself_is_used(settings: Settings, view: Path) -> None:
    assert view_of(settings, {"snn": "1"}, view).home == settings.home
    assert not view.exists()


def test_a_modules_version_is_its_code(settings: Settings) -> None:
    check_pins({"snn": "1"}, {"snn": "1"})
    with pytest.raises(ConfigError, match="run the replay from the release that has it"):
        check_pins({"snn": "2"}, {"snn": "1"})
    with pytest.raises(ConfigError, match="does not keep"):
        check_pins({"catalog.blazars": "2"}, {})


def test_pins_are_read_as_people_write_them(lake: Lake) -> None:
    assert read_pins(["catalog.simbad=a=b", "snn=1"], lake, NIGHT) == {"catalog.simbad": "a=b", "snn": "1"}
    with pytest.raises(ConfigError, match="is no pin"):
        read_pins(["simbad"], lake, NIGHT)


def test_the_live_nights_versions_are_pinned_at_once(lake: Lake) -> None:
    assert versions_of(lake, NIGHT)["simbad"] == ["1"]
    assert read_pins(["live"], lake, NIGHT) == {}  # small modules have neither catalogue nor model
    rows = lake.read("science", [NIGHT])
    place = rows.schema.get_field_index("fink_versions")
    field = rows.schema.field(place)
    for labels, expected in ((["a"], {"model.snn": "a"}), (["a", "b"], None)):
        told = [[("model.snn", labels[row % len(labels)]), ("snn", "1")] for row in range(rows.num_rows)]
        lake.replace_night("science", NIGHT, rows.set_column(place, field, pa.array(told, field.type)))
        if expected:
            assert read_pins(["live"], lake, NIGHT) == expected
        else:
            with pytest.raises(ConfigError, match=r"alerts by a, b of model\.snn"):
                read_pins(["live"], lake, NIGHT)
