"""Objects in the region of a gravitational-wave event, against a map made here; GraceDB is a stand-in."""

from __future__ import annotations

import ast
import base64
import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from cdshealpix import nested

from fink_lib.lake import open_lake
from tests.night_rows import replace
from tests.unit.api.conftest import alerts, serving, write_settings
from tests.unit.api.stand_in import standing_in

SKYMAP = "/api/v1/skymap"
FIRST = 10**17
EVENT_JD = 2460381.5
ORDER = 5


def sky_map(ra=40.0, dec=10.0, width_deg=6.0):
    """Make a map with a round maximum, gzipped FITS as observatories publish it."""
    cells = np.arange(12 * 4**ORDER, dtype=np.uint64)
    lon, lat = nested.healpix_to_lonlat(cells, ORDER)
    apart = np.hypot((lon.deg - ra) * np.cos(np.radians(dec)), lat.deg - dec)
    probability = np.exp(-((apart / width_deg) ** 2))
    table = fits.BinTableHDU.from_columns([fits.Column("PROB", "D", array=probability / probability.sum())])
    table.header.update(
        {"NSIDE": 2**ORDER, "ORDERING": "NESTED", "DATE-OBS": Time(EVENT_JD, format="jd").isot, "PIXTYPE": "HEALPIX"}
    )
    sink = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(sink)
    return gzip.compress(sink.getvalue())


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    settings = write_settings(tmp_path_factory.mktemp("skymap"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    random = np.random.default_rng(1)
    for place, night in enumerate(("20240311", "20240312", "20240320")):
        rows = alerts(lake, night, FIRST + 100 * place, 100)
        ra, dec = random.uniform(20, 60, 100), random.uniform(-10, 30, 100)
        jd = rows.column("candidate").combine_chunks().field("jd").to_numpy()
        first = [time - (0.2 if one % 2 else 50) for one, time in enumerate(jd)]
        names = [f"ZTF24{night[-2:]}{one:03d}" for one in range(100)]
        rows = replace(rows, candidate={"ra": ra, "dec": dec, "jdstarthist": first}, objectId=names)
        lake.append("science", rows)
    return settings


@pytest.fixture(scope="module")
def client(settings):
    with serving(settings) as client:
        yield client


def ask(client, **arguments):
    answer = client.post(SKYMAP, json={"credible_level": 0.9, "bayestar": encoded(), **arguments})
    assert answer.status_code == 200, answer.text
    return answer.json()


def encoded():
    return base64.b64encode(sky_map()).decode()


def inside(settings, radius_deg, before=1.0, after=6.0):
    found = set()
    for row in open_lake(settings, "ztf").read("science").to_pylist():
        candidate = row["candidate"]
        times = (candidate["jd"], candidate["jdstarthist"])
        apart = np.hypot((candidate["ra"] - 40) * np.cos(np.radians(10)), candidate["dec"] - 10)
        if all(EVENT_JD - before <= time < EVENT_JD + after for time in times) and apart <= radius_deg:
            found.add(row["objectId"])
    return found


def test_objects_inside_the_region_that_appeared_around_the_event_are_found(client, settings):
    rows = ask(client)
    names = {row["i:objectId"] for row in rows}
    # 90 % of a Gaussian lie within 1.52 of its widths; cells are 1.8 degrees wide
    assert inside(settings, 6.0 * 1.52 - 2) <= names <= inside(settings, 6.0 * 1.52 + 2)
    assert len(names) == len(rows) > 5
    assert {row["v:jdstartgw"] for row in rows} == {EVENT_JD}
    assert [row["i:jd"] for row in rows] == sorted((row["i:jd"] for row in rows), reverse=True)


def test_the_days_begin_and_end_around_the_event(client, settings):
    few, many = ask(client, n_day_before=0, n_day_after=0.5), ask(client, n_day_after=20)
    assert {row["i:objectId"] for row in few} < {row["i:objectId"] for row in many}
    assert {row["i:objectId"] for row in few} <= inside(settings, 12, 0, 0.5)


def test_a_lower_level_is_a_smaller_region(client):
    small, large = ({row["i:objectId"] for row in ask(client, credible_level=level)} for level in (0.2, 0.99))
    assert small < large


def test_a_map_comes_in_every_form(client):
    expected = ask(client)
    assert ask(client, bayestar=str(sky_map())) == expected, "the text of Python bytes, as scripts send it"
    assert ask(client, bayestar=None, file=encoded()) == expected
    for name in ("bayestar", "file"):
        answer = client.post(SKYMAP, data={"credible_level": "0.9"}, files={name: ("map.fits.gz", sky_map())})
        assert answer.json() == expected


@pytest.mark.parametrize(
    "arguments",
    [{"bayestar": "__import__('os').getcwd()"}, {"bayestar": "b'abc'"}, {"bayestar": "b'abc' + b'd'"},
     {"bayestar": "!!"}, {"bayestar": base64.b64encode(gzip.compress(b"no map")).decode()}, {"bayestar": 5},
     {"bayestar": base64.b64encode(sky_map()[:900]).decode()}, {"bayestar": ""}, {"credible_level": 1.1},
     {"credible_level": "nan"}, {"n_day_before": -1}, {"n_day_after": 1000}, {"bayestar": ["a"]},
     {"continue": "-1"}, {"continue": "999999"}, {"bayestar": "", "event_name": "../../x"}],
)  # fmt: skip
def test_what_is_no_map_is_the_clients_error(client, arguments):
    answer = client.post(SKYMAP, json={"credible_level": 0.9, "bayestar": encoded(), **arguments})
    assert answer.status_code == 400, answer.text
    assert ast.literal_eval(answer.text)["status"] == "error"


def test_an_event_is_fetched_by_name(settings):
    def gracedb(_, path, __):
        return (200, sky_map()) if "S230709bi" in path else (404, b"")

    with standing_in(gracedb) as (address, asked):
        services = settings.services.model_copy(update={"asked": "always"})
        catalogs = settings.catalogs.model_copy(update={"gracedb_url": address})
        with serving(settings.model_copy(update={"services": services, "catalogs": catalogs})) as client:
            assert ask(client, bayestar=None, event_name="S230709bi") == ask(client)
            assert asked[0][1] == "/superevents/S230709bi/files/bayestar.fits.gz"
            answer = client.post(SKYMAP, json={"credible_level": 0.9, "event_name": "S999999x"})
            assert (answer.status_code, "S999999x" in answer.text) == (400, True)


def test_an_event_cannot_be_fetched_where_nobody_is_asked(client):
    answer = client.post(SKYMAP, json={"credible_level": 0.9, "event_name": "S230709bi"})
    assert (answer.status_code, answer.headers["Fink-Error-Code"]) == (503, "service-off")
