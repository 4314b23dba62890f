"""What the workers of distribution hand to the driver, and what the driver remembers; no JVM, no broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.config import Settings, load_settings
from fink_lib.filters import load_filters
from fink_lib.lake import Lake, open_lake
from fink_lib.lake import lake as lake_module
from fink_lib.streams import packing
from fink_lib.streams.committed import Marker, NightCount
from fink_lib.streams.packet import Packet
from fink_lib.streams.packing import PIECE_ROWS, make_kernel
from fink_lib.streams.pieces import Piece, pieces_of
from fink_lib.streams.report import add_up
from fink_lib.streams.sent import SentBefore
from fink_lib.surveys import get_survey

NIGHT = "20240312"
ZTF = get_survey("ztf")
PARSED = fastavro.parse_schema(json.loads(Packet(ZTF).key))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "fink.toml").write_text("[streams]\narrow_rows = 50\n")
    return load_settings(tmp_path)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    opened = open_lake(settings, "ztf")
    opened.ensure()
    return opened


def science(lake: Lake, ids: range, roids: list[int]) -> pa.Table:
    """Make alerts that differ in id and ``roid``."""
    rows = [
        {
            "candid": i,
            "objectId": f"ZTF{i}",
            "candidate": {"jd": 2460381.6, "pid": 1, "isdiffpos": "t"},
            "roid": roids[i % len(roids)],
            "ingest": {"batch": "g1-000000000"},
            "night": NIGHT,
        }
        for i in ids
    ]
    return pa.Table.from_pylist(rows, schema=lake.schema("science"))


def pieces(lake: Lake, size: int = PIECE_ROWS) -> list[Piece]:
    """Cut the files of ``science``, named as Spark does, into pieces."""
    uris = (uri if "://" in uri else f"file://{uri}" for uri in lake.table("science").file_uris())
    return pieces_of({uri: pq.read_metadata(uri.removeprefix("file://")).num_rows for uri in uris}, size)


def run(settings: Settings, cut: list[Piece]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Run the kernel; give the packets, and the counts of the night."""
    rows: list[dict[str, Any]] = []
    numbers = pa.record_batch({"id": pa.array(range(len(cut)), pa.int64())})
    for batch in make_kernel(settings, "ztf", load_filters(ZTF), cut)(iter([numbers])):
        rows.extend(batch.to_pylist())
    share = add_up(row["report"] for row in rows if row["report"] is not None)
    return [row for row in rows if row["report"] is None], dict(share.counts.get(NIGHT, {}))


def test_only_alerts_that_a_filter_takes_are_packed_once_with_their_routes(settings: Settings, lake: Lake) -> None:
    lake.append("science", science(lake, range(200), [0, 0, 2, 3]))
    lake.append("science", science(lake, range(200, 260), [0]))
    packets, counts = run(settings, pieces(lake))
    assert counts == {"received": 260}
    assert sorted((p["alert_id"], p["filters"]) for p in packets) == [
        (i, ["sso_fink_candidates"] if i % 4 == 2 else ["sso_ztf_candidates"]) for i in range(200) if i % 4 > 1
    ]
    for packet in packets:
        record = fastavro.schemaless_reader(BytesIO(packet["value"]), PARSED)
        assert isinstance(record, dict)
        assert record["objectId"] == f"ZTF{packet['alert_id']}"
        assert (packet["night"], packet["alert_time"]) == (NIGHT, 2460381.6)


