"""Rows of a transfer: the packet of the streams, a part of it, and the columns that clients sort by."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from fink_lib.errors import ConfigError
from fink_lib.streams.packet import Packet
from fink_lib.surveys import get_survey
from fink_lib.transfer.content import Content
from tests.unit.streams.test_packet import SHARED_DATA, lacks, science, stamps

ZTF = get_survey("ztf")
STREAM = Packet(ZTF)
EXTRA = {"year", "month", "day", "finkclass", "tnsclass"}
NIGHT = "20260322"


def made(*columns: str, image: bytes | None = b"fits", **row: Any) -> dict[str, Any]:
    """Make one row and read it as a client does."""
    content = Content(ZTF, columns)
    rows = science(row).select(content.inputs)
    (value,) = content.encode(content.rows(NIGHT, rows, stamps(image))).to_pylist()
    stream = io.BytesIO(value)
    record = fastavro.schemaless_reader(stream, fastavro.parse_schema(json.loads(content.key)))
    assert stream.read() == b""
    assert isinstance(record, dict)
    return record


def test_full_is_the_packet_of_the_stream_and_the_columns_of_a_transfer() -> None:
    names = [field["name"] for field in json.loads(STREAM.key)["fields"]]
    assert set(Content(ZTF, ["full"]).schema.names) == {*names, *EXTRA}
    row = {"objectId": "ZTF26a", "roid": 3, "cdsxmatch": "QSO", "mangrove": [("lum_dist", "10")]}
    (value,) = STREAM.values(science(row), stamps(b"fits")).to_pylist()
    packet = fastavro.schemaless_reader(io.BytesIO(value), fastavro.parse_schema(json.loads(STREAM.key)))
    assert isinstance(packet, dict)
    told = made("full", **row)
    assert {name: told[name] for name in packet if name not in EXTRA} == {
        name: value for name, value in packet.items() if name not in EXTRA
    }


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared data are not installed")
def test_every_field_of_a_published_transfer_is_here_with_its_type() -> None:
    with (SHARED_DATA / "enriched_ztf" / "client_ztf_part-3-305711_31.avro").open("rb") as stream:
        published = json.loads(json.dumps(fastavro.reader(stream).writer_schema))
    assert list(lacks(published, json.loads(Content(ZTF, ["full"]).key), "packet")) == []


def test_medium_has_no_images_and_reads_none() -> None:
    content = Content(ZTF, ["medium"])
    assert set(Content(ZTF, ["full"]).schema.names) - set(content.schema.names) == {
        "cutoutScience", "cutoutTemplate", "cutoutDifference",
    }  # fmt: skip
    assert not content.has_images


def test_light_is_the_light_set_of_the_archive_flat() -> None:
    names = "candid objectId magpsf sigmapsf jd jdstarthist drb ra dec fid distnr cdsxmatch nalerthist".split()
    assert Content(ZTF, ["light"]).schema.names == [*names, "year", "month", "day", "finkclass", "tnsclass"]
    row = made("light", objectId="ZTF26a", candidate={"jd": 2461121.7, "magpsf": 18.5, "pid": 1, "isdiffpos": "t"})
    assert (row["objectId"], row["jd"], row["magpsf"]) == ("ZTF26a", 2461121.7, 18.5)


@pytest.mark.parametrize("columns", [["light"], ["roid"], ["candidate"], ["candidate.magpsf"], ["cutoutScience"], []])
def test_time_date_and_classes_are_there_whatever_was_chosen(columns: list[str]) -> None:
    row = made(*columns)
    assert row.get("jd") or row["candidate"]["jd"]
    assert [row["year"], row["month"], row["day"]] == [2026, 3, 22]
    assert isinstance(row["finkclass"], str) and isinstance(row["tnsclass"], str)


@pytest.mark.parametrize(
    ("row", "classes"),
    [
        ({"finkclass": "SN candidate", "tns": "SN Ia", "fink_status": [("tns", "ok")]}, ("SN candidate", "SN Ia")),
        ({"finkclass": "Unknown", "fink_status": [("tns", "no_match")]}, ("Unknown", "Unknown")),
        ({"fink_status": [("tns", "unavailable")]}, ("Fail", "Fail")),
        ({}, ("Fail", "Fail")),
    ],
)
def test_a_class_is_never_null_and_no_answer_is_not_no_match(row: dict[str, Any], classes: tuple[str, str]) -> None:
    told = made("light", **row)
    assert (told["finkclass"], told["tnsclass"]) == classes


def test_fields_of_the_alert_go_out_under_their_own_name_and_others_under_both() -> None:
    row = made("drb", "candidate.magpsf", "lc_features_g.mean", "agn_score", "candidate.candid", agn_score=0.5)
    names = ["candid", "drb", "magpsf", "lc_features_g_mean", "agn_score", "jd"]
    assert list(row) == [*names, "year", "month", "day", "finkclass", "tnsclass"]
    assert (row["agn_score"], row["lc_features_g_mean"]) == (0.5, None)


def test_a_chosen_image_comes_along() -> None:
    row = made("cutoutScience", image=b"fits", candid=5)
    assert row["cutoutScience"]["stampData"] == b"fits"
    assert "cutoutTemplate" not in row


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("candidate.magpsff", "did you mean 'magpsf'"),
        ("magpsff", "did you mean 'magpsf'"),
        ("roidd", "did you mean 'roid'"),
        ("roid.x", "roid is no record"),
        ("prv_candidates.magpsf", "prv_candidates is no record; ask for it whole"),
        ("ingest", "no column is called 'ingest'"),
    ],
)
def test_a_column_that_does_not_exist_is_refused_with_the_next_one(column: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Content(ZTF, [column])


def test_only_what_is_needed_is_read() -> None:
    assert "prv_candidates" not in Content(ZTF, ["light"]).inputs
    assert {"ingest", "candidate"} <= set(Content(ZTF, ["light"]).inputs)


def test_the_schema_of_a_job_does_not_depend_on_its_rows() -> None:
    assert Content(ZTF, ["medium"]).schema_id == Content(ZTF, ["medium"]).schema_id
    assert Content(ZTF, ["medium"]).schema_id != Content(ZTF, ["full"]).schema_id
    assert isinstance(Content(ZTF, ["full"]).schema, pa.Schema)
