"""Healing over a real Kafka and a real HBase: who is told what, once, whatever happens on the way."""

from __future__ import annotations

import copy
import itertools
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import fastavro
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from fink_lib.archive.hbase import HBase
from fink_lib.archive.reader import ArchiveReader
from fink_lib.archive.tables import PACKED
from fink_lib.config import Settings
from fink_lib.errors import TransientError
from fink_lib.nightly import heal as heal_module
from fink_lib.nightly import late
from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.nights import ORDER, set_state
from fink_lib.nightly.runner import run_stage
from fink_lib.science import Runner
from fink_lib.science.loading import find_class_rule
from fink_lib.streams.producer import TransactionalProducer
from fink_lib.surveys import get_survey
from tests.night_rows import replace
from tests.stack.nightly.test_chain import ALERTS, Night, night
from tests.unit.nightly.conftest import good_science, ledger_rows, raw_of, sent_rows
from tests.unit.science.only import runner_of
from tests.unit.science.test_catalogs import write_snapshot

__all__ = ["night"]

# Great Expectations imports modules that Python has deprecated.
pytestmark = [
    pytest.mark.usefixtures("kafka"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(300),
]

ZTF = get_survey("ztf")
WAITING = (3, 6, 7, 8, 9)
"""Alerts for which SIMBAD was away; 3 was sent by a filter that does not ask for the label."""

LABELLED = (3, 8)
SENT = (1, 2, 3)


@pytest.fixture(autouse=True)
def one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heal with SIMBAD and the class rule alone."""
    monkeypatch.setattr(
        heal_module,
        "build_runner",
        lambda survey, settings: Runner(ZTF, runner_of(settings, "simbad").modules, find_class_rule(ZTF)),
    )


def fill(night: Night) -> None:
    """Do what the three streams do in a night with SIMBAD away for some alerts."""
    science = night.on(good_science(night.lake))
    waits = [one in WAITING for one in range(1, ALERTS + 1)]
    science = replace(
        science,
        cdsxmatch=[None] * ALERTS,
        fink_status=[[("simbad", "unavailable" if one else "no_match")] for one in waits],
        finkclass=[None if one else "Unknown" for one in waits],
        finkclass2=[None if one else "Unknown" for one in waits],
        tracklet=[None] * ALERTS,
        xm_sep=[[]] * ALERTS,
        prv_candidates=[None] * ALERTS,
        fp_hists=[None] * ALERTS,
    )
    night.publish(ALERTS)
    night.consumed(ALERTS)
    night.lake.append("raw", raw_of(night.lake, science))
    night.lake.append("science", science.slice(0, 5))
    night.lake.append("science", science.slice(5))
    night.send(list(SENT))
    night.lake.append("sent", night.on(sent_rows(night.lake, list(SENT))))
    night.lake.append(
        "ledger", night.on(ledger_rows(night.lake, stream2raw=ALERTS, raw2science=ALERTS, distribution=ALERTS))
    )


def bring_simbad(night: Night) -> None:
    """Install a snapshot of the whole sky with an object at the place of two of the alerts."""
    places = {row["candid"]: row["candidate"] for row in night.lake.read("science", [night.night]).to_pylist()}
    sources = [
        {"ra": places[one]["ra"], "dec": places[one]["dec"], "name": str(one), "main_type": "QSO"} for one in LABELLED
    ]
    write_snapshot(night.settings.catalog_dir, sources)


@pytest.fixture
def closed(night: Night) -> Night:
    """Give a closed night with alerts that wait, and the catalogue that they waited for."""
    fill(night)
    bring_simbad(night)
    set_state(night.lake, night.night, "closed", "close_night", "all is in", datetime.now(UTC))
    return night


def heal(night: Night, tries: int = 5) -> dict[str, Any]:
    """Run the stage; as its task does, again if Kafka has just made its first topics and is not quite there."""
    try:
        return run_stage(night.settings, "ztf", night.night, "heal", now=datetime.now(UTC))
    except TransientError:
        if tries == 1:
            raise
        time.sleep(1)
        return heal(night, tries - 1)


def messages(settings: Settings, *names: str) -> list[dict[str, Any]]:
    """Read everything that a ``read_committed`` user gets from some topics."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.servers,
            "group.id": f"test-{uuid.uuid4().hex}",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    known = consumer.list_topics(timeout=10).topics
    topics = [f"{settings.streams.substream_prefix}_{name}_ztf" for name in names]
    places = [TopicPartition(topic, part, 0) for topic in topics if topic in known for part in known[topic].partitions]
    consumer.assign(places)
    found: list[dict[str, Any]] = []
    ended = 0
    while ended < len(places):
        message = consumer.poll(10)
        assert message is not None, "the broker fell silent"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended += 1
            continue
        headers = {name: value.decode() for name, value in message.headers()}
        packet = None
        if message.key():
            schema = fastavro.parse_schema(json.loads(message.key()))
            packet = fastavro.schemaless_reader(BytesIO(message.value()), schema)
        found.append({"topic": message.topic(), "headers": headers, "packet": packet})
    consumer.close()
    return found


def told(night: Night, name: str) -> Counter[int]:
    """Count the late messages, or the corrections, by alert."""
    found = messages(night.settings, name)
    return Counter(int(one["headers"]["fink-alert-id"]) for one in found if one["headers"].get("fink-late") == "1")


EXPECTED_LATE = Counter({6: 1, 7: 1, 9: 1})
EXPECTED_CORRECTIONS = Counter({3: 1})


def test_alerts_that_enter_a_filter_are_sent_late_and_sent_ones_are_corrected(closed: Night) -> None:
    verdict = heal(closed)
    assert (verdict["late"], verdict["corrections"]) == (3, 1)
    assert set(closed.lake.read("healed", [closed.night]).column("alert_id").to_pylist()) == set(WAITING)
    late_ones = [one for one in messages(closed.settings, "unknowns") if one["headers"].get("fink-late")]
    assert Counter(one["packet"]["candid"] for one in late_ones) == EXPECTED_LATE
    for one in late_ones:
        assert one["packet"]["finkclass"] == "Unknown"
        assert (one["packet"]["cdsxmatch"], dict(one["packet"]["fink_status"])["simbad"]) == ("Unknown", "no_match")
        headers = one["headers"]
        assert headers["fink-alert-id"] == str(one["packet"]["candid"])
        assert (headers["fink-filter"], headers["fink-night"]) == ("unknowns", closed.night)
    (correction,) = messages(closed.settings, "corrections")
    assert correction["packet"]["candid"] == 3
    assert (correction["packet"]["cdsxmatch"], correction["packet"]["finkclass"]) == ("QSO", "QSO")
    assert (correction["headers"]["fink-filter"], correction["headers"]["fink-late"]) == ("corrections", "1")


def test_the_books_of_the_night_close_with_the_late_messages(closed: Night) -> None:
    heal(closed)
    sent = [row for row in closed.lake.read("sent", [closed.night]).to_pylist() if row["batch"].startswith("heal-")]
    assert Counter(row["alert_id"] for row in sent if row["late"]) == EXPECTED_LATE
    assert {row["filter"] for row in sent} == {"unknowns"}
    ledger = night_ledger(closed.settings, "ztf", closed.night)
    assert ledger["closed"], ledger["differences"]
    assert ledger["stages"][2]["left"] == {"sent": len(SENT) + 3}


def test_healing_again_sends_nothing(closed: Night) -> None:
    heal(closed)
    again = heal(closed)
    assert (again["late"], again["corrections"]) == (0, 0)
    assert told(closed, "unknowns") == EXPECTED_LATE
    assert told(closed, "corrections") == EXPECTED_CORRECTIONS


class Killed(BaseException):
    """Ends a process as nothing can catch."""


def dying(turn: int, step: Callable[..., Any], before: bool) -> Callable[..., Any]:
    """Give a step of the work before or after which, the n-th time, the process dies."""
    turns = itertools.count(1)

    def one(*args: Any, **kwargs: Any) -> Any:
        last = next(turns) == turn
        if last and before:
            raise Killed
        given = step(*args, **kwargs)
        if last:
            raise Killed
        return given

    return one


PLACES: dict[str, tuple[Any, str, bool]] = {
    "after a message was handed over": (TransactionalProducer, "send", False),
    "before the commit": (TransactionalProducer, "commit", True),
    "after the commit": (TransactionalProducer, "commit", False),
    "before the ledger": (late, "_enter", True),
    "after the ledger": (late, "_enter", False),
}


@pytest.mark.parametrize("turn", [2, *(pytest.param(turn, marks=pytest.mark.long) for turn in (1, 3, 4))])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_lost_and_nothing_told_twice_wherever_a_healing_dies(
    closed: Night, monkeypatch: pytest.MonkeyPatch, place: str, turn: int
) -> None:
    monkeypatch.setattr(late, "PIECE_ALERTS", 1)
    owner, name, before = PLACES[place]
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, dying(turn, getattr(owner, name), before))
        with pytest.raises(Killed):
            heal(closed)
    heal(closed)
    assert told(closed, "unknowns") == EXPECTED_LATE
    assert told(closed, "corrections") == EXPECTED_CORRECTIONS
    rows = [
        row["alert_id"] for row in closed.lake.read("sent", [closed.night]).to_pylist() if row["batch"] in own(closed)
    ]
    assert Counter(rows) == EXPECTED_LATE
    ledger = night_ledger(closed.settings, "ztf", closed.night)
    assert ledger["closed"], ledger["differences"]


