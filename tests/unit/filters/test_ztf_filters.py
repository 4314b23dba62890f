"""Live filters of ZTF: the faults that they must not have, and a second writing of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fink_lib.filters import load_filters
from fink_lib.filters.terms import simbad_spellings
from fink_lib.science.simbad_types import simbad_types
from fink_lib.surveys import get_survey
from tests.faults.filters import FILTERS
from tests.unit.filters.alerts import JD, entries, science_table
from tests.unit.filters.mixtures import mixtures
from tests.unit.filters.test_clauses import takes
from tests.unit.filters.ztf_cases import BASE, HOSTLESS, SIMBAD, TAKEN, of_type

LIVE = load_filters(get_survey("ztf"))
# -- faults of the system that is followed here ------------------------------------------------------------------------

HOST_FILTERS = ("early_sn_candidates", "sn_candidates", "kn_candidates", "early_kn_candidates",
                "rate_based_kn_candidates", "fast_riser_candidates")  # fmt: skip


@pytest.mark.parametrize("name", HOST_FILTERS)
def test_every_spelling_of_an_extragalactic_type_gives_one_answer(name: str) -> None:
    """Seyfert1, EmissionG, BrightestCG and Supernova were missed for their old or new labels."""
    spelled = [(spelling, one.extragalactic) for one in simbad_types() for spelling in one.spellings]
    answers = takes(name, *(TAKEN[name] | of_type(spelling) for spelling, _ in spelled))
    assert dict(zip([spelling for spelling, _ in spelled], answers, strict=True)) == dict(spelled)


def test_the_simbad_types_of_the_sandbox_are_those_of_the_science_modules() -> None:
    assert simbad_spellings() == {one.code: (one.extragalactic, one.spellings) for one in simbad_types()}


@pytest.mark.parametrize("name", ["blazar", "simbad_grav_candidates", "yso_candidates"])
def test_labels_of_both_taxonomies_pass(name: str) -> None:
    labels = {
        "blazar": "Blazar Blazar_Candidate BLLac BLLac_Candidate Bla Bz? BLL BL?",
        "simbad_grav_candidates": "Gravitation LensingEv GravLensSystem GravLens LensedImage LensedG LensedQ BlackHole "
        "GravWaveEvent grv Lev gLS gLe LeI LeG LeQ BH GWE",
        "yso_candidates": "Candidate_YSO YSO_Candidate Candidate_TTau* TTau*_Candidate TTauri*_Candidate Y*? TT?",
    }[name].split()
    assert takes(name, *(BASE | of_type(label) for label in labels)) == [True] * len(labels)


@pytest.mark.parametrize("status", ["unavailable", "failed", None])
def test_while_simbad_is_down_what_depends_on_it_waits(status: str | None) -> None:
    """Whoever needs SIMBAD's answer sends nothing without it, and after healing what a run with it would have sent."""
    names = [*HOST_FILTERS, "vra", "unknowns", "new_hostless", "intra_night_hostless", "inter_night_hostless"]
    for name in names:
        assert takes(name, TAKEN[name] | {SIMBAD: status}, TAKEN[name]) == [False, True]


@pytest.mark.parametrize("name", ["new_hostless", "intra_night_hostless", "inter_night_hostless", "vra"])
@pytest.mark.parametrize("label", ["Galaxy", "G", "PartofG", "AGN"])
def test_a_galaxy_is_not_uncatalogued(name: str, label: str) -> None:
    """As NOT X of the class rule, the condition let pass SIMBAD's galaxies and its outages."""
    assert takes(name, TAKEN[name] | of_type(label)) == [False]


@pytest.mark.parametrize("distance", [None, -999.0, 1.51, float("nan")])
def test_without_a_reference_source_nearby_an_alert_is_uncatalogued(distance: float | None) -> None:
    assert takes("new_hostless", TAKEN["new_hostless"] | {"candidate.distnr": distance}) == [True]


@pytest.mark.parametrize("name", ["rate_based_kn_candidates", "magnetic_cvs"])
def test_a_positive_difference_may_be_written_in_two_ways(name: str) -> None:
    rows = [TAKEN[name] | {"candidate.isdiffpos": text} for text in ("t", "1", "f", "0", None)]
    assert takes(name, *rows) == [True, True, False, False, False]


@pytest.mark.parametrize("name", ["intra_night_hostless", "inter_night_hostless"])
def test_the_order_of_the_history_changes_nothing(name: str) -> None:
    history = TAKEN[name]["prv_candidates"]
    shuffled = [history[place] for place in np.random.default_rng(1).permutation(len(history))]
    again = [*history, {**history[0], "jd": JD}]  # the alert itself is in its history
    rows = [TAKEN[name] | {"prv_candidates": one} for one in (history, history[::-1], shuffled, again)]
    assert takes(name, *rows) == [True] * 4


@pytest.mark.parametrize(
    ("history", "intra", "inter"),
    [
        (None, False, False),
        ([], False, False),
        (entries((0.1, 19.0)), True, False),
        (entries((0.1, 19.0), (0.2, 19.0)), True, False),
        (entries((1.0, 19.0), (1.2, 19.0)), False, True),
        (entries((1.0, 19.0), (1.2, float("nan"))), False, False),
    ],
)
def test_the_gaps_between_detections_decide_within_or_between_nights(
    history: list[dict[str, Any]] | None, intra: bool, inter: bool
) -> None:
    for name, expected in (("intra_night_hostless", intra), ("inter_night_hostless", inter)):
        seen = TAKEN[name]["candidate.ndethist"]
        row = {**HOSTLESS, "candidate.ndethist": seen, "prv_candidates": history}
        assert takes(name, row) == [expected], name


# -- a second opinion --------------------------------------------------------------------------------------------------


def test_filters_agree_with_their_second_writing() -> None:
    table = science_table([*mixtures(2000, seed=5), *TAKEN.values()])
    route = LIVE.route(table).to_pylist()
    assert set(FILTERS) == set(LIVE.names)
    assert {name for names in route for name in names} == set(FILTERS)
    for row, names in zip(table.to_pylist(), route, strict=True):
        assert names == [name for name in sorted(FILTERS) if FILTERS[name](row)], row
