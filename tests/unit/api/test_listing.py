"""The newest alerts of a class, of an anomaly, of a trail, and objects around a place: over nights in the lake only."""

from __future__ import annotations

import ast

import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord

from fink_lib.api.class_names import FINK, TNS
from fink_lib.api.column_sets import known_columns
from fink_lib.lake import open_lake
from tests.night_rows import replace
from tests.unit.api.conftest import alerts, serving, write_settings

LATESTS, CONE, TRACKLET, ANOMALY = (f"/api/v1/{name}" for name in ("latests", "conesearch", "tracklet", "anomaly"))
NIGHTS = ("20240311", "20240312")
FIRST = 10**17
NUMBER = 60
CLASSES = ("SN candidate", "RRLyrae", None, "Unknown")
TRAIL = "TRCK_20240312_024900_00"


def night_rows(lake, night, first):
    rows = alerts(lake, night, first, NUMBER)
    counting = np.arange(NUMBER)
    jd = rows.column("candidate").combine_chunks().field("jd").to_numpy()
    ra = 10.0 + (counting // 10) * 0.01
    return replace(
        rows,
        finkclass=[CLASSES[place % 4] for place in range(NUMBER)],
        tns=["SN Ia" if place % 7 == 0 else None for place in range(NUMBER)],
        mag_rate=[(-0.1, 0.2, None)[place % 3] for place in range(NUMBER)],
        tracklet=[TRAIL if 5 <= place < 8 and night == NIGHTS[1] else None for place in range(NUMBER)],
        anomaly_score=[place / 100 if place < 20 else None for place in range(NUMBER)],
        candidate={"ra": ra, "dec": np.full(NUMBER, 20.0) + counting * 1e-3, "jdstarthist": jd - 5.0 * counting},
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = open_lake(write_settings(tmp_path_factory.mktemp("listing")), "ztf")
    lake.ensure()
    for place, night in enumerate(NIGHTS):
        lake.append("science", night_rows(lake, night, FIRST + place * NUMBER))
    return lake


@pytest.fixture(scope="module")
def client(lake, tmp_path_factory):
    from fink_lib.config import load_settings

    with serving(load_settings(lake.root.removesuffix("/lake"))) as client:
        yield client


@pytest.fixture(scope="module")
def stored(lake):
    """Every alert as the lake has it, newest first."""
    rows = lake.read("science").to_pylist()
    return sorted(rows, key=lambda row: (row["candidate"]["jd"], row["candid"]), reverse=True)


def ask(client, path, **arguments):
    answer = client.get(path, params=arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(rows):
    return [row["i:candid"] for row in rows]


def of(stored, condition):
    return [row["candid"] for row in stored if condition(row)]


@pytest.mark.parametrize("name", ["SN candidate", "(SIMBAD) RRLyrae", "Unknown", "RRLyrae"])
def test_the_newest_alerts_of_a_class_come_first(client, stored, name):
    label = name.removeprefix("(SIMBAD) ")
    expected = of(stored, lambda row: row["finkclass"] == label)
    assert ids(ask(client, LATESTS, **{"class": name, "n": 7})) == expected[:7]
    assert ids(ask(client, LATESTS, **{"class": name, "n": 1000})) == expected
    assert len(ask(client, LATESTS, **{"class": name})) == 10


def test_a_class_of_tns_is_found_in_tns(client, stored):
    expected = of(stored, lambda row: row["tns"] == "SN Ia")
    assert ids(ask(client, LATESTS, **{"class": "(TNS) SN Ia", "n": 100})) == expected


def test_an_unknown_class_has_no_alerts(client):
    assert ask(client, LATESTS, **{"class": "(TNS) SN Ix"}) == ask(client, LATESTS, **{"class": "nope"}) == []


@pytest.mark.parametrize(("trend", "sign"), [("rising", -1), ("fading", 1)])
def test_a_trend_is_asked_before_the_answer_is_cut(client, stored, trend, sign):
    expected = of(stored, lambda row: row["finkclass"] == "Unknown" and (row["mag_rate"] or 0) * sign > 0)
    found = ask(client, LATESTS, **{"class": "Unknown", "trend": trend, "n": 5})
    assert ids(found) == expected[:5]
    assert len(found) == 5


@pytest.mark.parametrize("dates", [
    {"startdate": "2024-03-12"}, {"startdate": "2024-03-12T00:00:00Z"}, {"startdate": "2460381.5"},
    {"startdate": "60381"}, {"stopdate": "2024-03-12 00:00:00"}, {"startdate": " 2024-03-11 ", "stopdate": "2460381.5"},
])  # fmt: skip
def test_dates_are_read_in_every_form(client, stored, dates):
    night = NIGHTS["startdate" in dates and "stopdate" not in dates]
    expected = of(stored, lambda row: row["finkclass"] == "Unknown" and row["night"] == night)
    assert ids(ask(client, LATESTS, **{"class": "Unknown", "n": 1000, **dates})) == expected


def test_answers_have_the_columns_of_the_index(client, lake):
    rows = ask(client, LATESTS, **{"class": "Unknown", "n": 1})
    assert list(rows[0]) == list(known_columns(lake.survey, "index"))


def test_colours_are_told_over_all_alerts_of_an_object(client, lake):
    rows = ask(client, LATESTS, **{"class": "Unknown", "n": 5, "color": "True"})
    assert list(rows[0]) == list(known_columns(lake.survey, "index", evolution=True))
    for row in rows:
        own = client.get("/api/v1/objects", params={"objectId": row["i:objectId"]}).json()
        same = next(one for one in own if one["i:candid"] == row["i:candid"])
        assert {name: row[name] for name in row if name.startswith("v:")} == {
            name: same[name] for name in row if name.startswith("v:")
        }
    assert any(row["v:rate"] is not None for row in rows)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"class": "Unknown", "trend": "sideways"}, "sideways"), ({"class": "Unknown", "trend": "low_state"}, "low_state"),
     ({"class": "(CTA) Blazar low state", "trend": "high"}, "new_low_state")],
)  # fmt: skip
def test_a_trend_that_there_is_not_is_refused_in_plain_text(client, arguments, word):
    answer = client.get(LATESTS, params=arguments)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (400, "text/plain")
    assert word in answer.text
    assert "rising, fading" in answer.text


