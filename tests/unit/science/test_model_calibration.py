"""Calibration and the numbers that a model card holds, against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.science.models.calibration import (
    KNOTS,
    calibrated,
    calibration_error,
    fit_isotonic,
    pool_adjacent_violators,
)
from fink_lib.science.models.metrics import describe, roc_auc


def test_violators_are_pooled_by_weight() -> None:
    pooled = pool_adjacent_violators(np.array([0.2, 0.6, 0.3, 0.9]), np.array([1.0, 1.0, 2.0, 1.0]))
    assert pooled.tolist() == pytest.approx([0.2, 0.4, 0.4, 0.9])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_pooled_sequence_never_falls_and_keeps_the_mean(values: list[float]) -> None:
    pooled = pool_adjacent_violators(np.array(values), np.ones(len(values)))
    assert (np.diff(pooled) >= -1e-12).all()
    assert pooled.mean() == pytest.approx(np.mean(values))


def test_a_score_that_lies_is_set_right() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(20_000)
    positive = rng.random(20_000) < truth
    lying = truth**3
    knots = fit_isotonic(lying, positive)
    assert len(knots) <= KNOTS
    assert calibration_error(lying, positive) > 0.2
    assert calibration_error(calibrated(lying, knots), positive) < 0.02


def test_beyond_the_outer_knots_the_outer_values_hold() -> None:
    knots = np.array([[0.2, 0.1], [0.8, 0.7]])
    assert calibrated(np.array([0.0, 0.5, 1.0]), knots).tolist() == pytest.approx([0.1, 0.4, 0.7])


def test_calibration_error_by_hand() -> None:
    # two bins: said 0.1 and true 0.5 (2 of 4), said 0.9 and true 1.0 (1 of 4 is in no other bin)
    said = np.array([0.1, 0.1, 0.9, 0.9])
    assert calibration_error(said, np.array([True, False, True, True]), bins=2) == pytest.approx(0.25)


def test_auc_counts_ties_half() -> None:
    score = np.array([0.5, 0.5, 0.1, 0.9])
    assert roc_auc(score, np.array([True, False, False, True])) == pytest.approx(0.875)
    assert np.isnan(roc_auc(score, np.ones(4, dtype=bool)))


def test_a_description_counts_at_one_half() -> None:
    given = describe(np.array([0.2, 0.6, 0.7, 0.4]), np.array([False, False, True, True]))
    assert given["confusion"] == {"true_positive": 1, "false_positive": 1, "false_negative": 1, "true_negative": 1}
    assert (given["n"], given["positives"], given["auc"]) == (4, 2, 0.75)
    assert given["roc"][-1] == [1.0, 1.0]
    assert "ece" not in describe(np.array([0.2, 0.6]), np.array([False, True]), calibration=False)
