"""The stage that sends what the filters of the night choose: once each, whatever dies in between. No broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.errors import LockedError
from fink_lib.filters import FilterSet, load_filters
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly import select as stage
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.select import HEADER_REPEAT, select, settle
from fink_lib.nightly.stage import NightContext, keep_verdict
from fink_lib.runtime.lock import FileLock
from fink_lib.streams.committed import Delivery, Marker
from tests.unit.filters.alerts import JD, science_table

NIGHT, NEXT, LATER = "20240312", "20240313", "20240801"
NOON = datetime(2024, 3, 12, 12, tzinfo=UTC)


class Broker:
    """Topics in memory, with transactions: what is not committed is never seen."""

    def __init__(self) -> None:
        self.messages: list[tuple[Delivery, dict[str, str]]] = []
        self.marker: Marker | None = None
        self.fail_at: int | None = None

    def deliveries(self, _: object, marker: Marker, key: str) -> list[Delivery]:
        """Read what a batch has sent."""
        return [sent for sent, headers in self.messages if headers["fink-batch"] == key]


class Producer:
    """Stands for the transactional producer."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open: list[tuple[Delivery, dict[str, str]]] = []
        self.last: Marker | None = None

    def open(self, topics: Sequence[str]) -> None:
        self.topics = set(topics)
        self.last = self._broker.marker

    def add_topics(self, topics: Sequence[str]) -> None:
        self.topics |= set(topics)

    def close(self) -> None:
        self._open = []

    def begin(self) -> None:
        self._open = []

    def fits(self, value: bytes, key: bytes) -> bool:
        return True

    def send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]], sent: Delivery) -> None:
        assert topic in self.topics
        if self._broker.fail_at is not None and len(self._open) == self._broker.fail_at:
            raise ConnectionError("the broker is away")
        offset = len(self._broker.messages) + len(self._open)
        place = Delivery(sent.alert_id, sent.filter, sent.filter_version, topic, 0, offset, NOON, sent.late, sent.night)
        self._open.append((place, {name: text.decode() for name, text in headers}))

    def flush(self) -> list[Delivery]:
        return [sent for sent, _ in self._open]

    def commit(self, marker: Marker) -> None:
        self._broker.messages += self._open
        self._broker.marker = self.last = marker
        self._open = []

    def abort(self) -> None:
        self._open = []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(stage, "TransactionalProducer", lambda *_: Producer(made))
    monkeypatch.setattr(stage, "read_deliveries", made.deliveries)
    monkeypatch.setattr(stage, "PIECE_ALERTS", 4)
    return made


@pytest.fixture
def lake(settings: Settings) -> Lake:
    opened = open_lake(settings, "ztf")
    opened.ensure()
    return opened


def add(lake: Lake, night: str, first_id: int, scores: Sequence[float | None], objects: Callable[[int], str]) -> None:
    """Write alerts with anomaly scores."""
    schema = lake.schema("science")
    rows = science_table(
        {
            "candid": first_id + n,
            "objectId": objects(n),
            "anomaly_score": score,
            "candidate.jd": JD,
            "candidate.pid": 1,
            "candidate.isdiffpos": "t",
            "candidate.dec": 30.0,
        }
        for n, score in enumerate(scores)
    )
    columns: dict[str, Any] = {name: rows.column(name) for name in rows.column_names}
    columns |= {
        "ingest": pa.array([{"batch": "g1-000000000"}] * rows.num_rows, schema.field("ingest").type),
        "night": pa.array([night] * rows.num_rows),
    }
    lake.append("science", pa.table(columns))


def context(settings: Settings, lake: Lake, night: str = NIGHT) -> NightContext:
    return NightContext(settings, lake.survey, lake, night, NOON, lambda line: None)


def anomalies(broker: Broker) -> list[int]:
    return [sent.alert_id for sent, _ in broker.messages if sent.filter == "anomaly"]


def sent_rows(lake: Lake) -> list[tuple[str, int, int]]:
    return sorted((row["filter"], row["alert_id"], row["offset"]) for row in lake.read("sent").to_pylist())


def test_what_is_chosen_is_sent_once_and_recorded(settings: Settings, lake: Lake, broker: Broker) -> None:
    add(lake, NIGHT, 1, [-0.01 * n for n in range(30)], lambda n: f"O{n}")
    told = select(context(settings, lake))
    assert told.details["chosen"] == {"anomaly": 10}
    assert sorted(anomalies(broker)) == list(range(21, 31))
    assert all(headers["fink-night"] == NIGHT for _, headers in broker.messages)
    assert not any("fink-late" in headers or HEADER_REPEAT in headers for _, headers in broker.messages)
    assert sent_rows(lake) == sorted((s.filter, s.alert_id, s.offset) for s, _ in broker.messages)
    again = select(context(settings, lake))
    assert (again.details["sent"], len(broker.messages)) == (0, 10)
    ledger = [row for row in lake.read("ledger").to_pylist() if row["stage"] == "select"]
    assert [row["batch_id"] for row in sorted(ledger, key=lambda row: row["batch_id"])] == [0, 1, 2]
    assert sum(row["sent"] for row in ledger) == 10


