"""A replay over a real Kafka and a real HBase: promoted, killed in the middle of it, ended, and told to users once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from fink_lib.archive.hbase import HBase
from fink_lib.archive.reader import ArchiveReader
from fink_lib.config import project_root
from fink_lib.nightly import long_histories
from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.nights import ORDER
from fink_lib.nightly.replay import compute, make
from fink_lib.nightly.replay.make import replay_night
from fink_lib.science import Runner
from fink_lib.science.loading import find_class_rule
from fink_lib.surveys import get_survey
from tests.stack.nightly.test_chain import ALERTS, Night, night
from tests.stack.nightly.test_heal import LABELLED, SENT, bring_simbad, fill, messages, told
from tests.unit.science.only import runner_of

__all__ = ["night"]

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("kafka", "hbase"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(300),
]

ZTF = get_survey("ztf")


@pytest.fixture(autouse=True)
def one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make nights again with SIMBAD and the class rule alone."""

    def small(settings: Any) -> Runner:
        return Runner(ZTF, runner_of(settings, "simbad").modules, find_class_rule(ZTF))

    for module in (compute, make):
        monkeypatch.setattr(module, "load_modules", lambda survey, settings: small(settings))
    monkeypatch.setattr(long_histories, "build_runner", lambda survey, settings: small(settings))


def environment(night: Night) -> dict[str, str]:
    """Give the settings of a night as variables, for a process of its own."""
    found = {**os.environ, "FINK_HOME": str(night.settings.home)}
    for section in ("kafka", "hbase", "streams"):
        for name, value in getattr(night.settings, section).model_dump(exclude_defaults=True, mode="json").items():
            found[f"FINK__{section}__{name}".upper()] = json.dumps(value)
    return found


def test_an_archived_night_is_replaced_whole_though_the_promotion_is_killed(night: Night) -> None:
    fill(night)
    for stage in ORDER:
        verdict = night.run(stage)
        assert verdict["ok"], verdict["message"]
    bring_simbad(night)
    made = replay_night(night.settings, "ztf", night.night)
    assert made["alerts"] == {"changed": ALERTS, "added": 0, "removed": 0, "same": 0, "by_other_versions": 0}
    assert made["enters"] == {"unknowns": 3}

    words = [sys.executable, "-m", "jobs.nightly", "--survey", "ztf", "--night", night.night, "--stage", "promote"]
    variables = environment(night) | {"FINK_FAILPOINT": "promote_after_switch"}
    killed = subprocess.run(words, env=variables, cwd=project_root(), capture_output=True, text=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    assert messages(night.settings, "corrections") == []
    refused = night.run("summarise")
    assert not refused["ok"] and "fink replay promote" in refused["message"]

    verdict = night.run("promote", now=datetime.now(UTC))
    assert verdict["ok"], verdict["message"]
    assert night.state == "archived"
    assert told(night, "unknowns") == Counter({6: 1, 7: 1, 9: 1})
    assert told(night, "corrections") == Counter(dict.fromkeys(SENT, 1))
    ledger = night_ledger(night.settings, "ztf", night.night, archive=True)
    assert ledger["closed"], ledger["differences"]
    with HBase(night.settings.hbase) as hbase:
        rows = ArchiveReader(hbase, ZTF, "ztf").by_prefix(columns=["i:candid", "d:finkclass"])
    classes = {row["i:candid"]: row["d:finkclass"] for row in rows.to_pylist()}
    assert {one for one, label in classes.items() if label == "QSO"} == set(LABELLED)
    assert len(classes) == ALERTS
    again = night.run("promote", now=datetime.now(UTC))
    assert again["ok"]
    assert told(night, "corrections") == Counter(dict.fromkeys(SENT, 1))
