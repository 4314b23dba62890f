"""The message: its schema, what stands for a missing value, and what users of Fink's own packets rely on."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.config import project_root
from fink_lib.lake.tables import table_schema
from fink_lib.streams.packet import Packet, partition_of
from fink_lib.surveys import get_survey

SHARED_DATA = Path(os.environ.get("FINK_SHARED_DATA") or project_root().parent / "shared" / "data")
ZTF = get_survey("ztf")
PACKET = Packet(ZTF)
SCHEMA = table_schema("science", ZTF)
PARSED = fastavro.parse_schema(json.loads(PACKET.key))
FIELDS = {field["name"]: field["type"] for field in json.loads(PACKET.key)["fields"]}
JD = 2458451.7519213
BLAZAR_KEYS = {
    "instantness_low",
    "robustness_low",
    "instantness_high",
    "robustness_high",
    "cdf_quantile",
    "m0",
    "m1",
    "m2",
}

ROOT_FIELDS = """
    candid schemavsn publisher objectId candidate prv_candidates cutoutScience cutoutTemplate cutoutDifference fp_hists
    brokerIngestTimestamp brokerStartProcessTimestamp brokerEndProcessTimestamp timestamp fink_broker_version
    fink_science_version cdsxmatch tns DR3Name gaiaClass vsx spicy_class gcvs x3hsp x4lac Plx e_Plx gaiaVarFlag spicy_id
    mangrove rf_snia_vs_nonia rf_kn_vs_nonkn snn_snia_vs_nonia snn_sn_vs_all mulens anomaly_score anomaly_score_beta
    anomaly_score_anais anomaly_score_emille anomaly_score_julien anomaly_score_maria anomaly_score_emille_30days
    anomaly_score_varvara anomaly_score_alexanta slsn_score roid nalerthist is_transient lc_features_g lc_features_r
    jd_first_real_det jdstarthist_dt mag_rate sigma_rate lower_rate upper_rate delta_time from_upper blazar_stats
    tracklet finkclass fink_status
