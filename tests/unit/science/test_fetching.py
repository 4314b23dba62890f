"""Fetching catalogues: what the services hold arrives whole, and a service in trouble leaves the old snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.science.catalogs import open_catalog, source_of
from fink_lib.science.catalogs import tap as tap_module
from fink_lib.science.catalogs.fetching import fetch
from tests.unit.science.catalog_services import CatalogServices, catalog_services

DRAW = np.random.default_rng(11)
SIZE = 400
RA, DEC = DRAW.uniform(0, 360, SIZE), np.degrees(np.arcsin(DRAW.uniform(-1, 1, SIZE)))
RA[:3], DEC[:3] = [10.0, 20.0, 150.0], [90.0, -90.0, 0.0]

TABLES = {
    "I/358/vclassre": pa.table(
        {"RA_ICRS": RA, "DE_ICRS": DEC, "Source": [str(row) for row in range(SIZE)], "Class": ["RR", "ECL"] * 200}
    ),
    "I/355/gaiadr3": pa.table(
        {
            "RA_ICRS": [150.0, 150.01, 200.0],
            "DE_ICRS": [2.0, 2.0, 2.0],
            "Plx": pa.array([0.5, None, 1.0]),
            "e_Plx": pa.array([0.1, None, 0.2]),
            "VarFlag": ["VARIABLE", "NOT_AVAILABLE", "VARIABLE"],
            "DR3Name": ["Gaia DR3 1", "Gaia DR3 2", "Gaia DR3 3"],
            "Gmag": [17.0, 18.0, 19.0],
        }
    ),
    "basic": pa.table(
        {
            "main_id": ["a galaxy", "a star", "new"],
            "ra": pa.array([150.0, 151.0, 152.0]),
            "dec": pa.array([2.0, 2.0, 2.0]),
            "otype": ["G", "RR*", "Xyz"],
        }
    ),
    "J/ApJS/254/33/table1": pa.table({"SPICY": [5], "RAdeg": [10.0], "DEdeg": [1.0], "class": ["ClassII  "]}),
}

TRANSIENTS = """"2026-02-09 00:00:00"
"objid","name_prefix","name","ra","declination","redshift","typeid","type"
"1","SN","2022and","150.02755416","3.75714275086","0.043","10","SN II"
"2","AT","2026cqa","38.8742717","23.9654567","","",""
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_module, "POLL_S", 0.01)


@pytest.fixture
def services() -> Iterator[CatalogServices]:
    with catalog_services(TABLES) as server:
        server.transients = TRANSIENTS
        yield server


def at(home: Path, server: CatalogServices, **more: Any) -> Settings:
    """Give an installation that knows the services under these addresses."""
    settings = load_settings(home)
    tap = f"{server.url}/context/tap"
    given = {"vizier_tap": tap, "simbad_tap": tap, "tns_url": f"{server.url}/tns.zip", "timeout_s": 5.0} | more
    return settings.model_copy(update={"catalogs": settings.catalogs.model_copy(update=given)})


@pytest.mark.parametrize("rows_per_query", [1000, 37, 8])
def test_a_whole_catalogue_arrives_however_small_its_pieces(
    tmp_path: Path, services: CatalogServices, rows_per_query: int
) -> None:
    settings = at(tmp_path, services, rows_per_query=rows_per_query)
    table = pq.read_table(fetch("gaia_class", settings))
    assert sorted(table.column("name").to_pylist()) == sorted(TABLES["I/358/vclassre"].column("Source").to_pylist())
    assert table.schema.metadata[b"fink_version"].startswith(b"gaia-dr3-")
    assert b"fink_coverage" not in table.schema.metadata
    catalog = open_catalog(source_of("gaia_class", settings), settings.catalog_dir)
    assert catalog is not None
    assert len(catalog) == SIZE


def test_the_same_rows_give_the_same_version_in_any_pieces(tmp_path: Path, services: CatalogServices) -> None:
    versions = {
        pq.read_schema(fetch("gaia_class", at(tmp_path, services, rows_per_query=most))).metadata[b"fink_version"]
        for most in (1000, 37)
    }
    assert len(versions) == 1


def test_a_cone_of_gaia_arrives_with_its_margin_and_says_what_it_covers(
    tmp_path: Path, services: CatalogServices
) -> None:
    settings = at(tmp_path, services)
    table = pq.read_table(fetch("gaia", settings, [(150.0, 2.0, 0.005), (150.0, 2.0, 0.005)]))
    # The second star is 36 arcsec away: outside the cone of 18 arcsec, inside the margin of a minute.
    assert table.column("DR3Name").to_pylist() == ["Gaia DR3 1", "Gaia DR3 2"]
    assert table.column("Plx").to_pylist() == [0.5, None]
    assert table.column("VarFlag").to_pylist() == [1, 0]
    assert table.schema.metadata[b"fink_coverage"] == b"[[150.0, 2.0, 0.005]]"
    assert not any("Gmag" in query for query in services.queries)


