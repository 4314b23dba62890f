"""An installation with an empty lake, and a small night whose numbers are counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.stage import NightContext
from tests.night_rows import NIGHT, TOPIC, random_table, replace, science_rows

NOW = datetime(2024, 3, 13, 16, tzinfo=UTC)

CLASSES = ["Unknown"] * 3 + ["Solar System MPC", "SN candidate", "QSO", "Seyfert_1", None, None, "RRLyr"]
LABELS = [None] * 5 + ["QSO", "Seyfert_1", None, None, "RRLyr"]
STATUSES = ["no_match"] * 5 + ["ok", "ok", "unavailable", "failed", "ok"]


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def lake(settings):
    lake = open_lake(settings, "ztf")
    lake.ensure()
    return lake


@pytest.fixture
def context(settings, lake):
    return NightContext(settings, lake.survey, lake, NIGHT, NOW, lambda line: None)


def good_science(lake: Lake) -> pa.Table:
    """Ten alerts without a fault: offsets 0 to 9, ids 1 to 10."""
    rows = science_rows(lake, 10)
    clean = {
        name: None for name in ("roid", "nalerthist", "rf_snia_vs_nonia", "rf_kn_vs_nonkn", "snn_snia_vs_nonia",
                                "snn_sn_vs_all", "mulens", "agn_score", "slsn_score")
    }  # fmt: skip
    clean |= {name: None for name in rows.column_names if name.startswith("anomaly_score")}
    return replace(
        rows,
        **{name: [None] * 10 for name in clean},
        cdsxmatch=LABELS,
        finkclass=CLASSES,
        finkclass_version=["fink-1"] * 10,
        schemavsn=["4.02"] * 10,
        fink_status=[[("simbad", status), ("roid", "ok")] for status in STATUSES],
        fink_versions=[[("catalog.simbad", "a1"), ("roid", "1")]] * 9 + [[("catalog.simbad", "a2"), ("roid", "1")]],
        objectId=[f"ZTF18abcdef{letter}" for letter in "aabcdefghi"],
        candidate={
            "drb": np.full(10, 0.9),
            "sigmapsf": np.full(10, 0.1),
            "diffmaglim": np.full(10, 20.5),
            "pid": np.arange(10),
            "jdstarthist": np.full(10, 2460000.5),
        },
        ingest={
            "sha256": ["ab"] * 10,
            "kafka_time": [1_710_300_000_000_000] * 10,
            "ingested": [1_710_300_001_000_000] * 10,
        },
        process={"broker_version": ["0.1.0"] * 10, "science_version": ["1"] * 10},
    )


def raw_of(lake: Lake, science: pa.Table) -> pa.Table:
    """Give the rows of ``raw`` that became `science`."""
    return science.select(lake.schema("raw").names)


def more_raw(lake: Lake, ids: list[int], offsets: list[int]) -> pa.Table:
    """Give further rows of ``raw``."""
    good = raw_of(lake, good_science(lake)).slice(0, len(ids))
    return replace(good, candid=ids, ingest={"offset": offsets})


def rejected_rows(lake: Lake, ids: list[int], offsets: list[int], reasons: list[str]) -> pa.Table:
    """Give rows of ``rejected``."""
    number = len(ids)
    return replace(
        random_table(lake.schema("rejected"), number, seed=2),
        alert_id=ids, topic=[TOPIC] * number, partition=[0] * number, offset=offsets, reason=reasons,
        night=[NIGHT] * number,
    )  # fmt: skip


def quarantine_rows(lake: Lake, offsets: list[int]) -> pa.Table:
    """Give rows of ``quarantine``."""
    number = len(offsets)
    return replace(
        random_table(lake.schema("quarantine"), number, seed=3),
        topic=[TOPIC] * number, partition=[0] * number, offset=offsets, reason=["truncated"] * number,
        kafka_timestamp=[1_710_300_000_000_000] * number, night=[NIGHT] * number,
    )  # fmt: skip


def sent_rows(lake: Lake, ids: list[int], name: str = "unknowns") -> pa.Table:
    """Give rows of ``sent``, one for each id, offsets counting from 0."""
    number = len(ids)
    return replace(
        random_table(lake.schema("sent"), number, seed=4),
        alert_id=ids, filter=[name] * number, topic=[f"fink_{name}_ztf"] * number, partition=[0] * number,
        offset=list(range(number)), night=[NIGHT] * number,
    )  # fmt: skip


def ledger_rows(lake: Lake, **received: int) -> pa.Table:
    """Give one ledger row for each stage."""
    return pa.Table.from_pylist(
        [
            {"stage": stage, "batch": "g1-000000000", "received": number, "sent": 3, "finished": NOW, "night": NIGHT}
            for stage, number in received.items()
        ],
        schema=lake.schema("ledger"),
    )


@pytest.fixture
def small_night(lake):
    """Fill the lake: 10 science alerts, 2 rejected (nbad, rb), 1 duplicate, 1 quarantined, 3 sent."""
    science = good_science(lake)
    lake.append("science", science)
    lake.append("raw", pa.concat_tables([raw_of(lake, science), more_raw(lake, [11, 12, 1], [10, 11, 12])]))
    lake.append("rejected", rejected_rows(lake, [11, 12, 1], [10, 11, 12], ["nbad", "rb", "duplicate"]))
    lake.append("quarantine", quarantine_rows(lake, [13]))
    lake.append("sent", sent_rows(lake, [1, 2, 3]))
    lake.append("ledger", ledger_rows(lake, stream2raw=14, raw2science=13, distribution=10))
    return lake
