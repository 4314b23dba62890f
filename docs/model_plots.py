"""Draw the pictures of the model pages in ``docs/images/science``, and print their numbers.

Usage: ``.venv/bin/python docs/model_plots.py DATA``, DATA being a folder with ``ztf/v3.3``, ``enriched_ztf`` and
``elasticc_sim`` of the shared sample. ROC and calibration come from the model cards; the supernova is ZTF21abiuvdk,
the tidal disruption ZTF20abfcszi.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fink_lib.config import load_settings, project_root
from fink_lib.science import Runner, build_runner
from fink_lib.science.models import Artefact, LightCurves, model_folders, read_artefact
from fink_lib.science.models.metrics import roc_auc
from fink_lib.science.models.simulation.sample import Request, simulate
from fink_lib.science.modules import early_sn_ia, kilonova, snn
from fink_lib.surveys import get_survey

IMAGES = project_root() / "docs" / "images" / "science"
SUPERNOVA = "ztf/v3.3/ZTF21abiuvdk_lightcurve_34alerts.tar.gz"
DISRUPTION = "enriched_ztf/tde_ZTF20abfcszi_21.parquet"
COLOUR = {1: "tab:green", 2: "tab:red"}
WIDTH_IN, DPI = 7.0, 90
MODELS = ("snn", "early_sn_ia", "kilonova")

ELASTICC_BANDS = ("r", "i")
"""LSST bands that stand for g and r: at the redshifts of that simulation they see the same part of the spectrum."""

ELASTICC_SHIFT_MAG = -3.0
"""LSST goes deeper; its fluxes are scaled to those that the models know."""

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]


def packets(path: Path) -> pa.Table:
    """Give the alerts of an archive of packets."""
    with tarfile.open(path) as archive:
        files = (archive.extractfile(member) for member in archive if member.isfile())
        return get_survey("ztf").decode([file.read() for file in files if file is not None]).alerts


def enriched(runner: Runner, alerts: pa.Table) -> list[Row]:
    """Give each alert's own measurement together with what science adds, by time."""
    science = runner.apply(alerts).table.to_pylist()
    own = alerts.select(["candid", "objectId", "candidate"]).to_pylist()
    rows = [one["candidate"] | one | more for one, more in zip(own, science, strict=True)]
    return sorted(rows, key=lambda row: row["jd"])


def save(figure: Figure, name: str) -> None:
    """Write a picture."""
    figure.tight_layout()
    figure.savefig(IMAGES / name, dpi=DPI)
    plt.close(figure)


def draw_cards(models: dict[str, Artefact]) -> None:
    """Draw ROC and calibration of all tasks of the cards."""
    figure, (roc, calibration) = plt.subplots(1, 2, figsize=(WIDTH_IN, 3.4))
    for model in models.values():
        for task, metrics in model.card["metrics"].items():
            if "counted as 0" in task:
                continue
            line = roc.plot(*np.array([[0.0, 0.0], *metrics["roc"]]).T, label=f"{task} {metrics['auc']:.3f}")[0]
            if "calibration" in metrics:
                said, true, _ = np.array(metrics["calibration"]).T
                calibration.plot(said, true, "o-", markersize=3, color=line.get_color())
    roc.legend(fontsize=6, loc="lower right", title="area", title_fontsize=6)
    roc.set(xlabel="false positive rate", ylabel="true positive rate")
    calibration.plot([0, 1], [0, 1], color="grey", linewidth=0.7)
    calibration.set(xlabel="probability said", ylabel="share of positives")
    save(figure, "models.png")


def draw_snn(runner: Runner, data: Path) -> None:
    """Draw light curve and scores of a type Ia supernova and of a tidal disruption."""
    figure, panels = plt.subplots(2, 2, figsize=(WIDTH_IN, 4.4), sharex="col", height_ratios=(1, 1))
    disruption = pq.read_table(data / DISRUPTION)
    tables = {
        "type Ia, ZTF21abiuvdk": packets(data / SUPERNOVA),
        "tidal disruption, ZTF20abfcszi": pa.Table.from_pylist(
            disruption.to_pylist(), schema=get_survey("ztf").alert_schema
        ),
    }
    for column, (title, alerts) in enumerate(tables.items()):
        rows = enriched(runner, alerts)
        _light_curve(panels[0, column], rows)
        panels[0, column].set_title(title, fontsize=9)
        for name, style in (("snn_sn_vs_all", "k.-"), ("snn_snia_vs_nonia", "b.--")):
            chosen = [row for row in rows if row[name] is not None]
            days = [row["jd"] - rows[0]["jd"] for row in chosen]
            panels[1, column].plot(days, [row[name] for row in chosen], style, label=name, linewidth=0.8)
        panels[1, column].set(ylim=(-0.03, 1.03), xlabel="days since the first alert")
        panels[1, column].axhline(0.5, color="grey", linewidth=0.5)
        print(title, [(round(r["jd"] - rows[0]["jd"], 1), r["snn_sn_vs_all"], r["snn_snia_vs_nonia"]) for r in rows])
    panels[1, 0].legend(fontsize=7, loc="lower right")
    save(figure, "snn.png")


