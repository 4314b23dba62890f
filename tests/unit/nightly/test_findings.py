"""What is wrong with a ledger is named down to stage, batch, alert and place; the page and the terminal show it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake
from fink_lib.nightly import ledger as ledger_module
from fink_lib.nightly.kafka import OutputMessages
from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.ledger_page import ledger_page, ledger_sections
from fink_lib.nightly.reconcile import reconcile
from fink_lib.nightly.stage import NightContext, verdict_path
from fink_lib.runtime.files import write_json
from tests.night_rows import NIGHT, TOPIC, replace
from tests.unit.nightly.conftest import more_raw, rejected_rows, sent_rows

OUTPUT = "fink_unknowns_ztf"


class StandIn:
    """Kafka as a small night leaves it: 14 messages in, three out."""

    def __init__(self) -> None:
        self.end = 14
        self.output = OutputMessages(
            {(OUTPUT, 0, offset): offset + 1 for offset in range(3)},
            {(OUTPUT, 0): 0},
            {(OUTPUT, 0, offset): "g1-000000007" for offset in range(4)},
        )

    def topics(self, pattern: str) -> dict[str, list[int]]:
        return {TOPIC: [0]}

    def begins(self, topics: Any) -> dict[tuple[str, int], int]:
        return {(TOPIC, 0): 0}

    def ends(self, topics: Any) -> dict[tuple[str, int], int]:
        return {(TOPIC, 0): self.end}

    def holding(self, suspects: Any) -> Any:
        return dict(suspects)

    def sent(self, *asked: Any) -> OutputMessages:
        return self.output


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    view = StandIn()
    monkeypatch.setattr(ledger_module, "_view", lambda settings: view)
    return view


def told(settings: Settings) -> dict[str, Any]:
    return night_ledger(settings, "ztf", NIGHT)


def finding(settings: Settings, stage: str) -> dict[str, Any]:
    (one,) = [one for found in told(settings)["stages"] if found["stage"] == stage for one in found["findings"]]
    return dict(one)


def test_a_night_that_closes_has_tables_and_nothing_wrong(
    small_night: Lake, settings: Settings, kafka: StandIn
) -> None:
    ledger = told(settings)
    assert ledger["closed"], ledger["differences"]
    sections = {title: rows for title, _, rows in ledger_sections(ledger)}
    assert sections["Kafka's partitions"] == [[TOPIC, 0, 0, 14, 13, 1, 0, 0, 0]]
    assert sections["Rejected"] == [["nbad", 1], ["rb", 1]]
    assert sections["Quarantined"] == [["truncated", 1]]
    assert sections["Topics against table sent"] == [[OUTPUT, 3, 3, 0]]
    assert sections["Sent, by filter"] == [["unknowns", 3]]
    assert "What is wrong" not in sections


def test_a_message_that_is_in_no_table_names_the_batch_that_read_it(
    small_night: Lake, settings: Settings, kafka: StandIn
) -> None:
    kafka.end = 16
    for number, edges in enumerate(([0, 13, 14], [14, 15, 2])):
        row = {"stage": "stream2raw", "batch": f"g1-00000000{number}", "night": NIGHT,
               "details": json.dumps({"offsets": {f"{TOPIC}/0": edges}})}  # fmt: skip
        small_night.append("ledger", pa.Table.from_pylist([row], schema=small_night.schema("ledger")))
    found = finding(settings, "stream2raw")
    assert (found["count"], found["batches"]) == (2, ["g1-000000001"])
    assert found["places"] == [f"{TOPIC}[0] 14", f"{TOPIC}[0] 15"]
    assert "(batch g1-000000001)" in told(settings)["differences"][0]


def test_a_row_of_raw_that_became_nothing_names_its_alert_and_batch(
    small_night: Lake, settings: Settings, kafka: StandIn
) -> None:
    kafka.end = 15
    small_night.append("raw", replace(more_raw(small_night, [44], [14]), ingest={"batch": ["g1-000000009"]}))
    found = finding(settings, "raw2science")
    assert (found["ids"], found["batches"], found["places"]) == ([44], ["g1-000000009"], [f"{TOPIC}[0] 14"])


def test_a_row_that_raw_does_not_have_names_the_batch_that_wrote_it(
    small_night: Lake, settings: Settings, kafka: StandIn
) -> None:
    rows = replace(rejected_rows(small_night, [99], [77], ["rb"]), batch=["g2-000000001"])
    small_night.append("rejected", rows)
    found = finding(settings, "raw2science")
    assert (found["ids"], found["batches"]) == ([99], ["g2-000000001"])


def test_a_message_that_sent_does_not_know_names_the_batch_that_sent_it(
    small_night: Lake, settings: Settings, kafka: StandIn
) -> None:
    kafka.output.places[OUTPUT, 0, 3] = 4
    found = finding(settings, "distribution")
    assert (found["ids"], found["batches"], found["places"]) == ([4], ["g1-000000007"], [f"{OUTPUT}[0] 3"])


def test_a_row_of_sent_without_a_message_names_its_batch(small_night: Lake, settings: Settings, kafka: StandIn) -> None:
    more = replace(sent_rows(small_night, [5]), offset=[3], batch=["g1-000000008"])
    small_night.append("sent", more)
    found = finding(settings, "distribution")
    assert (found["ids"], found["batches"]) == ([5], ["g1-000000008"])


def test_a_withdrawn_alert_may_be_in_the_topics(small_night: Lake, settings: Settings, kafka: StandIn) -> None:
    more = replace(sent_rows(small_night, [11]), offset=[3])
    small_night.append("sent", more)
    kafka.output.places[OUTPUT, 0, 3] = 11
    assert finding(settings, "distribution")["ids"] == [11]
    row = {"alert_id": 11, "number": 1, "modules": ["withdrawn"], "night": NIGHT}
    small_night.append("healed", pa.Table.from_pylist([row], schema=small_night.schema("healed")))
    assert told(settings)["closed"]


def test_the_archives_last_check_is_told_and_counts_only_when_asked(
    small_night: Lake, settings: Settings, kafka: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = {"ok": False, "rows": 10, "found": 9, "missing": ["ZTF1_2"], "message": "one is missing: ZTF1_2"}
    write_json(verdict_path(settings, "ztf", NIGHT, "verify_archive", "ztf"), check)
    ledger = told(settings)
    assert ledger["closed"]
    assert ledger["archive"][0]["table"] == "ztf" and ledger["archive"][0]["found"] == 9
    monkeypatch.setattr(ledger_module, "check_archive", lambda *asked: None)
    asked = night_ledger(settings, "ztf", NIGHT, archive=True)
    assert not asked["closed"]
    assert asked["differences"] == ["archive: ztf: one is missing: ZTF1_2"]


def test_reconcile_leaves_a_page_that_says_what_is_wrong(
    small_night: Lake, context: NightContext, kafka: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reconcile(context).ok
    page = context.report_dir / "ledger.html"
    assert "Closed: every message" in page.read_text()
    small_night.append("rejected", replace(rejected_rows(small_night, [99], [77], ["<b>"]), batch=["g2-1"]))
    monkeypatch.setattr("fink_lib.nightly.reconcile._settle", lambda context: 0)
    assert not reconcile(context).ok
    text = page.read_text()
    for word in ("goes no further", "g2-1", "&lt;b&gt;", f"{TOPIC}[0] 77", OUTPUT):
        assert word in text
    assert "<b>" not in text and "http" not in ledger_page(told(context.settings))
