"""Bad messages among good ones: recorded ones, and 20 MB ones. Each is quarantined, each neighbour comes through."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from fink_lib.config import project_root
from tests.faults.evidence import Lake, origin, read_manifest
from tests.faults.harness import STAGES, Harness

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SHARED = Path(os.environ.get("FINK_SHARED_DATA") or project_root().parent / "shared" / "data")
REASONS = {
    "truncated": {"truncated", "not_avro"},
    "garbage": {"not_avro", "unknown_schema", "truncated", "schema_mismatch"},
    "empty": {"empty"},
    "unknown-schema": {"unknown_schema", "not_avro"},
    "missing-id": {"missing_id", "schema_mismatch"},
    "nan-position": {"bad_position"},
    "oversize": {"oversize"},
}
KINDS = ",".join(f"{kind}:0.04" for kind in REASONS)


def test_each_bad_message_is_quarantined_with_its_reason_and_each_good_one_comes_through(fresh: Harness) -> None:
    fresh.feed("--synthetic", "300", "--seed", "41", "--clock", "max", "--fault", KINDS)
    assert [fresh.once(stage) for stage in STAGES] == [0, 0, 0]
    assert fresh.problems() == []
    faults = {origin(row): row["fault"] for row in read_manifest(fresh.manifests[0])}
    reasons = {origin(row): row["reason"] for row in Lake.read(fresh.settings.lake_root).quarantine}
    wrong = [
        (place, fault, reasons.get(place))
        for place, fault in faults.items()
        if fault in REASONS and reasons.get(place) not in REASONS[fault]
    ]
    assert wrong == []
    assert Counter(faults.values()).keys() >= REASONS.keys()


@pytest.mark.skipif(not (SHARED / "malformed").is_dir(), reason="no recorded alerts at hand")
def test_recorded_bad_packets_among_recorded_good_ones(fresh: Harness) -> None:
    paths = [str(SHARED / "malformed"), str(SHARED / "ztf" / "v3.3"), str(SHARED / "ztf" / "v1.8")]
    fresh.feed("--clock", "max", "--data", *paths)
    assert [fresh.once(stage) for stage in STAGES] == [0, 0, 0]
    assert fresh.problems() == []
    assert len(Lake.read(fresh.settings.lake_root).quarantine) >= 1
