"""Catalogues: the nearest source within a radius, found rightly anywhere, by any process, in any order."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cdshealpix import nested
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError
from fink_lib.science.catalogs import Catalog, CatalogHandle, damaged_files, known_sources, open_catalog
from fink_lib.science.catalogs.catalog import CELL_WIDTH_RAD, healpix_index
from fink_lib.science.catalogs.coverage import Coverage
from fink_lib.science.catalogs.known import KNOWN
from fink_lib.science.catalogs.sources import PackageSource, SnapshotSource, SourceTable, file_sha256
from fink_lib.science.catalogs.store import build
from fink_lib.science.coordinates import unit_vectors

ARCSEC = 1 / 3600


def catalog_of(
    folder: Path,
    positions: list[tuple[float, float]],
    labels: list[str] | None = None,
    coverage: list[list[float]] | None = None,
) -> Catalog:
    table = pa.table(
        {
            "ra": pa.array([one[0] for one in positions], pa.float64()),
            "dec": pa.array([one[1] for one in positions], pa.float64()),
            "label": pa.array(labels or [str(row) for row in range(len(positions))], pa.string()),
        }
    )
    target = folder / f"catalog-{len(list(folder.iterdir()))}"
    build("test", SourceTable(table, "1", "ab" * 32, coverage), target)
    return Catalog(target)


def labels_near(catalog: Catalog, ra: float, dec: float, radius_arcsec: float = 1.5) -> str | None:
    found = catalog.nearest(np.array([ra]), np.array([dec]), radius_arcsec)
    label: str | None = catalog.column("label", found.source).to_pylist()[0]
    return label


def brute_force(ra: np.ndarray, dec: np.ndarray, source_ra: np.ndarray, source_dec: np.ndarray) -> np.ndarray:
    """Haversine distance (arcsec) of every pair."""
    a, b = np.radians(dec)[:, None], np.radians(source_dec)[None, :]
    half = np.sin((a - b) / 2) ** 2
    half += np.cos(a) * np.cos(b) * np.sin(np.radians(ra[:, None] - source_ra[None, :]) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half))) * 3600


@pytest.mark.parametrize(
    ("inside", "source", "position"),
    [
        (True, (150.0, 2.0), (150.0, 2.0 + 1.4999 * ARCSEC)),
        (False, (150.0, 2.0), (150.0, 2.0 + 1.5001 * ARCSEC)),
        (True, (0.0, 60.0), (360.0 - 2.9998 * ARCSEC, 60.0)),
        (False, (0.0, 60.0), (360.0 - 3.0002 * ARCSEC, 60.0)),
        (True, (359.9999, 0.0), (359.9999 - 360.0, 0.0)),
        (True, (10.0, 90.0), (200.0, 90.0 - 1.4999 * ARCSEC)),
        (True, (0.0, -90.0 + 0.7 * ARCSEC), (180.0, -90.0 + 0.7 * ARCSEC)),
        (False, (0.0, -90.0 + 0.8 * ARCSEC), (180.0, -90.0 + 0.8 * ARCSEC)),
    ],
)
def test_a_source_matches_strictly_inside_the_radius(
    tmp_path: Path, inside: bool, source: tuple[float, float], position: tuple[float, float]
) -> None:
    assert (labels_near(catalog_of(tmp_path, [source]), *position) is not None) == inside


def test_a_source_at_exactly_the_radius_does_not_match(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, [(150.0, 2.0)])
    position = np.array([150.0]), np.array([2.0 + 1.5 * ARCSEC])
    separation = float(catalog.nearest(*position, 2.0).separation_arcsec[0])
    assert catalog.nearest(*position, separation).source.tolist() == [-1]
    assert catalog.nearest(*position, np.nextafter(separation, 9)).source.tolist() == [0]


def test_two_alerts_beside_one_source_both_match(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, [(150.0, 2.0)])
    found = catalog.nearest(np.array([150.0, 150.0]), np.array([2.0, 2.0 + 0.3 * ARCSEC]), 1.0)
    assert found.source.tolist() == [0, 0]
    np.testing.assert_allclose(found.separation_arcsec, [0.0, 0.3], atol=1e-6)


def test_the_nearest_of_several_is_taken(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, [(150.0, 2.0), (150.0, 2.0 + 1.0 * ARCSEC)], ["far", "near"])
    assert labels_near(catalog, 150.0, 2.0 + 0.6 * ARCSEC) == "near"


def test_a_tie_is_decided_by_the_sources_alone(tmp_path: Path) -> None:
    both = [(150.0, 2.0), (150.0, 2.0)]
    one, other = catalog_of(tmp_path, both, ["b", "a"]), catalog_of(tmp_path, both, ["a", "b"])
    assert labels_near(one, 150.0, 2.0) == labels_near(other, 150.0, 2.0) == "a"


def test_sources_in_any_order_build_the_same_files(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    positions = [(float(draw.uniform(0, 360)), float(draw.uniform(-90, 90))) for _ in range(50)]
    labels = [str(row) for row in range(50)]
    one = catalog_of(tmp_path, positions, labels)
    other = catalog_of(tmp_path, positions[::-1], labels[::-1])
    assert one.files == other.files


def test_positions_that_are_not_there_match_nothing(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, [(0.0, 0.0)])
    found = catalog.nearest(np.array([np.nan, 0.0]), np.array([0.0, np.nan]), 1.0)
    assert found.source.tolist() == [-1, -1]
    assert found.covered.tolist() == [False, False]


def test_sources_without_a_position_are_dropped_and_counted(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, [(float("nan"), 0.0), (1.0, 91.0), (1.0, 1.0)])
    assert (len(catalog), catalog.dropped) == (1, 2)


def test_a_catalogue_without_sources_matches_nothing(tmp_path: Path) -> None:
    assert labels_near(catalog_of(tmp_path, []), 1.0, 1.0) is None


@pytest.mark.parametrize("radius", [0.0, -1.0, 36001.0, float("nan")])
def test_a_radius_that_makes_no_sense_is_refused(tmp_path: Path, radius: float) -> None:
    with pytest.raises(ConfigError, match="match radius"):
        catalog_of(tmp_path, [(0.0, 0.0)]).within(np.zeros(1), np.zeros(1), radius)


def clustered(draw: np.random.Generator, size: int, radius_arcsec: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions that crowd at the poles, the RA wrap, corners of HEALPix base cells and random places."""
    centres = [
        (0.0, 90.0),
        (0.0, -90.0),
        (0.0, 0.0),
        (45.0, 41.8103149),
        (90.0, 0.0),
        (180.0, -41.8103149),
        (359.99, 5),
    ]
    centres += [(float(draw.uniform(0, 360)), float(draw.uniform(-90, 90))) for _ in range(5)]
    chosen = np.array(centres)[draw.integers(0, len(centres), size)]
    vectors = unit_vectors(chosen[:, 0], chosen[:, 1])
    vectors = vectors + draw.normal(0, np.radians(radius_arcsec / 3600), (size, 3))
    x, y, z = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arcsin(np.clip(z, -1, 1)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from([0.5, 1.5, 5.0, 60.0, 3600.0, 30000.0]))
