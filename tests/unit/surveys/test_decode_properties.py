"""What must hold for any alerts and any bytes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fink_lib.avro.container import write_container
from fink_lib.avro.schemas import branches_of
from fink_lib.simulator.rewrite import encode
from fink_lib.surveys import get_survey
from fink_lib.surveys.base import QUARANTINE_REASONS
from fink_lib.surveys.ztf import packet_schema
from tests.ztf_alerts import HEADER, container, record

ZTF = get_survey("ztf")
MIXED = [container(record(n, ra=float(n))) for n in range(4)] + [None, b"", b"nonsense", container()[:99], HEADER]

_VALUES = {
    "long": st.integers(-(2**63), 2**63 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=5),
    "bytes": st.binary(max_size=5),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Anything that a type can hold, half of it null where null may be."""
    branches = branches_of(kind)
    filled = [branch for branch in branches if branch["type"] != "null"]
    [branch] = filled
    if branch["type"] == "record":
        made: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {field["name"]: values_of(field["type"]) for field in branch["fields"]}
        )
    elif branch["type"] == "array":
        made = st.lists(values_of(branch["items"]), max_size=2)
    else:
        made = _VALUES[branch["type"]]
    return made if len(branches) == 1 else st.none() | made


def alerts() -> st.SearchStrategy[dict[str, Any]]:
    place = st.fixed_dictionaries(
        {"jd": st.floats(2_458_000.5, 2_470_000.5), "ra": st.floats(0, 360), "dec": st.floats(-90, 90)}
    )
    name = st.text(min_size=1, max_size=12)
    packet = st.fixed_dictionaries({n: values_of(kind) for n, kind in packet_schema().fields.items()})
    return st.builds(
        lambda made, where, object_id: {**made, "candidate": {**made["candidate"], **where}, "objectId": object_id},
        packet,
        place,
        name,
    )


few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@few
@given(st.lists(alerts(), max_size=3))
def test_every_value_survives_the_way_into_columns(made: list[dict[str, Any]]) -> None:
    batch = ZTF.decode([write_container(HEADER, encode(packet_schema(), alert)) for alert in made])
    assert list(batch.bad) == []
    expected = [{name: alert[name] for name in ZTF.alert_schema.names} for alert in made]
    assert batch.alerts.equals(pa.Table.from_pylist(expected, schema=ZTF.alert_schema))


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"Obj\x01", HEADER, b"\x00\x00\x00\x01\x92"]))
def test_no_bytes_break_the_decoder(tail: bytes, head: bytes) -> None:
    batch = ZTF.decode([head + tail])
    assert batch.alerts.num_rows + len(batch.bad) == 1
    assert all(bad.reason in QUARANTINE_REASONS for bad in batch.bad)


@settings(deadline=None)
@given(st.data())
def test_no_flipped_byte_breaks_the_decoder(data: st.DataObject) -> None:
    value = bytearray(container())
    for place in data.draw(st.lists(st.integers(0, len(value) - 1), min_size=1, max_size=6)):
        value[place] = data.draw(st.integers(0, 255))
    batch = ZTF.decode([bytes(value), container(record(3))])
    assert batch.alerts.num_rows + len(batch.bad) == 2
    assert batch.positions.to_pylist()[-1] == 1  # the neighbour is never harmed


@settings(deadline=None)
@given(st.permutations(range(len(MIXED))), st.integers(0, len(MIXED)))
def test_a_message_decodes_the_same_whatever_is_around_it(order: list[int], cut: int) -> None:
    batch = ZTF.decode([MIXED[place] for place in order[:cut]])
    alone = [ZTF.decode([MIXED[place]]) for place in order[:cut]]
    good = [one.alerts for one in alone if one.alerts.num_rows]
    assert batch.alerts.to_pylist() == [row for table in good for row in table.to_pylist()]
    assert [(bad.reason, bad.detail) for bad in batch.bad] == [(b.reason, b.detail) for one in alone for b in one.bad]
    assert sorted([*batch.positions.to_pylist(), *(bad.position for bad in batch.bad)]) == list(range(cut))