def test_all_of_gaia_is_refused(tmp_path: Path, services: CatalogServices) -> None:
    with pytest.raises(ConfigError, match="--cone"):
        fetch("gaia", at(tmp_path, services))
    assert services.queries == []


def test_simbad_gives_the_labels_that_it_uses_today(tmp_path: Path, services: CatalogServices) -> None:
    table = pq.read_table(fetch("simbad", at(tmp_path, services)))
    rows = dict(zip(table.column("name").to_pylist(), table.column("main_type").to_pylist(), strict=True))
    assert rows == {"a galaxy": "Galaxy", "a star": "RRLyrae", "new": "Xyz"}


def test_spicy_has_its_numbers(tmp_path: Path, services: CatalogServices) -> None:
    table = pq.read_table(fetch("spicy", at(tmp_path, services)))
    assert table.select(["ra", "dec", "id", "class"]).to_pylist() == [
        {"ra": 10.0, "dec": 1.0, "id": 5, "class": "ClassII"}
    ]


def test_a_table_that_is_gone_is_named(tmp_path: Path, services: CatalogServices) -> None:
    with pytest.raises(ConfigError, match="no table B/vsx/vsx"):
        fetch("vsx", at(tmp_path, services))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", "does not answer as it should"),
        ("garbage", "does not answer as it should"),
        ("loses", "counts 400 rows of I/358/vclassre and gives 399"),
        ("never", "has not answered within"),
        ("silent", "does not answer as it should"),
    ],
)
def test_a_service_in_trouble_leaves_the_old_snapshot(
    tmp_path: Path, services: CatalogServices, fault: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = at(tmp_path, services, timeout_s=0.5, job_timeout_s=0.5)
    old = fetch("gaia_class", settings).read_bytes()
    services.fault = fault
    with pytest.raises(TransientError, match=words):
        fetch("gaia_class", settings)
    assert (settings.catalog_dir / "gaia_class.parquet").read_bytes() == old
    assert [path.name for path in settings.catalog_dir.iterdir()] == ["gaia_class.parquet"]
    assert capsys.readouterr().out == ""


def test_a_service_that_is_down_is_a_transient_error(tmp_path: Path) -> None:
    with catalog_services(TABLES) as server:
        settings = at(tmp_path, server)
    with pytest.raises(TransientError, match="does not answer as it should"):
        fetch("gaia_class", settings)


def test_what_nobody_serves_cannot_be_fetched(tmp_path: Path, services: CatalogServices) -> None:
    with pytest.raises(ConfigError, match="known_tde cannot be fetched"):
        fetch("known_tde", at(tmp_path, services))


def with_bot(home: Path, server: CatalogServices, key: str = "right") -> Settings:
    from pydantic import SecretStr

    return at(home, server, tns_bot_id="7", tns_bot_name="fink", tns_api_key=SecretStr(key))


def test_the_transient_name_server_gives_its_list_to_a_bot(tmp_path: Path, services: CatalogServices) -> None:
    table = pq.read_table(fetch("tns", with_bot(tmp_path, services)))
    assert table.select(["name", "type", "redshift"]).to_pylist() == [
        {"name": "SN 2022and", "type": "SN II", "redshift": pytest.approx(0.043)},
        {"name": "AT 2026cqa", "type": None, "redshift": None},
    ]
    assert table.schema.metadata[b"fink_version"] == b"tns-2026-02-09"
    assert services.sent["agent"] == 'tns_marker{"tns_id": "7", "type": "bot", "name": "fink"}'


def test_the_transient_name_server_wants_credentials(tmp_path: Path, services: CatalogServices) -> None:
    with pytest.raises(ConfigError, match="FINK__CATALOGS__TNS_BOT_ID"):
        fetch("tns", at(tmp_path, services))
    with pytest.raises(ConfigError, match="refuses"):
        fetch("tns", with_bot(tmp_path, services, "wrong"))


@pytest.mark.parametrize("fault", ["500", "garbage"])
def test_the_transient_name_server_in_trouble_is_a_transient_error(
    tmp_path: Path, services: CatalogServices, fault: str
) -> None:
    services.fault = fault
    with pytest.raises(TransientError):
        fetch("tns", with_bot(tmp_path, services))


def test_the_key_of_the_bot_is_not_shown(tmp_path: Path, services: CatalogServices) -> None:
    settings = with_bot(tmp_path, services, "a secret")
    assert "a secret" not in repr(settings) + settings.model_dump_json()