@pytest.mark.parametrize(
    "arguments",
    [{"class": "x", "n": "-1"}, {"class": "x", "n": "many"}, {"class": "x", "startdate": "yesterday"}, {"class": " "},
     {"class": "x", "stopdate": "1e400"}, {"class": "x", "startdate": "2024-13-01"},
     {"class": "x", "startdate": "2025-01-01", "stopdate": "2024-01-01"}, {"class": "x", "continue": "abc"}],
)  # fmt: skip
def test_what_cannot_be_read_is_the_clients_error(client, arguments):
    answer = client.get(LATESTS, params=arguments)
    assert answer.status_code == 400
    assert ast.literal_eval(answer.text)["status"] == "error"


def test_classes_are_named_as_fink_does(client):
    named = client.get("/api/v1/classes").json()
    assert named["Fink classifiers"] == list(FINK)
    assert len(FINK) == 11
    assert named["Cross-match with TNS"] == [f"(TNS) {name}" for name in TNS]
    simbad = next(names for title, names in named.items() if "SIMBAD" in title)
    assert "(SIMBAD) RRLyrae" in simbad
    assert len(simbad) > 100
    for names in named.values():
        assert client.get(LATESTS, params={"class": names[0], "n": 1}).status_code == 200


def test_anomalies_are_those_that_the_filter_of_the_night_chooses(client, stored):
    lowest = {row["candid"] for row in stored if row["anomaly_score"] is not None and row["anomaly_score"] < 0.1}
    rows = ask(client, ANOMALY, n=100)
    assert set(ids(rows)) == lowest
    assert ids(ask(client, ANOMALY, n=3)) == ids(rows)[:3]


def test_the_last_day_of_anomalies_is_included(client):
    both = ask(client, ANOMALY, n=100, start_date="2024-03-11", stop_date="2024-03-12")
    first = ask(client, ANOMALY, n=100, start_date="2024-03-11", stop_date="2024-03-11")
    assert {row["v:lastdate"][:10] for row in both} == {"2024-03-11", "2024-03-12"}
    assert {row["v:lastdate"][:10] for row in first} == {"2024-03-11"}


