"""The nightly chain over a real Kafka and a real HBase, with a lake filled as the streams fill it."""

from __future__ import annotations

import itertools
import json
import uuid
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from fink_lib.archive.hbase import HBase
from fink_lib.archive.statistics import read_statistics
from fink_lib.archive.tables import archive_table
from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.kafka import KafkaView
from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.nights import ORDER, night_state, set_state
from fink_lib.nightly.runner import run_night, run_stage
from tests.night_rows import replace
from tests.unit.nightly.conftest import good_science, ledger_rows, raw_of, rejected_rows, sent_rows

# Great Expectations imports modules that Python has deprecated.
pytestmark = [pytest.mark.usefixtures("kafka", "hbase"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

ALERTS = 10


class Night:
    """One night as the three streams leave it: ten alerts, all science, three of them sent."""

    def __init__(self, settings: Settings, night: str) -> None:
        self.settings = settings
        self.night = night
        self.topic = f"ztf_{night}_programid1"
        self.output = f"{settings.streams.substream_prefix}_unknowns_ztf"
        self.lake: Lake = open_lake(settings, "ztf")
        self.lake.ensure()
        admin = AdminClient({"bootstrap.servers": settings.kafka.servers})
        topics = [NewTopic(self.topic, 1, 1), NewTopic(self.output, 1, 1)]
        for future in admin.create_topics(topics).values():
            future.result(20)

    def on(self, rows: pa.Table) -> pa.Table:
        """Move rows to this night and its topics."""
        number = rows.num_rows
        changed: dict = {"night": [self.night] * number}
        if "ingest" in rows.column_names:
            changed["ingest"] = {"topic": [self.topic] * number, "ingested": [datetime.now(UTC)] * number}
            jd = datetime.strptime(self.night, "%Y%m%d").replace(tzinfo=UTC).timestamp() / 86400 + 2440587.6
            changed["candidate"] = {"jd": [jd] * number}
        elif "filter" in rows.column_names:
            changed["topic"] = [self.output] * number
        elif "topic" in rows.column_names:
            changed["topic"] = [self.topic] * number
        return replace(rows, **changed)

    def publish(self, number: int, transactional: bool = False) -> None:
        """Send `number` messages to the night's topic."""
        options = {"bootstrap.servers": self.settings.kafka.servers}
        producer = Producer(options | ({"transactional.id": uuid.uuid4().hex} if transactional else {}))
        if transactional:
            producer.init_transactions(20)
            producer.begin_transaction()
        for _ in range(number):
            producer.produce(self.topic, b"alert", partition=0)
        if transactional:
            producer.commit_transaction(20)
        producer.flush(20)

    def send(self, ids: list[int]) -> None:
        """Send alerts to the output topic as distribution does."""
        producer = Producer({"bootstrap.servers": self.settings.kafka.servers, "transactional.id": f"out-{self.night}"})
        producer.init_transactions(20)
        producer.begin_transaction()
        for alert in ids:
            headers = {"fink-alert-id": str(alert), "fink-night": self.night, "fink-filter": "unknowns"}
            producer.produce(self.output, b"packet", partition=0, headers=headers)
        producer.commit_transaction(20)

    def consumed(self, offset: int) -> None:
        """Write the checkpoint of stream2raw after a batch that ended before `offset`."""
        folder = self.settings.checkpoint_dir("ztf", "stream2raw") / "g1"
        for name in ("offsets", "commits"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "metadata").write_text('{"id":"x"}')
        # Other tests have left topics of older nights in this Kafka; this installation has consumed them.
        view = KafkaView(self.settings.kafka)
        ends: dict = {}
        for (topic, partition), end in view.ends(view.topics(self.lake.survey.topic_pattern)).items():
            ends.setdefault(topic, {})[str(partition)] = end
        ends[self.topic] = {"0": offset}
        lines = ["v1", "{}", json.dumps(ends)]
        (folder / "offsets" / "0").write_text("\n".join(lines))
        (folder / "commits" / "0").write_text("v1\n{}")

    def fill(self) -> None:
        """Do what the three streams do."""
        science = self.on(good_science(self.lake))
        science = replace(science, fink_status=[[("simbad", "no_match")]] * ALERTS, finkclass=["Unknown"] * ALERTS)
        self.publish(ALERTS)
        self.consumed(ALERTS)
        self.lake.append("raw", raw_of(self.lake, science))
        self.lake.append("science", science)
        self.send([1, 2, 3])
        self.lake.append("sent", self.on(sent_rows(self.lake, [1, 2, 3])))
        self.lake.append(
            "ledger", self.on(ledger_rows(self.lake, stream2raw=ALERTS, raw2science=ALERTS, distribution=ALERTS))
        )

    def late(self, reason: str = "duplicate") -> None:
        """Bring one more message, which is a duplicate."""
        row = self.lake.read("raw", [self.night]).slice(0, 1)
        self.publish(1)
        self.consumed(ALERTS + 1)
        self.lake.append("raw", replace(row, ingest={"offset": [ALERTS]}))
        self.lake.append("rejected", self.on(rejected_rows(self.lake, [1], [ALERTS], [reason])))

    def run(self, stage: str, **options) -> dict:
        """Run one stage, an hour from now, so that the night is quiet."""
        now = options.pop("now", datetime.now(UTC) + timedelta(hours=1))
        return run_stage(self.settings, "ztf", self.night, stage, now=now, **options)

    @property
    def state(self) -> str:
        """The night's present state."""
        found = night_state(self.lake, self.night)
        return found.state if found else ""


_nights = (f"{date(2024, 1, 1) + timedelta(days=number):%Y%m%d}" for number in itertools.count())


@pytest.fixture
def night(stack_home: Settings, tmp_path) -> Night:
    """Give a night, lake, prefix and checkpoints that no other test has."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    settings = stack_home.model_copy(
        update={
            "home": tmp_path,
            "hbase": stack_home.hbase.model_copy(update={"table_prefix": f"{prefix}.", "pre_split": False}),
            "streams": stack_home.streams.model_copy(update={"substream_prefix": prefix}),
            "nightly": stack_home.nightly.model_copy(update={"quiet_s": 600.0}),
        }
    )
    return Night(settings, next(_nights))


def test_a_night_goes_from_the_streams_to_archived(night):
    night.fill()
    for stage in ORDER:
        verdict = night.run(stage)
        assert verdict["ok"], verdict["message"]
    assert night.state == "archived"
    with HBase(night.settings.hbase) as hbase:
        assert read_statistics(hbase, "ztf", night.night)["basic:sci"] == ALERTS
        assert len(hbase.scan_prefix("ztf", b"")) == ALERTS
    reports = night.settings.report_dir("ztf", night.night)
    for name in ("summary.json", "summary.csv", "summary.png", "ledger.json", "data_docs/index.html"):
        assert (reports / name).exists(), name
    assert (night.settings.home / "outbox" / "ztf" / f"night-{night.night}.json").exists()
    assert night.lake.read("night_summary", [night.night]).num_rows == 1


def test_every_stage_again_changes_nothing(night):
    night.fill()
    for stage in ORDER:
        night.run(stage)

    def picture():
        with HBase(night.settings.hbase) as hbase:
            cells = {table: hbase.scan_prefix(table, b"") for table in hbase.tables()}
        rows = {
            table: night.lake.read(table, [night.night]).drop_columns(["computed"] if table == "night_summary" else [])
            for table in ("raw", "science", "rejected", "sent", "nights", "night_summary")
        }
        order = {"raw": "candid", "science": "candid", "rejected": "offset", "sent": "offset", "nights": "time"}
        sorted_rows = {name: t.sort_by(order[name]).to_pylist() if name in order else t.to_pylist()
                       for name, t in rows.items()}  # fmt: skip
        return repr((cells, sorted_rows))

    before = picture()
    for stage in (*reversed(ORDER), *ORDER, *ORDER):
        assert night.run(stage)["ok"], stage
    assert picture() == before


def test_a_night_with_lag_is_not_closed(night):
    night.fill()
    night.consumed(ALERTS - 2)
    verdict = night.run("close_night")
    assert verdict["ok"] and not verdict["closed"]
    assert verdict["why"] == f"stream2raw is 2 messages behind, 2 of them on {night.topic}[0]"
    assert night.state == "closing"


def test_a_night_that_is_not_quiet_is_live(night):
    night.fill()
    verdict = night.run("close_night", now=datetime.now(UTC))
    assert not verdict["closed"] and "less than 600 s ago" in verdict["why"]
    assert night.state == "live"
    assert not night.run("archive", table="ztf")["ok"]


def test_a_night_whose_alerts_wait_for_a_stage_is_not_closed(night):
    night.fill()
    night.late()
    night.lake.append("raw", replace(night.lake.read("raw", [night.night]).slice(0, 1), ingest={"offset": [11]}))
    assert "raw2science has made 11 of 12" in night.run("close_night")["why"]


def test_a_past_night_without_a_message_is_empty(night):
    empty = "20231231"
    verdict = run_stage(night.settings, "ztf", empty, "close_night")
    assert verdict["closed"] and verdict["empty"]
    assert run_stage(night.settings, "ztf", empty, "archive", "ztf")["ok"]
    assert run_night(night.settings, "ztf", empty)["state"] == "empty"


def test_a_message_that_is_in_no_table_is_named(night):
    night.fill()
    night.publish(1)
    night.consumed(ALERTS + 1)
    night.run("close_night")
    verdict = night.run("reconcile")
    assert not verdict["ok"] and night.state == "failed"
    assert f"1 messages are in neither raw nor quarantine: {night.topic}[0] {ALERTS}" in verdict["message"]
    assert not night.run("archive", table="ztf")["ok"]


def test_a_failed_night_recovers_when_the_stage_passes(night):
    night.fill()
    night.publish(1)
    night.consumed(ALERTS + 1)
    night.run("close_night")
    night.run("reconcile")
    row = night.lake.read("raw", [night.night]).slice(0, 1)
    night.lake.append("raw", replace(row, ingest={"offset": [ALERTS]}))
    night.lake.append("rejected", night.on(rejected_rows(night.lake, [1], [ALERTS], ["duplicate"])))
    assert night.run("reconcile")["ok"]
    assert night.state == "closed"


def test_markers_of_a_transaction_are_no_messages(night):
    night.fill()
    night.publish(1, transactional=True)  # one record and one commit marker
    night.consumed(ALERTS + 2)
    row = night.lake.read("raw", [night.night]).slice(0, 1)
    night.lake.append("raw", replace(row, ingest={"offset": [ALERTS]}))
    night.lake.append("rejected", night.on(rejected_rows(night.lake, [1], [ALERTS], ["duplicate"])))
    night.run("close_night")
    verdict = night.run("reconcile")
    assert verdict["ok"], verdict["message"]
    assert verdict["ledger"]["stages"][0]["left"] == {"messages": ALERTS + 1}


def test_a_message_that_sent_does_not_know_is_named(night):
    night.fill()
    night.send([4])
    night.run("close_night")
    verdict = night.run("reconcile")
    assert not verdict["ok"] and f"1 messages are not in sent: {night.output}[0] 4" in verdict["message"]


def test_a_transaction_that_was_aborted_counts_for_nothing(night):
    night.fill()
    producer = Producer({"bootstrap.servers": night.settings.kafka.servers, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(night.output, b"x", headers={"fink-alert-id": "9", "fink-night": night.night})
    producer.flush(20)
    producer.abort_transaction(20)
    ledger = night_ledger(night.settings, "ztf", night.night)
    assert ledger["closed"], ledger["differences"]


def test_a_late_alert_takes_an_archived_night_back_and_only_through_the_chain(night):
    night.fill()
    for stage in ORDER:
        night.run(stage)
    night.late()
    verdict = night.run("close_night")
    assert verdict["closed"] and night.state == "closed"
    states = night.lake.read("nights", [night.night]).sort_by("time").column("state").to_pylist()
    assert states == ["closed", "archived", "closing", "closed"]
    for stage in ORDER[1:]:
        assert night.run(stage)["ok"], stage
    assert night.state == "archived"


def test_an_unverified_night_is_not_published(night):
    night.fill()
    for stage in ORDER[:4]:
        night.run(stage)
    verdict = night.run("publish")
    assert not verdict["ok"] and "ztf" in verdict["unverified"] and "not verified" in verdict["message"]


def test_a_row_that_hbase_lost_stops_the_night(night):
    night.fill()
    for stage in ORDER[: ORDER.index("verify_archive")]:
        night.run(stage)
    table = archive_table(night.lake.survey, "ztf")
    with HBase(night.settings.hbase) as hbase:
        key, _ = hbase.scan_prefix("ztf", b"")[0]
        _, stamp = hbase.rows("ztf", [key])[key]
        hbase.delete("ztf", key, [family.encode() for family in table.families], stamp)
    verdict = night.run("verify_archive")
    assert not verdict["ok"] and key.decode() in verdict["message"] and night.state == "failed"
    assert not night.run("publish")["ok"]


def test_a_person_releases_a_held_night(night):
    night.fill()
    night.run("close_night")
    set_state(night.lake, night.night, "held", "validate", "odd", datetime.now(UTC))
    assert not night.run("archive", table="ztf")["ok"]
    set_state(night.lake, night.night, "closed", "validate", "seen, it is real", datetime.now(UTC), by="ada")
    assert night.run("archive", table="ztf")["ok"]
