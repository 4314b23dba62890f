"""Draw the pictures of the light-curve pages in ``docs/images/science`` from real alerts.

Usage: ``.venv/bin/python docs/light_curve_plots.py DATA``, DATA being a folder with ``ztf/v3.3``, ``ztf/v4.02_spark``
and ``catalogs`` of the shared sample. The supernova is ZTF21abiuvdk, with every alert of 22 nights.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from fink_lib.config import load_settings, project_root
from fink_lib.science import Runner, build_runner
from fink_lib.science.catalogs.tables import TableHandle, table_from_file
from fink_lib.science.columns import Batch
from fink_lib.science.layout import layout_of
from fink_lib.science.models import ModelHandle
from fink_lib.science.models.training.anomaly import OUTLIERS, sample_features
from fink_lib.science.modules.anomaly import BANDS, OwnForests, band_scores
from fink_lib.science.modules.anomaly import MODEL as ANOMALY
from fink_lib.science.modules.blazar_stats import flux_jy
from fink_lib.science.modules.lc_features import curves_of
from fink_lib.surveys import get_survey

IMAGES = project_root() / "docs" / "images" / "science"
SUPERNOVA = "ztf/v3.3/ZTF21abiuvdk_lightcurve_34alerts.tar.gz"
NIGHT = "ztf/v4.02_spark/ztf_public_20231018_a.tar.gz"
THRESHOLDS = "catalogs/CTAO_blazars_ztf_dr23.v03_2026.parquet"
BLAZAR = 2481382545315010000
"""An alert of ZTF18acgrpaq."""

COLOUR = {1: "tab:green", 2: "tab:red"}
NAME = {1: "g", 2: "r"}
WIDTH_IN, DPI = 7.0, 90

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]


def read(path: Path) -> pa.Table:
    """Give the alerts of an archive of packets, by time."""
    with tarfile.open(path) as archive:
        files = (archive.extractfile(member) for member in archive if member.isfile())
        values = [file.read() for file in files if file is not None]
    alerts = get_survey("ztf").decode(values).alerts
    order = np.argsort([one["jd"] for one in alerts.column("candidate").to_pylist()], kind="stable")
    return alerts.take(pa.array(order)).combine_chunks()


def enriched(runner: Runner, alerts: pa.Table) -> list[Row]:
    """Give each alert's own measurement together with what science adds."""
    science = runner.apply(alerts).table.to_pylist()
    own = alerts.select(["candid", "objectId", "candidate"]).to_pylist()
    return [one["candidate"] | one | more for one, more in zip(own, science, strict=True)]


