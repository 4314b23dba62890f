"""A packet put together from parts is the packet written at once."""

from __future__ import annotations

from typing import Any

import pytest

from fink_lib.simulator.synthetic.packing import pack, pack_entry
from tests.ztf_alerts import container, history_entry, record

ENTRIES = [history_entry(), history_entry(magpsf=19.0, candid=4, isdiffpos="t"), history_entry(jd=2_459_999.9)]


@pytest.mark.parametrize("entries", [[], ENTRIES[:1], ENTRIES * 30])
def test_history_written_beforehand_changes_no_byte(entries: list[dict[str, Any]]) -> None:
    made = record(3)
    made["cutoutScience"] = made["cutoutTemplate"] = {"fileName": "a", "stampData": b"image"}
    whole = container({**made, "prv_candidates": entries or None})
    assert pack(made, [pack_entry(entry) for entry in entries]) == whole
