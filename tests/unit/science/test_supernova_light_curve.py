"""Every alert of a type Ia supernova: its light-curve values move as its light does."""

from __future__ import annotations

import tarfile
from typing import Any

import numpy as np
import pytest

from fink_lib.config import Settings
from fink_lib.surveys import get_survey
from tests.unit.science.only import runner_of
from tests.unit.science.reference import SHARED_DATA

ARCHIVE = SHARED_DATA / "ztf" / "v3.3" / "ZTF21abiuvdk_lightcurve_34alerts.tar.gz"
PEAK_JD = 2_459_411.0

pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason="the shared sample of alerts is not installed")


@pytest.fixture(scope="module")
def rows(science_settings: Settings) -> list[dict[str, Any]]:
    with tarfile.open(ARCHIVE) as archive:
        files = [archive.extractfile(member) for member in archive if member.isfile()]
        alerts = get_survey("ztf").decode([file.read() for file in files if file is not None]).alerts
    runner = runner_of(
        science_settings, "kn_rate", "rise_rate", "mag_rate", "previous_entry", "is_transient", "anomaly_score"
    )
    science = runner.apply(alerts).table.to_pylist()
    both = [own | more for own, more in zip(alerts.column("candidate").to_pylist(), science, strict=True)]
    return sorted(both, key=lambda row: row["jd"])


def during(rows: list[dict[str, Any]], column: str, first: float, last: float) -> list[Any]:
    found = [row[column] for row in rows if first <= row["jd"] - PEAK_JD < last]
    return [value for value in found if value is not None]


def test_its_slope_is_brightening_before_the_peak_and_fading_after(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 34
    assert max(during(rows, "kn_rate", -20, 0)) < -0.1
    assert min(during(rows, "kn_rate", 25, 60)) > 0
    assert max(during(rows, "kn_rate", -20, 60)) < 0.3
    assert min(during(rows, "rise_rate", -9, 10)) > 0.25
    assert max(during(rows, "rise_rate", 25, 60)) < 0.05


def test_its_rate_between_detections_agrees_with_its_light_curve(rows: list[dict[str, Any]]) -> None:
    seen = [row | {"since": row["jd"] - PEAK_JD} for row in rows if row["from_upper"] is False]
    assert all(row["mag_rate"] < 0 for row in seen if row["since"] < -5)
    assert all(row["mag_rate"] > 0 for row in seen if row["since"] > 5)


def test_it_is_a_transient_in_all_alerts_but_the_first(rows: list[dict[str, Any]]) -> None:
    assert [row["is_transient"] for row in rows] == [False] + [True] * 33


def test_it_is_least_like_others_at_its_peak(rows: list[dict[str, Any]]) -> None:
    peak, decline = during(rows, "anomaly_score", -3, 15), during(rows, "anomaly_score", 16, 60)
    assert np.max(peak) < np.min(decline)
