"""Simulated alerts: reproducible, as the survey observes, and true to the templates."""

from __future__ import annotations

import numpy as np
import pytest

from fink_lib.science.models.simulation.exposures import draw_exposures, tables
from fink_lib.science.models.simulation.sample import HISTORY_D, Request, Sample, simulate
from fink_lib.science.models.simulation.source import known_sources
from fink_lib.science.models.simulation.sources.kilonova import blackbody_mags, ejecta_luminosity
from fink_lib.science.models.simulation.sources.supernovae import IA_G_MAG, PHASE_D, bazin

EVERYTHING = Request(dict.fromkeys(known_sources(), 60))


@pytest.fixture(scope="module")
def sample() -> Sample:
    return simulate(EVERYTHING, 11)


def test_the_same_seed_gives_the_same_alerts_and_another_seed_others(sample: Sample) -> None:
    assert simulate(EVERYTHING, 11).sha256 == sample.sha256
    assert simulate(EVERYTHING, 12).sha256 != sample.sha256


def test_a_class_does_not_depend_on_which_others_are_simulated(sample: Sample) -> None:
    alone = simulate(Request({"SNII": 60}), 11)
    among = sample.take(np.flatnonzero(sample.kind == "SNII"))
    assert np.array_equal(alone.curves.time_jd, among.curves.time_jd)
    assert np.array_equal(alone.curves.entries["magpsf"], among.curves.entries["magpsf"], equal_nan=True)


def test_every_class_gives_alerts_and_names_its_source(sample: Sample) -> None:
    for name, source in known_sources().items():
        assert (sample.kind == name).sum() > 10, name
        assert source.reference, name


def test_an_alert_is_a_detection_that_ends_its_light_curve(sample: Sample) -> None:
    curves = sample.curves
    last = curves.offsets[1:] - 1
    assert curves.valid[last].all()
    assert np.array_equal(curves.time_jd[last], curves.alerts["jd"])
    span = curves.alerts["jd"] - curves.time_jd[curves.offsets[:-1]]
    assert span.max() <= HISTORY_D
    inside = np.diff(curves.alert) == 0
    assert (np.diff(curves.time_jd)[inside] > 0).all()
    assert (curves.alerts["ndethist"] >= 1).all()
    assert (curves.alerts["jdstarthist"] <= curves.alerts["jd"]).all()


def test_an_object_is_on_one_side_of_a_split(sample: Sample) -> None:
    parts = sample.split(0.6, 0.4)
    assert sum(map(len, parts)) == len(sample)
    assert not set(parts[0].object_id.tolist()) & set(parts[1].object_id.tolist())
    assert 0.5 < len(parts[0]) / len(sample) < 0.7


def test_newly_found_variables_were_not_seen_before_the_window() -> None:
    age = {}
    for new in (False, True):
        curves = simulate(Request({"RRLyrae": 50}, newly_found=new), 3).curves
        age[new] = float(np.max(curves.alerts["jd"] - curves.alerts["jdstarthist"]))
    assert age[True] <= known_sources()["RRLyrae"].span_d < 300.0 < age[False]


def test_cadence_and_depth_follow_the_measured_tables() -> None:
    exposures = draw_exposures(np.random.default_rng(5), 800, 120.0)
    there = exposures.band > 0
    depth = exposures.depth_mag[there & (exposures.band == 1)]
    level = tables()["quantile"]
    assert np.quantile(depth, 0.5) == pytest.approx(np.interp(0.5, level, tables()["depth"]["g"]), abs=0.05)
    nights = np.floor(exposures.time_d)
    gaps = np.diff(nights, axis=1)
    gaps = gaps[(gaps > 0) & np.isfinite(gaps)]
    table = tables()["night_gap_d"]
    mean = np.average(table["days"], weights=table["share"])
    assert gaps.mean() == pytest.approx(mean, rel=0.05)


def test_a_type_ia_fades_by_one_magnitude_in_fifteen_days() -> None:
    assert np.interp(15.0, PHASE_D, IA_G_MAG) == pytest.approx(1.05)
    assert np.interp(0.0, PHASE_D, IA_G_MAG) == 0.0


def test_bazin_peaks_where_it_says() -> None:
    rise, fall = 3.0, 25.0
    top = rise * np.log(fall / rise - 1.0)
    time = np.array([top - 0.5, top, top + 0.5])
    flux = bazin(time, np.array(rise), np.array(fall))
    assert flux[1] == pytest.approx(1.0)
    assert flux[0] < 1.0 > flux[2]


def test_a_kilonova_like_the_one_of_2017_is_as_bright_and_fades_as_fast() -> None:
    # blue ejecta of Villar et al. 2017: 0.02 solar masses, 0.27 c, 0.5 cm2/g; at 40 Mpc AT2017gfo had g = 17.3 +- 0.3
    # half a day after the merger and lost 1.2 +- 0.5 mag a day in g
    time = np.array([[0.5, 1.5, 2.5]])
    one = np.ones(1)
    light = ejecta_luminosity(time, 0.5 * one, 0.02 * one, 0.27 * one)
    g, r = blackbody_mags(time, light, 0.27 * one, 674.0 * one, 40.0 * one)
    assert 16.5 < g[0, 0] < 18.0
    assert 0.6 < g[0, 1] - g[0, 0] < 1.8
    assert (np.diff((g - r)[0]) > 0).all()
