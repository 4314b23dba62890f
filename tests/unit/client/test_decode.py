"""Messages become alerts: by the schema in the key, by a version, or not at all."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from fink_lib.client.consumer import Received
from fink_lib.client.decode import Decoder
from fink_lib.client.names import describe, file_stem, streams_of, topics_of
from fink_lib.client.selection import Selection
from fink_lib.errors import ConfigError, DataError
from tests.client_alerts import messages

SMALL = {"type": "record", "name": "r", "fields": [{"name": "candid", "type": "long"},
                                                   {"name": "mag", "type": ["float", "null"]}]}  # fmt: skip


def packed(alert: dict[str, Any], schema: dict[str, Any] = SMALL) -> bytes:
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, schema, alert)
    return sink.getvalue()


def received(number: int, topic: str = "t") -> list[Received]:
    key, values = messages(range(1, number + 1))
    decoder = Decoder()
    read = [decoder.decode(key, value) for value in values]
    return [
        Received(topic, 0, offset, key, value, alert, schema)
        for offset, (value, (alert, schema)) in enumerate(zip(values, read, strict=True))
    ]


def test_a_schema_is_parsed_once_for_all_messages_that_bear_it() -> None:
    key, values = messages(range(3))
    decoder = Decoder()
    read = [decoder.decode(key, value) for value in values]
    assert [alert["candid"] for alert, _ in read] == [0, 1, 2]
    assert len({id(schema) for _, schema in read}) == 1
    other = json.dumps(SMALL).encode()
    assert decoder.decode(other, packed({"candid": 5, "mag": None}))[1] is not read[0][1]


def test_the_file_of_an_alert_holds_the_bytes_that_came() -> None:
    (one,) = received(1)
    file = one.schema.container(one.value)
    reader = fastavro.reader(io.BytesIO(file))
    assert reader.metadata["avro.schema"] == one.key.decode()
    assert [repr(alert) for alert in reader] == [repr(one.alert)]
    assert one.value in file


def test_a_table_has_the_types_of_the_schema() -> None:
    some = received(4)
    table = some[0].schema.table([one.alert for one in some])
    assert table.column("candid").to_pylist() == [1, 2, 3, 4]
    assert str(table.schema.field("candidate").type.field("magpsf").type) == "float"
    assert repr(table.slice(2, 1).to_pylist(maps_as_pydicts="strict")[0]) == repr(some[2].alert)


def test_a_version_is_looked_up_in_the_folder_of_schemas(tmp_path: Path) -> None:
    older = {**SMALL, "fields": SMALL["fields"][:1]}
    (tmp_path / "distribution_schema_fink_ztf_2.7_3.10.1.avsc").write_text(json.dumps(SMALL))
    (tmp_path / "distribution_schema_fink_ztf_2.0_1.0.0.avsc").write_text(json.dumps(SMALL))
    (tmp_path / "distribution_schema_fink_ztf_2.0_1.0.0_replayed.avsc").write_text(json.dumps(older))
    decoder = Decoder(tmp_path)
    assert decoder.decode(b"2.7_3.10.1", packed({"candid": 1, "mag": 2.0}))[0] == {"candid": 1, "mag": 2.0}
    # replayed alerts of that version were written with another schema
    assert decoder.decode(b"2.0_1.0.0", packed({"candid": 3}, older))[0] == {"candid": 3}
    one_file = Decoder(tmp_path / "distribution_schema_fink_ztf_2.7_3.10.1.avsc")
    assert one_file.decode(None, packed({"candid": 1, "mag": None}))[0]["mag"] is None


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"", b"\x02", "unknown_schema"),
        (b"2.7_3.10.1", b"\x02", "unknown_schema"),
        (b'{"type": "recor', b"\x02", "unknown_schema"),
        (json.dumps(SMALL).encode(), b"\x02", "schema_mismatch"),
        (json.dumps(SMALL).encode(), b"\x02\x02rest", "trailing_bytes"),
        (json.dumps(SMALL).encode(), None, "empty"),
    ],
)
def test_what_cannot_be_read_says_why(key: bytes, value: bytes | None, reason: str) -> None:
    with pytest.raises(DataError) as refused:
        Decoder().decode(key, value)
    assert refused.value.reason == reason


def test_a_folder_of_schemas_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no schema at"):
        Decoder(tmp_path / "none")


CLUSTER = """fink_sn_candidates_ztf ftest_sn_candidates_ztf fink_grb_bronze fink_gw_bronze fink_in_tns_lsst
ftransfer_ztf_2026-01-15_1 ftransfer_ztf_2026-01-15_1_schema fxmatch_ztf_2026-01-15_2 fink_ztf_20260115
fink_ztf_markers fink_lsst_markers ztf_20260115_programid1 __consumer_offsets __transaction_state""".split()


def test_topics_are_parted_by_service() -> None:
    live = topics_of(CLUSTER, "livestream")
    assert "fink_ztf_20260115" not in live
    assert "__transaction_state" not in live
    assert topics_of(CLUSTER, "datatransfer") == CLUSTER[5:7]
    assert topics_of(CLUSTER, "xmatch") == CLUSTER[7:8]
    assert streams_of(CLUSTER, "ztf") == sorted(CLUSTER[:4])
    assert streams_of(CLUSTER, "lsst") == ["fink_in_tns_lsst"]
    with pytest.raises(ValueError, match="no service"):
        topics_of(CLUSTER, "portal")


@pytest.mark.parametrize(
    ("alert", "topic", "survey", "name"),
    [
        ({"objectId": "ZTF18a", "candid": 5}, "fink_x_ztf", "ztf", "ZTF18a_5"),
        ({"objectId": "ZTF18a", "candid": 5}, "fink_x_ztf", None, "ZTF18a_5"),
        ({"diaSourceId": 7}, "fink_x_lsst", "lsst", "7"),
        ({"objectId": "ZTF18a", "triggerId": "../S1"}, "fink_gw_bronze", "ztf", "ZTF18a_.._S1"),
    ],
)
def test_files_are_named_as_users_know_them(alert: dict[str, Any], topic: str, survey: str | None, name: str) -> None:
    assert file_stem(alert, topic, survey) == name


def test_an_alert_without_ids_has_no_name() -> None:
    with pytest.raises(DataError, match="has no candid"):
        file_stem({"objectId": "ZTF18a", "candid": None}, "fink_x_ztf", "ztf")


def test_a_description_takes_what_is_there() -> None:
    alert = received(1)[0].alert
    assert describe(alert)["object"] == "ZTF180000001"
    assert describe(alert)["time"] == "2024-03-12T02:24:09"
    assert describe(alert)["brightness"] == "17.10 mag"
    assert describe({"diaSource": {"midpointMjdTai": 61000.5, "band": "r", "psfFlux": 9.6}, "diaObject": None,
                     "mpc_orbits": {"designation": "2026 AB"}})["object"] == "2026 AB"  # fmt: skip
    assert describe({})["time"] is None


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ("candidate.magpsf < 17.25", [1, 2]),
        ("candid IN (2, 4) AND cdsxmatch = 'RRLyr'", [2, 4]),
        ("CAST(NULL AS BOOLEAN)", []),
        ("octet_length(cutoutScience.stampData) > 0", [1, 2, 3, 4]),
    ],
)
def test_where_keeps_what_it_is_true_for(expression: str, taken: list[int]) -> None:
    some = received(2, "a") + received(4, "b")[2:]
    kept = Selection(expression).keep(some)
    assert [one.alert["candid"] for one in kept] == taken


@pytest.mark.parametrize("expression", ["candidate.magps < 18", "candid +", "candid = 'x'", "1); SELECT (1"])
def test_a_wrong_where_is_one_sentence(expression: str) -> None:
    with pytest.raises(ConfigError, match="--where cannot be evaluated") as refused:
        Selection(expression).keep(received(1))
    assert len(str(refused.value).splitlines()) == 1