def own(night: Night) -> set[str]:
    """Give the batches of `sent` that healing wrote."""
    batches: list[str] = night.lake.read("sent", [night.night]).column("batch").to_pylist()
    return {batch for batch in batches if batch.startswith("heal-")}


def another(night: Night) -> Night:
    """Give a second night of the same installation."""
    other = copy.copy(night)
    other.night = str(int(night.night) + 10_000)
    other.topic = f"ztf_{other.night}_programid1"
    admin = AdminClient({"bootstrap.servers": night.settings.kafka.servers})
    for future in admin.create_topics([NewTopic(other.topic, 1, 1)]).values():
        future.result(20)
    return other


def test_another_night_writes_down_what_a_killed_one_has_sent(closed: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(late, "failpoint", dying(1, late.failpoint, before=True))
        with pytest.raises(Killed):
            heal(closed)
    other = another(closed)
    fill(other)
    set_state(other.lake, other.night, "closed", "close_night", "all is in", datetime.now(UTC))
    heal(other)
    rows = [row["alert_id"] for row in closed.lake.read("sent", [closed.night]).to_pylist() if row["late"]]
    assert set(rows) >= set(EXPECTED_LATE)
    heal(closed)
    late_ones = [one for one in messages(closed.settings, "unknowns") if one["headers"].get("fink-late")]
    by_night = Counter(one["headers"]["fink-night"] for one in late_ones)
    assert by_night == {closed.night: 3, other.night: 3}


def test_the_stream_goes_on_under_its_own_id_while_a_night_is_healed(closed: Night) -> None:
    stream = TransactionalProducer(closed.settings, "ztf", "distribution")
    stream.open([closed.output])
    heal(closed)
    stream.begin()  # it was not shut out
    stream.abort()
    stream.close()


@pytest.mark.usefixtures("hbase")
def test_an_archived_night_is_healed_in_the_archive_too(night: Night) -> None:
    fill(night)
    for stage in ORDER:
        verdict = night.run(stage)
        assert verdict["ok"], verdict["message"]
    bring_simbad(night)
    verdict = heal(night)
    assert verdict["ok"], verdict["message"]
    assert night.state == "archived"
    with HBase(night.settings.hbase) as hbase:
        packed = [cells[PACKED] for _, cells in hbase.scan_prefix("ztf", b"")]
        rows = ArchiveReader(hbase, ZTF, "ztf").decode(packed, ["d:finkclass"])
    assert Counter(rows.column("d:finkclass").to_pylist()) == {"Unknown": ALERTS - len(LABELLED), "QSO": len(LABELLED)}
    assert run_stage(night.settings, "ztf", night.night, "verify_archive", now=_later())["ok"]
    assert run_stage(night.settings, "ztf", night.night, "reconcile", now=_later())["ok"]


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)