def test_the_search_agrees_with_all_pairs(tmp_path: Path, seed: int, radius: float) -> None:
    draw = np.random.default_rng(seed)
    source_ra, source_dec = clustered(draw, 120, radius)
    ra, dec = clustered(draw, 80, radius)
    catalog = catalog_of(tmp_path, list(zip(source_ra.tolist(), source_dec.tolist(), strict=True)))
    found = catalog.within(ra, dec, radius)
    rows = np.array([int(label) for label in catalog.sources.column("label").to_pylist()])
    distances = brute_force(ra, dec, source_ra, source_dec)
    sure = np.abs(distances - radius) > 1e-6
    expected = {(int(a), int(b)) for a, b in np.argwhere((distances < radius) & sure)}
    given_pairs = {(int(a), int(rows[b])) for a, b in zip(found.position, found.source, strict=True)}
    assert {pair for pair in given_pairs if sure[pair]} == expected


def test_cells_are_nowhere_narrower_than_the_search_assumes() -> None:
    """The nine cells around a point hold everything within the radius, at random points and at the worst ones."""
    draw = np.random.default_rng(1)
    ra, dec = clustered(draw, 4000, 3600.0)
    for depth in (3, 6, 10):
        width = CELL_WIDTH_RAD / 2**depth
        cells = nested.neighbours(healpix_index(ra, dec, depth).astype(np.uint64), depth)
        angle = draw.uniform(0, 2 * np.pi, len(ra))
        x, y, z = step(unit_vectors(ra, dec), angle, 0.999 * width)
        there = healpix_index(np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arcsin(np.clip(z, -1, 1))), depth)
        assert (cells == there[:, None]).any(axis=1).all()


