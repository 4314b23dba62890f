"""States of blazars on light curves whose answers are known in closed form."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError
from fink_lib.science import Runner
from fink_lib.science.catalogs.tables import TableHandle, table_from_file
from fink_lib.science.contract import complaints
from fink_lib.science.modules.blazar_stats import cdf_quantile, states
from fink_lib.surveys.ztf_columns import BLAZAR_KEYS
from tests.unit.science.alerts import alert, detection, table
from tests.unit.science.only import runner_of
from tests.unit.science.reference import SHARED_DATA
from tests.unit.science.toys import status_of, values

NAME = "ZTF18abvjqkt"
OTHER = "ZTF18adntvvg"
MEDIANS_JY = {1: 4e-4, 2: 8e-4}
LOW, HIGH = 0.5, 2.0
REFERENCE_MAG = 18.0
PUBLISHED = SHARED_DATA / "catalogs" / "CTAO_blazars_ztf_dr23.v03_2026.parquet"


def write_thresholds(folder: Path, low: float | None = LOW) -> None:
    rows = [
        {
            "ZTF_name": NAME,
            "medians": {"1": MEDIANS_JY[1], "2": MEDIANS_JY[2]},
            "low_threshold": low,
            "high_threshold": HIGH,
        },
        {"ZTF_name": OTHER, "medians": {"1": 1e-4, "2": 1e-4}, "low_threshold": None, "high_threshold": None},
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "published.parquet")
    table_from_file("ctao_blazars", folder / "published.parquet", folder / "catalogs")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_thresholds(tmp_path)
    return load_settings(tmp_path)


@pytest.fixture
def runner(settings: Settings) -> Runner:
    return runner_of(settings, "blazar_stats")


def shown(standard: float, band: int = 1) -> dict[str, Any]:
    """Give the fields of a measurement whose apparent flux is `standard` medians."""
    reference = 10 ** (-0.4 * REFERENCE_MAG)
    difference = standard * MEDIANS_JY[band] / 3631 - reference
    return {
        "fid": band,
        "magnr": REFERENCE_MAG,
        "sigmagnr": 0.01,
        "magpsf": -2.5 * math.log10(abs(difference)),
        "isdiffpos": "t" if difference > 0 else "f",
    }


def stats(runner: Runner, last: float, *earlier: tuple[float, float], band: int = 1) -> dict[str, Any]:
    previous = [detection(days, **shown(standard, 1 + number % 2)) for number, (days, standard) in enumerate(earlier)]
    record = alert(1, previous=previous, **shown(last, band)) | {"objectId": NAME}
    result = runner.apply(table([record]))
    assert status_of(result.table, "blazar_stats") == ["ok"]
    return dict(values(result.table, "blazar_stats")[0])


def test_constant_flux_at_half_the_low_threshold(runner: Runner) -> None:
    found = stats(runner, LOW / 2, (20, LOW / 2), (10, LOW / 2), (3, LOW / 2))
    assert tuple(found) == BLAZAR_KEYS
    assert found["instantness_low"] == pytest.approx(0.5, abs=1e-6)
    assert found["robustness_low"] == pytest.approx(0.5, abs=1e-6)
    assert [found[key] for key in BLAZAR_KEYS[2:]] == [None] * 3


def test_doubling_the_last_point_doubles_instantness_and_not_robustness(runner: Runner) -> None:
    steady = stats(runner, LOW / 2, (20, LOW / 2), (10, LOW / 2))
    doubled = stats(runner, LOW, (20, LOW / 2), (10, LOW / 2))
    assert doubled["instantness_low"] == pytest.approx(2 * steady["instantness_low"], abs=1e-6)
    # trapezoids over 10 + 10 d: (10 x 0.5 + 10 x 0.75) / 20
    assert doubled["robustness_low"] == pytest.approx(0.625, abs=1e-6)


def test_both_bands_share_one_scale(runner: Runner) -> None:
    assert stats(runner, 0.3, (2, 0.3), band=2)["robustness_low"] == pytest.approx(0.6, abs=1e-6)


def test_a_high_state_lasts_five_days(runner: Runner) -> None:
    found = stats(runner, 5.0, (20, 0.1), (6, 0.1), (4, 3.0))
    assert found["instantness_low"] == pytest.approx(10.0, rel=1e-6)
    assert found["instantness_high"] == pytest.approx(2.5, rel=1e-6)
    assert found["robustness_high"] == pytest.approx(2.0, rel=1e-6)


def test_the_high_values_are_computed_if_either_low_value_is_above_one() -> None:
    faded = states(np.array([0.0, 10.0]), np.array([3.0, 0.4]), LOW, HIGH)
    assert faded is not None
    assert faded["instantness_low"] == pytest.approx(0.8)
    assert faded["robustness_low"] == pytest.approx(3.4)
    assert faded["instantness_high"] == pytest.approx(0.2)
    assert faded["robustness_high"] is None


def test_points_beyond_the_window_do_not_count(runner: Runner) -> None:
    found = stats(runner, 0.25, (31, 9.0), (29, 0.25))
    assert found["robustness_low"] == pytest.approx(0.5, abs=1e-6)
    assert stats(runner, 0.25, (31, 9.0))["robustness_low"] is None


def test_who_is_not_listed_or_has_no_threshold_is_not_applicable(runner: Runner) -> None:
    records = [alert(1, **shown(1.0)), alert(2, **shown(1.0)) | {"objectId": OTHER}, alert(3, magnr=-999.0)]
    records[2] |= {"objectId": NAME}
    result = runner.apply(table(records))
    assert values(result.table, "blazar_stats") == [None] * 3
    assert status_of(result.table, "blazar_stats") == ["not_applicable"] * 3


def test_without_the_table_the_state_is_unavailable_and_comes_with_it(tmp_path: Path) -> None:
    runner = runner_of(load_settings(tmp_path), "blazar_stats")
    alerts = table([alert(1, **shown(1.0)) | {"objectId": NAME}])
    assert status_of(runner.apply(alerts).table, "blazar_stats") == ["unavailable"]
    assert "catalog.ctao_blazars" not in runner.versions()
    write_thresholds(tmp_path)
    assert status_of(runner.apply(alerts).table, "blazar_stats") == ["ok"]
    assert runner.versions()["catalog.ctao_blazars"].startswith("published-")


def test_a_damaged_table_is_unavailable(settings: Settings) -> None:
    path = settings.catalog_dir / "ctao_blazars.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert TableHandle("ctao_blazars", settings.catalog_dir).current() is None


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(ConfigError, match="is not the table ctao_blazars"):
        table_from_file("ctao_blazars", tmp_path / "other.parquet", tmp_path)
    with pytest.raises(ConfigError, match="no table is called nothing"):
        table_from_file("nothing", tmp_path / "other.parquet", tmp_path)


def test_the_quantile_is_that_of_the_last_value(settings: Settings, tmp_path: Path) -> None:
    rows = [{"ZTF_name": NAME, "jd": [0.0, 1.0, 2.0, 3.0, 4.0], "standard_flux": [1.0, 2.0, 3.0, 4.0, 5.0]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "release.parquet")
    table_from_file("blazar_light_curves", tmp_path / "release.parquet", settings.catalog_dir)
    runner = runner_of(settings, "blazar_stats")
    # each inner point stands for a day, the first and the last for half a day, of four days
    assert stats(runner, 3.5, (20, 1.5))["cdf_quantile"] == pytest.approx(2.5 / 4, abs=1e-6)
    assert stats(runner, 1.5, (20, 3.5))["cdf_quantile"] == pytest.approx(0.5 / 4, abs=1e-6)
    assert stats(runner, 9.0)["cdf_quantile"] == pytest.approx(1.0, abs=1e-6)


def test_time_weighs_and_not_the_number_of_points() -> None:
    time = np.concatenate([np.linspace(0, 1, 101), np.linspace(2, 100, 99)])
    flux = np.where(time <= 1, 5.0, 1.0)
    assert cdf_quantile(time, flux, 2.0) == pytest.approx(0.985, abs=1e-6)


def test_states_keep_the_contract(runner: Runner, varied_alerts: pa.Table) -> None:
    assert complaints(runner, "blazar_stats", varied_alerts) == []
    own = [
        alert(number, previous=[detection(3, **shown(0.1 * number))], **shown(0.2 * number)) | {"objectId": NAME}
        for number in range(1, 40)
    ]
    assert complaints(runner, "blazar_stats", table(own)) == []


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the shared sample of catalogues is not installed")
def test_the_published_thresholds_become_a_table(tmp_path: Path) -> None:
    table_from_file("ctao_blazars", PUBLISHED, tmp_path)
    found = TableHandle("ctao_blazars", tmp_path).current()
    assert found is not None
    assert found.rows.num_rows == 231
    (row,) = [one for one in found.rows.to_pylist() if one["ZTF_name"] == NAME]
    assert row["median_g_jy"] == pytest.approx(0.0003069560862688889)
    assert row["low_threshold"] == pytest.approx(0.6601253526457472)