def _light_curve(axes: Axes, rows: list[Row]) -> None:
    for band, colour in COLOUR.items():
        points = [row for row in rows if row["fid"] == band]
        days = [row["jd"] - rows[0]["jd"] for row in points]
        axes.errorbar(
            days, [row["magpsf"] for row in points], [row["sigmapsf"] for row in points], fmt=".", color=colour
        )
    axes.invert_yaxis()
    axes.set_ylabel("magpsf")


def draw_early(runner: Runner, data: Path, model: Artefact) -> None:
    """Draw the sigmoids of one alert of the supernova, and how the score of simulated classes is distributed."""
    figure, (fit, spread) = plt.subplots(1, 2, figsize=(WIDTH_IN, 3.0))
    sample = simulate(Request({"SNIa": 1500, "SNII": 1500, "SNIbc": 1500}, newly_found=True), 1)
    sample = sample.take(np.flatnonzero(early_sn_ia.applicable(sample.curves)))
    rises = early_sn_ia.find_rises(sample.curves)
    scores = early_sn_ia.scores(model, sample.curves)
    nights = early_sn_ia.average_nights(sample.curves)
    chosen = np.flatnonzero(rises.fitted & (sample.kind == "SNIa") & (rises.features[:, [5, 11]].min(axis=1) == 6))[0]
    now = sample.curves.time_jd[sample.curves.offsets[chosen + 1] - 1]
    for place, colour in enumerate(COLOUR.values()):
        time, flux = nights.time_jd[chosen, :, place] - now, nights.flux[chosen, :, place]
        fit.errorbar(time, flux, nights.error[chosen, :, place], fmt=".", color=colour)
        rate, middle, ceiling = rises.features[chosen, 6 * place : 6 * place + 3]
        grid = np.linspace(np.nanmin(time) - 2, rises.latest_d[chosen, place], 100)
        late = middle + rises.latest_d[chosen, place]
        fit.plot(grid, ceiling / (1 + np.exp(-rate * (grid - late))), color=colour)
    fit.set(xlabel="days before the alert", ylabel="FLUXCAL", title="the rise of a simulated type Ia")
    for kind in ("SNIa", "SNII", "SNIbc"):
        spread.hist(scores[rises.fitted & (sample.kind == kind)], 20, (0, 1), density=True, histtype="step", label=kind)
    spread.legend(fontsize=7)
    spread.set(xlabel="rf_snia_vs_nonia", title="alerts with a rise in both bands")
    save(figure, "early_sn_ia.png")
    for row in enriched(runner, packets(data / SUPERNOVA))[:12]:
        print("early", row["jd"], row["ndethist"], row["rf_snia_vs_nonia"], dict(row["fink_status"])["rf_snia"])
    for low, high in ((0, 5), (5, 8), (8, 15), (15, 1000)):
        ratio = rises.features[:, [3, 9]].mean(axis=1)
        part = rises.fitted & (ratio >= low) & (ratio < high)
        auc = roc_auc(scores[part], sample.kind[part] == "SNIa")
        print(f"early: mean signal to noise {low} to {high}: {part.sum()} alerts, AUC {auc:.3f}")


