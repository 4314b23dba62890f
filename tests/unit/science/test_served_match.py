"""SIMBAD and Gaia from a snapshot first, then from their services; and what the stream does when these are away."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.filters import FilterSet, load_filters
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from fink_lib.science.loading import find_class_rule
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import alert, table
from tests.unit.science.only import runner_of
from tests.unit.science.tap_server import GAIA, SIMBAD, TapServer
from tests.unit.science.test_catalogs import write_snapshot
from tests.unit.science.toys import status_of, values

ARCSEC = 1 / 3600
ZTF = get_survey("ztf")

ALERTS = table(
    [
        alert(1, ra=10.0, dec=5.0),  # in the snapshot: an object
        alert(2, ra=10.0, dec=5.1),  # in the snapshot: nothing
        alert(3),  # elsewhere: an RR Lyrae star
        alert(4, ra=30.0, dec=-10.0 + 0.9 * ARCSEC),  # elsewhere: a supernova
        alert(5, ra=30.0, dec=-10.0 + 1.1 * ARCSEC),  # elsewhere: too far from it
    ]
)


@pytest.fixture
def server() -> Iterator[TapServer]:
    with TapServer({"basic": SIMBAD, "I/355/gaiadr3": GAIA}) as running:
        yield running


def installed(folder: Path, server: TapServer, asked: str = "always") -> Settings:
    """Give an installation with a snapshot of a small piece of sky, whose services are the server."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fink.toml").write_text(
        f'[catalogs]\nsimbad_tap = "{server.url}"\nvizier_tap = "{server.url}"\n[services]\nasked = "{asked}"\n'
    )
    settings = load_settings(folder)
    write_snapshot(
        settings.catalog_dir,
        [{"ra": 10.0, "dec": 5.0, "name": "local", "main_type": "QSO"}],
        fink_coverage=json.dumps([[10.0, 5.0, 0.5]]),
    )
    return settings


def science(settings: Settings) -> Runner:
    """Give a runner of the two modules, one that follows, and the class rule."""
    return Runner(ZTF, runner_of(settings, "simbad", "gaia", "roid").modules, find_class_rule(ZTF))


def test_the_snapshot_answers_where_it_looks_and_the_service_elsewhere(server: TapServer, tmp_path: Path) -> None:
    result = science(installed(tmp_path, server)).apply(ALERTS).table
    assert status_of(result, "simbad") == ["ok", "no_match", "ok", "ok", "no_match"]
    assert values(result, "cdsxmatch") == ["QSO", None, "RRLyrae", "Supernova", None]
    assert values(result, "finkclass") == ["QSO", "Unknown", "RRLyrae", "Supernova", "Unknown"]
    separations = [dict(row).get("simbad") for row in result.column("xm_sep").to_pylist()]
    expected = [0.0, None, 0.0, 0.9, None]
    assert separations == [None if one is None else pytest.approx(one, abs=1e-4) for one in expected]
    assert server.places == 2 + 4  # cells outside the snapshot; all of them for Gaia, which has none


def test_gaia_without_a_snapshot_is_the_service_alone(server: TapServer, tmp_path: Path) -> None:
    result = science(installed(tmp_path, server)).apply(ALERTS).table
    assert status_of(result, "gaia") == ["no_match", "no_match", "ok", "ok", "no_match"]
    assert values(result, "DR3Name") == [None, None, "Gaia DR3 1", "Gaia DR3 2", None]
    assert values(result, "Plx") == [None, None, 1.5, None, None]
    assert values(result, "gaiaVarFlag") == [None, None, 1, 0, None]


def test_the_service_is_named_in_the_versions_beside_the_snapshot(server: TapServer, tmp_path: Path) -> None:
    versions = dict(science(installed(tmp_path, server)).apply(ALERTS).table.column("fink_versions").to_pylist()[0])
    assert versions["catalog.simbad"].startswith("7@sha256:")
    assert versions["service.simbad"].startswith("127.0.0.1@since-")
    assert versions["service.gaia"] == "127.0.0.1@gaia-dr3"


@pytest.mark.parametrize("asked", ["never", "healing"])
def test_by_default_the_stream_asks_nobody(server: TapServer, tmp_path: Path, asked: str) -> None:
    result = science(installed(tmp_path, server, asked)).apply(ALERTS).table
    assert status_of(result, "simbad") == ["ok", "no_match", "unavailable", "unavailable", "unavailable"]
    assert status_of(result, "gaia") == ["unavailable"] * 5
    assert server.calls == 0
    assert load_settings(tmp_path / "elsewhere").services.asked == "never"


@pytest.mark.parametrize("manner", ["500", "garbage", "html", "refuses", "cut off", "foreign", "broken off"])
def test_no_word_of_a_service_in_trouble_gets_into_a_column(server: TapServer, tmp_path: Path, manner: str) -> None:
    server.manner = manner
    result = science(installed(tmp_path, server)).apply(ALERTS).table
    assert status_of(result, "simbad") == ["ok", "no_match", "unavailable", "unavailable", "unavailable"]
    assert values(result, "cdsxmatch") == ["QSO", None, None, None, None]
    assert values(result, "finkclass") == ["QSO", "Unknown", None, None, None]


def test_no_decision_is_taken_on_what_a_service_did_not_say(server: TapServer, tmp_path: Path) -> None:
    server.die()
    result = science(installed(tmp_path, server)).apply(ALERTS).table
    filters = load_filters(ZTF)
    chosen = FilterSet(tuple(f for f in filters.filters if f.name == "unknowns"))
    whole = ALERTS
    for field in ZTF.fink_schema:
        whole = whole.append_column(field, result.column(field.name))
    assert chosen.route(whole).to_pylist() == [[], ["unknowns"], [], [], []]


def test_a_batch_of_the_stream_costs_a_bounded_number_of_calls_while_a_service_is_down(
    server: TapServer, tmp_path: Path
) -> None:
    runner = science(installed(tmp_path, server))
    server.manner = "500"
    told: Counter[str] = Counter()
    for batch in range(40):
        alerts = table([alert(100 * batch + n, ra=(batch * 7.1 + n) % 360, dec=20.0) for n in range(20)])
        told.update(status_of(runner.apply(alerts).table, "simbad"))
    assert told == {"unavailable": 800}
    assert server.calls <= 2 * 3  # two services, three failures each; then nobody is asked


def test_alerts_of_one_object_are_asked_for_once_whatever_the_night(server: TapServer, tmp_path: Path) -> None:
    runner = science(installed(tmp_path, server))
    for night in range(10):
        alerts = table([alert(night, ra=150.0 + 0.05 * ARCSEC * night, jd=2_459_000.5 + night)])
        assert values(runner.apply(alerts).table, "cdsxmatch") == ["RRLyrae"]
    assert server.calls == 2


@pytest.mark.parametrize("name", ["simbad", "gaia"])
def test_matches_depend_on_the_alert_alone(server: TapServer, tmp_path: Path, name: str) -> None:
    told = complaints(science(installed(tmp_path, server)), name, ALERTS)
    assert [one for one in told if "budget" not in one] == []  # a call is what it is


def test_columns_keep_their_types(server: TapServer, tmp_path: Path) -> None:
    result = science(installed(tmp_path, server)).apply(ALERTS).table
    assert result.schema.field("Plx").type == pa.float32()
    assert result.schema.field("gaiaVarFlag").type == pa.int32()
