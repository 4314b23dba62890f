"""The synthetic night: the same from the same seed, valid, consistent with itself, and worth a broker's while."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from fink_lib.config import load_settings
from fink_lib.errors import ConfigError
from fink_lib.science.catalogs import open_catalog, source_of
from fink_lib.science.catalogs.tables import TableHandle
from fink_lib.simulator.packets import as_packets
from fink_lib.simulator.rewrite import record_of
from fink_lib.simulator.synthetic import DEFAULT_NIGHT, SyntheticNight, write_snapshots
from fink_lib.simulator.synthetic.kinds import Kind
from fink_lib.surveys import get_survey

ZTF = get_survey("ztf")
COUNT = 600
WITH_REDSHIFT = {"sn_ia", "sn_ii", "slsn", "hostless_sn", "tde", "kilonova"}


@pytest.fixture(scope="module")
def sky() -> SyntheticNight:
    return SyntheticNight(4, COUNT)


@pytest.fixture(scope="module")
def values(sky: SyntheticNight) -> list[bytes]:
    return [packet.value for packet in sky.packets()]


@pytest.fixture(scope="module")
def records(values: list[bytes]) -> list[dict[str, Any]]:
    return [record_of(value) for value in values]


@pytest.fixture(scope="module")
def truth(sky: SyntheticNight) -> dict[int, dict[str, Any]]:
    return {row["candid"]: row for row in sky.truth.to_pylist()}


def digest(parts: list[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    one, two, other = (SyntheticNight(seed, 60) for seed in (8, 8, 9))
    assert digest([p.value for p in one.packets()]) == digest([p.value for p in two.packets()])
    assert digest([p.value for p in one.packets()]) != digest([p.value for p in other.packets()])


@pytest.mark.parametrize("count", [1, 7, 100, 451])
def test_there_are_as_many_alerts_as_asked_for(count: int) -> None:
    assert sum(1 for _ in SyntheticNight(2, count).packets()) == count


def test_packets_say_what_their_bytes_say(sky: SyntheticNight) -> None:
    packets = list(sky.packets())
    assert packets == as_packets([packet.value for packet in packets], ZTF)
    assert packets == sorted(packets, key=lambda packet: packet.order)
    assert {packet.night for packet in packets} == {DEFAULT_NIGHT}


def test_another_night_can_be_asked_for() -> None:
    assert {packet.night for packet in SyntheticNight(2, 20, "20240731").packets()} == {"20240731"}


def test_ids_and_names_are_unique_where_they_must_be(records: list[dict[str, Any]], truth: dict[int, Any]) -> None:
    assert len({made["candid"] for made in records}) == len(records) == len(truth)
    places = defaultdict(list)
    for made in records:
        places[made["objectId"]].append((made["candidate"]["ra"], made["candidate"]["dec"]))
    for spots in places.values():
        ra, dec = np.array(spots).T
        assert np.ptp(ra * np.cos(np.radians(dec))) * 3600 < 3 and np.ptp(dec) * 3600 < 3


def test_a_later_alert_carries_the_earlier_one_in_its_history(records: list[dict[str, Any]]) -> None:
    of_object = defaultdict(list)
    for made in records:
        of_object[made["objectId"]].append(made)
    repeated = [made for made in of_object.values() if len(made) > 1]
    assert len(repeated) > 50
    for first, second, *_ in repeated:
        [entry] = [row for row in second["prv_candidates"] if row["candid"] == first["candid"]]
        assert entry == {name: first["candidate"][name] for name in entry}
        assert second["candidate"]["ndethist"] == first["candidate"]["ndethist"] + 1
        assert second["candidate"]["jdstarthist"] == first["candidate"]["jdstarthist"]


def test_histories_are_in_order_and_hold_detections_and_limits(records: list[dict[str, Any]]) -> None:
    detections = limits = 0
    for made in records:
        jd = [row["jd"] for row in made["prv_candidates"]]
        assert jd == sorted(jd) and jd[-1] < made["candidate"]["jd"] <= jd[0] + 30.0
        for row in made["prv_candidates"]:
            assert row["diffmaglim"] is not None
            detections += row["magpsf"] is not None
            limits += row["magpsf"] is None
            assert (row["magpsf"] is None) == (row["candid"] is None) == (row["ra"] is None)
    assert detections > 500 and limits > 500


def test_detections_are_significant(records: list[dict[str, Any]]) -> None:
    for made in records:
        for row in (made["candidate"], *(row for row in made["prv_candidates"] if row["magpsf"] is not None)):
            assert 12.0 < row["magpsf"] < 22.5
            assert 0.0 < row["sigmapsf"] <= 0.2172


def test_the_mix_holds_everything_the_broker_looks_for(truth: dict[int, dict[str, Any]]) -> None:
    kinds = {row["kind"] for row in truth.values()}
    wanted = {"asteroid", "new_asteroid", "trail", "rr_lyrae", "eclipsing", "long_period", "agn", "bogus"}
    assert wanted <= kinds
    assert {"sn_ia", "sn_ii"} & kinds
    assert {row["fid"] for row in truth.values()} == {1, 2, 3}


def test_a_large_night_holds_every_kind_with_the_numbers_behind_it() -> None:
    rows = SyntheticNight(6, 3000).truth.to_pylist()
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row["kind"]].append(row)
    assert set(by_kind) == {kind.name.lower() for kind in Kind}
    for row in rows:
        assert row["first_jd"] <= row["jd"]
        assert row["night"] == DEFAULT_NIGHT
        assert (row["redshift"] is not None) == (row["kind"] in WITH_REDSHIFT), row
        assert (row["kind"] == "asteroid") == row["catalogue_type"].isdigit()
    assert all(0.003 < row["redshift"] < 0.3 for row in by_kind["sn_ia"])
    assert any(row["redshift"] < 0.027 for row in by_kind["sn_ia"] + by_kind["sn_ii"])
    assert all(0.1 < row["redshift"] < 0.5 for row in by_kind["slsn"])
    assert all(row["jd"] - row["first_jd"] < 8.0 for row in by_kind["kilonova"])
    near = [row for row in by_kind["kilonova"] if row["redshift"] < 0.027]
    assert len(near) > 0.8 * len(by_kind["kilonova"])
    for row in near:
        absolute = row["mag_r"] - 25.0 - 5.0 * np.log10(row["redshift"] * 299_792.458 / 70.0)
        assert -17.0 < absolute < -15.5


def test_bogus_alerts_fail_a_quality_cut_and_others_pass(
    records: list[dict[str, Any]], truth: dict[int, dict[str, Any]]
) -> None:
    for made in records:
        candidate = made["candidate"]
        passes = candidate["nbad"] == 0 and candidate["rb"] >= 0.55
        assert passes == (truth[made["candid"]]["kind"] != "bogus")


def test_asteroids_are_marked_as_the_survey_marks_them(
    records: list[dict[str, Any]], truth: dict[int, dict[str, Any]]
) -> None:
    for made in records:
        candidate, kind = made["candidate"], truth[made["candid"]]["kind"]
        if kind == "asteroid":
            assert 0 <= candidate["ssdistnr"] < 5 and candidate["ssnamenr"].isdigit()
        else:
            assert candidate["ssdistnr"] == -999.0 and candidate["ssnamenr"] == "null"
        if kind in ("asteroid", "new_asteroid", "trail"):
            assert candidate["ndethist"] == 1 and candidate["distpsnr1"] > 5


def test_a_trail_is_a_line_of_detections_in_one_exposure(sky: SyntheticNight) -> None:
    trail = [row for row in sky.truth.to_pylist() if row["kind"] == "trail"]
    assert len(trail) >= 5
    assert len({row["jd"] for row in trail}) == 1
    ra, dec = np.array([[row["ra"] * np.cos(np.radians(trail[0]["dec"])), row["dec"]] for row in trail]).T
    centred = np.stack([ra - ra.mean(), dec - dec.mean()])
    along, across = np.linalg.svd(centred, compute_uv=False)
    assert across < 0.01 * along


def test_some_variables_sit_where_catalogued_stars_do(truth: dict[int, dict[str, Any]]) -> None:
    stars = [row for row in truth.values() if row["kind"] in ("rr_lyrae", "eclipsing", "long_period")]
    assert sum(row["real_position"] for row in stars) > 0.3 * len(stars)


def test_cutouts_are_gzipped_fits_and_the_difference_is_science_minus_template(
    records: list[dict[str, Any]], values: list[bytes]
) -> None:
    for made in records[::60]:
        images = {}
        for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
            packed = made[name]["stampData"]
            assert packed[4:8] == bytes(4)  # no time of writing
            with fits.open(io.BytesIO(gzip.decompress(packed))) as file:
                images[name] = file[0].data.astype(np.float64)
            assert images[name].shape == (63, 63)
        science, template, difference = images.values()
        np.testing.assert_allclose(difference, science - template, atol=0.05)
    assert 40_000 < np.mean([len(value) for value in values]) < 80_000


def test_positive_sources_shine_in_the_middle_of_the_difference(
    records: list[dict[str, Any]], truth: dict[int, dict[str, Any]]
) -> None:
    for made in records:
        if made["candidate"]["magpsf"] > 18.0 or truth[made["candid"]]["kind"] == "bogus":
            continue
        with fits.open(io.BytesIO(gzip.decompress(made["cutoutDifference"]["stampData"]))) as file:
            image = file[0].data
        middle, edge = image[30:33, 30:33].mean(), image[:10].std()
        assert (middle if made["candidate"]["isdiffpos"] == "t" else -middle) > 2 * edge


def test_a_table_of_the_truth_can_be_written(sky: SyntheticNight, tmp_path: Path) -> None:
    sky.write_truth(tmp_path / "deep" / "truth.parquet")
    assert pq.read_table(tmp_path / "deep" / "truth.parquet").equals(sky.truth)


def test_snapshots_hold_what_alerts_match_within_an_arcsecond(
    sky: SyntheticNight, truth: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    tables = {path.stem: pq.read_table(path) for path in write_snapshots(sky, tmp_path)}
    simbad, gaia = tables["simbad"], tables["gaia"]
    assert simbad.column_names == ["ra", "dec", "name", "main_type"]
    assert gaia.column_names == ["ra", "dec", "name", "DR3Name", "Plx", "e_Plx", "VarFlag"]
    alerts = list(truth.values())
    here = SkyCoord([row["ra"] for row in alerts], [row["dec"] for row in alerts], unit="deg")
    place, separation, _ = here.match_to_catalog_sky(SkyCoord(simbad["ra"], simbad["dec"], unit="deg"))
    types = simbad["main_type"].to_pylist()
    matched = defaultdict(set)
    for row, number, arcsec in zip(alerts, place, separation.arcsec, strict=True):
        if arcsec < 1.0:
            matched[row["kind"]].add(types[number])
    assert matched["rr_lyrae"] == {"RRLyr"}
    assert "QSO" in matched["agn"]
    assert "asteroid" not in matched
    _, separation, _ = here.match_to_catalog_sky(SkyCoord(gaia["ra"], gaia["dec"], unit="deg"))
    stars = np.array([row["kind"] in ("rr_lyrae", "eclipsing", "agn") for row in alerts])
    assert (separation.arcsec[stars] < 1.0).all()
    assert gaia["Plx"].null_count > 0
    for name, table in tables.items():
        metadata = table.schema.metadata
        if name == "ctao_blazars":
            continue
        assert metadata[b"fink_catalog"] == name.encode()
        assert metadata[b"fink_synthetic"] == b"1"
        assert metadata[b"fink_version"].startswith(b"synthetic-")
        cones = json.loads(metadata[b"fink_coverage"])
        inside = [
            any(here[n].separation(SkyCoord(*cone[:2], unit="deg")).deg < cone[2] for cone in cones) for n in range(9)
        ]
        assert all(inside)


def test_every_catalogue_of_the_sky_is_matched_by_its_alerts_and_read_by_the_broker(
    sky: SyntheticNight, truth: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    settings = load_settings(tmp_path)
    write_snapshots(sky, settings.catalog_dir)
    ra, dec = (np.array([row[axis] for row in truth.values()]) for axis in ("ra", "dec"))
    kinds = np.array([row["kind"] for row in truth.values()])
    matched = {}
    for name in ("simbad", "gaia", "gaia_class", "tns", "spicy", "stars"):
        catalog = open_catalog(source_of(name, settings), settings.catalog_dir)
        assert catalog is not None
        assert catalog.version.startswith("synthetic-")
        found = catalog.nearest(ra, dec, 1.0)
        assert found.covered.all()
        matched[name] = set(kinds[found.source >= 0])
    assert {"sn_ia", "sn_ii"} & matched["tns"]
    assert matched["tns"] <= {"sn_ia", "sn_ii", "slsn", "hostless_sn", "tde", "agn"}
    assert {"rr_lyrae", "eclipsing", "long_period"} <= matched["gaia_class"]
    assert matched["spicy"] == {"yso"}
    assert "agn" in matched["stars"]
    assert "asteroid" not in set().union(*matched.values())


def test_followed_blazars_are_known_by_the_names_that_their_alerts_bear(tmp_path: Path) -> None:
    folder = load_settings(tmp_path).catalog_dir
    sky = SyntheticNight(6, 1000)
    write_snapshots(sky, folder)
    table = TableHandle("ctao_blazars", folder).current()
    assert table is not None
    blazars = {row["objectId"] for row in sky.truth.to_pylist() if row["kind"] == "blazar"}
    named = set(table.rows.column("ZTF_name").to_pylist())
    assert named and named <= blazars
    assert table.version.startswith("synthetic-")


def test_writing_a_snapshot_twice_changes_nothing_and_another_sky_is_added(tmp_path: Path) -> None:
    one, two = SyntheticNight(1, 50), SyntheticNight(2, 50)
    files = write_snapshots(one, tmp_path)
    first = [file.read_bytes() for file in files]
    write_snapshots(one, tmp_path)
    assert [file.read_bytes() for file in files] == first
    rows = pq.read_table(files[0]).num_rows
    write_snapshots(two, tmp_path)
    assert pq.read_table(files[0]).num_rows > rows
    both = [file.read_bytes() for file in files]
    write_snapshots(one, tmp_path)
    assert [file.read_bytes() for file in files] == both


def test_a_snapshot_of_the_real_sky_is_never_touched(tmp_path: Path) -> None:
    files = write_snapshots(SyntheticNight(1, 20), tmp_path)
    for real in (files[0], files[-1]):
        invented = real.read_bytes()
        pq.write_table(pq.read_table(real).replace_schema_metadata({"fink_version": "of the sky"}), real)
        before = real.read_bytes()
        with pytest.raises(ConfigError, match="real sky"):
            write_snapshots(SyntheticNight(1, 20), tmp_path)
        assert real.read_bytes() == before
        real.write_bytes(invented)
