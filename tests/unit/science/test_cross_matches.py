"""Cross-match modules: each finds what lies strictly within its radius, and claims nothing where nobody looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from tests.unit.science.alerts import alert, table
from tests.unit.science.snapshots import ARCSEC, AROUND, HERE, runner_with
from tests.unit.science.toys import status_of, values

SOURCES: dict[str, tuple[str, float, dict[str, Any], dict[str, Any]]] = {
    "simbad": ("simbad", 1.0, {"main_type": "RRLyr"}, {"cdsxmatch": "RRLyr"}),
    "tns": ("tns", 1.5, {"name": "SN 2020abc", "type": "SN Ia"}, {"tns": "SN Ia"}),
    "gaia": (
        "gaia",
        1.0,
        {"DR3Name": "Gaia DR3 1", "Plx": 1.5, "e_Plx": 0.25, "VarFlag": 1},
        {"DR3Name": "Gaia DR3 1", "Plx": 1.5, "e_Plx": 0.25, "gaiaVarFlag": 1},
    ),
    "gaia_class": ("gaia_class", 1.0, {"class": "RR"}, {"gaiaClass": "RR"}),
    "vsx": ("vsx", 1.5, {"type": "RRAB"}, {"vsx": "RRAB"}),
    "gcvs": ("gcvs", 1.5, {"type": "RRAB"}, {"gcvs": "RRAB"}),
    "spicy": ("spicy", 1.2, {"id": 7, "class": "ClassII"}, {"spicy_id": 7, "spicy_class": "ClassII"}),
    "3hsp": ("3hsp", 60.0, {"name": "3HSPJ1"}, {"x3hsp": "3HSPJ1"}),
    "4lac": ("4lac", 60.0, {"name": "4FGL J1"}, {"x4lac": "4FGL J1"}),
    "mangrove": (
        "mangrove",
        60.0,
        {"HyperLEDA_name": "NGC1", "lum_dist": 112.441993769, "ang_dist": 106.9547214808656},
        {
            "mangrove": [
                ("HyperLEDA_name", "NGC1"),
                ("2MASS_name", None),
                ("lum_dist", "112.441993769"),
                ("ang_dist", "106.9547214808656"),
            ]
        },
    ),
}
"""By module: its catalogue, its radius (arcsec), a source, and what an alert beside it gets."""

LISTS = {"magnetic_cv": 0.5, "symbiotic_cv": 0.5, "known_tde": 5.0}


PACKAGED = ("vsx", "gcvs", "3hsp", "4lac", "mangrove")
"""Those that the data package carries, whole sky."""

MODULES = [*SOURCES, "xm_lists", "kn_host", "star_near"]

STARS = [
    HERE | {"kind": "STAR"},
    {"ra": 150.0, "dec": 2.1, "kind": "qso"},
    {"ra": 150.0, "dec": 2.2, "kind": "GALAXY"},
]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Give all cross-match modules, with a snapshot of each catalogue that holds one source, or a few."""
    rows = {name: [HERE | source] for name, (_, _, source, _) in SOURCES.items()}
    rows |= all_lists(known_tde=[HERE | {"name": "AT 2019qiz"}], stars=STARS)
    return runner_with(tmp_path_factory.mktemp("everything"), MODULES, rows, [*AROUND, (0.0, 0.0, 90.0)])


def all_lists(**more: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [] for name in (*LISTS, "dwarf_agn")} | more


def beside(candid: int, arcsec: float, **candidate: Any) -> dict[str, Any]:
    """Give an alert north of the source."""
    return alert(candid, ra=150.0, dec=2.0 + arcsec * ARCSEC, **candidate)


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_takes_what_lies_strictly_within_its_radius(everything: Runner, module: str) -> None:
    _, radius, _, expected = SOURCES[module]
    edge = [beside(1, 0.0), beside(2, radius - 1e-4), beside(3, radius + 1e-4), alert(4, ra=200.0, dec=-60.0)]
    result = everything.apply(table(edge))
    words = status_of(result.table, module)
    # Outside the snapshot the package's file has the word, where there is one.
    assert words == ["ok", "ok", "no_match", "no_match" if module in PACKAGED else "unavailable"]
    for column, value in expected.items():
        assert result.table.column(column).to_pylist() == [value, value, None, None]
    separations = [dict(row).get(module) for row in result.table.column("xm_sep").to_pylist()]
    assert separations == [pytest.approx(0.0, abs=1e-5), pytest.approx(radius - 1e-4, abs=1e-4), None, None]


