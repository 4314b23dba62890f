"""Images of alerts: PNG, FITS and arrays, against images made here."""

from __future__ import annotations

import ast
import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from PIL import Image

from fink_lib.api.pictures import STRETCHES, png, smoothed, stretched
from fink_lib.lake import open_lake
from tests.unit.api.conftest import alerts, serving, write_settings

CUTOUTS = "/api/v1/cutouts"
OBJECTS = "/api/v1/objects"
NIGHT = "20240312"
FIRST = 10**17
KINDS = ("science", "template", "difference")


def stamp(seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).normal(100, 10, (63, 61)).astype(">f4")
    pixels[3, 4] = np.nan
    return pixels


def fits_file(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(sink)
    return sink.getvalue()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = write_settings(tmp_path_factory.mktemp("cutouts"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    for night, first in (("20240311", FIRST), (NIGHT, FIRST + 100)):
        lake.append("science", alerts(lake, night, first, 20))
        rows = [
            {
                "alert_id": first + place,
                "batch": "b",
                **{
                    kind: gzip.compress(fits_file(stamp(first % 1000 + 3 * place + number)))
                    for number, kind in enumerate(KINDS)
                    if (place, kind) != (5, "template")
                },
                "night": night,
            }
            for place in range(10)
        ]
        lake.append("cutouts", pa.Table.from_pylist(rows, schema=lake.schema("cutouts")))
    with serving(settings) as client:
        yield client


def name_at(client, place):
    return "ZTF18aaaaaa" + "abcdefghijklmnopqrst"[place]


def ask(client, **arguments):
    return client.get(CUTOUTS, params={"objectId": name_at(client, 2), "kind": "Science", **arguments})


def test_the_latest_alert_is_drawn_if_none_is_named(client):
    answer = ask(client)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name_at(client, 2)}_Science.png"'
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.mode, picture.size) == ("L", (61, 63))
    expected = stamp((FIRST + 100) % 1000 + 6).astype(float)
    drawn = np.asarray(picture).astype(float)
    good = np.isfinite(expected)
    order = np.argsort(expected[good])
    assert (np.diff(drawn[good][order]) >= 0).all(), "a brighter pixel is never darker"


def test_an_alert_can_be_named(client):
    arrays = [ask(client, candid=FIRST + shift + 2, **{"output-format": "array"}).json() for shift in (0, 100)]
    for shift, array in zip((0, 100), arrays, strict=True):
        ((name, pixels),) = array.items()
        assert name == "b:cutoutScience_stampData"
        assert pixels[3][4] is None
        expected = stamp((FIRST + shift) % 1000 + 6)
        assert pixels[0][0] == float(expected[0, 0])
        assert np.array_equal(np.array(pixels, dtype=float), expected.astype(float), equal_nan=True)


def test_a_fits_file_is_that_of_the_survey(client):
    answer = ask(client, **{"output-format": "FITS", "kind": "Difference"})
    assert answer.content == fits_file(stamp((FIRST + 100) % 1000 + 8))
    assert answer.headers["content-disposition"].endswith('_Difference.fits"')
    with fits.open(io.BytesIO(answer.content)) as units:
        assert len(units) == 1


def test_all_three_come_as_arrays_only(client):
    assert list(ask(client, kind="All", **{"output-format": "array"}).json()) == [
        "b:cutoutScience_stampData",
        "b:cutoutTemplate_stampData",
        "b:cutoutDifference_stampData",
    ]
    answer = ask(client, kind="All")
    assert answer.status_code == 400
    assert ast.literal_eval(answer.text)["text"] == (
        "The option `kind=All` is only compatible with `output-format=array`.\n"
    )


def test_another_format_is_refused_with_the_text_that_clients_know(client):
    answer = ask(client, **{"output-format": "GIF"})
    assert ast.literal_eval(answer.text)["text"] == "output-format must be one of: PNG, FITS, or array.\n"


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "Other"}, {"stretch": "cubic"}, {"colormap": "__class__"}, {"colormap": "no such"}, {"pmin": "99.9"},
     {"pmin": "-1"}, {"pmax": "101"}, {"pmax": "nan"}, {"convolution_kernel": "sobel"}, {"candid": "x"},
     {"candid": str(FIRST)}, {"candid": "-1"}, {"objectId": "ZTF18nothing"}, {"objectId": "../../etc"},
     {"candid": str(FIRST + 115), "objectId": "ZTF18aaaaaap"}],
)  # fmt: skip
def test_what_cannot_be_drawn_is_the_clients_error(client, wrong):
    answer = ask(client, **wrong)
    assert answer.status_code == 400, answer.text
    assert ast.literal_eval(answer.text)["status"] == "error"