def save(figure: Figure, name: str) -> None:
    """Write a small picture."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def show_light_curve(axes: Axes, rows: Iterable[Row], start: float) -> None:
    """Draw difference magnitudes against days."""
    for row in rows:
        axes.errorbar(row["jd"] - start, row["magpsf"], row["sigmapsf"], fmt="o", ms=3, lw=1, color=COLOUR[row["fid"]])
    axes.invert_yaxis()
    axes.set_ylabel("difference mag")


def show_values(axes: Axes, rows: list[Row], start: float, label: str, values: list[Any]) -> None:
    """Draw one value per alert in the colour of its band; missing ones are left out."""
    for row, value in zip(rows, values, strict=True):
        if value is not None:
            axes.plot(row["jd"] - start, value, "o", ms=3, color=COLOUR[row["fid"]])
    axes.set_ylabel(label)


def plot_features(rows: list[Row]) -> None:
    """Draw the supernova and three of its features, each in the band of the alert."""
    start = rows[0]["jd"]
    figure, panels = plt.subplots(4, 1, figsize=(WIDTH_IN, 7.5), sharex=True)
    show_light_curve(panels[0], rows, start)
    panels[0].set_title("ZTF21abiuvdk, type Ia; g green, r red")
    for axes, name in zip(panels[1:], ("amplitude", "linear_fit_slope", "chi2"), strict=True):
        features = [row[f"lc_features_{NAME[row['fid']]}"] for row in rows]
        show_values(axes, rows, start, name, [found and found[name] for found in features])
    panels[3].set_yscale("log")
    panels[3].yaxis.set_minor_formatter(NullFormatter())
    panels[3].set_xlabel("days since the first alert")
    save(figure, "lc_features")


def plot_rates(rows: list[Row]) -> None:
    """Draw the supernova and its rates."""
    start = rows[0]["jd"]
    figure, panels = plt.subplots(4, 1, figsize=(WIDTH_IN, 7.5), sharex=True)
    show_light_curve(panels[0], rows, start)
    panels[0].set_title("ZTF21abiuvdk, type Ia; g green, r red")
    for row in rows:
        if row["mag_rate"] is not None:
            bars = [[row["mag_rate"] - row["lower_rate"]], [row["upper_rate"] - row["mag_rate"]]]
            marker = "v" if row["from_upper"] else "o"
            panels[1].errorbar(
                row["jd"] - start, row["mag_rate"], bars, fmt=marker, ms=3, lw=1, color=COLOUR[row["fid"]]
            )
    panels[1].set_ylim(-2, 2)
    panels[1].axhline(0, color="grey", lw=0.5)
    panels[1].set_ylabel("mag_rate")
    show_values(panels[2], rows, start, "kn_rate", [row["kn_rate"] for row in rows])
    show_values(panels[3], rows, start, "rise_rate", [row["rise_rate"] for row in rows])
    panels[2].axhline(0.3, color="grey", lw=0.5)
    panels[3].set_xlabel("days since the first alert")
    save(figure, "mag_rate")


def plot_blazar(alerts: pa.Table, rows: list[Row], thresholds: TableHandle) -> None:
    """Draw the standardised light curve of a listed blazar between its thresholds."""
    table = thresholds.current()
    if table is None:
        raise FileNotFoundError("the thresholds of blazars")
    (place,) = [number for number, row in enumerate(rows) if row["candid"] == BLAZAR]
    (limits,) = [one for one in table.rows.to_pylist() if one["ZTF_name"] == rows[place]["objectId"]]
    history = Batch(alerts.slice(place, 1), layout_of("ztf"), "candid").history
    points = history.where(history.valid & np.isin(history.band, list(COLOUR)))
    standard = flux_jy(points) / np.where(points.band == 1, limits["median_g_jy"], limits["median_r_jy"])
    figure, axes = plt.subplots(figsize=(WIDTH_IN, 3))
    since = points.time - points.time[-1]
    for band, colour in COLOUR.items():
        axes.plot(since[points.band == band], standard[points.band == band], "o", ms=4, color=colour)
    for name, style in (("low_threshold", "--"), ("high_threshold", "-.")):
        axes.axhline(limits[name], color="grey", ls=style, lw=1, label=name.replace("_", " "))
    stats = dict(rows[place]["blazar_stats"])
    axes.set_title(", ".join(f"{key} {value:.2f}" for key, value in stats.items() if value is not None), fontsize=8)
    axes.set_xlabel(f"days before alert {BLAZAR} of {rows[place]['objectId']}")
    axes.set_ylabel("flux / median")
    axes.legend(fontsize=7)
    save(figure, "blazar_stats")


def plot_anomaly(alerts: pa.Table, supernova: list[Row], forests: OwnForests) -> None:
    """Draw how real alerts score, and the same with distorted light curves."""
    trees = forests.current
    if trees is None:
        raise FileNotFoundError("the model of anomalies")
    curves = curves_of(Batch(alerts, layout_of("ztf"), "candid").history)

    def scores(kind: str) -> Floats:
        found: Floats = np.fmin.reduce(band_scores(trees, sample_features(curves, kind)))
        return found[np.isfinite(found)]

    real = scores("")
    figure, axes = plt.subplots(figsize=(WIDTH_IN, 3.2))
    bins = np.linspace(-0.85, -0.33, 53).tolist()
    axes.hist(real, bins, color="lightgrey", label=f"{len(real)} real alerts of one night")
    for kind in OUTLIERS:
        axes.hist(scores(kind), bins, histtype="step", label=f"the same, {kind} added")
    own = [row["anomaly_score"] for row in supernova if row["anomaly_score"] is not None]
    axes.plot(own, np.full(len(own), -2.0), "|", color="black", label="the alerts of ZTF21abiuvdk")
    axes.axvline(float(np.quantile(real, 0.05)), color="grey", lw=0.8)
    axes.set_xlabel("anomaly_score (line: lowest 5 % of the night)")
    axes.legend(fontsize=7)
    save(figure, "anomaly")
    print(f"anomaly: bands {BANDS}; {len(real)} real; lowest 5 % below {np.quantile(real, 0.05):.3f}")


def main(argv: list[str]) -> int:
    """Draw all pictures."""
    data = Path(argv[0])
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home)
        table_from_file("ctao_blazars", data / THRESHOLDS, settings.catalog_dir)
        runner = build_runner(get_survey("ztf"), settings)
        supernova = enriched(runner, read(data / SUPERNOVA))
        plot_features(supernova)
        plot_rates(supernova)
        transient = [row["is_transient"] for row in supernova]
        print(f"is_transient: {transient.count(True)} of {len(transient)} alerts of the supernova")
        night = read(data / NIGHT)
        plot_blazar(night, enriched(runner, night), TableHandle("ctao_blazars", settings.catalog_dir))
        plot_anomaly(night, supernova, OwnForests(ModelHandle(ANOMALY, settings.model_dir)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
