"""Known asteroids and comets: their alerts, ephemerides of a stand-in, tables as files. Nights in the lake only."""

from __future__ import annotations

import ast
import io
import json
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fink_lib.api.ephemerides import EPHEMERIDES, fit_residuals, phase_functions
from fink_lib.lake import open_lake
from tests.night_rows import replace
from tests.unit.api.conftest import alerts, serving, write_settings
from tests.unit.api.stand_in import standing_in

SSO = "/api/v1/sso"
TOM_FINK = "i:ssnamenr,i:candid,i:ra,i:dec,i:jd,i:magpsf,i:objectId,d:roid"
NAMES = ("8467", "2010JO69", "10P", "null")
FIRST = 10**17


def ephemeris(_, path, body):
    """Answer as Miriade does: one entry for each epoch."""
    epochs = [float(line) for line in body.decode().split("\r\n\r\n")[1].split("\r\n--")[0].split()]
    distance = 2.0 if parse_qs(urlsplit(path).query)["-name"] == ["a:8467"] else 3.0
    data = [
        {"Date": f"{epoch:.6f}", "RA": "+01 02 03", "DEC": "+04 05 06", "Dobs": distance, "Dhelio": distance + 1,
         "VMag": 18.0, "SDSS:g": 18.3, "SDSS:r": 17.8, "Phase": 5.0, "Elong.": 150.0, "AM": 1.2, "dRAcosDEC": 0.1,
         "dDEC": 0.2, "RV": 1.0, "LAST": "1:2:3", "HA": "1", "Az": "2", "H": "3"}
        for epoch in epochs
    ]  # fmt: skip
    return 200, json.dumps({"data": data}).encode()


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    settings = write_settings(tmp_path_factory.mktemp("asteroids"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    for place, night in enumerate(("20240311", "20240312")):
        rows = alerts(lake, night, FIRST + 100 * place, 40)
        names = [NAMES[one % 4] for one in range(40)]
        rows = replace(
            rows,
            roid=[3 if one % 5 else 2 for one in range(40)],
            candidate={"ssnamenr": names, "sigmapsf": np.full(40, 0.1)},
        )
        lake.append("science", rows)
    return settings


@pytest.fixture(scope="module")
def client(settings):
    with serving(settings) as client:
        yield client


def ask(client, path=SSO, **arguments):
    answer = client.get(path, params=arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


def expected(lake, *names):
    rows = lake.read("science").to_pylist()
    rows.sort(key=lambda row: (row["candidate"]["jd"], row["candid"]), reverse=True)
    return [row["candid"] for row in rows if row["roid"] == 3 and row["candidate"]["ssnamenr"] in names]


@pytest.mark.parametrize(
    ("asked", "names"),
    [("8467", ["8467"]), (" 8467 ", ["8467"]), ("2010 JO69", ["2010JO69"]), ("2010jo69", ["2010JO69"]),
     ("10P", ["10P"]), ("8467,2010 JO69", ["8467", "2010JO69"]), ("99999", [])],
)  # fmt: skip
def test_alerts_are_found_by_number_and_by_designation(client, settings, asked, names):
    found = ask(client, n_or_d=asked, columns="i:candid")
    assert [row["i:candid"] for row in found] == expected(open_lake(settings, "ztf"), *names)
    assert {row["i:ssnamenr"] for row in found} == set(names)


def test_a_number_is_a_number_in_json_too(client):
    assert client.post(SSO, json={"n_or_d": 8467}).json() == ask(client, n_or_d="8467")


def test_the_name_and_the_number_are_told(client):
    row = ask(client, n_or_d="8467", columns=TOM_FINK)[0]
    assert list(row) == [*TOM_FINK.split(","), "sso_name", "sso_number"]
    assert row["sso_number"] == 8467
    assert ask(client, n_or_d="2010JO69")[0]["sso_name"] == "2010JO69"


@pytest.mark.parametrize("name", ["no such asteroid!", "%", ",", "'; DROP", "Benoit\x00"])
def test_what_is_no_name_is_refused_with_the_text_that_clients_know(client, name):
    answer = client.post(SSO, json={"n_or_d": name})
    assert answer.status_code == 400
    assert ast.literal_eval(answer.text)["text"].endswith("is not a valid name or number according to quaero.\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"n_or_d": "8467,10P", "withResiduals": "True"}, "You cannot request residuals for a list object names.\n"),
        ({"withcutouts": "True", "columns": "i:jd"}, "You need to add 'i:objectId,i:candid' to the columns.\n"),
        ({"withCutouts": "True", "columns": "i:jd"}, "You need to add 'i:objectId,i:candid' to the columns.\n"),
        (
            {"withcutouts": "True", "cutout-kind": "Other"},
            "`cutout-kind` must be `Science`, `Difference`, or `Template`.\n",
        ),
    ],
)
def test_refusals_have_the_texts_that_clients_know(client, arguments, text):
    answer = client.post(SSO, json={"n_or_d": "8467", **arguments})
    assert answer.status_code == 400
    assert ast.literal_eval(answer.text)["text"] == text


def test_images_come_in_both_spellings(client):
    for spelling in ("withcutouts", "withCutouts"):
        rows = ask(client, n_or_d="8467", columns="i:objectId,i:candid", **{spelling: "True"})
        assert "b:cutoutScience_stampData" in rows[0]
        assert "b:cutoutTemplate_stampData" not in rows[0]


def test_an_installation_that_asks_nobody_says_so(client):
    answer = client.get(SSO, params={"n_or_d": "8467", "withEphem": "True"})
    assert answer.status_code == 503
    assert "Miriade" in answer.text
    assert answer.headers["Fink-Error-Code"] == "service-off"


def asking(settings, **addresses):
    catalogs = settings.catalogs.model_copy(update=addresses)
    services = settings.services.model_copy(update={"asked": "always", "failures": 2, "timeout_s": 2.0})
    return settings.model_copy(update={"catalogs": catalogs, "services": services})


def test_ephemerides_are_those_of_the_service_at_the_middle_of_the_exposure(settings):
    with standing_in(ephemeris) as (address, asked), serving(asking(settings, miriade_url=address)) as client:
        rows = ask(client, n_or_d="8467,2010JO69", withEphem="True")
        assert {row["i:ssnamenr"]: row["Dobs"] for row in rows} == {"8467": 2.0, "2010JO69": 3.0}
        assert set(EPHEMERIDES) <= set(rows[0])
        for row in rows:
            assert float(row["Date"]) == pytest.approx(row["i:jd"] + 15 / 86400, abs=1e-6)
            distance = row["Dobs"] * row["Dhelio"]
            assert row["i:magpsf_red"] == pytest.approx(row["i:magpsf"] - 5 * np.log10(distance))
        assert len(asked) == 2
        few = ask(client, n_or_d="8467", withResiduals="True", columns="i:jd")
        assert set(few[0]) == {"i:jd", "i:ssnamenr", "sso_name", "sso_number", *EPHEMERIDES, "residuals_shg1g2"}


@pytest.mark.parametrize("reply", [(500, b""), (200, b"<html>"), (200, b'{"data": []}'), (200, b'{"data": 7}')])
def test_a_service_that_gives_nothing_of_use_is_503_and_left_alone(settings, reply):
    with (
        standing_in(lambda *_: reply) as (address, asked),
        serving(asking(settings, miriade_url=address)) as client,
    ):
        for _ in range(4):
            answer = client.get(SSO, params={"n_or_d": "8467", "withEphem": "True"})
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
        assert len(asked) == (2 if reply[0] == 500 else 4), "after two failures nobody asks again at once"
        assert client.get(SSO, params={"n_or_d": "8467"}).status_code == 200


def test_the_light_curves_of_all_are_one_file(client, settings):
    answer = client.get("/api/v1/ssobulk", params={"output-format": "parquet"})
    assert answer.headers["content-type"] == "application/parquet"
    table = pq.read_table(io.BytesIO(answer.content))
    assert table.column_names == ["ssnamenr", "cra", "cdec", "cmagpsf", "csigmapsf", "cfid", "cjd"]
    lake = open_lake(settings, "ztf")
    found = {row["ssnamenr"]: row["cjd"] for row in table.to_pylist()}
    assert set(found) == {"8467", "2010JO69", "10P"}
    for name, times in found.items():
        assert times == sorted(times)
        assert len(times) == len(expected(lake, name))


def test_other_formats_of_the_bulk_are_refused(client):
    assert client.get("/api/v1/ssobulk", params={"output-format": "csv"}).status_code == 400


@pytest.mark.parametrize("kind", ["orbParams", "lightcurves"])
def test_there_are_no_candidates_as_long_as_nobody_links_any(client, kind):
    assert ask(client, "/api/v1/ssocand", kind=kind) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"kind": "x"},
        {"kind": "orbParams", "ssoCandId": "x"},
        {"kind": "lightcurves", "start_date": "2024-01-02", "stop_date": "2024-01-01"},
    ],
)
def test_candidates_refuse_what_they_cannot_read(client, arguments):
    assert client.post("/api/v1/ssocand", json=arguments).status_code == 400


