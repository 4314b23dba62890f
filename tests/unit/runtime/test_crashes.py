from __future__ import annotations

import time

import pytest

from fink_lib.config import Settings, SupervisionSettings
from fink_lib.runtime import crashes

WHO = ("ztf", "raw2science")
LIMITS = SupervisionSettings(crash_budget=3)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path, supervision=LIMITS)


def test_crashes_spend_the_budget_once_per_epoch_until_forgiven(settings) -> None:
    for epoch in (1, 2, 2):
        crashes.record_crash(settings, *WHO, epoch, "killed")
    crashes.record_crash(settings, *WHO, 3, "broker away", kind="transient")
    assert len(crashes.counted(settings, *WHO)) == 2
    assert not crashes.budget_spent(settings, *WHO)
    crashes.record_crash(settings, *WHO, 4, "killed")
    assert crashes.budget_spent(settings, *WHO)
    crashes.forgive_crashes(settings, *WHO)
    assert not crashes.budget_spent(settings, *WHO)


def test_crashes_outside_the_window_do_not_count(settings) -> None:
    short = settings.model_copy(update={"supervision": LIMITS.model_copy(update={"crash_window_s": 0.2})})
    crashes.record_crash(short, *WHO, 1, "killed")
    assert len(crashes.counted(short, *WHO)) == 1
    time.sleep(0.3)
    assert crashes.counted(short, *WHO) == []