def draw_kilonova(model: Artefact) -> None:
    """Draw the components, and the score by class and number of nights."""
    figure, (shapes, spread) = plt.subplots(1, 2, figsize=(WIDTH_IN, 3.0))
    for place, colour in enumerate(COLOUR.values()):
        for component, style in zip(model.arrays["components"][place], ("-", "--", ":"), strict=True):
            shapes.plot(kilonova.GRID_D, component, style, color=colour)
    shapes.set(xlabel="days from the brightest night", title="components of kilonovae in g and r")
    kinds = ("Kilonova", "SNIa", "SNII", "DwarfNova", "Erratic", "Passing")
    sample = simulate(Request(dict.fromkeys(kinds, 3000), newly_found=True), 2)
    sample = sample.take(np.flatnonzero(kilonova.applicable(sample.curves)))
    found = kilonova.describe_curves(sample.curves, model.arrays["components"], model.arrays["scatter"])
    scores = kilonova.scores(model, sample.curves)
    nights = kilonova.average_nights(sample.curves).count
    for kind in kinds:
        means = [scores[found.both_bands & (sample.kind == kind) & (nights == n)] for n in range(1, 7)]
        spread.plot(range(1, 7), [one.mean() if len(one) > 5 else np.nan for one in means], "o-", label=kind)
    spread.legend(fontsize=7)
    spread.set(xlabel="nights with detections", ylabel="mean rf_kn_vs_nonkn", ylim=(0, 1))
    save(figure, "kilonova.png")


def elasticc(models: dict[str, Artefact], data: Path) -> None:
    """Print how well type Ia (class 111) and II (113) of the LSST simulation are told apart by the ZTF models."""
    said: dict[str, list[Floats]] = {"snn": [], "rf_snia": [], "published": []}
    truth, many = [], []
    for place, number in enumerate((111, 113)):
        rows = [
            row for path in sorted(data.glob(f"elasticc_sim/*{number}/*")) for row in pq.read_table(path).to_pylist()
        ]
        curves, published = _elasticc_curves(rows)
        ok = snn.applicable(curves)
        said["snn"].append(snn.scores(models["snn"], curves)["snn_snia_vs_nonia"][ok])
        said["rf_snia"].append(early_sn_ia.scores(models["early_sn_ia"], curves)[ok])
        said["published"].append(published[ok])
        truth.append(np.full(ok.sum(), place == 0))
        many.append(curves.lengths[ok] >= 5)
    positive, long = np.concatenate(truth), np.concatenate(many)
    for name, parts in said.items():
        score = np.concatenate(parts)
        use = score > 0 if name == "rf_snia" else np.ones(len(score), dtype=bool)
        for label, part in (("all", use), ("5 points or more", use & long)):
            print(f"ELAsTiCC {name}, {label}: {part.sum()} alerts, AUC {roc_auc(score[part], positive[part]):.3f}")


def _elasticc_curves(rows: list[Row]) -> tuple[LightCurves, Floats]:
    points: list[tuple[float, int, float, float]] = []
    offsets, now, first, published = [0], [], [], []
    for row in rows:
        sources = [row["diaSource"], *(row["prvDiaSources"] or [])]
        alert = row["diaSource"]["midPointTai"]
        inside = {
            (one["midPointTai"], one["filterName"]): one
            for one in sources
            if alert - 30 <= one["midPointTai"] <= alert and one["filterName"] in ELASTICC_BANDS
        }
        if not inside:
            continue
        for (time, band), one in sorted(inside.items()):
            points.append((time, 1 + ELASTICC_BANDS.index(band), one["psFlux"], one["psFluxErr"]))
        offsets.append(len(points))
        now.append(alert)
        first.append(min(one["midPointTai"] for one in sources))
        published.append(row["snn_snia_vs_nonia"])
    time, band, flux, error = np.array(points).T
    # an observing night in Chile is one date of UTC less 10 hours
    entries = {
        "magpsf": 27.5 - 2.5 * np.log10(np.abs(flux)) + ELASTICC_SHIFT_MAG,
        "sigmapsf": 1.0857 * error / np.abs(flux),
        "sign": np.sign(flux),
    }
    alerts = {"jd": np.array(now), "jdstarthist": np.array(first)}
    curves = LightCurves(np.array(offsets), 2_400_000.1 + time, band.astype(np.int64), entries, alerts)
    return curves, np.array(published, dtype=np.float64)


def main(argv: list[str]) -> int:
    """Draw everything."""
    data = Path(argv[0])
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home)
        models = {name: read_artefact(model_folders(settings.model_dir)[name]) for name in MODELS}
        runner = build_runner(get_survey("ztf"), settings)
        draw_cards(models)
        draw_snn(runner, data)
        draw_early(runner, data, models["early_sn_ia"])
        draw_kilonova(models["kilonova"])
        elasticc(models, data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