def test_a_tracklet_is_found_by_night_by_time_and_by_name(client, stored):
    expected = of(stored, lambda row: row["tracklet"] == TRAIL)
    for arguments in ({"date": "2024-03-12"}, {"date": "2024-03-12 02:49:00"}, {"id": TRAIL}, {"id": TRAIL[:13]}):
        assert ids(ask(client, TRACKLET, **arguments)) == expected, arguments
    assert ask(client, TRACKLET, date="2024-03-11") == []


@pytest.mark.parametrize("arguments", [{"columns": "i:jd"}, {"date": ""}])
def test_a_tracklet_needs_a_date(client, arguments):
    answer = client.get(TRACKLET, params=arguments)
    assert ast.literal_eval(answer.text)["text"] == ("You need to specify a date at the format YYYY-MM-DD hh:mm:ss\n")


@pytest.mark.parametrize("arguments", [{"id": "TRCK_"}, {"id": "TRCK_2024"}, {"id": "%"}, {"date": "2024"}])
def test_a_tracklet_of_any_night_is_refused(client, arguments):
    assert client.get(TRACKLET, params=arguments).status_code == 400


def objects_near(stored, ra, dec, radius_arcsec):
    newest = {}
    for row in stored:
        newest.setdefault(row["objectId"], row)
    rows = list(newest.values())
    centre = SkyCoord(ra, dec, unit="deg")
    apart = centre.separation(
        SkyCoord([row["candidate"]["ra"] for row in rows], [row["candidate"]["dec"] for row in rows], unit="deg")
    )
    found = sorted((angle, row["objectId"]) for angle, row in zip(apart.deg, rows, strict=True))
    return [(name, angle) for angle, name in found if angle <= radius_arcsec / 3600]


@pytest.mark.parametrize("radius", [1, 30, 120, 3600, 18000])
@pytest.mark.parametrize("place", [(10.0, 20.0), (10.02, 20.025), (190.0, -20.0)])
def test_a_cone_has_the_objects_inside_nearest_first(client, stored, place, radius):
    expected = objects_near(stored, *place, radius)
    rows = ask(client, CONE, ra=place[0], dec=place[1], radius=radius)
    assert [row["i:objectId"] for row in rows] == [name for name, _ in expected]
    assert [row["v:separation_degree"] for row in rows] == pytest.approx([angle for _, angle in expected], abs=1e-12)


@pytest.mark.parametrize(
    ("ra", "dec"), [("10.0", " 20 "), ("0h40m0s", "20d0m0s"), ("00:40:00", "+20:00:00"), ("0 40 0", "20 0 0")]
)
def test_a_place_is_read_as_people_write_it(client, ra, dec):
    rows = ask(client, CONE, ra=ra, dec=dec, radius="30")
    assert ids(rows) == ids(ask(client, CONE, ra=10, dec=20, radius=30))
    assert len(rows) > 1


def test_the_nearest_ones_are_kept(client, stored):
    answer = client.get(CONE, params={"ra": 10, "dec": 20, "radius": 120, "n": 3})
    assert [row["i:objectId"] for row in answer.json()] == [name for name, _ in objects_near(stored, 10, 20, 120)][:3]
    assert "nearest 3 of" in answer.headers["Fink-Truncated"]


def test_an_object_is_shown_by_its_newest_alert_with_place_and_distance_always_there(client, stored):
    rows = ask(client, CONE, ra=10, dec=20, radius=60, columns="i:candid")
    assert [set(row) for row in rows] == [{"i:candid", "i:ra", "i:dec", "v:separation_degree"}] * len(rows)
    assert all(one >= FIRST + NUMBER for one in ids(rows))


def test_cones_have_light_columns(client, lake):
    row = ask(client, CONE, ra=10, dec=20, radius=60)[0]
    assert list(row) == [*known_columns(lake.survey, "light"), "v:separation_degree"]