def step(vectors: np.ndarray, angle: np.ndarray, length: float) -> np.ndarray:
    """Walk from each direction along a great circle."""
    helper = np.where(np.abs(vectors[:, 2:3]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(vectors, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(vectors, first)
    way = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second
    there: np.ndarray = (np.cos(length) * vectors + np.sin(length) * way).T
    return there


def test_coverage_is_a_union_of_cones() -> None:
    coverage = Coverage([[10.0, 0.0, 1.0], [0.0, 89.5, 1.0], [359.9, 0.0, 0.5]])
    ra = np.array([10.9, 11.1, 180.0, 0.3, 100.0])
    dec = np.array([0.0, 0.0, 89.6, 0.0, 0.0])
    assert coverage.contains(ra, dec).tolist() == [True, False, True, True, False]


def test_no_cones_cover_nothing_and_none_cover_all() -> None:
    assert not Coverage([]).contains(np.zeros(1), np.zeros(1)).any()
    assert Coverage(None).contains(np.zeros(1), np.zeros(1)).all()
    assert Coverage(None).area_sq_deg == pytest.approx(41252.96)


@pytest.mark.parametrize("cones", [[[1.0, 2.0, -1.0]], [[1.0, float("nan"), 1.0]], [[0.0, 0.0, 181.0]]])
def test_a_coverage_that_makes_no_sense_is_refused(cones: list[list[float]]) -> None:
    with pytest.raises(ConfigError, match="coverage"):
        Coverage(cones)


def write_snapshot(folder: Path, rows: list[dict[str, Any]], **meta: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "simbad.parquet"
    meta = {"fink_catalog": "simbad", "fink_version": "7"} | meta
    schema = pa.schema(
        [("ra", pa.float64()), ("dec", pa.float64()), ("name", pa.string()), ("main_type", pa.string())], metadata=meta
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


ROW = {"ra": 150.0, "dec": 2.0, "name": "x", "main_type": "Galaxy"}


def snapshot_source(folder: Path) -> SnapshotSource:
    return SnapshotSource("simbad", folder / "simbad.parquet", KNOWN["simbad"].columns)


def test_a_snapshot_gives_its_version_digest_and_coverage(tmp_path: Path) -> None:
    write_snapshot(tmp_path, [ROW], fink_coverage=json.dumps([[150.0, 2.0, 1.0]]))
    catalog = open_catalog(snapshot_source(tmp_path), tmp_path)
    assert catalog is not None
    assert catalog.provenance.startswith("7@sha256:")
    assert catalog.coverage.cones == [(150.0, 2.0, 1.0)]


def test_a_new_snapshot_is_picked_up_without_a_restart(tmp_path: Path) -> None:
    handle = CatalogHandle(snapshot_source(tmp_path), tmp_path)
    assert handle.current() is None
    path = write_snapshot(tmp_path, [ROW])
    first = handle.current()
    assert first is not None
    assert handle.current() is first
    write_snapshot(tmp_path, [ROW, ROW | {"dec": 3.0}])
    os.utime(path, ns=(1, 1))
    second = handle.current()
    assert second is not None
    assert len(second) == 2
    path.unlink()
    assert handle.current() is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"not parquet"),
        lambda path: write_snapshot(path.parent, [ROW], fink_catalog="other"),
        lambda path: write_snapshot(path.parent, [ROW], fink_coverage="[[1"),
        lambda path: pq.write_table(pa.table({"ra": [1.0], "dec": [1.0]}), path),
    ],
)
def test_a_bad_snapshot_is_refused_and_counts_as_absent(tmp_path: Path, spoil: Any) -> None:
    spoil(tmp_path / "simbad.parquet")
    with pytest.raises(ConfigError):
        open_catalog(snapshot_source(tmp_path), tmp_path)
    assert CatalogHandle(snapshot_source(tmp_path), tmp_path).current() is None


def test_a_half_written_catalogue_is_refused_with_the_next_step(tmp_path: Path) -> None:
    write_snapshot(tmp_path, [ROW])
    catalog = open_catalog(snapshot_source(tmp_path), tmp_path)
    assert catalog is not None
    (catalog.folder / "directions.npy").write_bytes(b"")
    with pytest.raises(ConfigError, match="fink catalogs build"):
        Catalog(catalog.folder)


def _open_in_process(folder: Path, results: Any) -> None:
    catalog = open_catalog(snapshot_source(folder), folder)
    results.put(len(catalog) if catalog else 0)


def test_processes_that_start_together_build_once(tmp_path: Path) -> None:
    write_snapshot(tmp_path, [ROW | {"ra": float(row % 360), "dec": row % 90 - 45.0} for row in range(5000)])
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_open_in_process, args=(tmp_path, results)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [5000] * 2
    for process in processes:
        process.join(timeout=60)
    built = [path.name for path in (tmp_path / "built" / "simbad").iterdir() if path.is_dir()]
    assert len(built) == 1


def test_the_package_catalogues_need_no_import(science_settings: Settings) -> None:
    import sys

    gcvs = next(source for source in known_sources(science_settings) if source.name == "gcvs")
    catalog = open_catalog(gcvs, science_settings.catalog_dir)
    assert catalog is not None
    assert len(catalog) == 59099
    assert "fink_science" not in sys.modules


@pytest.mark.parametrize("name", ["gcvs", "4lac"])
def test_the_recorded_digest_of_package_files_is_that_of_their_content(name: str) -> None:
    source = PackageSource(name, KNOWN[name].files, KNOWN[name].columns)
    digests = [file_sha256(path) for path in source.paths()]
    several = hashlib.sha256("".join(digests).encode()).hexdigest()
    assert source.sha256() == (digests[0] if len(digests) == 1 else several)
    assert replace(source, files=("nothing.parquet",)).signature() is None


def test_fink_catalogs_lists_builds_and_finds_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from fink_lib.cli.catalogs import register

    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    app = typer.Typer()
    register(app)
    folder = load_settings(tmp_path).catalog_dir
    run = CliRunner()
    assert "absent" in run.invoke(app, ["catalogs", "list"]).output
    write_snapshot(folder, [ROW], fink_coverage="[[150, 2, 0.5]]")
    assert "unbuilt" in run.invoke(app, ["catalogs", "list"]).output
    assert "1 sources" in run.invoke(app, ["catalogs", "build", "simbad"]).output
    rows = json.loads(run.invoke(app, ["catalogs", "list", "--json"]).output)
    simbad = next(row for row in rows if row["name"] == "simbad")
    assert (simbad["state"], simbad["rows"], simbad["version"]) == ("built", 1, "7")
    assert "intact" in run.invoke(app, ["catalogs", "check", "simbad"]).output
    catalog = open_catalog(snapshot_source(folder), folder)
    assert catalog is not None
    damaged = catalog.folder / "sources.arrow"
    damaged.write_bytes(damaged.read_bytes() + b"x")
    assert damaged_files(catalog) == ["sources.arrow"]
    result = run.invoke(app, ["catalogs", "check", "simbad"])
    assert isinstance(result.exception, ConfigError)
    assert isinstance(run.invoke(app, ["catalogs", "build", "nothing"]).exception, ConfigError)