@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.long), 7, 50, 64, 1000])
def test_however_files_are_cut_each_row_is_read_once(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setitem(lake_module.ROW_GROUP_ROWS, "science", 60)
    lake.append("science", science(lake, range(150), [0, 2, 3]))
    packets, counts = run(settings, pieces(lake, rows))
    assert counts == {"received": 150}
    assert [p["alert_id"] for p in packets] == [i for i in range(150) if i % 3]
    assert all(
        p["filters"] == [["sso_fink_candidates"], ["sso_ztf_candidates"]][p["alert_id"] % 3 - 1] for p in packets
    )


def test_no_files_and_no_hits_still_report(settings: Settings, lake: Lake) -> None:
    assert run(settings, []) == ([], {})
    lake.append("science", science(lake, range(10), [0]))
    assert run(settings, pieces(lake)) == ([], {"received": 10})


def test_a_file_from_before_a_column_existed_is_read_with_nulls(settings: Settings, lake: Lake) -> None:
    lake.append("science", science(lake, range(20), [3]))
    (file,) = Path(lake.uri("science")).rglob("*.parquet")
    whole = pq.read_table(file, partitioning=None)
    pq.write_table(whole.drop_columns(["finkclass", "fink_status", "from_upper", "blazar_stats"]), file)
    packets, _ = run(settings, pieces(lake))
    assert len(packets) == 20
    record = fastavro.schemaless_reader(BytesIO(packets[0]["value"]), PARSED)
    assert isinstance(record, dict)
    assert (record["finkclass"], record["from_upper"]) == (None, False)


def test_packets_leave_in_chunks_of_bounded_size(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.append("science", science(lake, range(120), [3]))
    one = len(run(settings, pieces(lake))[0][0]["value"])
    monkeypatch.setattr(packing, "CHUNK_BYTES", int(one * 7.5))
    kernel = make_kernel(settings, "ztf", load_filters(ZTF), pieces(lake))
    sizes = [batch.num_rows for batch in kernel(iter([pa.record_batch({"id": [0]})]))]
    assert max(sizes) == 7
    assert sum(sizes) == 120 + 1


# -- what was sent before ----------------------------------------------------------------------------------------------


@pytest.fixture
def sent(lake: Lake) -> Iterator[Lake]:
    rows = [
        {"alert_id": i, "filter": "unknowns", "topic": f"{prefix}_unknowns_ztf", "batch": batch, "night": NIGHT}
        for i, prefix, batch in [
            (5, "fink", "g1-000000003"),
            (3, "fink", "g1-000000003"),
            (4, "ftest", "g1-000000003"),
            (9, "fink", "g2-000000000"),
        ]
    ]
    lake.append("sent", pa.Table.from_pylist(rows, schema=lake.schema("sent")))
    yield lake


def test_a_new_generation_knows_what_older_ones_sent_under_its_prefix(sent: Lake) -> None:
    before = SentBefore(sent, 2, "fink")
    assert [i for i in range(10) if before.holds(NIGHT, "unknowns", i)] == [3, 5]
    assert not before.holds(NIGHT, "sso_ztf_candidates", 3)
    assert not before.holds("20240313", "unknowns", 3)


def test_the_first_generation_has_nothing_before_it(sent: Lake) -> None:
    assert not SentBefore(sent, 1, "fink").holds(NIGHT, "unknowns", 3)


# -- the marker --------------------------------------------------------------------------------------------------------

counts = st.builds(
    NightCount,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.dictionaries(st.text(max_size=5), st.integers(0, 10**6), max_size=3),
    st.integers(0, 5),
)
markers = st.builds(
    Marker,
    st.integers(1, 99),
    st.integers(0, 10**9),
    st.text(max_size=8),
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=8), counts, max_size=3),
    st.dictionaries(
        st.text(max_size=8),
        st.dictionaries(st.text(max_size=2), st.tuples(st.integers(0, 2**60), st.integers(0, 2**60)), max_size=3),
        max_size=3,
    ),
)


@given(markers)
def test_a_marker_is_read_as_it_was_written(marker: Marker) -> None:
    assert Marker.from_json(marker.to_json()) == marker


def test_a_marker_covers_its_batch_and_the_earlier_ones_of_its_generation() -> None:
    marker = Marker(2, 7, "", "", {}, {})
    assert marker.covers(2, 7)
    assert marker.covers(2, 0)
    assert not marker.covers(2, 8)
    assert not marker.covers(3, 0)
    assert not marker.covers(1, 0)