def test_dates_of_a_cone_are_those_of_the_first_detection(client, stored):
    start = 2460381.5 - 100
    everything = [name for name, _ in objects_near(stored, 10, 20, 18000)]
    newest = {}
    for row in stored:
        newest.setdefault(row["objectId"], row["candidate"]["jdstarthist"])
    expected = [name for name in everything if start <= newest[name] < start + 30]
    for dates in ({"startdate": start, "window": 30}, {"startdate": start, "stopdate": start + 30}):
        rows = ask(client, CONE, ra=10, dec=20, radius=18000, **dates)
        assert [row["i:objectId"] for row in rows] == expected
    assert 0 < len(expected) < len(everything)


def test_dates_can_be_those_of_any_alert(client):
    arguments = {"ra": 10, "dec": 20, "radius": 60, "date-mode": "any"}
    rows = ask(client, CONE, **arguments, startdate="2024-03-11", stopdate="2024-03-12")
    assert len(rows) == len(ask(client, CONE, ra=10, dec=20, radius=60))
    assert all(one < FIRST + NUMBER for one in ids(rows))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"radius": 18001}, "`radius` cannot be bigger than 18,000 arcseconds (5 degrees).\n"),
        ({"radius": None}, "A value for `radius` is required. See https://api.ztf.fink-portal.org \n"),
        ({"ra": None}, "A value for `ra` is required. See https://api.ztf.fink-portal.org \n"),
    ],
)
def test_a_cone_that_cannot_be_is_refused_with_the_text_that_clients_know(client, arguments, text):
    asked = {"ra": 1, "dec": 2, "radius": 3, **arguments}
    answer = client.get(CONE, params={name: value for name, value in asked.items() if value is not None})
    assert answer.status_code == 400
    assert ast.literal_eval(answer.text)["text"] == text


def test_a_bad_place_shows_the_exception_of_astropy(client):
    answer = client.get(CONE, params={"ra": "abc", "dec": "1", "radius": "1"})
    assert answer.status_code == 400
    assert answer.text == (
        "{'status': 'error', 'text': ValueError(\"Invalid character at col 0 parsing angle 'abc'\")}"
    )
    problem = client.get(
        CONE, params={"ra": "abc", "dec": "1", "radius": "1"}, headers={"Accept": "application/json"}
    ).json()
    assert problem["text"] == "Invalid character at col 0 parsing angle 'abc'\n"


@pytest.mark.parametrize(
    "arguments",
    [{"radius": -1}, {"radius": "nan"}, {"dec": 91}, {"ra": "inf"}, {"ra": "nan"}, {"window": 3}, {"dec": ""},
     {"ra": "1" * 5000}, {"startdate": "2024-01-02", "stopdate": "2024-01-01"}, {"date-mode": "never"},
     {"ra": "10h", "dec": "x"}, {"ra": "1e400"}, {"ra": "10:99:00", "dec": "1"}],
)  # fmt: skip
def test_a_bad_cone_is_the_clients_error(client, arguments):
    assert client.get(CONE, params={"ra": 1, "dec": 2, "radius": 3, **arguments}).status_code == 400


def test_a_cone_crosses_the_pole_and_the_meridian(lake, tmp_path):
    settings = write_settings(tmp_path)
    own = open_lake(settings, "ztf")
    own.ensure()
    places = [(0.01, 0.0), (359.99, 0.0), (10.0, 89.9), (190.0, 89.95), (180.0, 0.0)]
    rows = alerts(own, NIGHTS[0], FIRST, len(places))
    ra, dec = zip(*places, strict=True)
    own.append("science", replace(rows, candidate={"ra": ra, "dec": dec, "jdstarthist": [2460000.0] * len(places)}))
    with serving(settings) as client:
        assert len(ask(client, CONE, ra=0, dec=0, radius=60)) == 2
        assert len(ask(client, CONE, ra=100, dec=90, radius=600)) == 2


def test_arrow_comes_by_name_or_by_header(client):
    arguments = {"class": "Unknown", "n": 5}
    named = client.get(LATESTS, params={**arguments, "output-format": "arrow"})
    asked = client.get(LATESTS, params=arguments, headers={"Accept": "application/vnd.apache.arrow.stream"})
    assert named.content == asked.content
    table = pa.ipc.open_stream(named.content).read_all()
    assert table.column("i:candid").to_pylist() == ids(ask(client, LATESTS, **arguments))
