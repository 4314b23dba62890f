"""Surveys are found by name."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from fink_lib.config import KafkaSettings, Settings
from fink_lib.errors import ConfigError
from fink_lib.surveys import get_survey
from tests.ztf_alerts import container


def test_an_unknown_survey_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="ztf"):
        get_survey("nosuch")


def test_the_size_limit_comes_from_the_settings() -> None:
    value = container()
    small = Settings(home=Path("/nowhere"), kafka=KafkaSettings(oversize_bytes=len(value) - 1))
    assert [bad.reason for bad in get_survey("ztf", small).decode([value]).bad] == ["oversize"]
    assert not get_survey("ztf").decode([value]).bad


def test_a_survey_can_be_sent_to_a_worker() -> None:
    copy = pickle.loads(pickle.dumps(get_survey("ztf")))
    assert copy.decode([container()]).alerts.num_rows == 1
