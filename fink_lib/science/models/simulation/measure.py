"""How the survey observes, measured once from real alerts and kept as small tables.

``python -m fink_lib.science.models.simulation.measure FOLDER > ztf_observing.json``, written into ``data/`` beside it.

FOLDER holds ZTF packets (``*.avro``, or ``*.tar.gz`` of them). The simulator needs the tables only.
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import load_settings
from fink_lib.science.columns import Batch
from fink_lib.science.history import History
from fink_lib.science.layout import layout_of
from fink_lib.surveys import get_survey

Floats = npt.NDArray[np.float64]

BANDS = {1: "g", 2: "r"}
QUANTILES = np.round(np.linspace(0.02, 0.98, 25), 4)
ABOVE_LIMIT_MAG = np.array([-0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0])
"""Edges of the bins of ``diffmaglim - magpsf``, in which the noise is measured."""

SIGMA_AT_LIMIT = 1.0857 / 5.0
"""Error (mag) of a source at its five-sigma limit, if nothing but the background were noisy."""

LONGEST_GAP_D = 20
PATTERNS_KEPT = 14
LEAST_ALERTS = 25
"""Entries of a bin that are enough to say something."""


def packets(folder: Path) -> Iterator[bytes]:
    """Give every packet below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".tar.gz"):
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isfile() else None
                    if file is not None:
                        yield file.read()
        elif path.suffix == ".avro":
            yield path.read_bytes()


def measure(alerts: pa.Table) -> dict[str, Any]:
    """Give the tables of a set of alerts.

    Parameters
    ----------
    alerts : pyarrow.Table
        Columns of ZTF's ``alert_schema``; one alert per object and night is enough.

    Returns
    -------
    dict
        ``quantile`` (the levels of all quantiles), ``night_gap_d`` (days and their shares), ``patterns`` (bands of the
        visits of a night in order, and shares), ``visit_gap_d`` (quantiles), ``depth`` (per band: quantiles of
        ``diffmaglim``; correlations), ``noise`` (per band: ratio of ``sigmapsf`` to that of the background, its median
        and the scatter of its logarithm).
    """
    history = Batch(alerts, layout_of("ztf"), "candid").history
    history = history.where(history.winner)
    alert, time, band = history.alert, history.time, history.band
    depth, mag, error = (history.values(name) for name in ("diffmaglim", "magpsf", "sigmapsf"))
    night = np.floor(time + 0.5)
    nights, patterns, visit_gaps = _visits(alert, night, time, band)
    return {
        "alerts": alerts.num_rows,
        "entries": len(history),
        "quantile": QUANTILES.tolist(),
        "night_gap_d": nights,
        "patterns": patterns,
        "visit_gap_d": _quantiles(visit_gaps, 5),
        "depth": {
            **{name: _quantiles(depth[(band == fid) & ~np.isnan(depth)], 3) for fid, name in BANDS.items()},
            **_correlations(history, depth, night),
        },
        "noise": {
            "above_limit_mag": np.round((ABOVE_LIMIT_MAG[1:] + ABOVE_LIMIT_MAG[:-1]) / 2, 3).tolist(),
            **{name: _noise(depth, mag, error, band == fid) for fid, name in BANDS.items()},
        },
    }


def _visits(
    alert: npt.NDArray[np.int64], night: Floats, time: Floats, band: npt.NDArray[np.int64]
) -> tuple[dict[str, Any], dict[str, float], Floats]:
    gaps: Counter[int] = Counter()
    patterns: Counter[str] = Counter()
    visit_gaps: list[float] = []
    seen: set[tuple[float, ...]] = set()
    starts = np.flatnonzero(np.r_[True, (np.diff(alert) != 0) | (np.diff(night) != 0)])
    stops = np.r_[starts[1:], len(alert)]
    before = -1
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        public = [place for place in range(start, stop) if band[place] in BANDS]
        times = [time[place] for place in public]
        if before >= 0 and alert[before] == alert[start]:
            gaps[min(int(night[start] - night[before]), LONGEST_GAP_D)] += 1
        before = start
        # alerts of one image share its history: each night of a field counts once
        if not public or tuple(times) in seen:
            continue
        seen.add(tuple(times))
        patterns["".join(BANDS[int(band[place])] for place in public)] += 1
        visit_gaps += np.diff(times).tolist()
    days = sorted(gaps)
    total = sum(gaps.values())
    kept = patterns.most_common(PATTERNS_KEPT)
    among = sum(count for _, count in kept)
    return (
        {"days": days, "share": [round(gaps[day] / total, 5) for day in days]},
        {pattern: round(count / among, 5) for pattern, count in kept},
        np.array([gap for gap in visit_gaps if gap > 0]),
    )


def _correlations(history: History, depth: Floats, night: Floats) -> dict[str, float]:
    """Give how the depth of an exposure follows that of the one before, within a night and from night to night."""
    ranks = np.full(len(depth), np.nan)
    for fid in BANDS:
        chosen = (history.band == fid) & ~np.isnan(depth)
        ranks[chosen] = np.argsort(np.argsort(depth[chosen])) / chosen.sum()
    pairs = (np.diff(history.alert) == 0) & ~np.isnan(ranks[1:]) & ~np.isnan(ranks[:-1])
    same = pairs & (np.diff(night) == 0)
    other = pairs & (np.diff(night) > 0) & (np.diff(night) <= 3)
    return {
        "within_night": round(float(np.corrcoef(ranks[1:][same], ranks[:-1][same])[0, 1]), 3),
        "between_nights": round(float(np.corrcoef(ranks[1:][other], ranks[:-1][other])[0, 1]), 3),
    }


def _noise(depth: Floats, mag: Floats, error: Floats, chosen: npt.NDArray[np.bool_]) -> dict[str, list[float]]:
    above = depth - mag
    ratio = np.log(error / (SIGMA_AT_LIMIT * 10 ** (-0.4 * above)))
    medians, scatters = [], []
    for low, high in zip(ABOVE_LIMIT_MAG[:-1], ABOVE_LIMIT_MAG[1:], strict=True):
        values = ratio[chosen & (above >= low) & (above < high)]
        if len(values) < LEAST_ALERTS:
            raise ValueError(f"only {len(values)} detections {low} to {high} mag above the limit; give more alerts")
        quartiles = np.quantile(values, [0.16, 0.5, 0.84])
        medians.append(round(float(np.exp(quartiles[1])), 3))
        scatters.append(round(float(quartiles[2] - quartiles[0]) / 2, 3))
    return {"ratio": medians, "scatter": scatters}


def _quantiles(values: Floats, digits: int) -> list[float]:
    found: list[float] = np.round(np.quantile(values, QUANTILES), digits).tolist()
    return found


def main(argv: list[str]) -> int:
    """Print the tables of the packets below a folder."""
    values = list(packets(Path(argv[0])))
    survey = get_survey("ztf", load_settings())
    alerts = survey.decode(values).alerts
    public = pc.equal(pc.struct_field(alerts.column("candidate"), "programid"), 1)
    print(json.dumps(measure(alerts.filter(public)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
