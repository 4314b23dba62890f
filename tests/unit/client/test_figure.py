"""An alert as a figure: what is drawn, and that it opens."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from fink_lib import cli
from fink_lib.client.figure import draw_alert, read_stamp, series_of
from fink_lib.client.files import read_alerts, write_table
from fink_lib.errors import ConfigError, DataError
from tests.client_alerts import STAMP_PIXELS, packets, stamp
from tests.ztf_alerts import SHARED_DATA

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_light_curve_has_points_and_limits_of_each_band() -> None:
    history = [
        {"jd": 10.0, "fid": 1, "magpsf": 18.0, "sigmapsf": None, "diffmaglim": 20.0},
        {"jd": 11.0, "fid": 2, "magpsf": None, "sigmapsf": None, "diffmaglim": 20.5},
        {"jd": None, "fid": 1, "magpsf": 18.0, "sigmapsf": 0.1, "diffmaglim": 20.0},
    ]
    own = {"jd": 12.0, "fid": 2, "magpsf": 17.5, "sigmapsf": 0.25, "diffmaglim": 20.1}
    green, red = series_of({"candidate": own, "prv_candidates": history})
    assert (green.name, green.points, green.limits) == ("g", [(-2.0, 18.0, 0.0)], [])
    assert (red.name, red.points, red.limits) == ("r", [(0.0, 17.5, 0.25)], [(-1.0, 20.5)])


def test_fluxes_may_be_negative_and_have_no_limits() -> None:
    sources = [{"midpointMjdTai": 5.0, "band": "z", "psfFlux": -3.0, "psfFluxErr": 1.0}]
    own = {"midpointMjdTai": 6.0, "band": "z", "psfFlux": 9.0, "psfFluxErr": 2.0}
    (one,) = series_of({"diaSource": own, "prvDiaSources": None, "prvDiaForcedSources": sources})
    assert one.points == [(-1.0, -3.0, 1.0), (0.0, 9.0, 2.0)]
    assert one.limits == []


def test_an_alert_without_measurements_has_no_light_curve() -> None:
    assert series_of({"objectId": "x"}) == []


def test_images_are_read_with_and_without_gzip() -> None:
    wanted = np.zeros((STAMP_PIXELS, STAMP_PIXELS))
    wanted[STAMP_PIXELS // 2, STAMP_PIXELS // 2] = 1.0
    for alert in ({"cutoutScience": {"stampData": stamp()}}, {"cutoutScience": stamp()}):
        np.testing.assert_array_equal(read_stamp(alert, "Science"), wanted)
    assert read_stamp({"cutoutScience": None}, "Science") is None
    with pytest.raises(DataError, match="bad_cutout"):
        read_stamp({"cutoutTemplate": b"no image at all"}, "Template")


def test_the_command_draws_the_alert_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    path = tmp_path / "some.parquet"
    write_table(path, packets([3, 4]), "parquet")
    assert cli.run(["client", "view", str(path), "--id", "4", "--out", str(tmp_path / "a.html")]) == 0
    page = (tmp_path / "a.html").read_text()
    assert "<h1>ZTF180000004</h1>" in page
    image = re.search(r"base64,([^\"]+)", page)
    assert image is not None
    assert base64.b64decode(image[1]).startswith(PNG)
    assert cli.run(["client", "view", str(path)]) == 0
    assert path.with_suffix(".png").read_bytes().startswith(PNG)
    assert cli.run(["client", "view", str(path), "--id", "9"]) == 1
    assert "no alert 9" in capsys.readouterr().err


def test_a_page_shows_text_as_text(tmp_path: Path) -> None:
    draw_alert({"objectId": "<script>x</script>", "candidate": {"jd": 1.0}}, tmp_path / "a.html")
    assert "<script>" not in (tmp_path / "a.html").read_text()
    with pytest.raises(ConfigError, match="a figure is a"):
        draw_alert({}, tmp_path / "a.pdf")


def test_the_command_converts_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINK_HOME", str(tmp_path / "home"))
    (tmp_path / "in").mkdir()
    write_table(tmp_path / "in" / "a.avro", packets([1, 2]), "avro")
    write_table(tmp_path / "in" / "b.parquet", packets([3]), "parquet")
    assert cli.run(["client", "convert", str(tmp_path / "in"), str(tmp_path / "all.jsonl")]) == 0
    assert [one["candid"] for one in read_alerts(tmp_path / "all.jsonl")] == [1, 2, 3]
    assert cli.run(["client", "convert", str(tmp_path / "all.jsonl"), str(tmp_path / "x.avro")]) == 1


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared data are not installed")
def test_published_packets_can_be_drawn(tmp_path: Path) -> None:
    alert = next(read_alerts(SHARED_DATA / "enriched_ztf" / "client_ztf_part-3-305711_31.avro"))
    image = read_stamp(alert, "Science")
    assert image is not None
    assert image.shape == (63, 63)
    assert sum(len(one.points) + len(one.limits) for one in series_of(alert)) > 3
    draw_alert(alert, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
