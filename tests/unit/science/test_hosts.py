"""The gate before supernova scores: SIMBAD's answer, and what happens while there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.science import Runner
from tests.unit.science.alerts import alert, detection, table
from tests.unit.science.only import runner_of
from tests.unit.science.test_catalogs import write_snapshot
from tests.unit.science.toys import status_of, values

MODULES = {"snn": "snn_sn_vs_all", "rf_snia": "rf_snia_vs_nonia", "rf_kn": "rf_kn_vs_nonkn"}
PLACES = {"RRLyrae": 150.0, "Seyfert1": 151.0, "Sy1": 152.0, "Galaxy": 153.0}


def alerts() -> pa.Table:
    history = [detection(ago, fid=band, candid=10 * int(ago) + band) for ago in (6.0, 4.0, 2.0) for band in (1, 2)]
    return table([alert(n, previous=history, ra=ra, dec=2.0) for n, ra in enumerate([*PLACES.values(), 155.0])])


@pytest.fixture
def with_labels(tmp_path: Path) -> Runner:
    settings = load_settings(tmp_path)
    stars = [{"ra": ra, "dec": 2.0, "name": label, "main_type": label} for label, ra in PLACES.items()]
    write_snapshot(settings.catalog_dir, stars, fink_coverage=json.dumps([[152.5, 2.0, 4.0]]))
    return runner_of(settings, *MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_star_is_not_scored_and_every_spelling_of_a_galaxy_is(with_labels: Runner, module: str) -> None:
    given = with_labels.apply(alerts()).table
    assert status_of(given, "simbad") == ["ok"] * 4 + ["no_match"]
    assert status_of(given, module) == ["not_applicable", "ok", "ok", "ok", "ok"]
    assert values(given, MODULES[module])[0] is None


@pytest.mark.parametrize("module", MODULES)
def test_scores_are_computed_while_simbad_is_away_and_do_not_change_when_it_is_back(
    with_labels: Runner, science_settings: Settings, module: str
) -> None:
    away = runner_of(science_settings, module).apply(alerts()).table
    assert status_of(away, "simbad") == ["unavailable"] * 5
    assert status_of(away, module) == ["ok"] * 5
    back = values(with_labels.apply(alerts()).table, MODULES[module])
    assert np.array_equal(values(away, MODULES[module])[1:], back[1:])
