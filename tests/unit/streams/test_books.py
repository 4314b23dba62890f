"""A batch that nobody will meet again is entered into the ledger by the generation that comes after."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake
from fink_lib.streams.books import close_books, enter
from fink_lib.streams.checkpoint import Checkpoint
from fink_lib.streams.stage import LedgerRow, StageContext, ledger_table
from fink_lib.surveys import get_survey

NIGHT = "20240312"
COUNTS = ("received", "produced", "quarantined", "rejected", "duplicates", "sent")


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path), get_survey("ztf"))
    lake.ensure()
    return lake


def context(lake, generation, stage="raw2science"):
    checkpoint = Checkpoint(Path("unused"), generation)
    return StageContext(Settings(home=Path("unused")), lake.survey, lake, checkpoint, 7, stage)


def add(lake, table, *rows):
    lake.append(table, pa.Table.from_pylist(list(rows), schema=lake.schema(table)))


def science(batch, candid, night=NIGHT):
    return {"candid": candid, "process": {"batch": batch}, "night": night}


def rejected(batch, alert_id, reason):
    return {"alert_id": alert_id, "reason": reason, "batch": batch, "night": NIGHT}


def ledger(lake):
    rows = lake.read("ledger").sort_by([("batch", "ascending"), ("night", "ascending")]).to_pylist()
    return [(row["stage"], row["batch"], row["night"], *(row[name] for name in COUNTS)) for row in rows]


def test_an_unaccounted_batch_of_an_earlier_generation_is_entered_once(lake):
    add(lake, "ledger", {"stage": "raw2science", "batch": "g1-000000000", "night": NIGHT, **dict.fromkeys(COUNTS, 1)})
    add(lake, "science", science("g1-000000000", 1), science("g1-000000001", 2), science("g1-000000001", 3, "20240313"))
    add(lake, "rejected", rejected("g1-000000001", 4, "rb"), rejected("g1-000000001", 2, "duplicate"))
    add(lake, "science", science("g2-000000000", 5))
    assert close_books(context(lake, 2), "science", "rejected") == 1
    assert ledger(lake)[1:] == [
        ("raw2science", "g1-000000001", NIGHT, 3, 1, 0, 1, 1, 0),
        ("raw2science", "g1-000000001", "20240313", 1, 1, 0, 0, 0, 0),
    ]
    assert close_books(context(lake, 2), "science", "rejected") == 0
    assert len(ledger(lake)) == 3


def test_the_ledger_of_another_stage_does_not_count(lake):
    add(lake, "ledger", {"stage": "raw2science", "batch": "g1-000000000", "night": NIGHT, **dict.fromkeys(COUNTS, 1)})
    add(lake, "raw", {"candid": 1, "ingest": {"batch": "g1-000000000"}, "night": NIGHT})
    add(lake, "quarantine", {"reason": "empty", "batch": "g1-000000000", "night": NIGHT})
    assert close_books(context(lake, 2, "stream2raw"), "raw", "quarantine") == 1
    assert ("stream2raw", "g1-000000000", NIGHT, 2, 1, 1, 0, 0, 0) in ledger(lake)


def test_the_first_generation_leaves_its_own_batch_to_the_replay(lake):
    add(lake, "science", science("g1-000000000", 1))
    assert close_books(context(lake, 1), "science", "rejected") == 0
    assert ledger(lake) == []


def test_a_batch_that_was_sent_is_entered_from_its_marker_and_only_once(lake):
    sent = [LedgerRow(NIGHT, 9, 4, sent=6, details={"filters": {"unknowns": 6}})]
    assert enter(context(lake, 2, "distribution"), 1, 3, sent)
    assert ledger(lake) == [("distribution", "g1-000000003", NIGHT, 9, 4, 0, 0, 0, 6)]
    (details,) = lake.read("ledger").column("details").to_pylist()
    assert json.loads(details) == {"filters": {"unknowns": 6}, "entered_by": "g2"}
    assert not enter(context(lake, 3, "distribution"), 1, 3, sent)
    assert len(ledger(lake)) == 1


def test_a_batch_that_its_own_generation_entered_stays_as_it_is(lake):
    own = context(lake, 1, "distribution")
    rows = [LedgerRow(NIGHT, 9, 4, sent=6)]
    lake.append("ledger", ledger_table(rows, own, 1, 3, 0.5), own.app_id, 3)
    assert not enter(context(lake, 2, "distribution"), 1, 3, rows)
    assert len(ledger(lake)) == 1
