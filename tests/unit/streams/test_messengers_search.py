"""Pairs are found in the lake, each file and trigger looked at once, and notices become rows whatever they are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from fink_lib.science.multimessenger.notices import decode_notice
from fink_lib.streams.messengers.intake import columns_of, row_of
from fink_lib.streams.messengers.message import FIELDS, KEY, headers_of, values_of
from fink_lib.streams.messengers.search import PairSearch, may_meet, read_triggers, window
from fink_lib.streams.messengers.selection import load_selections
from tests.night_rows import NIGHT, replace, science_rows
from tests.unit.science.notices import lvk, skymap, voevent
from tests.unit.science.test_coincidence import burst

FIRST_JD = 2460381.6  # of the night's rows
NOW = datetime(2024, 3, 12, 4, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    opened = open_lake(Settings(home=tmp_path), "ztf")
    opened.ensure()
    return opened


def science(lake: Lake, first_id: int, count: int = 3, **candidate: Any) -> pa.Table:
    """Give good alerts at one place, new since the trigger."""
    fields = {
        "ra": np.full(count, 150.0),
        "dec": np.full(count, 20.0),
        "jd": np.full(count, FIRST_JD),
        "jdstarthist": np.full(count, FIRST_JD),
        "rb": np.full(count, 0.95),
        "ssdistnr": np.full(count, -999.0),
        "distpsnr1": np.full(count, -999.0),
        "sgscore1": np.full(count, 0.0),
        "neargaia": np.full(count, -999.0),
    }
    return replace(
        science_rows(lake, count, seed=first_id, first_id=first_id),
        candidate=fields | candidate,
        finkclass=["Unknown"] * count,
        mag_rate=np.full(count, -0.5),
        delta_time=np.full(count, 2.0),
        from_upper=[False] * count,
        jd_first_real_det=np.full(count, FIRST_JD),
        jdstarthist_dt=np.zeros(count),
    )


class Message:
    """Stands in for a message of Kafka."""

    def __init__(self, payload: bytes | None, offset: int = 0, topic: str = "gcn.classic.voevent.SIMULATED") -> None:
        self._payload, self._offset, self._topic = payload, offset, topic

    def value(self) -> bytes | None:
        return self._payload

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_710_187_300_000 + self._offset


def take(lake: Lake, *payloads: bytes, first: int = 0) -> None:
    """Append notices as the stage does."""
    rows = [row_of(Message(payload, first + place), NOW) for place, payload in enumerate(payloads)]  # type: ignore[arg-type]
    lake.append("gcn", pa.Table.from_pylist(rows, schema=lake.schema("gcn")))


def found(search: PairSearch) -> tuple[list[tuple[str, int]], int]:
    pairs, alerts = search.find()
    if not pairs.num_rows:
        return [], alerts
    return sorted(zip(pairs["selection"].to_pylist(), pairs["candid"].to_pylist(), strict=True)), alerts


def test_a_notice_becomes_a_row_under_the_night_of_its_trigger(lake: Lake) -> None:
    take(lake, voevent(), lvk(skymap([5, 16], [0.0, 12 / np.pi])))
    burst_row, merger = lake.read("gcn", ["20240311"]).sort_by("offset").to_pylist()
    assert (burst_row["triggerId"], burst_row["err_arcmin"], burst_row["region"]) == ("731880005", 300.0, None)
    assert (merger["observatory"], merger["region"], merger["reason"]) == ("LVK", [16], None)
    assert burst_row["raw_event"] == voevent()


@pytest.mark.parametrize(
    ("payload", "reason"), [(b"nonsense", "not_a_notice"), (b"", "not_a_notice"), (voevent(role="test"), "test")]
)
def test_a_message_that_is_no_good_notice_is_kept_with_the_reason(lake: Lake, payload: bytes, reason: str) -> None:
    take(lake, payload)
    (row,) = lake.read("gcn").to_pylist()
    assert (row["reason"], row["raw_event"], row["triggerId"], row["night"]) == (reason, payload, None, "20240311")
    assert read_triggers(lake, [NIGHT]) == []


def test_a_retraction_is_a_row_without_a_place(lake: Lake) -> None:
    row = columns_of(decode_notice(lvk(alert_type="RETRACTION", event={})))
    assert (row["ra"], row["err_arcmin"], row["gcn_status"]) == (None, None, "retraction")
    take(lake, lvk(skymap([16], [12 / np.pi])), lvk(alert_type="RETRACTION", event={}))
    assert read_triggers(lake, [NIGHT]) == []


def test_alerts_in_the_region_are_found_for_the_selections_that_take_them(lake: Lake) -> None:
    take(lake, voevent())
    lake.append("science", science(lake, 1))
    lake.append("science", science(lake, 11, dec=np.full(3, 40.0)))
    assert found(PairSearch(lake, load_selections("ztf"))) == ([("grb_bronze", one) for one in (1, 2, 3)], 6)


def test_each_file_meets_each_trigger_once(lake: Lake) -> None:
    search = PairSearch(lake, load_selections("ztf"))
    lake.append("science", science(lake, 1))
    assert found(search) == ([], 0)
    take(lake, voevent())
    assert found(search)[1] == 3
    assert found(search) == ([], 0)
    lake.append("science", science(lake, 11))
    assert found(search) == ([("grb_bronze", one) for one in (11, 12, 13)], 3)
    take(lake, voevent(trigger_id="2", error=0.001), first=5)
    pairs, alerts = found(search)
    assert alerts == 6
    assert {name for name, _ in pairs} == {"grb_bronze", "grb_silver", "grb_gold"}


def test_a_better_position_is_looked_at_anew_and_the_old_one_forgotten(lake: Lake) -> None:
    search = PairSearch(lake, load_selections("ztf"))
    take(lake, voevent(dec=60.0))
    lake.append("science", science(lake, 1))
    assert found(search) == ([], 3)
    take(lake, voevent(dec=21.0), first=1)
    assert found(search)[0] == [("grb_bronze", one) for one in (1, 2, 3)]
    assert [one.dec_deg for one in read_triggers(lake, [NIGHT])] == [21.0]


def test_only_the_last_nights_are_searched(lake: Lake) -> None:
    take(lake, voevent())
    lake.append("science", science(lake, 1))
    later = science(lake, 11, jd=np.full(3, FIRST_JD + 30))
    lake.append("science", replace(later, night=["20240411"] * 3))
    assert found(PairSearch(lake, load_selections("ztf"))) == ([], 0)
    assert window([]) == []
    assert window(["20240411", NIGHT, "20240404"]) == ["20240404", "20240411"]


def test_a_night_meets_the_triggers_of_the_days_before() -> None:
    jd = 2460381.5  # 2024-03-12, 0 h
    assert [may_meet(burst(jd=jd + days), NIGHT) for days in (-8.1, -7.9, 0.0, 1.5, 2.5)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_the_message_of_a_pair_is_read_back_by_the_schema_in_its_key(lake: Lake) -> None:
    import io
    import json

    import fastavro

    take(lake, voevent())
    lake.append("science", science(lake, 1, count=1))
    pairs, _ = PairSearch(lake, load_selections("ztf")).find()
    (value,) = values_of(pairs)
    read: Any = fastavro.schemaless_reader(io.BytesIO(value), json.loads(KEY), None)
    assert list(read) == FIELDS.names
    (pair,) = pairs.to_pylist()
    assert {name: read[name] for name in FIELDS.names if name != "timestamp"} == {
        name: pair[name] for name in FIELDS.names if name != "timestamp"
    }
    assert (read["triggerId"], read["timestamp"]) == ("731880005", "2024-03-12 02:24:00.000008")
    headers = dict(headers_of(pair, "grb_bronze", "1", "mm-000000000"))
    assert (headers["fink-alert-id"], headers["fink-filter"], headers["fink-night"]) == (
        b"1",
        b"grb_bronze",
        NIGHT.encode(),
    )
