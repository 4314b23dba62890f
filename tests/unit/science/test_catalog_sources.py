"""Where catalogues come from: published files in any format, snapshots, labels of enriched alerts, packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from astropy.table import MaskedColumn, Table
from typer.testing import CliRunner, Result

from fink_lib.config import load_settings
from fink_lib.errors import ConfigError
from fink_lib.science.catalogs import open_catalog, source_of
from fink_lib.science.catalogs.known import KNOWN
from fink_lib.science.catalogs.labels import labelled, read_alerts
from fink_lib.science.catalogs.reading import Column, read_sources
from fink_lib.science.catalogs.snapshots import snapshot_from_file
from fink_lib.science.catalogs.sources import PackageSource
from tests.unit.science.snapshots import ARCSEC, AROUND, HERE, write

WANTED = {"kind": Column(pa.string(), ("kind", "Class")), "size": Column(pa.float32(), ("size",), required=False)}
ROWS = [
    {"ra": 10.5, "dec": -3.25, "kind": "A", "size": 2.0},
    {"ra": 20.0, "dec": 4.0, "kind": "B", "size": None},
]


def astropy_rows() -> Table:
    return Table(
        {
            "RAJ2000": np.array([10.5, 20.0]),
            "DEJ2000": np.array([-3.25, 4.0]),
            "class": ["A ", "B"],
            "size": MaskedColumn(np.array([2.0, 0.0], dtype=np.float32), mask=[False, True]),
            "stamp": np.zeros((2, 3)),
        }
    )


@pytest.fixture
def published(tmp_path: Path) -> dict[str, Path]:
    """Give the same two sources in every format."""
    files = {ending: tmp_path / f"sources.{ending}" for ending in ("parquet", "csv", "fits", "vot")}
    plain = {"RAdeg": [10.5, 20.0], "DEdeg": [-3.25, 4.0], "Class": ["A ", "B"], "size": pa.array([2.0, None])}
    pq.write_table(pa.table(plain), files["parquet"])
    files["csv"].write_text('R.A. , Dec , "class" , size\n"00 42 00" , "-03 15 00" , "A" , "2.0"\n01:20:00,4.0,B,\n')
    astropy_rows().write(files["fits"])
    astropy_rows().write(files["vot"], format="votable")
    return files


@pytest.mark.parametrize("ending", ["parquet", "csv", "fits", "vot"])
def test_every_format_gives_the_same_sources(published: dict[str, Path], ending: str) -> None:
    table = read_sources(published[ending], WANTED)
    assert table.schema == pa.schema(
        [("ra", pa.float64()), ("dec", pa.float64()), ("kind", pa.string()), ("size", pa.float32())]
    )
    rows = table.to_pylist()
    assert [(row["kind"], row["size"]) for row in rows] == [("A", 2.0), ("B", None)]
    np.testing.assert_allclose([[row["ra"], row["dec"]] for row in rows], [[10.5, -3.25], [20.0, 4.0]], atol=1e-9)


def test_hours_minutes_and_seconds_are_read_with_their_sign_and_sixty_seconds(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("Name,RA(J2000),DEC(J2000)\nV1,00 18 56.9,-00 00 36\nV2,23 59 60.0,+34 54 44\nV3,12.5,\n")
    table = read_sources(file, {"name": Column(pa.string(), ("name",))})
    assert table.column("ra").to_pylist() == [pytest.approx(4.7370833333), pytest.approx(360.0), 12.5]
    assert table.column("dec").to_pylist() == [pytest.approx(-0.01), pytest.approx(34.9122222222), None]


def test_a_column_may_be_named_and_joined_from_two(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text('"2026-02-09 00:00:00"\n"lon","declination","prefix","name"\n"1.5","2.5","SN","2020abc"\n')
    table = read_sources(file, {"name": Column(pa.string(), ("prefix+name", "name"))}, {"ra": "lon"})
    assert table.to_pylist() == [{"ra": 1.5, "dec": 2.5, "name": "SN 2020abc"}]


def test_a_flag_in_words_becomes_a_number(tmp_path: Path) -> None:
    file = tmp_path / "gaia.csv"
    file.write_text("RA_ICRS,DE_ICRS,DR3Name,Plx,VarFlag\n1,2,Gaia DR3 1,,VARIABLE\n3,4,Gaia DR3 2,0.5,NOT_AVAILABLE\n")
    rows = read_sources(file, KNOWN["gaia"].columns).to_pylist()
    assert [(row["VarFlag"], row["Plx"], row["e_Plx"]) for row in rows] == [(1, None, None), (0, 0.5, None)]


@pytest.mark.parametrize(
    ("name", "content", "chosen", "words"),
    [
        ("a.txt", "x", {}, "no known ending"),
        ("a.fits", "x", {}, "cannot be read as fits"),
        ("a.vot", "x", {}, "cannot be read as votable"),
        ("a.parquet", "x", {}, "cannot be read as parquet"),
        ("a.csv", "", {}, "there are no columns"),
        ("a.csv", "ra,dec,kind\n1,2\n", {}, "have not 3 values"),
        ("a.csv", "ra,dec,size\n1,2,3\n", {}, "no column for 'kind'"),
        ("a.csv", "ra,dec,kind\n1,2,A\n", {"kind": "colour"}, "no column for 'kind'"),
        ("a.csv", "ra,dec,kind\n1,2,A\n", {"colour": "kind"}, "there is no column colour"),
        ("a.csv", "ra,dec,kind\n1,north,A\n", {}, "cannot be read as dec"),
        ("a.csv", "ra,dec,kind,size\n1,2,A,big\n", {}, "cannot be read as size"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: str, chosen: dict[str, str], words: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_sources(file, WANTED, chosen)


def test_a_snapshot_of_a_file_names_the_file_and_its_digest(tmp_path: Path, published: dict[str, Path]) -> None:
    path = snapshot_from_file("stars", published["fits"], tmp_path / "catalogs", coverage=[(1.0, 2.0, 3.0)])
    meta = pq.read_schema(path).metadata
    assert meta[b"fink_catalog"] == b"stars"
    assert meta[b"fink_version"].startswith(b"sources-")
    assert meta[b"fink_origin"] == b"file sources.fits"
    assert json.loads(meta[b"fink_coverage"]) == [[1.0, 2.0, 3.0]]
    assert pq.read_table(path).column("kind").to_pylist() == ["A", "B"]


def test_the_snapshot_of_a_synthetic_sky_is_kept_unless_asked(tmp_path: Path, published: dict[str, Path]) -> None:
    folder = tmp_path / "catalogs"
    path = snapshot_from_file("stars", published["csv"], folder)
    pq.write_table(pq.read_table(path).replace_schema_metadata({"fink_synthetic": "1"}), path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="--replace"):
        snapshot_from_file("stars", published["csv"], folder)
    assert path.read_bytes() == before
    snapshot_from_file("stars", published["csv"], folder, replace=True)
    assert path.read_bytes() != before


def test_a_snapshot_stands_before_the_package_where_it_looks(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    source = source_of("gcvs", settings)
    alone = open_catalog(source, settings.catalog_dir)
    assert alone is not None
    assert alone.version.startswith("fink-science-")
    ra, dec = (alone.sources.column(axis)[0].as_py() for axis in ("ra", "dec"))
    write(settings, "gcvs", [HERE | {"type": "NEW"}], [*AROUND, (ra, dec, 10 * ARCSEC)])
    both = open_catalog(source, settings.catalog_dir)
    assert both is not None
    assert both.coverage.all_sky
    assert both.provenance != alone.provenance
    types = [
        both.column("type", both.nearest(np.array([x]), np.array([y]), 1.0).source).to_pylist()[0]
        for x, y in ((150.0, 2.0), (ra, dec))
    ]
    assert types == ["NEW", None]
    far = int(np.argmax(np.hypot(*(alone.sources.column(axis).to_numpy() for axis in ("ra", "dec")))))
    place = [alone.sources.column(axis)[far].as_py() for axis in ("ra", "dec")]
    assert both.nearest(np.array(place[:1]), np.array(place[1:]), 1.0).source[0] >= 0


def test_a_snapshot_of_the_whole_sky_stands_for_the_package(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    write(settings, "gcvs", [HERE | {"type": "NEW"}], coverage=None)
    catalog = open_catalog(source_of("gcvs", settings), settings.catalog_dir)
    assert catalog is not None
    assert len(catalog) == 1


def test_package_files_are_as_the_package_says() -> None:
    for name, known in KNOWN.items():
        if known.files and name != "vsx":
            assert PackageSource(name, known.files, known.columns).damaged() == []


def test_a_package_file_that_was_touched_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from fink_lib.science.catalogs import sources

    source = PackageSource("3hsp", KNOWN["3hsp"].files, KNOWN["3hsp"].columns)
    monkeypatch.setattr(sources, "file_sha256", lambda path: "0" * 64)
    assert source.damaged() == ["3hsp.csv"]


def enriched(number: int, **labels: Any) -> dict[str, Any]:
    return {"candid": number, "candidate": {"ra": 150.0 + number, "dec": 2.0}, **labels}


def test_labels_become_sources_and_every_answer_becomes_coverage() -> None:
    alerts = [
        {"ra": 1.0, "dec": 2.0, "cdsxmatch": "Galaxy"},
        {"ra": 3.0, "dec": 2.0, "cdsxmatch": "Unknown"},
        {"ra": 5.0, "dec": 2.0, "cdsxmatch": "Fail 503"},
        {"ra": 7.0, "dec": 2.0},
        {"ra": 9.0, "dec": 2.0, "cdsxmatch": None},
    ]
    found = labelled("simbad", alerts)
    assert found.table.select(["ra", "dec", "main_type"]).to_pylist() == [
        {"ra": 1.0, "dec": 2.0, "main_type": "Galaxy"}
    ]
    assert found.coverage == [(1.0, 2.0, 1 / 3600), (3.0, 2.0, 1 / 3600), (9.0, 2.0, 1 / 3600)]
    assert found.unanswered == 1


def test_missing_values_of_labels_are_null() -> None:
    gaia = {"ra": 1.0, "dec": 2.0, "DR3Name": "Gaia DR3 1", "Plx": float("nan"), "e_Plx": None, "gaiaVarFlag": 1}
    [row] = labelled("gaia", [gaia]).table.to_pylist()
    assert (row["Plx"], row["e_Plx"], row["VarFlag"]) == (None, None, 1)
    [row] = labelled("spicy", [{"ra": 1.0, "dec": 2.0, "spicy_class": "FS", "spicy_id": -1}]).table.to_pylist()
    assert (row["id"], row["class"]) == (None, "FS")
    assert labelled("tns", [{"ra": 1.0, "dec": 2.0, "tns": ""}]).table.num_rows == 0


def test_labels_that_nobody_carries_are_refused() -> None:
    with pytest.raises(ConfigError, match="none of these alerts has a label 'vsx'"):
        labelled("vsx", [{"ra": 1.0, "dec": 2.0}])
    with pytest.raises(ConfigError, match="no labels of known_tde"):
        labelled("known_tde", [{"ra": 1.0, "dec": 2.0}])


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Give a folder with enriched alerts in both formats, one file per shape that they come in."""
    folder = tmp_path / "sample"
    (folder / "deep").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([enriched(1, cdsxmatch="Star", vsx="nan")]), folder / "one.parquet")
    pq.write_table(pa.Table.from_pylist([{"ra": 9.0, "dec": 1.0, "cdsxmatch": "QSO"}]), folder / "flat.parquet")
    pq.write_table(pa.Table.from_pylist([{"objectId": "no position"}]), folder / "deep" / "none.parquet")
    schema = {
        "type": "record",
        "name": "alert",
        "fields": [
            {"name": "candidate", "type": {"type": "record", "name": "c", "fields": [
                {"name": "ra", "type": "double"}, {"name": "dec", "type": "double"}]}},
            {"name": "cdsxmatch", "type": "string"},
        ],
    }  # fmt: skip
    with (folder / "deep" / "two.avro").open("wb") as file:
        fastavro.writer(file, schema, [{"candidate": {"ra": 20.0, "dec": -5.0}, "cdsxmatch": "Fail"}])
    (folder / "notes.txt").write_text("not alerts")
    return folder


