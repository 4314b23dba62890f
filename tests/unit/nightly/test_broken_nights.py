"""Nights that are broken on purpose: each is held by the rule that is there for it, and good nights pass."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.frames import NIGHT_SUITES, frames_of_night, suite_folder
from fink_lib.nightly.judging import Finding, judge
from fink_lib.nightly.validate import gate_verdict
from fink_lib.simulator.packets import read_packets
from tests.night_rows import random_table, replace
from tests.quality_nights import RECORDED, Night, archive_night, make_night, versions
from tests.ztf_alerts import SHARED_DATA

# Great Expectations imports modules that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FOLDER = suite_folder("ztf")
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
PAST_NIGHTS = 8
GOOD_NIGHTS = 20


def name_of(number: int) -> str:
    return f"{FIRST + timedelta(days=number):%Y%m%d}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("quality")


@pytest.fixture(scope="module")
def lake(home) -> Lake:
    """Give a lake with eight archived nights of about 1300 alerts."""
    lake = open_lake(Settings(home=home), "ztf")
    lake.ensure()
    for number in range(PAST_NIGHTS):
        alerts = 1200 + 40 * (number * 3 % 8)
        make_night(lake, home, name_of(number), alerts, seed=number).write(lake)
        archive_night(lake, home, name_of(number), FIRST + timedelta(days=number + 1))
    return lake


@pytest.fixture(scope="module")
def dates() -> Iterator[str]:
    return (name_of(number) for number in range(100, 200))


@pytest.fixture
def night(lake, home, dates) -> Night:
    """Give a good night that is not written yet."""
    return make_night(lake, home, next(dates))


@pytest.fixture
def held(lake, home):
    """Write a night, judge it, and give its critical failures; the gate holds it with their sentences."""

    def judged(night: Night, *suites: str) -> dict[str, Finding]:
        night.write(lake)
        frames, _ = frames_of_night(lake, night.night, FOLDER, versions(home), suites)
        found = judge(frames, FOLDER, None, night.night)
        critical = {one.name: one for one in found if one.outcome == "failed" and one.severity == "critical"}
        verdict = gate_verdict(night.night, found, home)
        assert (verdict.state == "held") == bool(critical)
        for one in list(critical.values())[:3]:
            assert one.sentence in verdict.message
        return critical

    return judged


def candidate(rows: pa.Table, name: str) -> np.ndarray:
    return pc.struct_field(rows.column("candidate").combine_chunks(), name).to_numpy(zero_copy_only=False).copy()


def part_of(night: Night, chosen: np.ndarray) -> Night:
    """Keep the alerts of a night whose place in ``raw`` is chosen."""
    ids = night.raw.column("candid").filter(pa.array(chosen))
    for table, column in (("raw", "candid"), ("science", "candid"), ("rejected", "alert_id"), ("sent", "alert_id")):
        rows = getattr(night, table)
        setattr(night, table, rows.filter(pc.is_in(rows.column(column), ids)))
    night.ledger = night.ledger.filter(pc.equal(night.ledger.column("stage"), "nothing"))
    return night


def on_both(night: Night, **fields) -> Night:
    """Change fields of the candidates in ``raw`` and ``science``; each value is a function of the rows."""
    for table in ("raw", "science"):
        rows = getattr(night, table)
        setattr(night, table, replace(rows, candidate={name: change(rows) for name, change in fields.items()}))
    return night


def test_a_good_night_is_not_held(held, night):
    assert held(night, *NIGHT_SUITES) == {}


def test_half_of_the_night_is_missing(held, night):
    found = held(part_of(night, np.arange(night.raw.num_rows) % 2 == 0), "raw", "drift")
    assert set(found) == {"drift.rate_off"}
    assert "(650 alerts, 13" in found["drift.rate_off"].seen
    assert "half a night" in found["drift.rate_off"].reason


def test_a_visit_is_there_twice(held, night):
    twice = night.raw.filter(pa.array(candidate(night.raw, "jd") == candidate(night.raw, "jd").min()))
    places = np.arange(night.raw.num_rows, night.raw.num_rows + twice.num_rows)
    again = replace(twice, candid=twice.column("candid").to_numpy() + 10**6, ingest={"offset": places})
    night.raw = pa.concat_tables([night.raw, again])
    found = held(night, "raw")
    assert set(found) == {"raw.visits_doubled"}
    assert found["raw.visits_doubled"].seen.startswith("1 (jd 24")
    assert "processed twice" in found["raw.visits_doubled"].sentence


def test_a_night_that_was_sent_again_is_not_held(held, night):
    number = night.raw.num_rows
    again = replace(night.raw, ingest={"offset": np.arange(number) + number})
    duplicates = replace(
        random_table(night.rejected.schema, number, 4),
        alert_id=again.column("candid"), offset=np.arange(number) + number, reason=["duplicate"] * number,
        night=[night.night] * number,
    )  # fmt: skip
    night.raw = pa.concat_tables([night.raw, again])
    night.rejected = pa.concat_tables([night.rejected, duplicates])
    assert held(night, *NIGHT_SUITES) == {}


def test_rb_is_constant(held, night):
    found = held(on_both(night, rb=lambda rows: np.full(rows.num_rows, 0.7)), "raw")
    assert set(found) == {"raw.rb_mode_share"}
    assert found["raw.rb_mode_share"].seen == "1 (rb = 0.7000)"
    assert "the classifier was not run" in found["raw.rb_mode_share"].sentence


def test_positions_are_shifted(held, night):
    night = on_both(
        night,
        dec=lambda rows: np.where(candidate(rows, "dec") > 0, -10.0, 10.0) + candidate(rows, "dec"),
        decnr=lambda rows: np.where(candidate(rows, "dec") > 0, -10.0, 10.0) + candidate(rows, "decnr"),
    )
    found = held(night, "raw", "drift")
    assert set(found) == {"drift.outside_field_share"}
    assert "median distance 10." in found["drift.outside_field_share"].seen


def test_positions_are_shifted_by_less_than_a_field(held, dates, home, lake):
    """What a shifted position finds in the catalogues is nearly nothing."""
    night = with_matches(make_night(lake, home, next(dates), 1800), ["gcvs", "vsx", "mangrove", "kn_host"], keep=0.02)
    found = held(night, "drift")
    assert set(found) == {"drift.matches_low"} or set(found) == {"drift.matches_low", "drift.catalogues_silent"}
    assert "vsx: " in found["drift.matches_low"].seen and "positions are shifted" in found["drift.matches_low"].sentence


def test_positions_are_shifted_but_those_of_the_reference_are_not(held, night):
    found = held(on_both(night, dec=lambda rows: candidate(rows, "dec") * 0.99), "raw")
    assert set(found) == {"raw.nearest_source_off_arcsec"}
    assert "positions were shifted" in found["raw.nearest_source_off_arcsec"].sentence


def with_matches(night: Night, modules: list[str], keep: float) -> Night:
    """Let modules match a share of what they match."""
    random = np.random.default_rng(1)
    maps = night.science.column("fink_status").to_pylist()
    changed = [
        [(name, "no_match" if name in modules and word == "ok" and random.random() >= keep else word)
         for name, word in one]
        for one in maps
    ]  # fmt: skip
    night.science = replace(night.science, fink_status=changed)
    return night


def test_a_band_is_missing(held, night):
    found = held(part_of(night, candidate(night.raw, "fid") != 2), "raw", "drift")
    assert set(found) >= {"drift.bands_missing"}
    assert "r: 0.0 %" in found["drift.bands_missing"].seen


def test_a_catalogue_is_empty(held, night):
    found = held(with_matches(night, ["vsx"], keep=0.0), "science", "drift")
    assert set(found) == {"drift.catalogues_silent"}
    assert found["drift.catalogues_silent"].seen.startswith("1 (vsx: no match, ")


def test_a_model_has_the_wrong_version(held, night):
    maps = night.science.column("fink_versions").to_pylist()
    changed = [[(name, "0@sha256:beef" if name == "model.snn" else one) for name, one in row] for row in maps]
    night.science = replace(night.science, fink_versions=changed)
    found = held(night, "science")
    assert set(found) == {"science.versions_strange"}
    assert found["science.versions_strange"].seen.startswith("1 (model.snn 0@sha256:beef, installed is ")


def test_the_version_of_the_last_nights_is_not_wrong(lake, home, held, night):
    """After training, the stream keeps the model that it has; the night was computed by it, and so were the last."""
    installed = versions(home) | {"model.snn": "2@sha256:new"}
    night.write(lake)
    frames, _ = frames_of_night(lake, night.night, FOLDER, installed, ("science",))
    assert frames["science"]["versions_strange"].iloc[0] == 0


@pytest.mark.parametrize(("hours", "rule"), [(1, "raw.clock_ahead_share"), (-1, "drift.clock_shift_min")])
def test_a_clock_is_off_by_an_hour(held, night, hours, rule):
    found = held(on_both(night, jd=lambda rows: candidate(rows, "jd") + hours / 24), "raw", "drift")
    assert rule in found and "clock" in found[rule].sentence


def test_ten_times_the_rate(lake, home, held, dates):
    found = held(make_night(lake, home, next(dates), alerts=13_000), "drift")
    assert set(found) == {"drift.rate_ratio"}
    assert "is usual" in found["drift.rate_ratio"].seen


def test_a_key_column_has_nulls(held, night):
    found = held(on_both(night, magpsf=lambda rows: [None, *candidate(rows, "magpsf")[1:].tolist()]), "raw")
    assert set(found) == {"raw.keys_null"}
    assert found["raw.keys_null"].seen == "1 (1 of magpsf)"


def test_a_fifth_of_the_messages_is_in_quarantine(lake, held, night):
    bad = night.raw.num_rows // 4
    night.quarantine = replace(random_table(lake.schema("quarantine"), bad, 3), night=[night.night] * bad)
    found = held(night, "raw")
    assert set(found) == {"raw.quarantined_share"}
    assert found["raw.quarantined_share"].seen.startswith("0.2")


def test_twenty_good_nights_pass(lake, home, tmp_path):
    """Of 550 to 850 alerts, some of 150: recorded and synthetic alerts under new ids, judged one after the other."""
    lake = open_lake(Settings(home=tmp_path), "ztf")
    lake.ensure()
    random = np.random.default_rng(3)
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in NIGHT_SUITES}
    compared = 0
    for number in range(GOOD_NIGHTS):
        night = name_of(number)
        alerts = 150 if number % 7 == 3 else int(random.integers(550, 850))
        make_night(lake, home, night, alerts, seed=50 + number).write(lake)
        made, numbers = frames_of_night(lake, night, FOLDER, versions(home))
        compared += bool(made["drift"]["bands_missing"].notna().iloc[0])
        for name, frame in made.items():
            frames[name].append(frame)
        archive_night(lake, home, night, FIRST + timedelta(days=number + 1), numbers)
    assert compared >= 10
    found = judge({name: pd.concat(rows) for name, rows in frames.items()}, FOLDER, None, "good")
    assert [one.sentence for one in found if one.outcome == "failed" and one.severity == "critical"] == []
    warnings = {one.name for one in found if one.outcome == "failed" and one.severity == "warning"}
    assert warnings == {"science.class_missing_share"}  # there is no snapshot of SIMBAD


@pytest.mark.long
@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded alerts are not at hand")
def test_recorded_nights_break_no_rule_about_raw(tmp_path):
    """All recorded alerts as they are, of 39 nights and of every packet version."""
    lake = open_lake(Settings(home=tmp_path), "ztf")
    lake.ensure()
    values = [packet.value for packet in read_packets([SHARED_DATA / "ztf"], lake.survey)]
    alerts = lake.survey.decode(values).alerts
    number = alerts.num_rows
    kind = lake.schema("raw").field("ingest")
    ingest = replace(
        random_table(pa.schema([kind]), number, 1),
        ingest={"topic": ["t"] * number, "partition": [0] * number, "offset": np.arange(number),
                "sha256": ["a"] * number, "kafka_time": [1_790_000_000_000_000] * number},
    ).column("ingest")  # fmt: skip
    nights = lake.survey.nights(alerts)
    lake.append("raw", alerts.append_column(kind, ingest).append_column("night", nights))
    frames = [frames_of_night(lake, night, FOLDER, suites=("raw",))[0]["raw"] for night in lake.nights("raw")]
    found = judge({"raw": pd.concat(frames)}, FOLDER, None, "recorded")
    assert len(frames) > 20
    assert [one.sentence for one in found if one.outcome == "failed"] == []
