"""Recorded packets of every version, and recorded broken ones."""

from __future__ import annotations

import io
from collections import Counter

import fastavro
import pytest

from fink_lib.surveys import get_survey
from tests.ztf_alerts import SHARED_DATA, real_values

pytestmark = pytest.mark.skipif(not (SHARED_DATA / "ztf").exists(), reason="no recorded alerts at hand")
ZTF = get_survey("ztf")


def test_every_recorded_packet_decodes_with_its_own_values() -> None:
    names, values = zip(*real_values(), strict=True)
    batch = ZTF.decode(values)
    assert [(names[bad.position], bad) for bad in batch.bad] == []
    versions = Counter(batch.schema_versions.to_pylist())
    assert {"1.8", "3.2", "3.3", "3.5", "4.01", "4.02"} <= versions.keys()
    images = dict(zip(batch.cutout_positions.to_pylist(), batch.cutouts.to_pylist(), strict=True))
    rows = batch.alerts.to_pylist()
    for position in range(0, len(values), 7):
        [packet] = fastavro.reader(io.BytesIO(values[position]))
        row = rows[position]
        for name in ZTF.alert_schema.names:
            assert _known(packet.get(name), row[name]) == row[name], (names[position], name)
        stamp = packet["cutoutScience"]
        assert (images[position]["science"] if stamp else None) == (stamp and stamp["stampData"])


def _known(written: object, read: object) -> object:
    """What was written, as far as the table has fields for it, null for the fields that the version lacks."""
    if isinstance(read, dict) and isinstance(written, dict):
        return {name: _known(written.get(name), value) for name, value in read.items()}
    if isinstance(read, list) and isinstance(written, list):
        assert len(read) == len(written)
        return [_known(one, two) for one, two in zip(written, read, strict=True)]
    return written


@pytest.mark.skipif(not (SHARED_DATA / "malformed").exists(), reason="no broken packets at hand")
def test_every_broken_packet_gets_its_reason() -> None:
    names, values = zip(*real_values("malformed"), strict=True)
    batch = ZTF.decode(values)
    reasons = {names[bad.position]: bad.reason for bad in batch.bad}
    assert len(reasons) == len(values) == 6
    assert {reason for name, reason in reasons.items() if name.startswith("empty")} == {"container_records"}
    assert {reason for name, reason in reasons.items() if not name.startswith("empty")} == {"truncated"}
