"""How well a score separates, said in the few numbers and curves that a model card holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.calibration import BINS, calibration_error

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

THRESHOLD = 0.5
"""At which the confusion is counted: what the class rule and the filters ask for."""

CURVE_POINTS = 40


def roc_auc(score: Floats, positive: Bools) -> float:
    """Give the area under the ROC curve: the chance that a positive scores above a negative, ties counted half.

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    starts = np.r_[0, 1 + np.flatnonzero(np.diff(ranked))]
    stops = np.r_[starts[1:], len(ranked)]
    rank = np.empty(len(score))
    rank[order] = np.repeat((starts + 1 + stops) / 2.0, stops - starts)
    hits = int(positive.sum())
    misses = len(score) - hits
    if not hits or not misses:
        return float("nan")
    return float((rank[positive].sum() - hits * (hits + 1) / 2.0) / (hits * misses))


def describe(score: Floats, positive: Bools, calibration: bool = True) -> dict[str, Any]:
    """Give the metrics of one score on objects that it was not trained on.

    Parameters
    ----------
    score : ndarray
        Probabilities.
    positive : ndarray of bool
        Truth.
    calibration : bool
        Whether the score claims to be a probability among these objects; one that was calibrated among all is none
        among a part of them.

    Returns
    -------
    dict
        ``n``, ``positives``, ``auc``, ``ece``, ``confusion`` (counts at 0.5), ``roc`` (pairs of false and true positive
        rate) and ``calibration`` (per bin: mean probability, share of positives, number).
    """
    said = score > THRESHOLD
    cuts = np.unique(np.quantile(score, np.linspace(0.0, 1.0, CURVE_POINTS + 1)))[::-1]
    hits, misses = max(int(positive.sum()), 1), max(int((~positive).sum()), 1)
    roc = [
        [
            round(float((score[~positive] >= cut).sum() / misses), 4),
            round(float((score[positive] >= cut).sum() / hits), 4),
        ]
        for cut in cuts
    ]
    place = np.clip((score * BINS).astype(int), 0, BINS - 1)
    curve = [
        [
            round(float(score[place == one].mean()), 4),
            round(float(positive[place == one].mean()), 4),
            int((place == one).sum()),
        ]
        for one in range(BINS)
        if (place == one).any()
    ]
    return {
        "n": len(score),
        "positives": int(positive.sum()),
        "auc": round(roc_auc(score, positive), 4),
        "confusion": {
            "true_positive": int((said & positive).sum()),
            "false_positive": int((said & ~positive).sum()),
            "false_negative": int((~said & positive).sum()),
            "true_negative": int((~said & ~positive).sum()),
        },
        "roc": roc,
    } | ({"ece": round(calibration_error(score, positive), 4), "calibration": curve} if calibration else {})
