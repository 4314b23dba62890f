"""Kafka is killed, frozen, or forgets what was not read yet, while the streams run."""

from __future__ import annotations

import os
import re
import signal
import time
from datetime import UTC, datetime

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from fink_lib.errors import TransientError
from fink_lib.lake import open_lake
from fink_lib.transfer.job import Selection
from fink_lib.transfer.run import run_job
from fink_lib.transfer.submit import submit
from tests.faults.evidence import read_topics
from tests.faults.harness import INPUT, STAGES, SURVEY, Harness, Keeper, stopped, wait_settled, wait_until
from tests.unit.transfer.nights import NIGHTS, add_nights

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

FEED = ("--synthetic", "400", "--loop", "--clock", "flat:10", "--seed", "21")
RECOVERY_S = 600.0
FROZEN_S = 60.0


def _running(harness: Harness) -> None:
    for stage in STAGES:
        try:
            wait_until(lambda stage=stage: harness.heartbeat(stage).get("batch"), f"{stage} is at work", 300.0)
        except AssertionError as error:
            told = [harness.tail(name) for name in ("events", "simulate", stage)]
            raise AssertionError("\n--\n".join([str(error), repr(harness.heartbeat(stage)), *told])) from None


def test_a_broker_that_is_killed_three_times_loses_no_acknowledged_alert(fresh: Harness) -> None:
    feeder = fresh.feeder(*FEED)
    with Keeper(fresh):
        _running(fresh)
        for _ in range(3):
            pid = fresh.service_pid("kafka")
            fresh.note(f"kill kafka, pid {pid}")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: fresh.service_pid("kafka") != pid, "the broker was started again", 60.0)
            time.sleep(15.0)
        fresh.stop_feeder(feeder)
        assert wait_settled(fresh, RECOVERY_S) == []


def test_a_broker_that_is_frozen_for_a_minute_only_delays(fresh: Harness) -> None:
    feeder = fresh.feeder(*FEED)
    with Keeper(fresh):
        _running(fresh)
        with stopped(fresh.service_pid("kafka")):
            time.sleep(FROZEN_S)
        fresh.stop_feeder(feeder)
        assert wait_settled(fresh, RECOVERY_S) == []


def test_records_that_kafka_dropped_before_they_were_read_stop_the_stream_by_name(fresh: Harness) -> None:
    fresh.feed("--synthetic", "100", "--seed", "22", "--clock", "max")
    assert fresh.once("stream2raw") == 0
    (topic,) = read_topics(fresh.settings.kafka.servers, INPUT)
    fresh.feed("--synthetic", "100", "--seed", "23", "--clock", "max", "--topic", topic)
    admin = AdminClient({"bootstrap.servers": fresh.settings.kafka.servers})
    ends = {message.partition: message.offset for message in read_topics(fresh.settings.kafka.servers, INPUT)[topic]}
    gone = [TopicPartition(topic, partition, offset) for partition, offset in ends.items()]
    for future in admin.delete_records(gone).values():
        future.result()
    assert fresh.once("stream2raw") == 1
    heartbeat = fresh.heartbeat("stream2raw")
    assert heartbeat["error_kind"] == "config", "a retry cannot bring the records back"
    assert topic in heartbeat["error"]


def test_a_transfer_goes_on_when_the_broker_was_killed_in_its_middle(fresh: Harness) -> None:
    settings = fresh.settings
    lake = open_lake(settings, SURVEY)
    lake.ensure()
    alerts = add_nights(lake, 900).num_rows
    job = submit(settings, Selection(SURVEY, NIGHTS), datetime.now(UTC))
    killed: list[int] = []

    def kill_once(line: str) -> None:
        if not killed:
            killed.append(fresh.service_pid("kafka"))
            os.kill(killed[0], signal.SIGKILL)

    try:
        run_job(settings, job.id, kill_once)
    except TransientError as error:  # what the task of Airflow does next: the same command again
        fresh.note(f"the run ended: {error}")
        wait_until(lambda: fresh.service_pid("kafka") not in killed, "the broker was started again", 60.0)
    done = run_job(settings, job.id, fresh.note)
    assert killed
    assert (done.state, done.sent) == ("done", alerts)
    (records,) = read_topics(settings.kafka.servers, re.escape(job.id)).values()
    assert len(records) == len({record.value for record in records}) == alerts
