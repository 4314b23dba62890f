"""Selections of the night over a real Kafka: once each and in the books, even if the process dies in between."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from fink_lib.config import project_root
from fink_lib.errors import TransientError
from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.nights import set_state
from tests.night_rows import replace
from tests.stack.nightly.test_chain import ALERTS, Night
from tests.stack.nightly.test_chain import night as any_night
from tests.stack.nightly.test_heal import messages
from tests.unit.nightly.conftest import good_science, ledger_rows, raw_of, sent_rows

__all__ = ["any_night"]

pytestmark = [pytest.mark.usefixtures("kafka"), pytest.mark.timeout(300)]

CHOSEN = (2, 5, 7)
"""Alerts that have a score."""


TRIES = 5


@pytest.fixture
def night(any_night: Night) -> Night:
    """Give a night whose new topics have one partition: there are many of them."""
    kafka = any_night.settings.kafka.model_copy(update={"partitions": 1})
    any_night.settings = any_night.settings.model_copy(update={"kafka": kafka})
    return any_night


def run(night: Night, stage: str) -> dict[str, Any]:
    """Run a stage; as its task does, again if Kafka has just made topics and is not quite there."""
    for _ in range(TRIES - 1):
        try:
            return night.run(stage)
        except TransientError:
            time.sleep(1)
    return night.run(stage)


def fill(night: Night) -> None:
    """Do what the three streams do in a night with some scores."""
    science = replace(
        night.on(good_science(night.lake)),
        anomaly_score=[-0.1 * one if one in CHOSEN else None for one in range(1, ALERTS + 1)],
        objectId=[f"ZTF24aaaaaa{letter}" for letter in "abcdefghij"],
        tracklet=[None] * ALERTS,
        xm_sep=[[]] * ALERTS,
        prv_candidates=[None] * ALERTS,
        fp_hists=[None] * ALERTS,
    )
    night.publish(ALERTS)
    night.consumed(ALERTS)
    night.lake.append("raw", raw_of(night.lake, science))
    night.lake.append("science", science)
    night.send([1, 2, 3])
    night.lake.append("sent", night.on(sent_rows(night.lake, [1, 2, 3])))
    night.lake.append(
        "ledger", night.on(ledger_rows(night.lake, stream2raw=ALERTS, raw2science=ALERTS, distribution=ALERTS))
    )
    set_state(night.lake, night.night, "closed", "close_night", "all is in", datetime.now(UTC))


def killed(night: Night, name: str) -> None:
    """Let a process run the stage that is killed at a failpoint."""
    settings = night.settings
    told = {
        "FINK_HOME": str(settings.home),
        "FINK__KAFKA__BOOTSTRAP_SERVERS": settings.kafka.servers,
        "FINK__KAFKA__PARTITIONS": str(settings.kafka.partitions),
        "FINK__STREAMS__SUBSTREAM_PREFIX": settings.streams.substream_prefix,
        "FINK_FAILPOINT": name,
    }
    command = [sys.executable, "-m", "jobs.nightly", "--survey", "ztf", "--stage", "select", "--night", night.night]
    done = subprocess.run(
        command,
        cwd=project_root(),
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def selected(night: Night) -> list[dict[str, Any]]:
    return [one for one in messages(night.settings, "anomaly") if one["headers"]["fink-night"] == night.night]


def assert_whole(night: Night) -> None:
    """Each chosen alert is there once, in the topic and in the books, and the ledger closes."""
    found = selected(night)
    assert Counter(one["packet"]["candid"] for one in found) == Counter(CHOSEN)
    rows = night.lake.read("sent", [night.night]).to_pylist()
    mine = [row for row in rows if row["batch"].startswith("select-")]
    assert Counter(row["alert_id"] for row in mine if row["filter"] == "anomaly") == Counter(CHOSEN)
    ledger = night_ledger(night.settings, "ztf", night.night)
    assert ledger["closed"], ledger["differences"]
    assert ledger["stages"][2]["left"] == {"sent": 3 + len(mine)}
    entered = [row for row in night.lake.read("ledger", [night.night]).to_pylist() if row["stage"] == "select"]
    assert sum(row["sent"] for row in entered) == len(mine)


def test_what_the_filters_of_the_night_choose_is_sent_once(night: Night) -> None:
    fill(night)
    assert run(night, "reconcile")["ok"]
    first = run(night, "select")
    assert first["ok"] and first["chosen"]["anomaly"] == len(CHOSEN)
    assert run(night, "select")["sent"] == 0
    assert run(night, "reconcile")["ok"]
    assert_whole(night)
    assert {one["headers"]["fink-filter"] for one in selected(night)} == {"anomaly"}


@pytest.mark.long
def test_a_selection_that_died_before_its_commit_is_sent_by_the_next(night: Night) -> None:
    fill(night)
    killed(night, "select_before_commit")
    assert run(night, "select")["sent"] > 0
    assert_whole(night)


@pytest.mark.parametrize(
    ("place", "by"),
    [
        ("select_before_sent", "reconcile"),
        pytest.param("select_before_sent", "another night", marks=pytest.mark.long),
        pytest.param("select_before_sent", "select", marks=pytest.mark.long),
        pytest.param("select_before_ledger", "select", marks=pytest.mark.long),
    ],
)
def test_a_selection_that_died_after_its_commit_is_recorded_and_not_sent_again(
    night: Night, place: str, by: str
) -> None:
    fill(night)
    killed(night, place)
    if by == "reconcile":
        assert run(night, "reconcile")["ok"]
        assert night.state == "closed"
    elif by == "another night":
        other = copy.copy(night)
        other.night = str(int(night.night) + 10_000)
        other.topic = f"ztf_{other.night}_programid1"
        admin = AdminClient({"bootstrap.servers": night.settings.kafka.servers})
        for future in admin.create_topics([NewTopic(other.topic, 1, 1)]).values():
            future.result(20)
        fill(other)
        run(other, "select")
    assert run(night, "select")["sent"] == 0
    assert_whole(night)