@pytest.mark.parametrize("piece", [0, 1, 2])
@pytest.mark.parametrize("where", ["select_before_commit", "select_before_sent", "select_before_ledger"])
def test_a_death_between_two_steps_neither_loses_nor_doubles(
    settings: Settings, lake: Lake, broker: Broker, monkeypatch: pytest.MonkeyPatch, piece: int, where: str
) -> None:
    add(lake, NIGHT, 1, [-0.01 * n for n in range(30)], lambda n: f"O{n}")
    die_at(monkeypatch, where, piece)
    with pytest.raises(KeyboardInterrupt):
        select(context(settings, lake))
    assert len(sent_rows(lake)) == 4 * piece + (min(4, 10 - 4 * piece) if where == "select_before_ledger" else 0)
    select(context(settings, lake))
    assert sorted(anomalies(broker)) == list(range(21, 31))
    assert sent_rows(lake) == sorted((s.filter, s.alert_id, s.offset) for s, _ in broker.messages)
    ledger = [row for row in lake.read("ledger").to_pylist() if row["stage"] == "select"]
    assert sorted(row["batch_id"] for row in ledger) == [0, 1, 2]
    assert sum(row["sent"] for row in ledger) == 10


def die_at(monkeypatch: pytest.MonkeyPatch, where: str, piece: int = 0) -> None:
    """Let the n-th pass of a failpoint end the process, once."""
    passed = 0

    def failpoint(*place: object) -> None:
        nonlocal passed
        if place[-1] == where:
            passed += 1
            if passed == piece + 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(stage, "failpoint", failpoint)


def test_what_a_dead_selection_has_sent_is_written_down_without_sending_more(
    settings: Settings, lake: Lake, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(lake, NIGHT, 1, [-0.01 * n for n in range(30)], lambda n: f"O{n}")
    die_at(monkeypatch, "select_before_sent")
    with pytest.raises(KeyboardInterrupt):
        select(context(settings, lake))
    assert settle(context(settings, lake, NEXT)) == 4
    assert sent_rows(lake) == sorted((s.filter, s.alert_id, s.offset) for s, _ in broker.messages)
    assert settle(context(settings, lake)) == 0


def test_one_selection_is_sent_at_a_time(settings: Settings, lake: Lake, broker: Broker) -> None:
    with FileLock(settings.run_dir("ztf", "select") / "lock"), pytest.raises(LockedError):
        select(context(settings, lake))


def test_a_broker_that_is_away_leaves_the_rest_for_later(settings: Settings, lake: Lake, broker: Broker) -> None:
    add(lake, NIGHT, 1, [-0.01 * n for n in range(30)], lambda n: f"O{n}")
    broker.fail_at = 2
    with pytest.raises(ConnectionError):
        select(context(settings, lake))
    assert broker.messages == []
    broker.fail_at = None
    select(context(settings, lake))
    assert len(anomalies(broker)) == 10


def test_an_object_that_was_chosen_before_is_marked(settings: Settings, lake: Lake, broker: Broker) -> None:
    add(lake, NIGHT, 1, [-0.1, -0.2], lambda n: f"O{n}")
    add(lake, NEXT, 101, [-0.1, -0.2], lambda n: f"O{n + 1}")
    add(lake, LATER, 201, [-0.1], lambda n: "O1")
    for night in (NIGHT, NEXT, LATER):
        select(context(settings, lake, night))
    marks = {sent.alert_id: headers.get(HEADER_REPEAT) for sent, headers in broker.messages}
    assert marks == {1: None, 2: None, 101: NIGHT, 102: None, 201: None}


def test_what_enters_after_a_selection_is_late(settings: Settings, lake: Lake, broker: Broker) -> None:
    add(lake, NIGHT, 1, [-0.1], lambda n: "O1")
    there = context(settings, lake)
    keep_verdict(there, "select", select(there))
    add(lake, NIGHT, 2, [-0.2], lambda n: "O2")
    select(there)
    assert [(sent.alert_id, sent.late, "fink-late" in headers) for sent, headers in broker.messages] == [
        (1, False, False),
        (2, True, True),
    ]


def test_a_night_that_was_archived_before_is_selected_late(settings: Settings, lake: Lake, broker: Broker) -> None:
    add(lake, NIGHT, 1, [-0.1], lambda n: "O1")
    set_state(lake, NIGHT, "archived", "publish", "", NOON)
    select(context(settings, lake))
    assert [sent.late for sent, _ in broker.messages] == [True]


def test_the_filters_of_the_stream_are_not_sent_again(settings: Settings, lake: Lake, broker: Broker) -> None:
    night: FilterSet = load_filters(lake.survey, ["night"])
    add(lake, NIGHT, 1, [-0.1], lambda n: "O1")
    select(context(settings, lake))
    assert {sent.filter for sent, _ in broker.messages} <= set(night.names)