def test_alerts_are_read_from_folders_of_avro_and_parquet(sample: Path) -> None:
    alerts = sorted(read_alerts([sample]), key=lambda alert: alert["ra"])
    assert alerts == [
        {"ra": 9.0, "dec": 1.0, "cdsxmatch": "QSO"},
        {"ra": 20.0, "dec": -5.0, "cdsxmatch": "Fail"},
        {"ra": 151.0, "dec": 2.0, "cdsxmatch": "Star", "vsx": "nan"},
    ]


@pytest.mark.parametrize("name", ["notes.txt", "nothing", "bad.avro", "bad.parquet"])
def test_alerts_that_cannot_be_read_are_refused(sample: Path, name: str) -> None:
    if name.startswith("bad"):
        (sample / name).write_text("neither")
    with pytest.raises(ConfigError):
        read_alerts([sample / name])


@pytest.fixture
def fink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the command ``fink catalogs`` of an installation."""
    from fink_lib.cli.catalogs import register

    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    app = typer.Typer()
    register(app)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["catalogs", *arguments])

    return run


def states(fink: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(fink("list", "--json").output)}


def test_build_from_labels_makes_what_the_alerts_know(fink: Any, sample: Path) -> None:
    result = fink("build", "simbad", "--from-labels", str(sample))
    assert result.exit_code == 0, result.exception
    assert "simbad: 2 sources at 2 positions, 1 left out that got no answer" in result.output
    row = states(fink)["simbad"]
    assert (row["state"], row["rows"]) == ("built", 2)
    assert row["version"].startswith("labels-")
    assert "labels of 3 alerts" in row["origin"]
    assert row["coverage"].endswith("square degrees")


def test_build_from_a_file_takes_a_column_map_and_a_coverage(fink: Any, tmp_path: Path) -> None:
    file = tmp_path / "tde.csv"
    file.write_text("lon,lat,label\n10,20,AT 2019qiz\n")
    arguments = ["--source", str(file), "--column", "ra=lon", "--column", "dec=lat", "--column", "name=label"]
    result = fink("build", "known_tde", *arguments, "--version", "3", "--cone", "10,20,1")
    assert result.exit_code == 0, result.exception
    row = states(fink)["known_tde"]
    assert (row["state"], row["rows"], row["version"], row["coverage"]) == ("built", 1, "3", "3.142 square degrees")


def test_a_table_without_positions_is_built_and_listed_too(fink: Any, tmp_path: Path) -> None:
    file = tmp_path / "blazars.parquet"
    medians = pa.StructArray.from_arrays([pa.array([1e-4]), pa.array([2e-4])], names=["1", "2"])
    pq.write_table(
        pa.table({"ZTF_name": ["ZTF18a"], "medians": medians, "low_threshold": [0.5], "high_threshold": [1.5]}), file
    )
    assert states(fink)["ctao_blazars"]["state"] == "absent"
    assert fink("build", "ctao_blazars", "--source", str(file)).exit_code == 0
    assert (states(fink)["ctao_blazars"]["state"], states(fink)["ctao_blazars"]["rows"]) == ("built", 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "--source", "x.csv"], "say which catalogue"),
        (["build", "gaia", "vsx", "--source", "x.csv"], "say which catalogue"),
        (["build", "gaia", "--source", "x.csv"], "there is no file"),
        (["build", "gaia", "--source", "x.csv", "--from-labels", "y"], "not from both"),
        (["build", "gaia", "--column", "ra=x"], "belong to --source"),
        (["build", "gaia", "--source", "x.csv", "--column", "ra"], "takes ours=theirs"),
        (["build", "gaia", "--source", "x.csv", "--cone", "1,2"], "takes ra,dec,radius"),
        (["build", "nothing", "--source", "x.csv"], "no catalogue is called nothing"),
        (["fetch", "nothing"], "no catalogue is called nothing"),
        (["fetch", "gaia", "--cone", "one"], "takes ra,dec,radius"),
        (["fetch", "known_tde"], "cannot be fetched"),
    ],
)
def test_a_wrong_command_says_what_to_do(
    fink: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "y").mkdir()
    result = fink(*arguments)
    assert isinstance(result.exception, ConfigError)
    assert words in str(result.exception)


def test_labels_that_are_not_there_are_told(fink: Any, sample: Path) -> None:
    assert "gaia" in str(fink("build", "gaia", "--from-labels", str(sample)).exception)
    result = fink("build", "--from-labels", str(sample / "flat.parquet"))
    assert "tns: none of these alerts has a label 'tns'" in result.output
    assert states(fink)["simbad"]["state"] == "built"