@pytest.mark.parametrize("module", SOURCES)
def test_two_alerts_beside_one_source_both_match(everything: Runner, module: str) -> None:
    expected = SOURCES[module][3]
    result = everything.apply(table([beside(1, 0.3), beside(2, -0.3)]))
    assert status_of(result.table, module) == ["ok", "ok"]
    for column, value in expected.items():
        assert result.table.column(column).to_pylist() == [value, value]


@pytest.mark.parametrize("module", [name for name in SOURCES if name not in PACKAGED])
def test_without_a_snapshot_a_module_is_unavailable(tmp_path: Path, module: str) -> None:
    result = runner_with(tmp_path, [module], {}).apply(table([beside(1, 0.0)]))
    assert status_of(result.table, module) == ["unavailable"]
    assert all(values(result.table, column) == [None] for column in SOURCES[module][3])


@pytest.mark.parametrize("module", SOURCES)
def test_the_catalogue_is_named_with_its_digest(everything: Runner, module: str) -> None:
    assert "@sha256:" in everything.versions()[f"catalog.{SOURCES[module][0]}"]


def test_a_gaia_source_without_parallax_has_null_parallax_and_the_right_flag(tmp_path: Path) -> None:
    rows = [
        HERE | {"DR3Name": "Gaia DR3 1", "VarFlag": 1},
        {"ra": 150.0, "dec": 2.01, "DR3Name": "Gaia DR3 2", "Plx": 0.5, "e_Plx": 0.1, "VarFlag": 0},
    ]
    result = runner_with(tmp_path, ["gaia"], {"gaia": rows}).apply(table([beside(1, 0.2), alert(2, dec=2.01)]))
    assert status_of(result.table, "gaia") == ["ok", "ok"]
    assert values(result.table, "DR3Name") == ["Gaia DR3 1", "Gaia DR3 2"]
    assert values(result.table, "Plx") == [None, 0.5]
    assert values(result.table, "e_Plx") == [None, pytest.approx(0.1)]
    assert values(result.table, "gaiaVarFlag") == [1, 0]


def test_a_snapshot_of_spicy_without_numbers_gives_the_class(tmp_path: Path) -> None:
    runner = runner_with(tmp_path, ["spicy"], {"spicy": [HERE | {"class": "FS"}]})
    result = runner.apply(table([beside(1, 0.1)]))
    assert (values(result.table, "spicy_id"), values(result.table, "spicy_class")) == ([None], ["FS"])
    assert status_of(result.table, "spicy") == ["ok"]


def test_an_unclassified_transient_does_not_hide_a_classified_one(tmp_path: Path) -> None:
    rows = [
        HERE | {"name": "AT 2020aaa"},
        {"ra": 150.0, "dec": 2.0 + 1.2 * ARCSEC, "name": "SN 2020bbb", "type": "SN II"},
        {"ra": 150.0, "dec": 2.1, "name": "AT 2020ccc"},
    ]
    runner = runner_with(tmp_path, ["tns"], {"tns": rows})
    result = runner.apply(table([beside(1, 0.0), beside(2, -0.5), alert(3, dec=2.1)]))
    assert values(result.table, "tns") == ["SN II", None, None]
    assert status_of(result.table, "tns") == ["ok", "no_match", "no_match"]


def test_a_galaxy_without_names_keeps_its_distances(tmp_path: Path) -> None:
    rows = [HERE | {"lum_dist": 10.0, "ang_dist": 9.5}]
    result = runner_with(tmp_path, ["mangrove"], {"mangrove": rows}, coverage=None).apply(table([beside(1, 0.0)]))
    assert dict(values(result.table, "mangrove")[0]) == {
        "HyperLEDA_name": None,
        "2MASS_name": None,
        "lum_dist": "10.0",
        "ang_dist": "9.5",
    }


@pytest.mark.parametrize(("name", "radius"), LISTS.items())
def test_a_list_has_its_own_radius(tmp_path: Path, name: str, radius: float) -> None:
    runner = runner_with(tmp_path, ["xm_lists"], all_lists(**{name: [HERE | {"name": "AM Her"}]}))
    result = runner.apply(table([beside(1, radius - 1e-4), beside(2, radius + 1e-4)]))
    assert values(result.table, "xm_lists") == [[(name, "AM Her")], None]
    assert status_of(result.table, "xm_lists") == ["ok", "no_match"]


def test_a_dwarf_galaxy_matches_within_its_own_radius(tmp_path: Path) -> None:
    rows = [
        HERE | {"name": "small", "radius_arcsec": 2.0},
        {"ra": 150.0, "dec": 2.0 + 9 * ARCSEC, "name": "large", "radius_arcsec": 8.0},
    ]
    runner = runner_with(tmp_path, ["xm_lists"], all_lists(dwarf_agn=rows))
    places = [1.99, 2.5, 1.01, -2.01, 16.9, 17.1]
    result = runner.apply(table([beside(number, arcsec) for number, arcsec in enumerate(places)]))
    names = [row[0][1] if row else None for row in values(result.table, "xm_lists")]
    # At 2.5 arcsec the small one is nearer, but too far for its size.
    assert names == ["small", "large", "small", None, "large", None]


