"""The frames in which alerts go out are those that the broker reads, and keep what is in the alert."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fink_lib.errors import ConfigError
from fink_lib.simulator.faults import FaultPlan, spoil
from fink_lib.simulator.packets import as_packets
from fink_lib.simulator.rewrite import record_of
from fink_lib.simulator.synthetic import SyntheticNight
from fink_lib.simulator.wire import WIRES, Wire, make_wire
from fink_lib.surveys import get_survey
from fink_lib.surveys.ztf import SCHEMA_FILE
from tests.ztf_alerts import container

ZTF = get_survey("ztf")


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    return [packet.value for packet in SyntheticNight(5, 20).packets()]


@pytest.mark.parametrize("kind", WIRES)
def test_the_broker_reads_the_same_alerts_in_every_frame(kind: str, values: list[bytes]) -> None:
    wire = make_wire(kind, "ztf")
    framed = [wire.frame(value) for value in values]
    found, plain = ZTF.decode(framed), ZTF.decode(values)
    assert not found.bad
    assert found.alerts.equals(plain.alerts)
    assert set(found.wire_formats.to_pylist()) == {kind}
    assert wire.keyed == (kind != "schemaless")
    for value, made in zip(values, framed, strict=True):
        assert wire.record(made)["candidate"]["jd"] == record_of(value)["candidate"]["jd"]


def test_a_container_is_not_touched(values: list[bytes]) -> None:
    assert [make_wire("", "ztf").frame(value) for value in values] == values


def test_a_container_in_a_given_schema_is_written_anew(values: list[bytes]) -> None:
    framed = [make_wire("container", "ztf", SCHEMA_FILE).frame(value) for value in values]
    assert ZTF.decode(framed).alerts.equals(ZTF.decode(values).alerts)


def test_the_number_of_the_schema_can_be_given(values: list[bytes]) -> None:
    framed = make_wire("confluent", "ztf", schema_id=77).frame(values[0])
    assert framed[:5] == b"\x00\x00\x00\x00\x4d"
    assert [bad.reason for bad in ZTF.decode([framed]).bad] == ["unknown_schema"]


def test_an_alert_that_does_not_fit_is_refused() -> None:
    schema = json.dumps({"type": "record", "name": "bare", "fields": [{"name": "candid", "type": "long"}]})
    with pytest.raises(ConfigError, match="does not fit schema"):
        make_wire("schemaless", "ztf").frame(container({"candid": 1}, schema))


@pytest.mark.parametrize(
    ("kind", "survey", "schema"),
    [("smoke", "ztf", None), ("confluent", "nosuch", None), ("confluent", "ztf", "absent")],
)
def test_what_is_not_known_is_refused(kind: str, survey: str, schema: str | None, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        make_wire(kind, survey, tmp_path / schema if schema else None)


@pytest.mark.parametrize("kind", ["confluent", "schemaless"])
def test_faults_are_what_they_say_in_other_frames_too(kind: str, values: list[bytes]) -> None:
    visits = [as_packets(values, ZTF)]
    reasons = {"nan-position": {"bad_position"}, "missing-id": {"missing_id"}, "oversize": {"oversize"},
               "truncated": {"truncated", "schema_mismatch", "unknown_schema", "not_avro"}}  # fmt: skip
    for fault, wanted in reasons.items():
        (visit,) = spoil(visits, FaultPlan({fault: 1.0}), 1, make_wire(kind, "ztf"))
        batch = ZTF.decode([message.packet.value for message in visit[:4]])
        assert batch.alerts.num_rows == 0, fault
        assert {bad.reason for bad in batch.bad} <= wanted, fault
    (visit,) = spoil(visits, FaultPlan({"schema-bump": 1.0}), 1, make_wire(kind, "ztf"))
    assert not ZTF.decode([message.packet.value for message in visit]).bad


def test_without_a_wire_faults_give_the_bytes_that_they_always_gave(values: list[bytes]) -> None:
    visits, plan = [as_packets(values, ZTF)], FaultPlan({"truncated": 0.3, "garbage": 0.2, "nan-position": 0.2})
    one, two = (list(spoil(visits, plan, 3, *wire)) for wire in ((), (Wire(),)))
    assert [[m.packet.value for m in visit] for visit in one] == [[m.packet.value for m in visit] for visit in two]