SSOFT = "/api/v1/ssoft"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"flavor": "X"}, "flavor needs to be in ['SOCCA', 'SHG1G2', 'HG1G2', 'HG']\n"),
        ({"version": "2026-11"}, "version needs to be YYYY.MM\n"),
        ({"version": "../../x"}, "version needs to be YYYY.MM\n"),
        ({"version": "2023.06"}, "version starts on 2023.07\n"),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_the_text_that_clients_know(client, arguments, text):
    answer = client.get(SSOFT, params=arguments)
    assert answer.status_code == 400
    assert ast.literal_eval(answer.text)["text"] == text


def test_a_table_that_was_not_made_is_404_and_one_that_was_is_sent(client, settings):
    answer = client.get(SSOFT, params={"version": "2025.01"})
    assert answer.status_code == 404
    assert "has been made" in answer.text
    folder = settings.home / "ssoft"
    folder.mkdir()
    rows = pa.table({"sso_name": ["Ceres", "Benoitcarry"], "sso_number": [1, 8467], "H_1": [3.3, 13.9]})
    pq.write_table(rows, folder / "ssoft_SHG1G2_2025.01.parquet")
    whole = client.get(SSOFT, params={"version": "2025.01"})
    assert whole.headers["content-type"] == "application/parquet"
    assert pq.read_table(io.BytesIO(whole.content)).equals(rows)
    for one in ({"sso_number": 8467}, {"sso_name": "Benoitcarry"}):
        assert ask(client, SSOFT, version="2025.01", **one) == [rows.to_pylist()[1]]
    assert list(ask(client, SSOFT, version="2025.01", schema="True")) == rows.column_names
    assert b"Ceres" in client.get(SSOFT, params={"version": "2025.01", "output-format": "csv"}).content


