"""One SIMBAD type gives one answer, however it is spelled, in Python and in SQL."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fink_lib.science.duck import select
from fink_lib.science.simbad_types import code_of, is_extragalactic, simbad_types

EG_CODES = (
    "SN* SN? ev G LSB bCG SBG H2G EmG SyG Sy1 Sy2 LIN GiP GiG GiC BiC IG PaG GrG CGG ClG C?G SCG SC? vid PoG".split()
)
EG_LABELS = ("High_z_G", "GravLens_Candidate", "galaxy")


@pytest.mark.parametrize("one", simbad_types(), ids=lambda one: one.code)
def test_every_spelling_of_a_type_gives_its_code_and_one_answer(one) -> None:
    assert {code_of(name) for name in one.spellings} == {one.code}
    assert {is_extragalactic(name) for name in one.spellings} == {one.extragalactic}


def test_no_spelling_belongs_to_two_types() -> None:
    names = [name for one in simbad_types() for name in one.spellings]
    assert len(names) == len(set(names))


def test_the_extragalactic_set_is_the_published_one() -> None:
    assert all(is_extragalactic(name) for name in (*EG_CODES, *EG_LABELS))
    members = {one.code for one in simbad_types() if one.extragalactic}
    assert members == {*EG_CODES, "HzG", "Le?"}


@pytest.mark.parametrize("label", ["Seyfert_1", "Seyfert1", "EmissionG", "BrightestCG", "Supernova", "BClG"])
def test_labels_of_both_taxonomies_are_hosts(label: str) -> None:
    assert is_extragalactic(label)


@pytest.mark.parametrize("label", ["Star", "RRLyr", "QSO", "AGN", "Blazar", "", "no such type"])
def test_other_labels_are_not_hosts(label: str) -> None:
    assert not is_extragalactic(label)


def test_sql_agrees_with_python() -> None:
    labels = [name for one in simbad_types() for name in one.spellings] + ["no such type"]
    found = select(
        "SELECT simbad_code(label) AS code, extragalactic(label) AS host, unspecific(label) AS vague FROM labels",
        labels=pa.table({"label": labels}),
    )
    assert found.column("code").to_pylist() == [code_of(label) for label in labels]
    assert found.column("vague").to_pylist() == [code_of(label) in ("?", "ev") for label in labels]
    assert found.column("host").to_pylist() == [is_extragalactic(label) for label in labels]


def test_sql_eg_is_unknown_where_simbad_was_not_consulted() -> None:
    rows = pa.table(
        {
            "status": ["ok", "ok", "no_match", "unavailable", "failed", None],
            "label": ["G", "Star", None, None, None, "G"],
        }
    )
    found = select("SELECT eg(status, label) AS eg FROM places", places=rows)
    assert found.column("eg").to_pylist() == [True, False, True, None, None, None]
