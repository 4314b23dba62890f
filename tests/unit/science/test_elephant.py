"""Hostless transients: which alerts and stamps are looked at, and what the two values say."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.science import ModuleResult, Runner, Status, build_runner
from fink_lib.science.columns import Columns, CutoutReader
from fink_lib.science.contract import complaints
from fink_lib.science.modules import elephant
from fink_lib.science.modules.nalerthist import build as build_nalerthist
from fink_lib.science.modules.roid import build as build_roid
from fink_lib.simulator.synthetic.stamps import gzipped_fits
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import JD, alert, detection, table
from tests.unit.science.reference import alerts_of, enriched_files, records_with
from tests.unit.science.toys import Toy, status_of, values

SIDE = elephant.SIDE
Y, X = np.mgrid[:SIDE, :SIDE] - SIDE // 2
STAR = 80 * np.exp(-(X**2 + Y**2) / (2 * 1.5**2))
BLANK = np.zeros((SIDE, SIDE))
FIRST: dict[str, Any] = {"ndethist": 1, "distnr": 9.0, "jdstarthist": JD, "sgscore1": 0.9, "distpsnr1": 20.0}
YOUNG: dict[str, Any] = {"ndethist": 4, "distnr": 0.5, "jdstarthist": JD - 20, "magpsf": 19.0}
THREE = [detection(1), detection(2)]


def stub(name: str, column: str, labels: dict[int, str | Status]) -> Toy:
    """Stand in for a cross-match: an alert has the label, or the status, that `labels` gives its id."""

    def run(columns: Columns) -> ModuleResult:
        found = [labels.get(one, Status.NO_MATCH) for one in columns.ids.tolist()]
        status = [one if isinstance(one, Status) else Status.OK for one in found]
        texts = [None if isinstance(one, Status) else one for one in found]
        return ModuleResult({column: pa.array(texts, pa.string())}, np.array(status, np.int8))

    return Toy(run, name=name, outputs={column: pa.string()})


def score(name: str, columns: tuple[str, ...], value: float) -> Toy:
    """Stand in for a classifier: every alert has the same score in its last column, and 0 in the others."""

    def run(alerts: Columns) -> dict[str, Any]:
        return {column: np.full(len(alerts), value if column == columns[-1] else 0.0) for column in columns}

    return Toy(run, name=name, outputs=dict.fromkeys(columns, pa.float64()))


def runner_with(likely: str = "", score_of_likely: float = 0.5, **labels: dict[int, str | Status]) -> Runner:
    """Give a runner of the module and what it reads from; `likely` names a classifier that gives a score."""
    survey = get_survey("ztf")
    settings: Any = None
    matches = {"simbad": "cdsxmatch", "gaia": "DR3Name", "tns": "tns"}
    return Runner(
        survey,
        [
            *elephant.build(survey, settings),
            *build_roid(survey, settings),
            *build_nalerthist(survey, settings),
            *(stub(name, column, labels.get(name, {})) for name, column in matches.items()),
            *(
                score(name, columns, score_of_likely if name == likely else 0.0)
                for name, columns in elephant.SCORES.items()
            ),
        ],
    )


def noisy(host: np.ndarray[Any, Any], seed: int, side: tuple[int, int] = (SIDE, SIDE)) -> list[bytes]:
    """Give stamps of a star before a host, and of the host alone, with sky noise."""
    rng = np.random.default_rng(seed)
    science = host + STAR + rng.normal(120, 9, host.shape)
    template = host + rng.normal(120, 5, host.shape)
    return [gzipped_or_cut(one, side) for one in (science, template)]


def gzipped_or_cut(image: np.ndarray[Any, Any], side: tuple[int, int]) -> bytes:
    """Write a stamp, cut to a size as at the edge of a detector."""
    if side == (SIDE, SIDE):
        return gzipped_fits(image[None].astype(np.float32))[0]
    cards = "SIMPLE  = T", "BITPIX  = -32", "NAXIS   = 2", f"NAXIS1  = {side[1]}", f"NAXIS2  = {side[0]}", "END"
    header = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    return gzip.compress(header + image[: side[0], : side[1]].astype(">f4").tobytes())


def reader_of(files: dict[int, Any]) -> CutoutReader:
    """Give stamps by id; an alert that is not in `files` has none."""

    def read(ids: np.ndarray[Any, Any]) -> pa.Table:
        pairs = [files.get(one, (None, None)) for one in ids.tolist()]
        kinds = {"science": [one for one, _ in pairs], "template": [one for _, one in pairs]}
        images = {kind: pa.array(found, pa.binary()) for kind, found in kinds.items()}
        return pa.table({"alert_id": ids, **images, "difference": pa.nulls(len(ids), pa.binary())})

    return read


def apply(alerts: list[dict[str, Any]], files: Any = None, **labels: Any) -> pa.Table:
    """Apply the module to alerts; every alert has the stamps of a hostless transient unless `files` says otherwise."""
    stamps = {one["candid"]: noisy(BLANK, 1) for one in alerts} if files is None else files
    return runner_with(**labels).apply(table(alerts), reader_of(stamps)).table


@pytest.mark.parametrize(
    ("candidate", "status"),
    [
        ({}, "ok"),
        ({"distnr": 1.6}, "ok"),
        ({"distnr": None}, "ok"),
        ({"distnr": -999.0}, "ok"),
        ({"distnr": 1.5}, "not_applicable"),
        ({"ndethist": 3}, "ok"),
        ({"ndethist": 4}, "not_applicable"),
        ({"ssdistnr": 1.0}, "not_applicable"),  # roid = 3
        ({"ndethist": None}, "not_applicable"),  # roid has no value
    ],
)
def test_a_first_detection_is_looked_at_where_no_catalogue_has_anything(candidate: dict[str, Any], status: str) -> None:
    assert status_of(apply([alert(1, **FIRST | candidate)]), "elephant") == [status]


@pytest.mark.parametrize(
    ("labels", "status"),
    [
        ({"simbad": {1: "Star"}}, "not_applicable"),
        ({"simbad": {1: "Galaxy"}}, "not_applicable"),
        ({"gaia": {1: "Gaia DR3 1"}}, "not_applicable"),
        ({"simbad": {1: Status.UNAVAILABLE}}, "unavailable"),
        ({"gaia": {1: Status.UNAVAILABLE}}, "unavailable"),
        ({"gaia": {1: Status.FAILED}}, "unavailable"),
        ({"simbad": {1: "Star"}, "gaia": {1: Status.UNAVAILABLE}}, "not_applicable"),
        ({"tns": {1: Status.UNAVAILABLE}}, "ok"),
    ],
)
def test_a_galaxy_or_a_missing_answer_is_not_the_same_as_no_match(labels: Any, status: str) -> None:
    assert status_of(apply([alert(1, **FIRST)], **labels), "elephant") == [status]


@pytest.mark.parametrize(
    ("candidate", "previous", "labels", "status"),
    [
        ({}, THREE, {"tns": {1: "SN Ia"}}, "ok"),
        ({}, THREE, {"simbad": {1: "Seyfert_1"}}, "ok"),
        ({}, THREE, {"simbad": {1: "Sy1"}}, "ok"),
        ({}, THREE, {"simbad": {1: "Candidate_SN*"}}, "ok"),
        ({}, THREE, {"simbad": {1: "Star"}}, "not_applicable"),
        ({}, THREE, {}, "not_applicable"),
        ({}, THREE[:1], {"tns": {1: "SN Ia"}}, "not_applicable"),
        ({"jdstarthist": JD - 45}, THREE, {"tns": {1: "SN Ia"}}, "ok"),
        ({"jdstarthist": JD - 45.1}, THREE, {"tns": {1: "SN Ia"}}, "not_applicable"),
        ({"magpsf": 19.5}, THREE, {"tns": {1: "SN Ia"}}, "ok"),
        ({"magpsf": 19.6}, THREE, {"tns": {1: "SN Ia"}}, "not_applicable"),
        ({"ssdistnr": 0.1, "distpsnr1": 3.0}, THREE, {"tns": {1: "SN Ia"}}, "not_applicable"),
        ({}, THREE, {"tns": {1: "SN Ia"}, "simbad": {1: Status.UNAVAILABLE}, "gaia": {1: Status.UNAVAILABLE}}, "ok"),
        ({}, THREE, {"gaia": {1: Status.UNAVAILABLE}}, "not_applicable"),
        ({}, THREE, {"tns": {1: Status.UNAVAILABLE}}, "unavailable"),
        ({}, THREE, {"simbad": {1: Status.FAILED}}, "unavailable"),
        ({"magpsf": 19.6}, THREE, {"tns": {1: Status.UNAVAILABLE}}, "not_applicable"),
    ],
)
def test_a_young_bright_candidate_is_looked_at_too(
    candidate: dict[str, Any], previous: list[dict[str, Any]], labels: Any, status: str
) -> None:
    assert status_of(apply([alert(1, previous, **YOUNG | candidate)], **labels), "elephant") == [status]


@pytest.mark.parametrize("name", list(elephant.SCORES))
@pytest.mark.parametrize(("value", "status"), [(0.5, "ok"), (0.49, "not_applicable")])
def test_a_high_score_is_evidence_enough(name: str, value: float, status: str) -> None:
    result = apply([alert(1, THREE, **YOUNG)], likely=name, score_of_likely=value)
    assert status_of(result, "elephant") == [status]


def test_stamps_decide_what_can_be_said() -> None:
    rng = np.random.default_rng(0)
    twice = noisy(STAR, 3)
    files: dict[int, Any] = {
        1: noisy(BLANK, 1),
        2: noisy(BLANK, 1, side=(63, 48)),
        3: (None, noisy(BLANK, 1)[1]),
        4: twice,
        5: gzipped_fits(rng.normal(120, 9, (2, SIDE, SIDE)).astype(np.float32)),
        6: (b"broken", b"broken"),
        7: gzipped_fits(np.full((2, SIDE, SIDE), 5.0, np.float32)),
    }
    result = apply([alert(one, **FIRST) for one in range(1, 9)], files)
    expected = ["ok", "not_applicable", "unavailable", "not_applicable", "not_applicable", "failed"]
    assert status_of(result, "elephant") == [*expected, "not_applicable", "unavailable"]
    assert [one is None for one in values(result, "elephant_kstest_template")] == [False] + [True] * 7


def test_a_vanished_star_is_a_candidate_as_well() -> None:
    science, template = noisy(BLANK, 1)
    result = apply([alert(1, **FIRST)], {1: (template, science)})
    assert status_of(result, "elephant") == ["ok"]


def test_a_pixel_without_value_counts_as_one_that_stands_out() -> None:
    marks = elephant.clipped(np.array([np.full((5, 5), 3.0), np.full((5, 5), np.nan)]))
    assert marks.sum(axis=(1, 2)).tolist() == [0, 25]
    assert elephant.is_candidate(marks[1:], marks[:1]).tolist() == [True]


@pytest.mark.parametrize(
    ("science", "template", "candidate"),
    [(6, 2, True), (5, 2, False), (6, 3, False), (2, 6, True), (3, 6, False), (0, 0, False)],
)
def test_a_candidate_has_a_source_in_one_image_alone(science: int, template: int, candidate: bool) -> None:
    marks = np.zeros((2, 10), dtype=bool)
    marks[0, :science] = marks[1, :template] = True
    assert elephant.is_candidate(marks[:1], marks[1:]).tolist() == [candidate]


def test_a_blank_template_is_below_one_with_a_galaxy_in_95_percent_of_pairs() -> None:
    rng = np.random.default_rng(39)
    alerts: list[dict[str, Any]] = []
    files: dict[int, Any] = {}
    for pair in range(80):
        peak, scale, (x, y) = 5 * rng.uniform(7, 12), rng.uniform(5, 12), rng.uniform(-2, 2, 2)
        galaxy = peak * np.exp(-np.hypot(X - x, Y - y) / scale)
        for kind, host in enumerate((BLANK, galaxy)):
            alerts.append(alert(2 * pair + kind, **FIRST))
            files[2 * pair + kind] = noisy(host, 1000 + pair)
    found = values(apply(alerts, files), "elephant_kstest_template")
    pairs = [(blank, galaxy) for blank, galaxy in zip(found[::2], found[1::2], strict=True) if blank and galaxy]
    assert len(pairs) > 50
    assert np.mean([blank < galaxy for blank, galaxy in pairs]) >= 0.95
    assert np.mean([blank <= 0.85 for blank, _ in pairs]) >= 0.95


def test_the_same_stamps_give_another_alert_another_draw() -> None:
    files = dict.fromkeys((1, 2), noisy(BLANK, 1))
    first, second = values(apply([alert(1, **FIRST), alert(2, **FIRST)], files), "elephant_kstest_template")
    assert first != second
    assert abs(first - second) < 0.3


def test_a_result_depends_on_the_alert_alone() -> None:
    alerts: list[dict[str, Any]] = []
    files: dict[int, Any] = {}
    for one in range(1, 61):
        alerts.append(alert(one, **FIRST | {"ndethist": 1 + one % 10}))
        files[one] = noisy(BLANK if one % 2 else 40 * np.exp(-np.hypot(X, Y) / 6), one)
    assert complaints(runner_with(), "elephant", table(alerts), reader_of(files)) == []


@pytest.mark.skipif(not enriched_files(), reason="the shared sample of enriched alerts is not installed")
def test_real_alerts_with_known_labels_are_looked_at(labelled_settings: Settings) -> None:
    records = [one for one in records_with("cutoutScience") if one["cutoutTemplate"]]
    stamps = {one["candid"]: [one[f"cutout{kind}"]["stampData"] for kind in ("Science", "Template")] for one in records}
    runner = build_runner(get_survey("ztf"), labelled_settings)
    result = runner.apply(alerts_of(records), reader_of(stamps)).table
    words = status_of(result, "elephant")
    assert set(words) == {"ok", "not_applicable", "unavailable"}
    assert words.count("unavailable") < 0.1 * len(words)
    asked = zip(*(status_of(result, name) for name in ("simbad", "gaia", "tns", *elephant.SCORES)), strict=True)
    assert all("unavailable" in told for word, told in zip(words, asked, strict=True) if word == "unavailable")
    found = [one for one in values(result, "elephant_kstest_template") if one is not None]
    assert len(found) == words.count("ok") and all(0 <= one <= 1 for one in found)
