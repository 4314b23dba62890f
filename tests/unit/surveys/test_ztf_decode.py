"""ZTF messages become rows, or leave with a reason; never both, never neither."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pytest

from fink_lib.avro.container import container_header, read_container, write_container, write_varint
from fink_lib.avro.messages import CONFLUENT_HEADER
from fink_lib.simulator.rewrite import encode
from fink_lib.surveys import get_survey
from fink_lib.surveys.base import QUARANTINE_REASONS
from fink_lib.surveys.ztf import SCHEMA_ID, packet_schema
from tests.ztf_alerts import HEADER, container, history_entry, record

ZTF = get_survey("ztf")
DATUM = encode(packet_schema(), record())
NARROW = json.dumps(
    {
        "type": "record",
        "name": "topLevelRecord",
        "fields": [
            {"name": "timestamp", "type": ["string", "null"]},
            {
                "name": "candidate",
                "type": [
                    {
                        "type": "record",
                        "name": "candidate",
                        "namespace": "topLevelRecord",
                        "fields": [
                            {"name": "dec", "type": ["double", "null"]},
                            {"name": "ra", "type": ["double", "null"]},
                            {"name": "fid", "type": ["int", "null"]},
                            {"name": "jd", "type": ["double", "null"]},
                        ],
                    },
                    "null",
                ],
            },
            {"name": "candid", "type": ["long", "null"]},
            {"name": "objectId", "type": ["string", "null"]},
        ],
    }
)
NARROW_ROW: dict[str, Any] = {
    "timestamp": "then",
    "candidate": {"jd": 2_460_000.5, "fid": 2, "ra": 1.0, "dec": 2.0},
    "candid": 5,
    "objectId": "ZTF20bbbbbbb",
}


def reason(value: bytes | None) -> str:
    batch = ZTF.decode([value])
    assert batch.alerts.num_rows == batch.cutouts.num_rows == len(batch.positions) == 0
    [bad] = batch.bad
    assert bad.reason in QUARANTINE_REASONS
    assert bad.detail
    return bad.reason


def changed(text: str, edit: Any) -> str:
    tree = json.loads(text)
    edit({field["name"]: field for field in tree["fields"]}, tree)
    return json.dumps(tree)


def test_a_container_keeps_every_value_and_its_cutouts_go_apart() -> None:
    made = record(42, magpsf=18.25, ssnamenr="1234")
    made["prv_candidates"] = [history_entry(), history_entry(magpsf=19.5, candid=41)]
    made["cutoutScience"] = {"fileName": "a", "stampData": b"science"}
    made["cutoutDifference"] = {"fileName": "b", "stampData": b"difference"}
    batch = ZTF.decode([container(made)])
    [row] = batch.alerts.to_pylist()
    assert row == {name: made[name] for name in ZTF.alert_schema.names}
    assert batch.cutouts.to_pylist() == [
        {"alert_id": 42, "science": b"science", "template": None, "difference": b"difference"}
    ]
    assert batch.alerts.schema == ZTF.alert_schema
    assert batch.wire_formats.to_pylist() == ["container"]
    assert batch.schema_versions.to_pylist() == ["4.02"]


def test_an_alert_without_images_has_no_row_of_cutouts() -> None:
    batch = ZTF.decode([container()])
    assert (batch.alerts.num_rows, batch.cutouts.num_rows, batch.cutout_positions.to_pylist()) == (1, 0, [])


def test_wire_formats_are_told_by_the_first_bytes() -> None:
    confluent = CONFLUENT_HEADER.pack(0, SCHEMA_ID) + DATUM
    batch = ZTF.decode([confluent, container(), DATUM])
    assert batch.wire_formats.to_pylist() == ["confluent", "container", "schemaless"]
    rows = batch.alerts.to_pylist()
    assert rows[0] == rows[1] == rows[2]


def test_fields_are_matched_by_name_whatever_the_writer_calls_its_records() -> None:
    batch = ZTF.decode([container(NARROW_ROW, NARROW)])
    [row] = batch.alerts.to_pylist()
    assert (row["candid"], row["candidate"]["ra"], row["candidate"]["fid"]) == (5, 1.0, 2)
    assert row["candidate"]["magpsf"] is None
    assert row["prv_candidates"] is None
    assert batch.schema_versions.to_pylist() == ["1.8"]


def test_versions_may_alternate_in_a_batch_and_keep_their_order() -> None:
    values = [container(NARROW_ROW | {"candid": n}, NARROW) if n % 2 else container(record(n)) for n in range(1, 9)]
    batch = ZTF.decode([values[0], b"", *values[1:]])
    assert batch.alerts.column("candid").to_pylist() == list(range(1, 9))
    assert batch.positions.to_pylist() == [0, 2, 3, 4, 5, 6, 7, 8]
    assert [(bad.position, bad.reason) for bad in batch.bad] == [(1, "empty")]


def test_no_messages_make_an_empty_batch() -> None:
    batch = ZTF.decode([])
    assert batch.alerts.schema == ZTF.alert_schema
    assert (batch.alerts.num_rows, batch.cutouts.num_rows, list(batch.bad)) == (0, 0, [])
    assert ZTF.nights(batch.alerts).type == pa.string()
    assert len(ZTF.times(batch.alerts)) == 0


@pytest.mark.parametrize("value", [None, b""])
def test_no_value_is_empty(value: bytes | None) -> None:
    assert reason(value) == "empty"


@pytest.mark.parametrize("value", [b"Ob", container()[:50], container()[:-1], DATUM[:-1]])
def test_a_cut_message_is_truncated(value: bytes) -> None:
    assert reason(value) == "truncated"


@pytest.mark.parametrize("value", [container() + b"\x00", write_container(HEADER, DATUM + b"x"), DATUM + b"x"])
def test_more_bytes_than_a_record_are_trailing(value: bytes) -> None:
    assert reason(value) == "trailing_bytes"


@pytest.mark.parametrize("value", [b"hello, this is not an alert", b"\x93NUMPY", b"{}", bytes(range(1, 200))])
def test_other_bytes_are_no_avro(value: bytes) -> None:
    assert reason(value) == "not_avro"


def test_an_id_without_a_schema_is_unknown() -> None:
    [bad] = ZTF.decode([CONFLUENT_HEADER.pack(0, 999_999) + DATUM]).bad
    assert (bad.reason, bad.schema_id) == ("unknown_schema", "999999")


def test_a_schema_without_a_field_of_an_alert_does_not_match() -> None:
    other = json.dumps({"type": "record", "name": "r", "fields": [{"name": "x", "type": "int"}]})
    assert reason(container({"x": 1}, other)) == "schema_mismatch"


def test_a_schema_with_another_type_does_not_match() -> None:
    def candid_as_text(fields: Any, _: Any) -> None:
        fields["candid"]["type"] = "string"

    assert reason(container(NARROW_ROW | {"candid": "5"}, changed(NARROW, candid_as_text))) == "schema_mismatch"


def test_bytes_that_the_schema_did_not_write_do_not_match() -> None:
    wrong = bytearray(DATUM)
    wrong[0:2] = b"\x04\xff"  # text that is no UTF-8
    assert reason(write_container(HEADER, bytes(wrong))) == "schema_mismatch"


def test_a_number_too_large_for_its_column_costs_only_its_own_message() -> None:
    def fid_as_long(_: Any, tree: Any) -> None:
        tree["fields"][1]["type"][0]["fields"][2]["type"] = ["int", "null"]

    schema = changed(NARROW, fid_as_long)
    good = container(NARROW_ROW, schema)
    datum = read_container(good, 10**6).datum
    place = datum.index(b"\x00\x04\x00") + 1  # fid 2, between two branch numbers of unions
    wide = datum[:place] + write_varint(2**40) + datum[place + 1 :]
    bad = write_container(container_header(schema.encode()), wide)
    batch = ZTF.decode([good, bad, good])
    assert batch.positions.to_pylist() == [0, 2]
    assert [(b.position, b.reason) for b in batch.bad] == [(1, "schema_mismatch")]


@pytest.mark.parametrize("lost", ["candid", "objectId"])
def test_an_alert_without_an_id_is_named_so(lost: str) -> None:
    assert reason(container(NARROW_ROW | {lost: None}, NARROW)) == "missing_id"


def test_a_schema_without_the_id_gives_no_id() -> None:
    def drop(_: Any, tree: Any) -> None:
        tree["fields"] = [field for field in tree["fields"] if field["name"] != "candid"]

    row = {name: value for name, value in NARROW_ROW.items() if name != "candid"}
    assert reason(container(row, changed(NARROW, drop))) == "missing_id"


@pytest.mark.parametrize(
    "place", [{"ra": math.nan}, {"dec": math.nan}, {"ra": -0.1}, {"ra": 360.1}, {"dec": 90.1}, {"dec": -math.inf}]
)
def test_a_place_that_is_not_on_the_sky_is_bad(place: dict[str, float]) -> None:
    assert reason(container(record(**place))) == "bad_position"


def test_an_alert_without_a_candidate_has_no_position() -> None:
    assert reason(container(NARROW_ROW | {"candidate": None}, NARROW)) == "bad_position"


@pytest.mark.parametrize("jd", [math.nan, 0.0, 60_000.0, 1e9, math.inf])
def test_a_time_that_cannot_be_is_bad(jd: float) -> None:
    assert reason(container(record(jd=jd))) == "bad_time"


def test_a_monster_is_oversize_before_anything_is_decoded() -> None:
    assert reason(container() + bytes(8 * 1024 * 1024)) == "oversize"


@pytest.mark.parametrize(
    ("jd", "night"), [(2_460_000.4999, "20230224"), (2_460_000.5001, "20230225"), (2_460_001.4999, "20230225")]
)
def test_the_night_is_the_date_in_universal_time(jd: float, night: str) -> None:
    assert ZTF.nights(ZTF.decode([container(record(jd=jd))]).alerts).to_pylist() == [night]


def test_topics_name_their_night() -> None:
    assert ZTF.night_of_topic(ZTF.input_topic("20240102")) == "20240102"
    assert ZTF.night_of_topic("something_20240102") is None


def test_a_cutout_without_the_field_for_its_bytes_is_absent() -> None:
    def other_name(_: Any, tree: Any) -> None:
        stamp = {"type": "record", "name": "c", "fields": [{"name": "other", "type": "bytes"}]}
        tree["fields"].append({"name": "cutoutScience", "type": stamp})

    value = container(NARROW_ROW | {"cutoutScience": {"other": b"x"}}, changed(NARROW, other_name))
    batch = ZTF.decode([value])
    assert (batch.alerts.num_rows, batch.cutouts.num_rows) == (1, 0)