def test_an_alert_on_two_lists_has_both_names(tmp_path: Path) -> None:
    rows = {name: [HERE | {"name": f"as {name}"}] for name in ("symbiotic_cv", "magnetic_cv")}
    result = runner_with(tmp_path, ["xm_lists"], all_lists(**rows)).apply(table([beside(1, 0.2)]))
    assert dict(values(result.table, "xm_lists")[0]) == {
        "magnetic_cv": "as magnetic_cv",
        "symbiotic_cv": "as symbiotic_cv",
    }


def test_no_list_is_claimed_while_one_of_them_is_absent(tmp_path: Path) -> None:
    runner = runner_with(tmp_path, ["xm_lists"], {"known_tde": [HERE | {"name": "AT 2019qiz"}]})
    result = runner.apply(table([beside(1, 0.0), beside(2, 10.0)]))
    assert status_of(result.table, "xm_lists") == ["ok", "unavailable"]
    assert values(result.table, "xm_lists") == [[("known_tde", "AT 2019qiz")], None]


def galaxy(arcsec: float, lum_dist: float, name: str) -> dict[str, Any]:
    """Give a galaxy north of the alerts, nearer in angular distance by a tenth."""
    return {
        "ra": 150.0,
        "dec": 2.0 + arcsec * ARCSEC,
        "HyperLEDA_name": name,
        "lum_dist": lum_dist,
        "ang_dist": 0.9 * lum_dist,
    }


def hosts(tmp_path: Path, galaxies: list[dict[str, Any]], *magnitudes: float | None) -> list[Any]:
    runner = runner_with(tmp_path, ["kn_host"], {"mangrove": galaxies}, coverage=None)
    result = runner.apply(table([alert(1 + row, magpsf=value) for row, value in enumerate(magnitudes)]))
    return values(result.table, "kn_host")


def test_a_kilonova_host_is_worked_by_hand(tmp_path: Path) -> None:
    # 100 Mpc: distance modulus 35, so 19 mag is -16; 10 arcsec at 90 Mpc are 90000 kpc x 10 / 206264.806 = 4.3633 kpc.
    [host] = hosts(tmp_path, [galaxy(10.0, 100.0, "NGC1")], 19.0)
    assert host["name"] == "NGC1"
    assert host["lum_dist"] == 100.0
    assert host["sep_kpc"] == pytest.approx(4.36332, rel=1e-5)
    assert host["absmag"] == pytest.approx(-16.0)


@pytest.mark.parametrize(
    ("magnitude", "is_host"), [(17.999, False), (18.001, True), (19.999, True), (20.001, False), (None, False)]
)
def test_a_kilonova_is_neither_brighter_than_17_nor_fainter_than_15(
    tmp_path: Path, magnitude: float | None, is_host: bool
) -> None:
    [host] = hosts(tmp_path, [galaxy(10.0, 100.0, "NGC1")], magnitude)
    assert (host is not None) == is_host


def test_a_kilonova_host_is_within_ten_kiloparsec(tmp_path: Path) -> None:
    edge = 10.0 / 90_000 * 206264.806
    assert hosts(tmp_path / "near", [galaxy(edge - 1e-3, 100.0, "NGC1")], 19.0) != [None]
    assert hosts(tmp_path / "far", [galaxy(edge + 1e-3, 100.0, "NGC1")], 19.0) == [None]


def test_a_kilonova_host_is_within_two_degrees_however_near_it_is(tmp_path: Path) -> None:
    # At 0.1 Mpc 10 kpc are more than six degrees; 4 mag is -16 there.
    galaxies = [galaxy(7100.0, 0.1, "dwarf"), galaxy(7300.0, 0.09, "too far")]
    [host] = hosts(tmp_path, galaxies, 4.0)
    assert host["name"] == "dwarf"
    assert host["sep_kpc"] == pytest.approx(7100 / 206264.806 * 90, rel=1e-5)


def test_of_several_kilonova_hosts_the_one_nearest_to_earth_is_taken(tmp_path: Path) -> None:
    galaxies = [galaxy(2.0, 120.0, "behind"), galaxy(8.0, 90.0, "in front"), galaxy(1.0, 250.0, "too bright")]
    [host] = hosts(tmp_path, galaxies, 19.5)
    assert host["name"] == "in front"