def test_an_image_that_an_alert_came_without_is_told_apart(client):
    arguments = {"objectId": name_at(client, 5)}
    assert ask(client, **arguments).status_code == 200
    answer = ask(client, **arguments, kind="Template")
    assert (answer.status_code, answer.headers["Fink-Error-Code"]) == (400, "no-image")


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("arguments", [{}, {"colormap": "viridis"}, {"convolution_kernel": "box", "pmin": 5}])
def test_every_stretch_draws_a_picture(client, stretch, arguments):
    answer = ask(client, stretch=stretch, **arguments)
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert picture.shape[2:] == ((4,) if "colormap" in arguments else ())
    assert picture.std() > 0


def test_an_image_that_somebody_has_is_not_sent_again(client):
    first = ask(client)
    again = client.get(
        CUTOUTS,
        params={"objectId": name_at(client, 2), "kind": "Science"},
        headers={"If-None-Match": first.headers["ETag"]},
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("form", ["json", "csv", "votable", "parquet"])
def test_objects_come_with_their_images(client, form):
    arguments = {"objectId": name_at(client, 2), "withcutouts": "True", "output-format": form, "columns": "i:candid"}
    answer = client.get(OBJECTS, params=arguments)
    assert answer.status_code == 200
    if form not in ("json", "parquet"):
        assert b"b:cutoutScience_stampData" in answer.content
        return
    rows = answer.json() if form == "json" else pq.read_table(io.BytesIO(answer.content)).to_pylist()
    assert [row["i:candid"] for row in rows] == [FIRST + 102, FIRST + 2]
    assert set(rows[0]) == {
        "i:candid",
        *(f"b:cutout{kind}_stampData" for kind in ("Science", "Template", "Difference")),
    }
    for row, shift in zip(rows, (100, 0), strict=True):
        expected = stamp((FIRST + shift) % 1000 + 7)
        assert np.array_equal(
            np.array(row["b:cutoutTemplate_stampData"], float), expected.astype(float), equal_nan=True
        )


def test_one_kind_of_image_can_be_chosen_and_a_missing_one_is_null(client):
    arguments = {"objectId": name_at(client, 5), "withcutouts": "true", "cutout-kind": "Template", "columns": "i:jd"}
    rows = client.get(OBJECTS, params=arguments).json()
    assert [set(row) for row in rows] == [{"i:jd", "b:cutoutTemplate_stampData"}] * 2
    assert rows[0]["b:cutoutTemplate_stampData"] is None


def test_pages_have_the_images_of_their_own_rows(client):
    arguments = {"objectId": name_at(client, 2), "withcutouts": "True", "cutout-kind": "Science"}
    whole = client.get(OBJECTS, params=arguments).json()
    pages = [client.get(OBJECTS, params={**arguments, "limit": 1, "offset": place}).json() for place in (0, 1)]
    assert [row for page in pages for row in page] == whole


@pytest.mark.parametrize("stretch", STRETCHES)
def test_a_stretch_is_monotonic_and_stays_between_zero_and_one(stretch):
    ramp = np.arange(100.0).reshape(10, 10)
    found = stretched(ramp, stretch, 1, 99).ravel()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (np.diff(found) >= 0).all()
    assert found[-1] > found[0]


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("image", [np.full((4, 4), 7.0), np.full((4, 4), np.nan)])
def test_an_image_without_contrast_is_one_shade(stretch, image):
    assert len(np.unique(stretched(image, stretch, 0.5, 99.5))) == 1


def test_percentiles_cut_both_ends():
    ramp = np.arange(101.0).reshape(1, 101)
    assert stretched(ramp, "linear", 10, 90)[0].tolist()[:11] == [0.0] * 11
    assert stretched(ramp, "linear", 10, 90)[0].tolist()[90:] == [1.0] * 11


@pytest.mark.parametrize("kernel", ["gauss", "box"])
def test_smoothing_keeps_what_is_even(kernel):
    assert smoothed(np.full((8, 8), 0.25), kernel) == pytest.approx(np.full((8, 8), 0.25))


def test_a_picture_has_the_first_row_on_top():
    picture = np.asarray(Image.open(io.BytesIO(png(np.array([[0.0, 1.0], [0.5, 0.0]])))))
    assert picture.tolist() == [[0, 255], [127, 0]]