""".split()


def science(*rows: dict[str, Any]) -> pa.Table:
    """Make rows of ``science``; what is not given is null."""
    whole = [{"candid": 1, "candidate": {"jd": JD, "pid": 7, "isdiffpos": "t"}, **row} for row in rows]
    return pa.Table.from_pylist(whole, schema=SCHEMA)


def stamps(*images: bytes | None) -> pa.Table:
    """Make images, the same for the three kinds."""
    column = pa.array(images, pa.binary())
    return pa.table({"science": column, "template": column, "difference": column})


def packed(**row: Any) -> dict[str, Any]:
    """Pack one alert and read it as a user does."""
    (value,) = PACKET.values(science(row), stamps(None)).to_pylist()
    stream = io.BytesIO(value)
    record = fastavro.schemaless_reader(stream, PARSED)
    assert stream.read() == b""
    assert isinstance(record, dict)
    return record


def test_the_packet_has_every_published_field() -> None:
    assert sorted(FIELDS) == sorted(ROOT_FIELDS)
    assert len(FIELDS["candidate"]["fields"]) == 103
    assert len(FIELDS["prv_candidates"][0]["items"][0]["fields"]) == 57
    assert len(FIELDS["lc_features_g"][0]["fields"]) == 26


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("objectId cdsxmatch tns finkclass timestamp fink_broker_version", ["string", "null"]),
        ("candid", ["long", "null"]),
        ("roid nalerthist gaiaVarFlag spicy_id", ["int", "null"]),
        ("rf_snia_vs_nonia anomaly_score_maria slsn_score mag_rate", ["double", "null"]),
        ("Plx e_Plx", ["float", "null"]),
        ("is_transient from_upper", ["boolean", "null"]),
        ("mangrove fink_status", [{"type": "map", "values": ["string", "null"]}, "null"]),
        ("blazar_stats", [{"type": "map", "values": ["float", "null"]}, "null"]),
    ],
)
def test_types_are_those_that_clients_know(names: str, kind: object) -> None:
    for name in names.split():
        assert FIELDS[name] == kind, name


def test_the_schema_text_does_not_change_by_itself() -> None:
    assert Packet(get_survey("ztf")).key == PACKET.key
    assert PACKET.schema_id == "183ad9a19106e000", "users see a new schema: only ever add fields, then pin the new id"


def named_types(kind: Any) -> Iterator[str]:
    """Walk over the full names of all records of a schema."""
    if isinstance(kind, list):
        for branch in kind:
            yield from named_types(branch)
    elif isinstance(kind, dict):
        if kind["type"] == "record":
            yield f"{kind['namespace']}.{kind['name']}" if "namespace" in kind else kind["name"]
            for field in kind["fields"]:
                yield from named_types(field["type"])
        else:
            yield from named_types(kind.get("items", kind.get("values")))


def test_names_of_records_are_unique_and_dotted() -> None:
    names = list(named_types(json.loads(PACKET.key)))
    assert len(names) == len(set(names))
    assert {"topLevelRecord", "topLevelRecord.candidate", "topLevelRecord.cutoutScience"} <= set(names)


HISTORIC = {
    **dict.fromkeys(("gcvs", "x3hsp", "x4lac", "spicy_class"), "Unknown"),
    **dict.fromkeys(("DR3Name", "gaiaClass", "vsx"), "nan"),
    **dict.fromkeys(("tns", "tracklet"), ""),
    **dict.fromkeys(("rf_snia_vs_nonia", "rf_kn_vs_nonkn", "snn_snia_vs_nonia", "snn_sn_vs_all", "mulens"), 0.0),
    **dict.fromkeys(("roid", "gaiaVarFlag"), 0),
    **dict.fromkeys(("from_upper", "is_transient"), False),
    **dict.fromkeys(("spicy_id", "slsn_score"), -1),
    "mangrove": dict.fromkeys(("HyperLEDA_name", "2MASS_name", "lum_dist", "ang_dist"), "None"),
    "blazar_stats": dict.fromkeys(BLAZAR_KEYS, -1.0),
}


def test_a_missing_value_has_its_historic_form() -> None:
    record = packed()
    assert {name: record[name] for name in HISTORIC} == HISTORIC
    stays_null = set(ROOT_FIELDS) - set(HISTORIC) - {"candid", "candidate", "cdsxmatch", "timestamp"}
    for name in stays_null:
        if not name.startswith("cutout"):
            assert record[name] is None, name


def test_a_value_that_is_there_is_left_alone() -> None:
    record = packed(
        gcvs="RR", tns="SN Ia", mulens=0.25, roid=3, is_transient=True, spicy_id=5, mangrove=[("lum_dist", "81.2")]
    )
    assert (record["gcvs"], record["tns"], record["mulens"], record["roid"]) == ("RR", "SN Ia", 0.25, 3)
    assert record["is_transient"] is True
    assert record["spicy_id"] == 5
    assert record["mangrove"]["lum_dist"] == "81.2"
    assert record["mangrove"]["HyperLEDA_name"] == "None"


@pytest.mark.parametrize(
    ("label", "status", "seen"),
    [
        ("Sy1", "ok", "Sy1"),
        (None, "no_match", "Unknown"),
        (None, "not_applicable", "Unknown"),
        (None, "unavailable", "Fail"),
        (None, "failed", "Fail"),
        (None, None, "Fail"),
    ],
)
def test_no_match_and_no_answer_of_simbad_stay_apart(label: str | None, status: str | None, seen: str) -> None:
    statuses = [("simbad", status)] if status else None
    assert packed(cdsxmatch=label, fink_status=statuses)["cdsxmatch"] == seen


def test_times_are_iso_utc() -> None:
    record = packed(
        ingest={"ingested": 1_700_000_000_123_456},
        process={"started": 1_700_000_001_000_000, "ended": 1_700_000_002_000_000, "broker_version": "1.2"},
    )
    assert record["brokerIngestTimestamp"] == "2023-11-14 22:13:20.123456"
    assert record["brokerEndProcessTimestamp"] == "2023-11-14 22:13:22.000000"
    assert record["timestamp"].startswith("2018-11-29 06:02:46.000")
    assert record["fink_broker_version"] == "1.2"


def test_images_keep_their_alert() -> None:
    values = PACKET.values(science({"candid": 1}, {"candid": 2}, {"candid": 3}), stamps(b"one", None, b"three"))
    records = [fastavro.schemaless_reader(io.BytesIO(value), PARSED) for value in values.to_pylist()]
    assert [record["cutoutTemplate"] for record in records] == [
        {"fileName": "candid1_ref.fits.gz", "stampData": b"one"},
        {"fileName": None, "stampData": None},
        {"fileName": "candid3_ref.fits.gz", "stampData": b"three"},
    ]


def test_headers_are_text() -> None:
    headers = dict(PACKET.headers(12, "unknowns", "1.2", JD, "20181129", "g1-000000007"))
    assert headers == {
        "fink-alert-id": b"12",
        "fink-filter": b"unknowns",
        "fink-filter-version": b"1.2",
        "fink-schema": PACKET.schema_id.encode(),
        "fink-alert-time": b"2458451.7519213",
        "fink-night": b"20181129",
        "fink-batch": b"g1-000000007",
    }


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 64))
def test_a_partition_is_one_of_those_there_are(alert_id: int, partitions: int) -> None:
    assert 0 <= partition_of(alert_id, partitions) < partitions


def test_partitions_of_known_ids_never_change_and_are_even() -> None:
    assert [partition_of(697251922715010055 + i, 10) for i in range(6)] == [8, 2, 8, 3, 3, 4]
    counts = [0] * 10
    for alert_id in range(697251922715010000, 697251922715020000):
        counts[partition_of(alert_id, 10)] += 1
    assert min(counts) > 900


FLOAT32 = st.none() | st.floats(width=32)
TEXT = st.none() | st.text(max_size=8)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "objectId": TEXT,
                "candid": st.integers(-(2**63), 2**63 - 1),
                "candidate": st.fixed_dictionaries(
                    {
                        "jd": st.floats(2_400_000, 2_500_000),
                        "pid": st.integers(0, 2**62),
                        "rb": FLOAT32,
                        "ssnamenr": TEXT,
                        "isdiffpos": st.none() | st.sampled_from("tf10"),
                    }
                ),
                "prv_candidates": st.none()
                | st.lists(
                    st.fixed_dictionaries({"jd": st.floats(), "magpsf": FLOAT32, "candid": st.none() | st.just(5)}),
                    max_size=4,
                ),
                "Plx": FLOAT32,
                "mag_rate": st.none() | st.floats(),
                "lc_features_g": st.none() | st.fixed_dictionaries({"mean": st.none() | st.floats()}),
                "finkclass": TEXT,
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_users_read_is_what_the_lake_holds(rows: list[dict[str, Any]]) -> None:
    values = PACKET.values(science(*rows), stamps(*[None] * len(rows)))
    for row, value in zip(rows, values.to_pylist(), strict=True):
        record = fastavro.schemaless_reader(io.BytesIO(value), PARSED)
        for name in ("objectId", "candid", "Plx", "mag_rate", "finkclass"):
            assert repr(record[name]) == repr(row[name])
        for name, value_in in row["candidate"].items():
            assert repr(record["candidate"][name]) == repr(value_in)
        for name in ("prv_candidates", "lc_features_g"):
            assert (record[name] is None) == (row[name] is None)
        for entry, kept in zip(record["prv_candidates"] or [], row["prv_candidates"] or [], strict=True):
            assert {n: repr(entry[n]) for n in kept} == {n: repr(v) for n, v in kept.items()}
        if row["lc_features_g"] is not None:
            assert repr(record["lc_features_g"]["mean"]) == repr(row["lc_features_g"]["mean"])


# -- against what Fink publishes ---------------------------------------------------------------------------------------


def branches(kind: Any) -> list[Any]:
    """Give the types of a union, or the one type, without null."""
    return [k for k in (kind if isinstance(kind, list) else [kind]) if k != "null"]


def lacks(published: Any, ours: Any, path: str) -> Iterator[str]:
    """Name each place where a reader of the published type could not take ours."""
    (theirs,), (mine,) = branches(published), branches(ours)
    if isinstance(theirs, str) or isinstance(mine, str):
        if theirs != mine:
            yield f"{path}: {theirs} is {mine}"
    elif theirs["type"] == "record":
        fields = {field["name"]: field["type"] for field in mine.get("fields", [])}
        for field in theirs["fields"]:
            if field["name"] not in fields:
                yield f"{path}.{field['name']}: not there"
            else:
                yield from lacks(field["type"], fields[field["name"]], f"{path}.{field['name']}")
    else:
        inside = "items" if theirs["type"] == "array" else "values"
        yield from lacks(theirs[inside], mine[inside], path)


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared data are not installed")
def test_every_field_of_the_published_schemas_is_here_with_its_type() -> None:
    files = sorted((SHARED_DATA / "fink_schemas").glob("distribution_schema_fink_ztf_*.avsc"))
    assert files
    for file in files:
        assert list(lacks(json.loads(file.read_text()), json.loads(PACKET.key), file.stem)) == []


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared data are not installed")
def test_every_field_of_a_published_packet_is_here_with_its_type() -> None:
    transfer_only = {"year", "month", "day", "tnsclass"}
    with (SHARED_DATA / "enriched_ztf" / "client_ztf_part-3-305711_31.avro").open("rb") as stream:
        schema = json.loads(json.dumps(fastavro.reader(stream).writer_schema))
    schema["fields"] = [field for field in schema["fields"] if field["name"] not in transfer_only]
    assert list(lacks(schema, json.loads(PACKET.key), "packet")) == []


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared data are not installed")
def test_real_alerts_come_out_as_they_went_in() -> None:
    bundle = SHARED_DATA / "ztf" / "v3.1" / "ztf_public_20181129_a.tar.gz"
    with tarfile.open(bundle) as files:
        raw = [files.extractfile(member).read() for member in files if member.isfile()][:60]  # type: ignore[union-attr]
    batch = ZTF.decode(raw)
    rows = pa.table(
        [batch.alerts.column(n) if n in batch.alerts.column_names else pa.nulls(len(raw), SCHEMA.field(n).type)
         for n in SCHEMA.names],
        schema=SCHEMA,
    )  # fmt: skip
    values = PACKET.values(rows, batch.cutouts.select(["science", "template", "difference"]))
    for original, value in zip(raw, values.to_pylist(), strict=True):
        alert = next(iter(fastavro.reader(io.BytesIO(original))))
        record = fastavro.schemaless_reader(io.BytesIO(value), PARSED)
        assert isinstance(alert, dict)
        assert isinstance(record, dict)
        for name in ("objectId", "candid", "schemavsn", "publisher", "candidate", "prv_candidates"):
            assert exact(record[name], alert[name]) == exact(alert[name], alert[name]), name
        for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
            assert record[name] == alert[name]


def exact(value: Any, like: Any) -> Any:
    """Give a value with only the fields of another one, in a form in which NaN equals itself."""
    if isinstance(like, dict):
        return {name: exact(value[name], like[name]) for name in like}
    if isinstance(like, list):
        return [exact(v, k) for v, k in zip(value, like, strict=True)]
    return repr(value)