def test_a_kilonova_host_without_a_magnitude_does_not_apply(tmp_path: Path) -> None:
    runner = runner_with(tmp_path, ["kn_host"], {"mangrove": [galaxy(10.0, 100.0, "NGC1")]}, coverage=None)
    result = runner.apply(table([alert(1, magpsf=None), alert(2, magpsf=19.0), alert(3, magpsf=21.5)]))
    assert status_of(result.table, "kn_host") == ["not_applicable", "ok", "no_match"]


def test_the_search_for_kilonova_hosts_misses_none(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    size = 3000
    rows = [
        {"ra": float(ra), "dec": float(dec), "lum_dist": float(lum), "ang_dist": float(lum * shrink)}
        for ra, dec, lum, shrink in zip(
            150 + draw.uniform(-3, 3, size),
            2 + draw.uniform(-3, 3, size),
            10 ** draw.uniform(-0.5, 2.3, size),
            draw.uniform(0.8, 1.0, size),
            strict=True,
        )
    ]
    runner = runner_with(tmp_path, ["kn_host"], {"mangrove": rows}, coverage=None)
    alerts = [
        alert(number, ra=float(ra), dec=float(dec), magpsf=float(magnitude))
        for number, (ra, dec, magnitude) in enumerate(
            zip(150 + draw.uniform(-1, 1, 200), 2 + draw.uniform(-1, 1, 200), draw.uniform(8, 20, 200), strict=True)
        )
    ]
    found = values(runner.apply(table(alerts)).table, "kn_host")
    lum, ang = (np.array([row[name] for row in rows]) for name in ("lum_dist", "ang_dist"))
    ra, dec = (np.radians([row[name] for row in rows]) for name in ("ra", "dec"))
    expected = []
    for one in alerts:
        here = np.radians([one["candidate"]["ra"], one["candidate"]["dec"]])
        cosine = np.sin(here[1]) * np.sin(dec) + np.cos(here[1]) * np.cos(dec) * np.cos(here[0] - ra)
        apart = np.arccos(np.clip(cosine, -1, 1))
        absolute = one["candidate"]["magpsf"] - 25 - 5 * np.log10(lum)
        fits = (apart < np.radians(2)) & (apart < 0.01 / ang) & (absolute > -17) & (absolute < -15)
        expected.append(float(lum[fits].min()) if fits.any() else None)
    assert sum(value is not None for value in expected) > 10
    assert [host["lum_dist"] if host else None for host in found] == expected


def test_a_star_or_quasar_within_five_arcsec_is_near_and_a_galaxy_is_not(tmp_path: Path) -> None:
    runner = runner_with(tmp_path, ["star_near"], {"stars": STARS})
    alerts = [beside(1, 4.999), beside(2, 5.001), alert(3, dec=2.1), alert(4, dec=2.2)]
    # Where the extract looks, the alert's own PS1 fields do not count.
    alerts[1]["candidate"] |= {"sgscore1": 0.99, "distpsnr1": 0.1}
    result = runner.apply(table(alerts))
    assert values(result.table, "star_near") == [True, False, True, False]
    assert status_of(result.table, "star_near") == ["ok"] * 4


@pytest.mark.parametrize(
    ("score", "distance", "near"),
    [
        (0.77, 4.99, True),
        (0.76, 4.99, False),
        (0.77, 5.0, False),
        (0.77, 0.0, True),
        (0.77, -999.0, False),
        (-999.0, -999.0, False),
        (None, 9.0, False),
        (0.1, None, False),
        (None, 1.0, None),
        (0.9, None, None),
        (None, None, None),
    ],
)
def test_outside_the_extract_the_alerts_own_fields_answer_and_a_failed_query_is_not_a_no(
    tmp_path: Path, score: float | None, distance: float | None, near: bool | None
) -> None:
    alerts = table([alert(1, ra=10.0, sgscore1=score, distpsnr1=distance)])
    for runner in (
        runner_with(tmp_path, ["star_near"], {}),
        runner_with(tmp_path, ["star_near"], {"stars": STARS}),
    ):
        result = runner.apply(alerts)
        assert values(result.table, "star_near") == [near]
        assert status_of(result.table, "star_near") == ["unavailable" if near is None else "ok"]


@pytest.mark.parametrize("module", MODULES)
def test_a_match_depends_on_the_alert_alone(everything: Runner, varied_alerts: pa.Table, module: str) -> None:
    near = table([beside(9000 + number, 0.1 * number, magpsf=16.0 + number / 10) for number in range(40)])
    assert complaints(everything, module, pa.concat_tables([near, varied_alerts.slice(0, 80)])) == []
