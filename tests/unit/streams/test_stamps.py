"""Images are found by the batch that brought them, whatever the files look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.lake import Lake
from fink_lib.streams.stamps import StampReader, cutout_reader
from fink_lib.surveys import get_survey

NIGHT = "20240312"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    opened = Lake(str(tmp_path), get_survey("ztf"))
    opened.ensure()
    return opened


def add(lake: Lake, batch: str, ids: list[int], night: str = NIGHT) -> None:
    """Write the images of one batch; each tells its alert, batch and kind."""
    kinds = ("science", "template", "difference")
    images = {kind: [f"{kind}-{alert_id}-{batch}".encode() for alert_id in ids] for kind in kinds}
    rows = {"alert_id": ids, "batch": [batch] * len(ids), **images, "night": [night] * len(ids)}
    lake.append("cutouts", pa.table(rows, schema=lake.schema("cutouts")))


def fetch(lake: Lake, pairs: list[tuple[int, str]], night: str = NIGHT) -> list[bytes | None]:
    """Fetch the science images of alerts."""
    ids, batches = zip(*pairs, strict=True)
    images = StampReader(lake).fetch(night, pa.array(ids, pa.int64()), pa.array(batches))
    for kind in ("template", "difference"):
        told = [None if v is None else v.replace(b"science", kind.encode()) for v in images["science"].to_pylist()]
        assert images[kind].to_pylist() == told
    found: list[bytes | None] = images["science"].to_pylist()
    return found


def test_images_come_in_the_order_of_the_alerts_from_all_files(lake: Lake) -> None:
    add(lake, "g1-000000001", list(range(500, 300, -1)))
    add(lake, "g1-000000002", list(range(501, 700)))
    wanted = [(600, "g1-000000002"), (301, "g1-000000001"), (650, "g1-000000002"), (500, "g1-000000001")]
    assert fetch(lake, wanted) == [f"science-{i}-{b}".encode() for i, b in wanted]


def test_an_alert_without_images_has_none_and_moves_nothing(lake: Lake) -> None:
    add(lake, "g1-000000001", [1, 3])
    wanted = [(1, "g1-000000001"), (2, "g1-000000001"), (3, "g1-000000001")]
    assert fetch(lake, wanted) == [b"science-1-g1-000000001", None, b"science-3-g1-000000001"]
    assert fetch(lake, [(2, "g1-000000001")]) == [None]
    assert fetch(lake, [(1, "g1-000000001")], night="20240313") == [None]


def test_a_message_received_twice_keeps_the_images_of_each_time(lake: Lake) -> None:
    add(lake, "g1-000000001", [7])
    add(lake, "g1-000000009", [7])
    assert fetch(lake, [(7, "g1-000000009"), (7, "g1-000000001")]) == [
        b"science-7-g1-000000009",
        b"science-7-g1-000000001",
    ]


def test_compaction_changes_nothing(lake: Lake) -> None:
    for number in range(5):
        add(lake, f"g1-{number:09d}", [number + 10 * i for i in range(150)])
    wanted = [(i, f"g1-{i % 10:09d}") for i in (3, 1004, 500, 1490, 222)]
    before = fetch(lake, wanted)
    lake.table("cutouts").optimize.compact(partition_filters=[("night", "=", NIGHT)])
    assert fetch(lake, wanted) == before == [f"science-{i}-{b}".encode() for i, b in wanted]


def test_a_module_asks_for_images_by_id_across_nights_and_batches(lake: Lake) -> None:
    add(lake, "g1-000000001", [1, 2])
    add(lake, "g1-000000002", [3])
    add(lake, "g1-000000002", [4], night="20240313")
    places = [(1, "g1-000000001", NIGHT), (2, "g1-000000001", NIGHT), (3, "g1-000000002", NIGHT)]
    places += [(4, "g1-000000002", "20240313"), (5, "g1-000000002", "20240313")]
    schema = lake.schema("raw")
    rows = [{"candid": one, "ingest": {"batch": batch}, "night": night} for one, batch, night in places]
    read = cutout_reader(lake, pa.Table.from_pylist(rows, schema=schema))
    images = read(np.array([5, 4, 1, 3]))
    found = dict(zip(images["alert_id"].to_pylist(), images["science"].to_pylist(), strict=True))
    assert found == {
        1: b"science-1-g1-000000001",
        3: b"science-3-g1-000000002",
        4: b"science-4-g1-000000002",
        5: None,
    }