def test_the_phase_functions_begin_at_one_and_fall():
    angles = np.radians(np.linspace(0, 120, 200))
    for function in phase_functions(angles):
        assert function[0] == pytest.approx(1.0)
        assert (np.diff(function) <= 1e-9).all()
        assert (function >= 0).all()


def test_what_follows_the_model_leaves_nothing():
    random = np.random.default_rng(5)
    number = 120
    phase = np.radians(random.uniform(2, 25, number))
    band = random.integers(1, 3, number).astype(float)
    ra, dec = random.uniform(0, 2 * np.pi, number), random.uniform(-0.4, 0.4, number)
    phi1, phi2, phi3 = phase_functions(phase)
    light = 0.4 * phi1 + 0.3 * phi2 + 0.3 * phi3
    aspect = np.sin(dec) * np.sin(0.5) + np.cos(dec) * np.cos(0.5) * np.cos(ra - 1.0)
    magnitude = 15.0 + 0.5 * band - 2.5 * np.log10(light) + 2.5 * np.log10(1 - 0.3 * np.abs(aspect))
    left = fit_residuals(magnitude, np.full(number, 0.05), phase, band, ra, dec)
    assert np.abs(left).max() < 0.02
    assert np.isnan(fit_residuals(magnitude[:5], np.full(5, 0.05), phase[:5], band[:5], ra[:5], dec[:5])).all()
