"""Nights that look like nights of the sky: recorded and synthetic alerts, computed once and copied under new ids.

Each night is a function of its date and a seed. What a test breaks, it breaks in the tables before they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import load_settings
from fink_lib.lake import Lake
from fink_lib.nightly.frames import frames_of_night, suite_folder
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.quality import NUMBERS, keep_quality
from fink_lib.science.loading import build_runner
from fink_lib.simulator.packets import read_packets
from fink_lib.simulator.synthetic import SyntheticNight
from fink_lib.surveys import get_survey
from tests.night_rows import random_table, replace
from tests.ztf_alerts import SHARED_DATA

RECORDED = SHARED_DATA / "ztf" / "v3.1" / "ztf_public_20181129_a.tar.gz"
SYNTHETIC_ALERTS = 300
UNIX_EPOCH_JD = 2440587.5
DELAY_S = 600.0
EXPOSURES = 12


@dataclass
class Night:
    """The tables of a night before they are in the lake."""

    night: str
    raw: pa.Table
    science: pa.Table
    rejected: pa.Table
    quarantine: pa.Table
    sent: pa.Table
    ledger: pa.Table

    def write(self, lake: Lake) -> Night:
        """Put the night into a lake."""
        for table in ("raw", "science", "rejected", "quarantine", "sent", "ledger"):
            lake.append(table, getattr(self, table))
        return self


@cache
def pattern(home: Path) -> tuple[pa.Table, dict[str, str]]:
    """Compute the science of alerts to copy: those recorded in 2018 if they are at hand, and synthetic ones.

    Returns
    -------
    pyarrow.Table
        Columns of the alert, without history, and those that the broker adds.
    dict of str to str
        Version of all modules, catalogues and models.
    """
    survey, settings = get_survey("ztf"), load_settings(home)
    packets = [packet.value for packet in SyntheticNight(1, SYNTHETIC_ALERTS).packets()]
    if RECORDED.exists():
        packets += [packet.value for packet in read_packets([RECORDED], survey)]
    alerts = survey.decode(packets).alerts
    runner = build_runner(survey, settings)
    found = runner.apply(alerts).table
    for name in ("prv_candidates", "fp_hists"):
        place = alerts.schema.get_field_index(name)
        alerts = alerts.set_column(place, alerts.schema.field(place), pa.nulls(len(alerts), alerts.schema[place].type))
    columns = {name: alerts.column(name) for name in survey.alert_schema.names}
    columns |= {field.name: found.column(field.name) for field in survey.fink_schema}
    return pa.table(columns).combine_chunks(), runner.versions()


def versions(home: Path) -> dict[str, str]:
    """Give the versions of modules and models, as the gate compares them."""
    return {name: version for name, version in pattern(home)[1].items() if not name.startswith("catalog.")}


def make_night(lake: Lake, home: Path, night: str, alerts: int = 1300, seed: int = 0) -> Night:
    """Draw a night: `alerts` copies, of which those that pass the cuts become science.

    Parameters
    ----------
    lake : Lake
        Gives the columns.
    home : Path
        Where :func:`pattern` may open its catalogues.
    night : str
        ``YYYYMMDD``.
    alerts : int
        Rows of ``raw``.
    seed : int
        Of the draw; another one gives other alerts of the same sky.
    """
    random = np.random.default_rng([int(night), seed])
    drawn = pattern(home)[0].take(pa.array(random.integers(0, len(pattern(home)[0]), alerts)))
    candidate = drawn.column("candidate").combine_chunks()
    midnight = datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC).timestamp() / 86400 + UNIX_EPOCH_JD
    counting = np.arange(alerts)
    # The exposures of the pattern, at most a dozen, each an instant of the night of its own.
    order = np.unique(_field(candidate, "jd"), return_inverse=True)[1] % EXPOSURES
    jd = midnight + 0.2 + order * 0.01
    step = random.uniform(-0.01, 0.01, (2, alerts))
    moved = {
        name: (_field(candidate, name) + step[axis])
        for names, axis in ((("ra", "ranr"), 0), (("dec", "decnr"), 1))
        for name in names
    }
    moved["ra"] %= 360
    ids = int(night) * 10**9 + counting
    score = _field(candidate, "rb")
    sent_at = jd + (DELAY_S + random.normal(0, 30, alerts)) / 86400
    rows = replace(
        pa.concat_tables([drawn.select(lake.schema("raw").names[:-2])]),
        candid=ids,
        objectId=[_name(number) for number in counting + seed * 7919],
        candidate={
            **moved,
            "candid": ids,
            "jd": jd,
            "jdstarthist": jd - 5,
            "magpsf": _field(candidate, "magpsf") + random.normal(0, 0.05, alerts),
            "rb": np.where(score < 0.98, score + random.uniform(0, 0.01, alerts), score),
        },
    )
    ingest = replace(
        random_table(pa.schema([lake.schema("raw").field("ingest")]), alerts, seed=1),
        ingest={
            "topic": [f"ztf_{night}_programid1"] * alerts,
            "partition": [0] * alerts,
            "offset": counting,
            "kafka_time": _stamps(sent_at),
            "ingested": _stamps(sent_at + 3 / 86400),
            "sha256": [f"{number:064x}" for number in counting],
            "batch": ["g1-000000000"] * alerts,
            "schema_version": ["4.02"] * alerts,
        },
    ).column("ingest")
    raw = rows.append_column(lake.schema("raw").field("ingest"), _whole(ingest))
    raw = raw.append_column("night", pa.array([night] * alerts))
    return _split(lake, night, raw, drawn)


def _split(lake: Lake, night: str, raw: pa.Table, drawn: pa.Table) -> Night:
    """Give what the streams make of the rows of ``raw``; `drawn` has the values of the modules."""
    candidate = raw.column("candidate").combine_chunks()
    good = (_field(candidate, "nbad") == 0) & (_field(candidate, "rb") >= 0.55) & (_field(candidate, "fid") != 3)
    kept, lost = np.flatnonzero(good), np.flatnonzero(~good)
    science = raw.take(pa.array(kept))
    process = replace(
        random_table(pa.schema([lake.schema("science").field("process")]), len(kept), seed=2),
        process={
            "broker_version": ["0.1.0"] * len(kept),
            "science_version": ["1"] * len(kept),
            "started": pc.struct_field(science.column("ingest").combine_chunks(), "ingested"),
            "ended": pc.struct_field(science.column("ingest").combine_chunks(), "ingested"),
        },
    ).column("process")
    columns = {name: science.column(name) for name in lake.schema("raw").names}
    for name in lake.survey.fink_schema.names:
        columns[name] = drawn.column(name).take(pa.array(kept))
    columns["process"] = _whole(process)
    science = pa.table({name: columns[name] for name in lake.schema("science").names}, schema=lake.schema("science"))
    offsets = pc.struct_field(raw.column("ingest").combine_chunks(), "offset").to_numpy()
    ids = raw.column("candid").to_numpy()
    topic = f"ztf_{night}_programid1"
    rejected = pa.Table.from_pylist(
        [
            {"alert_id": int(ids[n]), "topic": topic, "partition": 0, "offset": int(offsets[n]), "reason": "rb",
             "batch": "g1-000000000", "night": night}
            for n in lost
        ],
        schema=lake.schema("rejected"),
    )  # fmt: skip
    chosen = {
        "sso_fink_candidates": pc.equal(science.column("roid"), 2),
        "variable_stars": pc.is_valid(science.column("vsx")),
        "bright": pc.less(pc.struct_field(science.column("candidate").combine_chunks(), "magpsf"), 18.0),
    }
    sent = []
    for name, mask in chosen.items():
        for place, row in enumerate(science.filter(mask).select(["candid", "ingest"]).to_pylist()):
            sent.append(
                {"alert_id": row["candid"], "filter": name, "filter_version": "1", "topic": f"fink_{name}_ztf",
                 "partition": 0, "offset": place, "sent_time": row["ingest"]["ingested"] + timedelta(seconds=5),
                 "late": False, "batch": "g1-000000000", "night": night}
            )  # fmt: skip
    counts = {"stream2raw": raw.num_rows, "raw2science": raw.num_rows, "distribution": len(kept)}
    ledger = [
        {"stage": stage, "batch": "g1-000000000", "received": number, "night": night}
        for stage, number in counts.items()
    ]
    return Night(
        night,
        raw,
        science,
        rejected,
        lake.schema("quarantine").empty_table(),
        pa.Table.from_pylist(sent, schema=lake.schema("sent")),
        pa.Table.from_pylist(ledger, schema=lake.schema("ledger")),
    )


def archive_night(
    lake: Lake, home: Path, night: str, now: datetime, numbers: Mapping[str, float] | None = None
) -> None:
    """Let a night in the lake become one that later nights are compared with; its numbers may be known already."""
    if numbers is None:
        numbers = frames_of_night(lake, night, suite_folder("ztf"), suites=())[1]
    keep_quality(lake, night, (NUMBERS,), numbers, [], now)
    summary = {"versions": sorted(versions(home).items()), "night": night}
    lake.append("night_summary", pa.Table.from_pylist([summary], schema=lake.schema("night_summary")))
    set_state(lake, night, "archived", "publish", "", now)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _field(candidate: pa.StructArray, name: str) -> np.ndarray:
    return pc.struct_field(candidate, name).to_numpy(zero_copy_only=False)


def _stamps(jd: np.ndarray) -> pa.Array:
    micros = np.round((jd - UNIX_EPOCH_JD) * 86400e6).astype(np.int64)
    return pa.array(micros, pa.timestamp("us", "UTC"))


def _name(number: int) -> str:
    return "ZTF20" + "".join(chr(ord("a") + (number // 26**k) % 26) for k in reversed(range(7)))
