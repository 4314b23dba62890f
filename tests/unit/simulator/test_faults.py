"""Faults are what they say, as often as asked, and the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest

from fink_lib.errors import ConfigError
from fink_lib.simulator.faults import KINDS, FaultPlan, Outgoing, parse_faults, spoil
from fink_lib.simulator.packets import Packet, as_packets
from fink_lib.surveys import get_survey
from tests.ztf_alerts import container, record

ZTF = get_survey("ztf")
VISITS = [
    as_packets([container(record(10 * visit + n, jd=2_460_000.6 + visit / 1000)) for n in range(10)], ZTF)
    for visit in range(4)
]
REASONS = {
    "empty": "empty",
    "unknown-schema": "unknown_schema",
    "missing-id": "missing_id",
    "nan-position": "bad_position",
    "oversize": "oversize",
    "garbage": "not_avro",
    "truncated": "truncated",
}


def sent(plan: FaultPlan, seed: int = 1) -> list[list[Outgoing]]:
    return list(spoil(VISITS, plan, seed))


def every(kind: str) -> list[Outgoing]:
    return [message for visit in sent(FaultPlan({kind: 1.0})) for message in visit]


@pytest.mark.parametrize(("kind", "reason"), REASONS.items())
def test_a_spoiled_message_is_bad_for_the_reason_of_its_fault(kind: str, reason: str) -> None:
    messages = every(kind)[:12]
    batch = ZTF.decode([message.packet.value for message in messages])
    assert {message.fault for message in messages} == {kind}
    assert batch.alerts.num_rows == 0
    reasons = {bad.reason for bad in batch.bad}
    # random bytes may begin with a zero and so look like an unknown schema id; a cut may leave the whole header
    assert reasons <= {reason, *{"garbage": {"unknown_schema"}, "truncated": {"container_records"}}.get(kind, set())}
    assert reason in reasons


def test_a_packet_of_tomorrow_is_still_a_good_alert() -> None:
    messages = every("schema-bump")
    batch = ZTF.decode([message.packet.value for message in messages])
    assert not batch.bad
    assert set(batch.schema_versions.to_pylist()) == {"99.01"}
    assert batch.alerts.column("candid").to_pylist() == [message.packet.alert_id for message in messages]


def test_a_duplicate_is_sent_beside_the_original() -> None:
    counts = Counter((message.packet.alert_id, message.fault) for message in every("duplicate"))
    assert len(counts) == 80
    assert {fault for _, fault in counts} == {"", "duplicate"}


def test_late_messages_come_after_all_others() -> None:
    visits = sent(FaultPlan({"late": 0.3}))
    assert {message.fault for message in visits[-1]} == {"late"}
    assert all(not message.fault for visit in visits[:-1] for message in visit)
    assert sum(map(len, visits)) == 40


def test_messages_out_of_order_come_one_visit_later() -> None:
    visits = sent(FaultPlan({"out-of-order": 0.3}))
    displaced = [(number, message) for number, visit in enumerate(visits) for message in visit if message.fault]
    assert displaced
    for number, message in displaced:
        assert message.packet in VISITS[number - 1]
    assert sum(map(len, visits)) == 40


def test_a_burst_is_several_visits_at_once() -> None:
    assert [len(visit) for visit in sent(parse_faults("burst:x3"))] == [30, 10]


def test_the_same_seed_spoils_the_same_messages() -> None:
    plan = FaultPlan({"garbage": 0.3, "truncated": 0.3})
    assert sent(plan, 5) == sent(plan, 5)
    assert sent(plan, 5) != sent(plan, 6)


def test_without_faults_nothing_is_changed() -> None:
    assert sent(FaultPlan({})) == [[Outgoing(packet) for packet in visit] for visit in VISITS]


def test_packets_that_were_bad_before_are_left_alone_and_marked() -> None:
    broken = Packet(b"broken", None, "", float("inf"), "")
    assert list(spoil([[broken]], FaultPlan({"empty": 1.0}), 1)) == [[Outgoing(broken, "unreadable")]]


def test_fractions_are_read() -> None:
    plan = parse_faults("duplicate:0.1, late:0.2,burst:x4")
    assert (dict(plan.fractions), plan.burst) == ({"duplicate": 0.1, "late": 0.2}, 4)


def test_every_kind_can_be_asked_for() -> None:
    assert set(parse_faults(",".join(f"{kind}:0.01" for kind in KINDS)).fractions) == set(KINDS)


@pytest.mark.parametrize(
    "text", ["nosuch:0.1", "duplicate", "duplicate:x", "duplicate:1.5", "late:-1", "burst:x0", "late:.6,empty:.6"]
)
def test_a_wrong_wish_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_faults(text)
