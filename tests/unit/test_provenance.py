"""Why: every end that a message can come to is told, without naming a night."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from fink_lib.cli.why import tell
from fink_lib.config import load_settings
from fink_lib.lake import Lake, open_lake
from fink_lib.provenance import Definitions, class_rule_row, load_definitions, trace, zigzag
from tests.night_rows import replace, science_rows

FIRST = 10**17
NIGHT = "20240312"
TOPIC = f"ztf_{NIGHT}_programid1"
NOON = datetime(2024, 3, 12, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory) -> Definitions:
    settings = load_settings(tmp_path_factory.mktemp("definitions"))
    return load_definitions(settings, open_lake(settings, "ztf").survey)


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Lake:
    """Give a lake with ten science alerts, one cut, one received twice, one waiting, one in quarantine."""
    lake = open_lake(load_settings(tmp_path_factory.mktemp("why")), "ztf")
    lake.ensure()
    rows = science_rows(lake, 40, first_id=FIRST, night=NIGHT)
    rows = replace(
        rows,
        ingest={"batch": ["g1-000000001"] * 40, "sha256": [f"{place:064d}" for place in range(40)]},
        process={"batch": ["g1-000000002"] * 40, "broker_version": ["0.1.0"] * 40},
        fink_status=[[("roid", "ok"), ("simbad", "no_match")]] * 40,
        fink_versions=[[("roid", "1"), ("simbad", "1"), ("catalog.simbad", "abc123")]] * 40,
        xm_sep=[[]] * 40,
        roid=[3] * 40,
        finkclass=["Solar System MPC"] * 40,
    )
    again = replace(rows.slice(3, 1), ingest={"offset": [1003]})
    raw = pa.concat_tables([rows.slice(0, 12), again])
    lake.append("raw", raw.select(lake.schema("raw").names))
    lake.append("science", rows.slice(0, 10))
    append(lake, "rejected", rejected(10, 10, "rb"), rejected(3, 1003, "duplicate"))
    sent = {"alert_id": FIRST + 3, "filter": "sso_ztf_candidates", "filter_version": "1", "partition": 4, "offset": 77}
    sent |= {"topic": "fink_sso_ztf_candidates_ztf", "sent_time": NOON, "late": False, "batch": "g1-000000003"}
    append(lake, "sent", {**sent, "night": NIGHT}, {**sent, "filter": "gone", "topic": "fink_gone_ztf", "night": NIGHT})
    broken = {"survey": "ztf", "topic": TOPIC, "partition": 2, "offset": 9, "reason": "truncated", "detail": "cut off",
              "kafka_timestamp": NOON, "payload": b"Obj\x01..." + zigzag(FIRST + 30) + b"...", "batch": "g1-000000001",
              "sha256": "f" * 64, "night": NIGHT}  # fmt: skip
    append(lake, "quarantine", broken)
    for stage, batch in (("stream2raw", 1), ("raw2science", 2), ("distribution", 3)):
        append(lake, "ledger", {"stage": stage, "batch": f"g1-{batch:09d}", "epoch": 5, "code_version": "c0ffee",
                                "finished": NOON, "seconds": 1.5, "night": NIGHT})  # fmt: skip
    return lake


def append(lake: Lake, table: str, *rows: dict[str, object]) -> None:
    lake.append(table, pa.Table.from_pylist(list(rows), schema=lake.schema(table)))


def rejected(place: int, offset: int, reason: str) -> dict[str, object]:
    return {"alert_id": FIRST + place, "topic": TOPIC, "partition": 0, "offset": offset, "reason": reason,
            "batch": "g1-000000002", "night": NIGHT}  # fmt: skip


def test_an_alert_that_became_science_is_told_from_kafka_to_kafka(lake, definitions):
    told = trace(lake, FIRST + 3, definitions)
    assert (told["outcome"], told["night"]) == ("science", NIGHT)
    first, second = sorted(told["received"], key=lambda message: message["offset"])
    assert (first["topic"], first["partition"], first["offset"], first["fate"]) == (TOPIC, 0, 3, "science")
    assert first["sha256"] == f"{3:064d}"
    assert second["fate"] == "duplicate"
    assert second["duplicate_of"] == {"topic": TOPIC, "partition": 0, "offset": 3}
    modules = {module["name"]: module for module in told["science"]["modules"]}
    assert (modules["roid"]["version"], modules["roid"]["status"]) == ("1", "ok")
    assert modules["roid"]["outputs"] == {"roid": 3}
    assert told["science"]["resources"] == {"catalog.simbad": "abc123"}
    assert told["science"]["class"]["rule"] == "sso_mpc"
    filters = {one["name"]: one for one in told["filters"]}
    assert filters["sso_ztf_candidates"]["passes"] is True
    assert filters["sso_ztf_candidates"]["sent"][0]["offset"] == 77
    assert filters["unknowns"]["passes"] is False
    assert [(clause["sql"], clause["true"]) for clause in filters["unknowns"]["clauses"]] == [
        ("finkclass = 'Unknown'", False),
        ("fink_status['simbad'] = 'no_match'", True),
    ]
    assert filters["gone"]["passes"] is None, "a filter that is gone is still told where it sent"
    assert [(row["stage"], row["code_version"]) for row in told["batches"]] == [
        ("stream2raw", "c0ffee"),
        ("raw2science", "c0ffee"),
        ("distribution", "c0ffee"),
    ]


def test_an_alert_in_a_tracklet_tells_what_the_stream_called_it(lake, definitions):
    changed = {
        "column": "finkclass",
        "before": "Unknown",
        "after": "Tracklet",
        "tracklet": "TRCK_1",
        "version": "fink-1",
    }
    append(lake, "reclassified", {**changed, "alert_id": FIRST + 4, "night": NIGHT})
    told = trace(lake, FIRST + 4, definitions)
    assert told["reclassified"] == [changed]
    assert trace(lake, FIRST + 3, definitions)["reclassified"] == []
    assert "finkclass was Unknown in the stream; TRCK_1 made it Tracklet" in list(tell(told))


def test_a_message_about_a_burst_is_told_with_the_stage_that_sent_it(lake, definitions):
    burst = {"alert_id": FIRST + 4, "filter": "grb_bronze", "topic": "fink_grb_bronze", "partition": 0, "offset": 1,
             "late": False, "batch": "mm-000000000", "night": NIGHT}  # fmt: skip
    append(lake, "sent", burst)
    append(
        lake, "ledger", {"stage": "multimessenger", "batch": "mm-000000000", "code_version": "c0ffee", "night": NIGHT}
    )
    told = trace(lake, FIRST + 4, definitions)
    assert [one["name"] for one in told["filters"] if one["sent"]] == ["grb_bronze"]
    assert "multimessenger" in [row["stage"] for row in told["batches"]]


def test_a_healed_alert_tells_when_by_which_modules_and_where_it_went_late(lake, definitions):
    healed = {"alert_id": FIRST + 4, "modules": ["simbad"], "time": NOON, "night": NIGHT}
    append(lake, "healed", {**healed, "number": 1, "enters": []}, {**healed, "number": 2, "enters": ["unknowns"]})
    late = {"alert_id": FIRST + 4, "filter": "unknowns", "topic": "fink_unknowns_ztf", "partition": 0, "offset": 5,
            "late": True, "batch": f"heal-{NIGHT}-2-000000", "night": NIGHT}  # fmt: skip
    append(lake, "sent", late)
    for batch in (f"heal-{NIGHT}-2-000000", f"heal-{NIGHT}-2"):  # number 1 broke off before it changed anything
        append(lake, "ledger", {"stage": "heal", "batch": batch, "code_version": "c0ffee", "night": NIGHT})
    told = trace(lake, FIRST + 4, definitions)
    assert told["healed"] == [
        {"batch": f"heal-{NIGHT}-2", "time": "2024-03-12T12:00:00.000Z", "modules": ["simbad"], "enters": ["unknowns"]}
    ]
    filters = {one["name"]: one for one in told["filters"]}
    assert filters["unknowns"]["sent"][0]["late"] is True
    assert [row["batch"] for row in told["batches"] if row["stage"] == "heal"] == [
        f"heal-{NIGHT}-2", f"heal-{NIGHT}-2-000000"
    ]  # fmt: skip
    assert "Healed at 2024-03-12T12:00:00.000Z by simbad; enters unknowns" in list(tell(told))


def test_an_alert_that_was_cut_names_the_cut(lake, definitions):
    told = trace(lake, FIRST + 10, definitions)
    assert told["outcome"] == "rejected"
    assert told["received"][0]["fate"] == "rejected by cut rb"
    assert told["science"] is None


def test_an_alert_that_nobody_looked_at_yet_waits(lake, definitions):
    told = trace(lake, FIRST + 11, definitions)
    assert told["outcome"] == "waiting"


def test_a_quarantined_message_is_found_by_the_id_in_its_bytes(lake, definitions):
    told = trace(lake, FIRST + 30, definitions)
    assert told["outcome"] == "quarantined"
    assert [(row["topic"], row["partition"], row["offset"], row["reason"]) for row in told["quarantine"]] == [
        (TOPIC, 2, 9, "truncated")
    ]


def test_what_never_came_is_unknown(lake, definitions):
    assert trace(lake, FIRST + 31, definitions) is None
    assert trace(lake, 1, definitions) is None


@pytest.mark.parametrize("place", [0, 3, 10, 11, 30])
def test_every_story_can_be_told_to_a_person(lake, definitions, place):
    lines = list(tell(trace(lake, FIRST + place, definitions)))
    assert str(FIRST + place) in lines[0]
    assert all("\n" not in line for line in lines)


def test_the_rule_row_of_a_class_is_the_first_that_names_it(definitions):
    assert class_rule_row(definitions.class_rule, "Tracklet") == "in_tracklet"
    assert class_rule_row(definitions.class_rule, "Unknown") == "otherwise"
    assert class_rule_row(definitions.class_rule, "RR Lyr") == "labelled: cdsxmatch"
    assert class_rule_row(definitions.class_rule, None) is None
    assert class_rule_row("", "Unknown") is None
